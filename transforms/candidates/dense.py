"""Sources that score by a dot product: iALS, the two-tower and the sequence model.

No model code is imported here: `embed` turns a block into listeners' vectors (iALS fold-in, query tower), `vectors`
are the tracks', `top_k` searches them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from transforms.candidates.base import DenseScores, Source, TopK, numpy_top_k
from transforms.candidates.blocks import Block
from transforms.candidates.history import root_plays


@dataclass(frozen=True)
class DotProduct(Source):
    """A source whose score is <listener vector, track vector>.

    Attributes:
        embed: block -> float32 [B, d].
        vectors: float32 [n_items, d]; row 0 (unknown) is never retrieved.
        top_k: see `DenseScores`; None = plain numpy.
    """

    embed: Callable[[Block], np.ndarray]
    vectors: np.ndarray
    top_k: TopK | None = None

    @cached_property
    def lengths(self) -> np.ndarray:
        """float32 [n_items]."""
        return np.linalg.norm(self.vectors, axis=1)

    def queries(self, block: Block) -> np.ndarray:
        """The listeners' vectors, float32 [B, d], embedded once."""
        return block.once(f"queries of {self.name}", lambda: self.embed(block))

    def score(self, block: Block) -> DenseScores:
        """Embed once."""
        return DenseScores(self.queries(block), self.vectors, self.top_k or numpy_top_k(self.vectors))

    def explain(self, block: Block, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """The heard track with the largest weight times cosine to the candidate; 0 where none is alike."""
        history = sparse.csr_matrix(root_plays(block))
        history.sort_indices()
        length = self.lengths
        out = np.zeros(len(rows), np.int32)
        order = np.argsort(rows, kind="stable")
        bounds = np.searchsorted(rows[order], np.arange(len(block) + 1))
        for row in np.unique(rows).tolist():
            pairs = order[bounds[row] : bounds[row + 1]]
            part = slice(history.indptr[row], history.indptr[row + 1])
            heard = history.indices[part]
            if not len(heard):
                continue
            scaled = self.vectors[heard] * (history.data[part] / np.maximum(length[heard], 1e-9))[:, None]
            links = self.vectors[items[pairs]] @ scaled.T
            best = links.argmax(axis=1)
            out[pairs] = np.where(links[np.arange(len(pairs)), best] > 0, heard[best], 0)
        return out
