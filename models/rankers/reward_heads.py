"""Reward heads: the chance of each declared label of a candidate, whatever kind orders them.

The order learns what is listened to; a reward may be something else (that it is finished, saved, not skipped, come back to). Each
label gets a logistic regression over the ranker's standardised features, by iteratively reweighted least squares with an L2 pull
of `_PULL` observations, apart for discoveries and repeats (`f_heard`), since what makes one likely says little of the other. The
same weights as the ranker's examples make up for thinned negatives, so the chances are those of all candidates.

    >>> heads = RewardHeads.fit(examples, ["f_z_als", "f_heard"], ("completed", "saved"), seed=1)
    >>> heads.chances(candidates).keys()
    dict_keys(['h_completed', 'h_saved'])
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from models.rankers.ranker import HEARD, Inputs, row_parts
from transforms.common.hashing import uniform

FILE = "reward_heads.json"
_PULL = 10.0  # L2 on every weight but the offset, in units of one observation's curvature
_ROWS = 100_000  # rows that a head is fitted on at most
_LEAST = 20  # positives below which there is no head


@dataclass(frozen=True)
class RewardHeads:
    """Weights by label and list: float64 [2, f + 1], discoveries first, the offset last; NaN where there is no head."""

    inputs: Inputs
    weights: dict[str, np.ndarray]

    @classmethod
    def fit(cls, examples: pl.DataFrame, names: Sequence[str], labels: Sequence[str], seed: int) -> RewardHeads:
        """From ranker examples: features, bool labels (null = unknown, left out), `weight`.

        Args:
            names: of the features.
            labels: those that rewards are declared of; one that the examples hardly know has no head.
        """
        share = _ROWS / max(examples.height, 1)
        if share < 1:
            kept = uniform(seed, "reward heads", pl.Series(np.arange(examples.height))) < share
            examples = examples.filter(pl.Series(kept))
        matrix = examples.select(pl.col(list(names)).cast(pl.Float32).fill_null(float("nan"))).to_numpy()
        weight = examples["weight"].to_numpy().astype(np.float64)
        inputs = Inputs.measure(names, matrix, weight)
        x = _with_offset(inputs.standardise(matrix))
        heard = _heard(matrix, inputs.names)
        found = {}
        for label in labels:
            if label not in examples.columns:
                continue
            y = examples[label].cast(pl.Float64).fill_null(float("nan")).to_numpy()
            parts = [_logistic(x[rows], y[rows], weight[rows]) for rows in (~heard, heard)]
            if any(np.isfinite(part).all() for part in parts):
                found[label] = np.stack(parts)
        return cls(inputs, found)

    def chances(self, candidates: pl.DataFrame) -> dict[str, np.ndarray]:
        """`h_<label>` -> float32 [n]; NaN where such a list has no head. A feature that is missing counts as usual."""
        absent = [n for n in self.inputs.names if n not in candidates.columns]
        filled = candidates.with_columns(pl.lit(float("nan"), dtype=pl.Float32).alias(n) for n in absent)
        matrix = filled.select(self.inputs.names).to_numpy().astype(np.float32, copy=False)
        labels = sorted(self.weights)
        if not labels:
            return {}
        both = np.stack([self.weights[label] for label in labels], axis=2)  # [2, f + 1, labels]
        out = np.empty((len(labels), len(matrix)), np.float32)
        for part in row_parts(matrix):
            x, heard = self.inputs.standardise(matrix[part]).astype(np.float64), _heard(matrix[part], self.inputs.names)
            logit = np.where(heard[:, None], x @ both[1, :-1] + both[1, -1], x @ both[0, :-1] + both[0, -1])
            out[:, part] = (1 / (1 + np.exp(-np.clip(logit, -60, 60)))).astype(np.float32).T
        return {f"h_{label}": out[number] for number, label in enumerate(labels)}

    def save(self, directory: str | Path) -> None:
        """Write one file beside the ranker's."""
        kept = {
            label: [[None if np.isnan(v) else v for v in part] for part in w.tolist()]
            for label, w in self.weights.items()
        }
        raw = {"inputs": self.inputs.to_json(), "weights": kept}
        (Path(directory) / FILE).write_text(json.dumps(raw, sort_keys=True) + "\n")

    @classmethod
    def load(cls, directory: str | Path) -> RewardHeads | None:
        """What `save` wrote; None where a ranker was fitted without."""
        path = Path(directory) / FILE
        if not path.exists():
            return None
        raw = json.loads(path.read_text())
        weights = {label: np.array(parts, dtype=np.float64) for label, parts in raw["weights"].items()}
        return cls(Inputs.from_json(raw["inputs"]), weights)


def _with_offset(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, np.ones((len(x), 1), x.dtype)], axis=1).astype(np.float64)


def _heard(matrix: np.ndarray, names: Sequence[str]) -> np.ndarray:
    return matrix[:, list(names).index(HEARD)] > 0.5 if HEARD in names else np.zeros(len(matrix), bool)


def _logistic(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weights float64 [f + 1] of a weighted ridge logistic regression; NaN where hardly anything is positive or negative."""
    known = np.isfinite(y)
    x, y, w = x[known], y[known], weight[known]
    if min((y > 0).sum(), (y <= 0).sum()) < _LEAST:
        return np.full(x.shape[1], np.nan)
    pull = np.full(x.shape[1], _PULL)
    pull[-1] = 1e-6
    beta = np.zeros(x.shape[1])
    rate = (w * y).sum() / w.sum()
    beta[-1] = np.log(rate / (1 - rate))
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        curve = np.maximum(w * p * (1 - p), 1e-9)
        gradient = x.T @ (w * (p - y)) + pull * beta
        step = np.linalg.solve((x * curve[:, None]).T @ x + np.diag(pull), gradient)
        step *= min(1.0, 4.0 / max(np.abs(step).max(), 1e-12))
        beta = beta - step
        if np.abs(step).max() < 1e-6:
            break
    return beta
