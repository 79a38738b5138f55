"""The best k of many, one after the other: a bounded heap, compiled, for loops that are compiled themselves.

Most of what is offered is worse than the worst that is kept, and costs one comparison. Among equal scores the smaller item
is better, which in a vocabulary ordered by hash is the order of hash(track_id), then track_id.

    >>> scores, items, size = np.zeros(2, np.float32), np.zeros(2, np.int32), 0
    >>> for item, score in enumerate([0.5, 0.9, 0.5, 0.1]):
    ...     size = keep(scores, items, size, 2, score, item)
    >>> best_first(scores, items, size)
    >>> items.tolist()
    [1, 0]
"""

from __future__ import annotations

import numpy as np

from transforms.common.compiled import compiled


@compiled
def _sift(scores: np.ndarray, items: np.ndarray, at: int, size: int) -> None:
    """Let the entry at `at` sink in a heap whose root is the worst: the lowest score, the larger item among equals."""
    score, item = scores[at], items[at]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        right = child + 1
        if right < size and (
            scores[right] < scores[child] or (scores[right] == scores[child] and items[right] > items[child])
        ):
            child = right
        if not (scores[child] < score or (scores[child] == score and items[child] > item)):
            break
        scores[at], items[at] = scores[child], items[child]
        at = child
    scores[at], items[at] = score, item


@compiled
def keep(scores: np.ndarray, items: np.ndarray, size: int, k: int, score: float, item: int) -> int:
    """Offer an entry to the best k so far; returns how many there are."""
    if size < k:
        at = size
        while at > 0:
            parent = (at - 1) // 2
            if not (score < scores[parent] or (score == scores[parent] and item > items[parent])):
                break
            scores[at], items[at] = scores[parent], items[parent]
            at = parent
        scores[at], items[at] = score, item
        return size + 1
    if score > scores[0] or (score == scores[0] and item < items[0]):
        scores[0], items[0] = score, item
        _sift(scores, items, 0, size)
    return size


@compiled
def best_first(scores: np.ndarray, items: np.ndarray, size: int) -> None:
    """Turn the heap into a list, best first."""
    for last in range(size - 1, 0, -1):
        scores[0], scores[last] = scores[last], scores[0]
        items[0], items[last] = items[last], items[0]
        _sift(scores, items, 0, last)
