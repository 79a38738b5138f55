"""Filling the shelves of a block one after the other, and what became of every row on each of them.

A `Board` holds what has been placed so far: by surface which recordings are taken, and by shelf the finished rows of every
listener (`Made`). Carried shelves are put up as they stood, the others are filled from their pool, and what stays open is
filled by the fallback, after all shelves that mean something.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from transforms.common.hashing import stable_hash
from transforms.shelves.carry import repair
from transforms.shelves.exploration import draw_state, open_positions
from transforms.shelves.gathering import CARRIED, Rows
from transforms.shelves.judging import ON_SURFACE, OTHER_VERSION, PLACED, SPARE, Judge
from transforms.shelves.placing import ALBUM, ARTIST, IS_TAKEN, TAG, Caps, Counted, Draws, Filled, fill
from transforms.shelves.pools import Pool
from transforms.shelves.settings import Night, ShelfSettings, ShelvesSettings

OPEN, PERSONAL, FALLBACK, EMPTY = 0, 1, 2, 3
STATUS = ("", "personal", "fallback", "empty")
_REFUSED = {IS_TAKEN: ON_SURFACE, ARTIST: "artist_cap", ALBUM: "album_cap", TAG: "tag_cap"}


@dataclass
class Made:
    """One shelf of every listener of a block.

    Attributes:
        status: int8 by listener; see `STATUS`.
        why: by listener the reason why it is not personal.
        refreshed: by listener the date its items were chosen.
        items, spares: int64 [listeners, size], rows in order; -1 after the last.
        propensities: float64 like items, NaN where not drawn.
        scores: float32 by row, the shelf's own score.
        fates: int16 by row; see `judging`.
        draws: what its open slots drew, and of which listeners.
    """

    shelf: ShelfSettings
    status: np.ndarray
    why: list[str | None]
    refreshed: list[dt.date]
    items: np.ndarray
    spares: np.ndarray
    propensities: np.ndarray
    scores: np.ndarray
    fates: np.ndarray
    draws: list[tuple[np.ndarray, Filled, np.ndarray]] = field(default_factory=list)

    @classmethod
    def open(cls, shelf: ShelfSettings, rows: Rows, fates: np.ndarray, date: dt.date) -> Made:
        """Nobody's shelf is filled yet."""
        n = len(rows.listener_ids)
        return cls(
            shelf,
            np.zeros(n, np.int8),
            [None] * n,
            [date] * n,
            np.full((n, shelf.size), -1, np.int64),
            np.full((n, shelf.spares), -1, np.int64),
            np.full((n, shelf.size), np.nan),
            np.full(len(rows), np.nan, np.float32),
            fates,
        )


class Board:
    """What stands on the shelves of a block so far."""

    def __init__(self, rows: Rows, judge: Judge, settings: ShelvesSettings, night: Night) -> None:
        self.rows, self.judge, self.settings, self.night = rows, judge, settings, night
        self.taken = {s.surface: np.zeros(rows.pieces, np.bool_) for s in settings.shelves}
        self.made: dict[int, Made] = {}
        self.counted = Counted.of(rows.tracks)
        self.listener_hash = stable_hash(pl.Series(rows.listener_ids, dtype=pl.String))

    def put_up(self, number: int, shelf: ShelfSettings) -> Made:
        """Begin a shelf: what is carried stands on it, and every other listener's is open."""
        made = self.made[number] = Made.open(shelf, self.rows, self.judge.fates(shelf), self.night.date)
        if shelf.refresh != "daily":
            self._carry(number, made)
        return made

    def fill(self, made: Made, pool: Pool, listeners: np.ndarray, status: int, drawing: bool) -> None:
        """Fill these listeners' shelf from a pool; who gets nothing stays open.

        Args:
            status: what the filled shelves are.
            drawing: whether open slots are drawn.
        """
        shelf, code = made.shelf, self.judge.code
        made.scores[pool.rows] = pool.scores
        slots = open_positions(shelf.size, shelf.open_slots if drawing and not self.night.greedy else 0)
        exploration = self.settings.exploration
        caps = Caps(*(0 if self.night.greedy else shelf.cap(f"{what}_cap") or 0 for what in ("artist", "album", "tag")))
        filled = fill(
            pool.rows,
            pool.bounds,
            pool.scores,
            listeners,
            self.rows.track,
            self.rows.piece,
            self.taken[shelf.surface],
            self.counted,
            caps,
            shelf.size,
            shelf.spares,
            np.array(slots, np.int64),
            Draws(exploration.pool, exploration.epsilon, exploration.tau),
            np.array([draw_state(self.night.seed, self.night.date, shelf.shelf_id, s) for s in slots], np.uint64),
            self.listener_hash,
            self.rows.tracks.hashes,
        )
        some = filled.items[:, 0] >= 0 if shelf.size else np.zeros(len(listeners), np.bool_)
        who = listeners[some]
        made.items[who], made.spares[who] = filled.items[some], filled.spares[some]
        made.propensities[who] = filled.propensities[some]
        made.status[who] = status
        if slots:
            made.draws.append((listeners, filled, np.array(slots)))
        made.fates[pool.versions] = code[OTHER_VERSION]
        for why, name in _REFUSED.items():
            made.fates[pool.rows[filled.refused == why]] = code[name]
        made.fates[filled.items[filled.items >= 0]] = code[PLACED]
        made.fates[filled.spares[filled.spares >= 0]] = code[SPARE]

    def _carry(self, number: int, made: Made) -> None:
        """Put up what stands on a shelf that is not due, as far as the rules still allow it."""
        carried = self.rows.carried
        start = int(self.rows.section[CARRIED, 0])
        mine = carried.with_columns(row=np.arange(start, start + carried.height)).filter(pl.col("shelf") == number)
        if mine.is_empty():
            return
        shelf, code = made.shelf, self.judge.code
        fates = self.judge.fates(shelf, carried=True)
        rows = mine["row"].to_numpy()
        made.fates[rows] = fates[rows]
        made.scores[rows] = mine["score"].fill_null(float("nan")).to_numpy()
        first = np.full(len(self.rows), np.nan)
        first[rows] = mine["propensity"].fill_null(float("nan")).to_numpy()
        taken, keeps = self.taken[shelf.surface], fates == 0
        for (listener,), theirs in mine.sort("listener", "spare", "position").group_by("listener", maintain_order=True):
            spare, row = theirs["spare"].to_numpy(), theirs["row"].to_numpy()
            now, rest = repair(row[~spare], row[spare], keeps, self.rows.piece, taken)
            if not len(now):
                continue
            now, rest = now[: shelf.size], rest[: shelf.spares]
            made.items[listener, : len(now)], made.spares[listener, : len(rest)] = now, rest
            # A spare was never drawn, so a replacement brings no propensity along.
            made.propensities[listener, : len(now)] = first[now]
            made.status[listener], made.refreshed[listener] = PERSONAL, theirs["refresh_date"][0]
            made.fates[now], made.fates[rest] = code[PLACED], code[SPARE]
