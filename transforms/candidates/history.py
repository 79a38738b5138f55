"""How a listener's history becomes weights over tracks: once here, so that training and scoring agree.

A track's weight grows slowly with its plays (square root for neighbours: the tenth play says less than the first) and
counts only plays that were heard; a save counts as one. The last session is a history of its own. Sparse products read
a listener's 2000 heaviest tracks, so that one very long history does not cost what a thousand others do.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from scipy import sparse

from transforms.candidates.base import largest
from transforms.candidates.blocks import Block

HEAVIEST = 2000
POSITIVE = (pl.col("heard").fill_null(0) + pl.col("saved").cast(pl.Int32)).cast(pl.Float32)


def heard_plays(block: Block) -> sparse.csr_matrix:
    """Plays heard, plus one for a save: [B, n_items]. This is what iALS is fitted on and folds in."""
    return block.matrix(POSITIVE)


def root_plays(block: Block) -> sparse.csr_matrix:
    """Square root of `heard_plays`, of each listener's 2000 most played."""
    return block.once("root plays", lambda: largest(block.matrix(POSITIVE.sqrt()), HEAVIEST))


def heard_once(block: Block) -> sparse.csr_matrix:
    """1 for every track heard, each listener's row scaled to length one."""
    return block.once("heard once", lambda: unit_rows(block.matrix((POSITIVE > 0).cast(pl.Float32))))


def root_decayed(block: Block) -> sparse.csr_matrix:
    """Square root of plays that halve every 30 days, of the 2000 largest; a track only ever sampled has none."""
    decayed = pl.when(POSITIVE > 0).then(pl.col("decayed_plays").sqrt()).otherwise(0.0)
    return block.once("root decayed", lambda: largest(block.matrix(decayed), HEAVIEST))


def last_sessions(block: Block, half_life: float = 1.0, sessions: int = 10) -> sparse.csr_matrix:
    """Plays of the last sessions, halved every `half_life` sessions back, square root of the sum."""
    recent = block.recent.filter((pl.col("session_no") < sessions) & (pl.col("item") > 0))
    weights = np.power(0.5, recent["session_no"].to_numpy() / half_life).astype(np.float32)
    matrix = sparse.csr_matrix(
        (weights, (recent["row"].to_numpy(), recent["item"].to_numpy())), shape=(len(block), block.n_items)
    )
    matrix.sum_duplicates()
    matrix.data = np.sqrt(matrix.data)
    return matrix


def unit_rows(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Rows scaled to Euclidean length one; empty rows stay empty."""
    squares = np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel()
    scale = 1.0 / np.sqrt(np.where(squares > 0, squares, 1.0))
    return sparse.csr_matrix(sparse.diags(scale.astype(np.float32)) @ matrix)
