"""iALS: item vectors from who heard what, with listeners' vectors computed from their histories (fold-in).

Hu, Koren, Volinsky (ICDM 2008) in the form of Rendle et al., "Revisiting the performance of iALS" (arXiv 2110.14037):

    min  sum over heard (u, i) of c_ui (1 - x_u . y_i)^2  +  a0 sum over all (u, i) of (x_u . y_i)^2
         + reg sum_u (|I_u| + a0 n_items)^nu |x_u|^2  +  reg sum_i (|U_i| + a0 n_users)^nu |y_i|^2

c_ui = alpha * value, or alpha * log(1 + value); a0 is the unobserved weight; nu scales the pull towards zero by
frequency, normalised here so that reg means the same for any nu (see `_pull`).
One half-step solves (a0 Y'Y + V'CV + r I) x = V'c a row, V being the vectors of the row's entries.
Most tracks have few listeners, so a row with fewer entries than d/2 is solved in its entries instead of in d
dimensions: with G = a0 Y'Y + r I and U = sqrt(C) V,  x = G^-1 U' (I + U G^-1 U')^-1 sqrt(c)  (Woodbury). Y'Y is
diagonalised once a half-step, in whose basis G is diagonal for every row's own r. 108,000 tracks cost 500 small
solves each way, not 108,000.

    >>> model = Als.fit(rows, items, plays, n_users=500, n_items=108_225, settings=AlsSettings(), seed=1)
    >>> model.fold_in(histories).shape          # csr [B, n_items] -> float32 [B, d]
    (256, 128)
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tensorflow as tf
from scipy.sparse import csr_matrix

from models.runtime import buckets, deterministic, padded
from models.settings import AlsSettings

DEFAULTS = AlsSettings()
_FLOATS = 1 << 24


@dataclass
class Als:
    """Item vectors and what fold-in needs to know of them.

    Attributes:
        settings: as fitted.
        item_factors: float32 [n_items, d]; rows nobody heard are zero.
        listeners: how many listeners it was fitted on (fold-in's regularisation is scaled by their mean frequency).
        mean_pull: mean over those listeners of (|I_u| + a0 n_items)^nu.
        losses: the objective after each iteration, over the heard pairs and all pairs, without regularisation.
    """

    settings: AlsSettings
    item_factors: np.ndarray
    mean_pull: float
    _side: _Side | None = field(default=None, repr=False)

    @classmethod
    def fit(
        cls,
        rows: np.ndarray,
        items: np.ndarray,
        values: np.ndarray,
        n_users: int,
        n_items: int,
        settings: AlsSettings = DEFAULTS,
        seed: int = 0,
    ) -> Als:
        """Alternate until `settings.iterations` are done.

        Args:
            rows, items: int [m], listener and item of each heard pair; a pair given twice is summed.
            values: float [m], positive: plays, or plays that fade with age.
            n_users, n_items: sizes; items count the unknown row 0, which stays a zero vector if nothing names it.
            seed: decides the first item vectors.

        Raises:
            ValueError: a value is negative or not finite.
        """
        values = np.asarray(values, np.float32)
        if not np.isfinite(values).all() or (values < 0).any():
            raise ValueError("values of heard pairs must be finite and not negative")
        deterministic(seed)
        heard = csr_matrix((values, (rows, items)), shape=(n_users, n_items))
        heard.sum_duplicates()
        heard.data = _confidence(heard.data, settings)
        by_item = heard.T.tocsr()
        by_item.sort_indices()
        pull_users, mean_pull = _pull(np.diff(heard.indptr), n_items, settings)
        pull_items, _ = _pull(np.diff(by_item.indptr), n_users, settings)
        rng = np.random.default_rng(seed)
        factors = rng.standard_normal((n_items, settings.factors), dtype=np.float32) / np.sqrt(settings.factors)
        factors[np.diff(by_item.indptr) == 0] = 0
        for _ in range(settings.iterations):
            users = _Side(factors, settings.unobserved).solve(heard, pull_users)
            factors = _Side(users, settings.unobserved).solve(by_item, pull_items)
        return cls(settings, factors, mean_pull)

    def fold_in(self, histories: csr_matrix) -> np.ndarray:
        """Listeners' vectors, float32 [B, d], from sparse histories [B, n_items] with values as in `fit`.

        A listener with nothing known in the history gets a zero vector, hence a zero score for every track.
        """
        histories = csr_matrix(histories, dtype=np.float32, copy=True)
        histories.data = _confidence(histories.data, self.settings)
        if self._side is None:
            self._side = _Side(self.item_factors, self.settings.unobserved)
        n_items = len(self.item_factors)
        frequency = np.diff(histories.indptr) + self.settings.unobserved * n_items
        pull = self.settings.reg * frequency**self.settings.reg_power / self.mean_pull
        return self._side.solve(histories, pull.astype(np.float32))

    def save(self, directory: str | Path) -> None:
        """Write items.npy and als.json."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "items.npy", self.item_factors, allow_pickle=False)
        raw = {"settings": self.settings.model_dump(mode="json"), "mean_pull": self.mean_pull}
        (folder / "als.json").write_text(json.dumps(raw, indent=1, sort_keys=True) + "\n")

    @classmethod
    def load(cls, directory: str | Path) -> Als:
        """Read what `save` wrote."""
        folder = Path(directory)
        raw = json.loads((folder / "als.json").read_text())
        items = np.load(folder / "items.npy", allow_pickle=False)
        return cls(AlsSettings.model_validate(raw["settings"]), items, raw["mean_pull"])


def _confidence(values: np.ndarray, settings: AlsSettings) -> np.ndarray:
    return np.float32(settings.alpha) * (np.log1p(values) if settings.log_counts else values).astype(np.float32)


def _pull(entries: np.ndarray, others: int, settings: AlsSettings) -> tuple[np.ndarray, float]:
    """Regularisation of each row, reg * f^nu / mean(f^nu) with f = entries + a0 * others, and that mean."""
    scaled = (entries + settings.unobserved * others).astype(np.float64) ** settings.reg_power
    mean = float(scaled.mean()) if len(scaled) else 1.0
    return (settings.reg * scaled / mean).astype(np.float32), mean


class _Side:
    """One half-step's fixed side: its vectors turned into the basis where their Gram matrix is diagonal."""

    def __init__(self, vectors: np.ndarray, unobserved: float) -> None:
        gram = tf.linalg.matmul(vectors, vectors, transpose_a=True).numpy().astype(np.float64)
        spectrum, basis = np.linalg.eigh(gram)
        self._spectrum = tf.constant(np.maximum(spectrum, 0) * unobserved, tf.float32)
        self._basis = basis.astype(np.float32)
        self._vectors = tf.constant(np.asarray(vectors, np.float32) @ self._basis)
        self.d = vectors.shape[1]

    def solve(self, matrix: csr_matrix, pull: np.ndarray) -> np.ndarray:
        """Solve every row of a confidence matrix; empty rows are zero."""
        out = np.zeros((matrix.shape[0], self.d), np.float32)
        lengths = np.diff(matrix.indptr)
        for rows, width in buckets(lengths, cells=_FLOATS // self.d, most=1 << 14):
            columns, weights = padded(matrix, rows, width)
            half_step = _solve_in_entries if width * 2 <= self.d else _solve_in_dimensions
            if half_step is _solve_in_dimensions and len(rows) * self.d**2 > _FLOATS:
                step = max(1, _FLOATS // self.d**2)
            else:
                step = len(rows)
            for start in range(0, len(rows), step):
                part = slice(start, start + step)
                out[rows[part]] = half_step(
                    self._vectors,
                    self._spectrum,
                    tf.constant(columns[part]),
                    tf.constant(weights[part]),
                    tf.constant(pull[rows[part]]),
                ).numpy()
        return out @ self._basis.T


_SIGNATURE = [
    tf.TensorSpec([None, None], tf.float32),
    tf.TensorSpec([None], tf.float32),
    tf.TensorSpec([None, None], tf.int32),
    tf.TensorSpec([None, None], tf.float32),
    tf.TensorSpec([None], tf.float32),
]


@tf.function(input_signature=_SIGNATURE, autograph=False)
def _solve_in_dimensions(
    vectors: tf.Tensor, spectrum: tf.Tensor, columns: tf.Tensor, weights: tf.Tensor, pull: tf.Tensor
) -> tf.Tensor:
    """d x d systems, for rows with many entries."""
    entries = tf.gather(vectors, columns)
    normal = tf.linalg.matmul(entries * weights[:, :, None], entries, transpose_a=True)
    normal = tf.linalg.set_diag(normal, tf.linalg.diag_part(normal) + spectrum + pull[:, None])
    right = tf.linalg.matvec(entries, weights, transpose_a=True)
    return tf.linalg.cholesky_solve(tf.linalg.cholesky(normal), right[:, :, None])[:, :, 0]


@tf.function(input_signature=_SIGNATURE, autograph=False)
def _solve_in_entries(
    vectors: tf.Tensor, spectrum: tf.Tensor, columns: tf.Tensor, weights: tf.Tensor, pull: tf.Tensor
) -> tf.Tensor:
    """width x width systems, for rows with few entries; equal to the other by the Woodbury identity."""
    root = tf.sqrt(weights)
    scaled = tf.gather(vectors, columns) * root[:, :, None]
    inverse = 1 / (spectrum + pull[:, None])
    small = tf.linalg.matmul(scaled * inverse[:, None, :], scaled, transpose_b=True)
    small = tf.linalg.set_diag(small, tf.linalg.diag_part(small) + 1)
    solved = tf.linalg.cholesky_solve(tf.linalg.cholesky(small), root[:, :, None])
    return tf.linalg.matvec(scaled, solved[:, :, 0], transpose_a=True) * inverse
