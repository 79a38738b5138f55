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
from transforms.shelves.columns import SPREAD
from transforms.shelves.exploration import SOFTMAX, THOMPSON, draw_state, open_positions
from transforms.shelves.gathering import CARRIED, Rows
from transforms.shelves.judging import ON_SURFACE, OTHER_VERSION, PLACED, QUOTA_FULL, SPARE, Judge
from transforms.shelves.limits import ALBUM, ARTIST, IS_TAKEN, QUOTA, SONG, TAG, Caps, Counted, Limits, Of
from transforms.shelves.placing import Filled, Slots, fill
from transforms.shelves.pools import Pool
from transforms.shelves.settings import NightContext, ShelvesSettings
from transforms.shelves.shelf import ShelfSettings
from transforms.shelves.variety import Tastes, Weights

OPEN, PERSONAL, FALLBACK, EMPTY = 0, 1, 2, 3
STATUS = ("", "personal", "fallback", "empty")
_REFUSED = {
    IS_TAKEN: ON_SURFACE,
    ARTIST: "artist_cap",
    ALBUM: "album_cap",
    TAG: "tag_cap",
    QUOTA: QUOTA_FULL,
    SONG: "one_song",
}


@dataclass
class Made:
    """One shelf of every listener of a block.

    Attributes:
        number: the shelf's place in the settings.
        status: int8 by listener; see `STATUS`.
        why: by listener the reason why it is not personal.
        refreshed: by listener the date its items were chosen.
        items, spares: int64 [listeners, size], rows in order; -1 after the last.
        propensities: float64 like items, NaN where not drawn.
        scores: float32 by row, the shelf's own score.
        fates: int16 by row; see `judging`.
        taken: bool by piece, what its surface holds.
        draws: what its open slots drew, and of which listeners.
    """

    number: int
    shelf: ShelfSettings
    status: np.ndarray
    why: list[str | None]
    refreshed: list[dt.date]
    items: np.ndarray
    spares: np.ndarray
    propensities: np.ndarray
    scores: np.ndarray
    fates: np.ndarray
    taken: np.ndarray
    draws: list[tuple[np.ndarray, Filled, Slots]] = field(default_factory=list)

    @classmethod
    def open(
        cls, number: int, shelf: ShelfSettings, rows: Rows, fates: np.ndarray, taken: np.ndarray, date: dt.date
    ) -> Made:
        """Nobody's shelf is filled yet."""
        n = len(rows.listener_ids)
        return cls(
            number,
            shelf,
            np.zeros(n, np.int8),
            [None] * n,
            [date] * n,
            np.full((n, shelf.size), -1, np.int64),
            np.full((n, shelf.spares), -1, np.int64),
            np.full((n, shelf.size), np.nan),
            np.full(len(rows), np.nan, np.float32),
            fates,
            taken,
        )


class Board:
    """What stands on the shelves of a block so far.

    What stands on a shelf of one daypart, or of one context, may stand on that of another: nobody sees both.
    """

    def __init__(
        self, rows: Rows, judge: Judge, settings: ShelvesSettings, night: NightContext, tastes: Tastes | None = None
    ) -> None:
        self.rows, self.judge, self.settings, self.night = rows, judge, settings, night
        self.tastes = tastes or Tastes.unknown(len(rows.tracks), len(rows.listener_ids))
        self.taken = {s.surface: np.zeros(rows.pieces, np.bool_) for s in settings.shelves}
        self.made: dict[int, Made] = {}
        self.counted = Counted.of(rows.tracks)
        self.listener_hash = stable_hash(pl.Series(rows.listener_ids, dtype=pl.String))

    def put_up(self, number: int, shelf: ShelfSettings) -> Made:
        """Begin a shelf: what is carried stands on it, and every other listener's is open."""
        taken = self.taken[shelf.surface].copy() if shelf.apart else self.taken[shelf.surface]
        made = self.made[number] = Made.open(number, shelf, self.rows, self.judge.fates(shelf), taken, self.night.date)
        if shelf.refresh != "daily":
            self._carry(made)
        return made

    def fill(self, made: Made, pool: Pool, listeners: np.ndarray, status: int, drawing: bool) -> None:
        """Fill these listeners' shelf from a pool; who gets nothing stays open.

        Args:
            status: what the filled shelves are.
            drawing: whether slots are drawn, and variety and sources' quotas count; not for what stands in.
        """
        shelf, code = made.shelf, self.judge.code
        made.scores[pool.rows] = pool.scores
        if shelf.apart:
            made.taken |= self.taken[shelf.surface]
        personal = drawing and not self.night.greedy
        slots = self._slots(shelf, personal)
        filled = fill(
            pool.rows,
            pool.bounds,
            pool.scores,
            listeners,
            Of(
                self.rows.track,
                self.rows.piece,
                made.taken,
                self.counted,
                self.tastes,
                self.listener_hash,
                self.rows.tracks.hashes,
            ),
            self._limits(shelf, drawing),
            slots,
            Weights.of(
                shelf.variety if personal and shelf.variety.on else shelf.variety.model_copy(update={"window": 0})
            ),
            shelf.size,
            shelf.spares,
        )
        some = filled.items[:, 0] >= 0 if shelf.size else np.zeros(len(listeners), np.bool_)
        who = listeners[some]
        made.items[who], made.spares[who] = filled.items[some], filled.spares[some]
        made.propensities[who] = filled.propensities[some]
        made.status[who] = status
        if len(slots.positions):
            made.draws.append((listeners, filled, slots))
        made.fates[pool.versions] = code[OTHER_VERSION]
        for why, name in _REFUSED.items():
            made.fates[pool.rows[filled.refused == why]] = code[name]
        made.fates[filled.items[filled.items >= 0]] = code[PLACED]
        made.fates[filled.spares[filled.spares >= 0]] = code[SPARE]

    def _slots(self, shelf: ShelfSettings, personal: bool) -> Slots:
        """The slots that are drawn: open ones, and after them those for new tracks, all spread over the shelf."""
        new = shelf.new_tracks
        count = shelf.open_slots + new.slots if personal else 0
        positions = np.array(open_positions(shelf.size, count), np.int64)
        # Every so many slots one is for new tracks, so that they do not all stand at the end.
        for_new = np.zeros(count, np.bool_)
        if count and new.slots:
            for_new[np.floor((np.arange(new.slots) + 0.5) * count / new.slots).astype(int)] = True
        is_new = np.zeros(0, np.bool_)
        if for_new.any():
            is_new = self.rows.column("listeners") <= new.most_listeners
        exploration = self.settings.exploration_of(shelf)
        seed, date = self.night.seed, self.night.date
        states = np.array([draw_state(seed, date, shelf.shelf_id, slot) for slot in positions.tolist()], np.uint64)
        policy, spread = SOFTMAX, np.zeros(0, np.float32)
        if exploration.policy == "thompson" and count:
            spread = self.rows.column(SPREAD)
            # where nothing is believed yet there is nothing to draw by
            policy = THOMPSON if np.isfinite(spread).any() else SOFTMAX
        how = (exploration.pool, exploration.epsilon, exploration.tau)
        return Slots(positions, for_new, is_new, states, *how, policy, spread)

    def _limits(self, shelf: ShelfSettings, of_its_own: bool) -> Limits:
        """Caps, and how many of each source; a greedy night has none."""
        if self.night.greedy:
            return Limits.of(Caps())
        caps = Caps(*(shelf.cap(name) or 0 for name in ("artist_cap", "album_cap", "tag_cap", "one_song")))
        if not of_its_own or not any(shelf.sources.values()):
            return Limits.of(caps)
        source = self.judge.facts.first_source(tuple(shelf.sources))
        most = np.array([number or 0 for number in shelf.sources.values()], np.int32)
        return Limits(caps, source, most, np.zeros(len(most), np.int32))

    def _carry(self, made: Made) -> None:
        """Put up what stands on a shelf that is not due, as far as the rules still allow it."""
        carried = self.rows.carried
        start = int(self.rows.section[CARRIED, 0])
        mine = carried.with_columns(row=np.arange(start, start + carried.height)).filter(pl.col("shelf") == made.number)
        if mine.is_empty():
            return
        shelf, code = made.shelf, self.judge.code
        fates = self.judge.fates(shelf, carried=True)
        rows = mine["row"].to_numpy()
        made.fates[rows] = fates[rows]
        made.scores[rows] = mine["score"].fill_null(float("nan")).to_numpy()
        first = np.full(len(self.rows), np.nan)
        first[rows] = mine["propensity"].fill_null(float("nan")).to_numpy()
        taken, keeps = made.taken, fates == 0
        mine = mine.sort("listener", "spare", "position")
        row, spare = mine["row"].to_numpy(), mine["spare"].to_numpy()
        bounds = np.searchsorted(mine["listener"].to_numpy(), np.arange(len(self.rows.listener_ids) + 1))
        refreshed = mine["refresh_date"].to_list()
        for listener in np.flatnonzero(np.diff(bounds)).tolist():
            part = slice(bounds[listener], bounds[listener + 1])
            items, spares = row[part][~spare[part]], row[part][spare[part]]
            now, rest = repair(items, spares, keeps, self.rows.piece, taken)
            if not len(now):
                continue
            now, rest = now[: shelf.size], rest[: shelf.spares]
            made.items[listener, : len(now)], made.spares[listener, : len(rest)] = now, rest
            # A spare was never drawn, so a replacement brings no propensity along.
            made.propensities[listener, : len(now)] = first[now]
            made.status[listener], made.refreshed[listener] = PERSONAL, refreshed[bounds[listener]]
            made.fates[now], made.fates[rest] = code[PLACED], code[SPARE]
