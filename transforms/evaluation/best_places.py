"""The best places of rows of scores: of a stored matrix, of a product that is never stored, of one order for everyone.

All keep the k largest positive scores of every row, and the smaller column of equals.

    >>> keep_best(sparse.csr_matrix(np.array([[1.0, 3.0, 1.0, 2.0]])), 3).toarray().tolist()
    [[1.0, 3.0, 0.0, 2.0]]
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from scipy import sparse

from transforms.candidates import loops
from transforms.candidates.base import Candidates, ProductScores, row_numbers
from transforms.common.compiled import compiled

Scored: TypeAlias = sparse.csr_matrix | tuple[sparse.csr_matrix, sparse.csr_matrix] | np.ndarray
Places = tuple[np.ndarray, np.ndarray]  # rows and items, row by row, best first


def keep_best(matrix: sparse.csr_matrix, k: int) -> sparse.csr_matrix:
    """The k largest positive entries of every row; equal ones by column."""
    items, scores, counts = _stored_top(matrix, k, None)
    best = sparse.csr_matrix((scores, items, np.concatenate([[0], np.cumsum(counts)])), shape=matrix.shape)
    best.sort_indices()
    return best


def _stored_top(
    matrix: sparse.csr_matrix, k: int, without: sparse.csr_matrix | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Items and scores of the k largest positive entries of every row, best first, and how many each row has."""
    hidden = (np.zeros(matrix.shape[0] + 1, np.int64), np.zeros(0, np.int32))
    if without is not None:
        hidden = (without.indptr, without.indices + 1)
    found = loops.stored_top(matrix.indptr, matrix.indices + 1, matrix.data, matrix.shape[1] + 1, *hidden, k)
    return found[0] - 1, found[1], found[2]


def best_places(scores: Scored, heard: sparse.csr_matrix, target: str, k: int) -> Places:
    """The k best of each row that the target allows."""
    if isinstance(scores, np.ndarray):
        items, counts = _first_allowed(scores, heard.indptr, heard.indices, target == "repeat", target == "unheard", k)
        return np.repeat(np.arange(len(counts)), counts), items
    without = heard if target == "unheard" else None
    if isinstance(scores, tuple):
        weights, matrix = scores
        if target != "repeat":
            found = _product_top(weights, matrix, k, without)
            return found.rows, found.items - 1
        values = ProductScores(_float32(weights), _float32(matrix)).of(row_numbers(heard), heard.indices)
        scores = sparse.csr_matrix((values, heard.indices, heard.indptr), shape=heard.shape)
    elif target == "repeat":
        scores = sparse.csr_matrix(scores.multiply(heard))
    items, _, counts = _stored_top(scores, k, without)
    return np.repeat(np.arange(len(counts)), counts), items


@compiled
def _first_allowed(
    order: np.ndarray, indptr: np.ndarray, indices: np.ndarray, only_heard: bool, only_unheard: bool, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The first k of one order that each row may have: items, row by row, and how many each row has."""
    size = len(indptr) - 1
    most = max(np.max(order) if len(order) else 0, np.max(indices) if len(indices) else 0)
    heard_by = np.zeros(most + 1, np.int64)  # the row, from 1
    place = np.full(most + 1, len(order), np.int64)
    for number in range(len(order)):
        place[order[number]] = number
    items, counts, at = np.empty(size * k, np.int64), np.zeros(size, np.int64), 0
    for row in range(size):
        own = indices[indptr[row] : indptr[row + 1]]
        if only_heard:  # what was heard may stand far down
            for number in np.sort(place[own])[:k]:
                if number < len(order):
                    items[at] = order[number]
                    at += 1
                    counts[row] += 1
            continue
        heard_by[own] = row + 1
        for item in order:
            if counts[row] == k:
                break
            if not (only_unheard and heard_by[item] == row + 1):
                items[at] = item
                at += 1
                counts[row] += 1
    return items[:at], counts


def best_of(
    weights: sparse.csr_matrix, matrix: sparse.csr_matrix, k: int, without: sparse.csr_matrix | None
) -> sparse.csr_matrix:
    """The k largest positive entries of every row of a product, equals by column, without the places of a third matrix.

    The product is never stored; sums are of float32.
    """
    found = _product_top(weights, matrix, k, without)
    shape = (weights.shape[0], matrix.shape[1])
    best = sparse.csr_matrix((found.scores, (found.rows, found.items - 1)), shape=shape)
    best.sort_indices()
    return best


def _product_top(
    weights: sparse.csr_matrix, matrix: sparse.csr_matrix, k: int, without: sparse.csr_matrix | None
) -> Candidates:
    """As `best_of`, best first, items counted from 1."""
    return ProductScores(_float32(weights), _shifted(matrix)).top(k, None if without is None else _shifted(without))


def _float32(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    return sparse.csr_matrix(matrix, dtype=np.float32)


def _shifted(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """With an empty column before the first, which stands for no item."""
    matrix = _float32(matrix)
    return sparse.csr_matrix(
        (matrix.data, matrix.indices + 1, matrix.indptr), shape=(matrix.shape[0], matrix.shape[1] + 1)
    )
