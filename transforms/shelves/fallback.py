"""What stands on a shelf when nothing of the listener's own can: popular tracks of their market, or the reason why it is empty.

A listener without history gets what is popular, and so does a listener for whom nothing passes, where the shelf allows it.
A shelf names its steps: its own pool without what it requires, then what is popular. Fallbacks are filled last: they must not
take a track from a shelf that means it. Of a listener without history every shelf is one, so the first in the settings has the
best of what is popular; shelves that stand in for such listeners only (On Repeat) come after all others.

    >>> [shelf.shelf_id for shelf in in_order_of_fallback(ShelvesSettings().shelves)][-2:]     # doctest: +SKIP
    ['on-repeat', 'rediscover']
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from transforms.shelves.filling import EMPTY, FALLBACK, OPEN, Board, Made
from transforms.shelves.pools import fallback_pool, pool
from transforms.shelves.shelf import ShelfSettings

NO_HISTORY = "no listening history yet"
NOTHING_LEFT = "; nothing popular is left under the rules"


def in_order_of_fallback(shelves: Sequence[ShelfSettings]) -> list[ShelfSettings]:
    """The shelves in the order in which they choose among what is popular."""
    return sorted(shelves, key=stands_in)


def stands_in(shelf: ShelfSettings) -> bool:
    """Whether popular tracks are here only because there is no history: the shelf's title promises something else."""
    return shelf.pool != "popular" and "popular" not in shelf.fallback


def fill_fallback(board: Board, made: Made, has_history: np.ndarray) -> None:
    """Popular tracks for every listener whose shelf is open, where it allows them, and the reason where it stays empty.

    Args:
        board: with every shelf filled that can be.
        made: the shelf.
        has_history: bool by listener.
    """
    shelf, judge = made.shelf, board.judge
    waiting = np.flatnonzero(made.status == OPEN)
    tried: set[int] = set()
    if shelf.pool == "popular":
        newcomers = waiting[~has_history[waiting]]
        tried.update(newcomers.tolist())
        if len(newcomers):
            board.fill(made, pool(board.rows, shelf, made.fates, newcomers), newcomers, FALLBACK, drawing=False)
    for step in () if shelf.pool == "popular" else shelf.fallback:
        open_ = np.flatnonzero(made.status == OPEN)
        if step == "unrestricted":
            open_, other = open_[has_history[open_]], shelf.unrestricted()
        else:
            open_, other = open_ if step == "popular" else open_[~has_history[open_]], shelf.of_popular()
            tried.update(open_.tolist())
        if len(open_):
            fates = judge.fates(other)
            of_others = step == "unrestricted"
            chosen = pool(board.rows, other, fates, open_) if of_others else fallback_pool(board.rows, fates, open_)
            board.fill(made, chosen, open_, FALLBACK, drawing=False)
    for listener in waiting.tolist():
        why = shelf.why() if has_history[listener] else NO_HISTORY
        if made.status[listener] == OPEN:
            made.status[listener] = EMPTY
            why += NOTHING_LEFT if listener in tried else ""
        made.why[listener] = why
