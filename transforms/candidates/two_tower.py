"""The source `two_tower`: a query tower reads the history, an item tower has vectors for new tracks too."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transforms.candidates.base import TopK
from transforms.candidates.blocks import Block
from transforms.candidates.dense import DotProduct


def two_tower_source(
    embed: Callable[[Block], np.ndarray], vectors: np.ndarray, top_k: TopK | None = None
) -> DotProduct:
    """Source from an exported model: `embed` is its query tower over a block, `vectors` its item tower's output."""
    return DotProduct("two_tower", embed, vectors, top_k)
