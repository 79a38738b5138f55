"""Sessions as flat arrays, and their prefixes: what has been played when one asks what comes next.

Tracks are rows of a vocabulary in hash order, so "the smaller row" is the tie break by hash; row 0 is the unknown track,
which is nobody's answer and matches nothing. Sessions stand in the order of time, the last one last.

    >>> log = SessionLog.from_lists([[3, 1, 3], [2]])
    >>> [(p.length.tolist(), p.targets().tolist()) for p in log.prefixes().blocks(8)]
    [([1, 2], [1, 3])]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

UNKNOWN = 0
LONGEST = 5000  # plays of a prefix that anything reads: a day keeps no more of one listener


@dataclass(frozen=True)
class SessionLog:
    """Sessions one after another.

    Attributes:
        items: int32 [plays], vocabulary rows.
        starts: int64 [sessions + 1], first play of each session, and the end.
    """

    items: np.ndarray
    starts: np.ndarray

    @classmethod
    def from_lists(cls, sessions: Sequence[Sequence[int]]) -> SessionLog:
        """Pack lists of vocabulary rows."""
        starts = np.concatenate([[0], np.cumsum([len(s) for s in sessions])]).astype(np.int64)
        flat = np.fromiter((i for s in sessions for i in s), np.int32, int(starts[-1]))
        return cls(flat, starts)

    def __len__(self) -> int:
        """Number of sessions."""
        return len(self.starts) - 1

    @cached_property
    def session(self) -> np.ndarray:
        """int64 [plays]: number of each play's session."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    @cached_property
    def position(self) -> np.ndarray:
        """int64 [plays]: place of each play in its session, from 0."""
        return np.arange(len(self.items)) - self.starts[:-1][self.session]

    @cached_property
    def next_same(self) -> np.ndarray:
        """int64 [plays]: the next play of the same track in the same session; beyond every play where there is none."""
        order = np.lexsort((np.arange(len(self.items)), self.items, self.session))
        same = self.items[order][1:] == self.items[order][:-1]
        same &= self.session[order][1:] == self.session[order][:-1]
        out = np.full(len(self.items), len(self.items) + 1, np.int64)
        out[order[:-1][same]] = order[1:][same]
        return out

    def part(self, first: int, end: int) -> SessionLog:
        """Sessions `first` to `end` (exclusive), packed anew."""
        starts = self.starts[first : end + 1]
        return SessionLog(self.items[starts[0] : starts[-1]], starts - starts[0])

    def known(self, known: np.ndarray) -> SessionLog:
        """Only plays of tracks where `known` (bool [n_items]) holds; sessions keep their numbers."""
        keep = known[self.items]
        sizes = np.bincount(self.session[keep], minlength=len(self))
        return SessionLog(self.items[keep], np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))

    def prefixes(self) -> Prefixes:
        """Every prefix that has a next play."""
        return Prefixes(self, np.flatnonzero(self.position > 0))

    def open_ends(self) -> Prefixes:
        """Each session that has a play, whole, as a prefix of what is still to come; it has no target."""
        return Prefixes(self, self.starts[1:][np.diff(self.starts) > 0])


@dataclass(frozen=True)
class Prefixes:
    """Beginnings of sessions.

    Attributes:
        log: the sessions.
        end: int64 [B], the play (number in `log.items`) before which a prefix ends: its target, where there is one.
        own: int64 [B], number of the same session in the sessions that neighbours are looked up in, -1 = not among
            them; None = none is.
    """

    log: SessionLog
    end: np.ndarray
    own: np.ndarray | None = None

    def __len__(self) -> int:
        """Number of prefixes."""
        return len(self.end)

    @property
    def session(self) -> np.ndarray:
        """int64 [B]: number of each prefix's session."""
        return np.searchsorted(self.log.starts, self.end - 1, side="right") - 1

    @property
    def length(self) -> np.ndarray:
        """int64 [B]: plays of each prefix."""
        return self.end - self.log.starts[self.session]

    @property
    def last(self) -> np.ndarray:
        """int32 [B]: the track played last."""
        return self.log.items[self.end - 1]

    def targets(self) -> np.ndarray:
        """int32 [B]: what was played next."""
        return self.log.items[self.end]

    def take(self, which: np.ndarray) -> Prefixes:
        """Some of them."""
        return Prefixes(self.log, self.end[which], None if self.own is None else self.own[which])

    def blocks(self, size: int) -> Iterator[Prefixes]:
        """All of them, at most `size` at a time."""
        for start in range(0, len(self), size):
            yield self.take(np.arange(start, min(start + size, len(self))))

    def plays(self, most: int) -> tuple[np.ndarray, np.ndarray]:
        """The last `most` plays of each prefix: rows [E] ascending, plays [E] (numbers in `log.items`), latest first."""
        sizes = np.minimum(self.length, most)
        rows = np.repeat(np.arange(len(self)), sizes)
        step = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return rows, self.end[rows] - 1 - step

    def tracks(self, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distinct known tracks of the last `most` plays.

        Returns:
            rows [E] ascending, items [E], ago [E]: 1 = the last play, counted to a track's latest play; ascending.
        """
        rows, plays = self.plays(most)
        latest = (self.log.next_same[plays] >= self.end[rows]) & (self.log.items[plays] != UNKNOWN)
        rows, plays = rows[latest], plays[latest]
        return rows, self.log.items[plays], self.end[rows] - plays
