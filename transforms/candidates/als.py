"""The source `als`: iALS with the listener folded in from the history at hand.

score(u, i) = x_u . y_i,   x_u solved from u's plays heard against the fixed y
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse

from transforms.candidates.base import TopK
from transforms.candidates.dense import DotProduct
from transforms.candidates.history import heard_plays


def als_source(
    fold_in: Callable[[sparse.csr_matrix], np.ndarray], vectors: np.ndarray, top_k: TopK | None = None
) -> DotProduct:
    """Source from a fitted model.

    Args:
        fold_in: histories [B, n_items] (plays heard, as the model was fitted on) -> float32 [B, d].
        vectors: float32 [n_items, d].
        top_k: exact search over `vectors`.
    """
    return DotProduct("als", lambda block: fold_in(heard_plays(block)), vectors, top_k)
