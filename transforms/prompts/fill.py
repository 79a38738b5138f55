"""The list itself: tracks taken in the order of their rank, no title or recording twice, no artist too often, length within 5%.

An artist (any credit, so that a collaboration does not leak) stands at most `artist_share` of the list, unless the prompt
asks for that artist. Where the length is said in minutes, tracks are taken while they fit; if the rest is shorter than any
track, one of those taken is exchanged for another that fits. Number and minutes together are met by exchanges; where no
exchange leads there, the minutes hold.

    >>> fill(np.array([3, 1, 2]), music, Length(size=2), frozenset()).rows.tolist()
    [3, 1]
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import ceil

import numpy as np

from transforms.prompts.music import Music

WITHIN = 0.05
DEFAULT_SIZE = 25
EXCHANGES = 60


@dataclass(frozen=True)
class Length:
    """How long a list is to be; neither said = `DEFAULT_SIZE` tracks."""

    size: int | None = None
    minutes: float | None = None
    artist_share: float = 0.2

    @property
    def window(self) -> tuple[float, float]:
        """Shortest and longest allowed length in milliseconds."""
        whole = (self.minutes or 0) * 60_000
        return whole * (1 - WITHIN), whole * (1 + WITHIN)

    def tracks(self, usual_ms: float) -> int:
        """About how many tracks it will have."""
        if self.minutes is None:
            return self.size or DEFAULT_SIZE
        return self.size or max(1, round(self.minutes * 60_000 / max(usual_ms, 1)))

    def cap(self, usual_ms: float) -> int:
        """Tracks of one artist at most."""
        tracks = self.tracks(usual_ms)
        return max(1, min(ceil(tracks * self.artist_share), tracks - 1))


@dataclass(frozen=True)
class Filled:
    """Rows in rank order, their length together, and what of the length was not reached."""

    rows: np.ndarray
    ms: float
    short: str | None = None


class _List:
    """What was taken, and whether a further track may be."""

    def __init__(self, music: Music, cap: int, free: frozenset[int]) -> None:
        self._music, self._cap, self._free = music, cap, free
        self.rows: list[int] = []
        self._titles: set[int] = set()
        self._recordings: set[int] = set()
        self._artists: Counter[int] = Counter()

    def may(self, row: int) -> bool:
        """Whether a track repeats nothing."""
        music = self._music
        if int(music.recording[row]) in self._recordings or (
            music.title[row] >= 0 and int(music.title[row]) in self._titles
        ):
            return False
        return all(self._artists[a] < self._cap or a in self._free for a in music.credits(row))

    def take(self, row: int) -> None:
        self._count(row, 1)
        self.rows.append(row)

    def drop(self, row: int) -> None:
        self._count(row, -1)
        self.rows.remove(row)

    def _count(self, row: int, by: int) -> None:
        title, recording = int(self._music.title[row]), int(self._music.recording[row])
        change = set.add if by > 0 else set.discard
        change(self._recordings, recording)
        if title >= 0:
            change(self._titles, title)
        for a in self._music.credits(row):
            self._artists[a] += by


def fill(ranked: np.ndarray, music: Music, length: Length, free: frozenset[int]) -> Filled:
    """Take tracks by rank.

    Args:
        ranked: rows, best first; nothing else may be taken.
        free: artists (columns of `music.artists`) that the prompt asks for, who may fill the list.
    """
    if not len(ranked):
        return Filled(np.zeros(0, np.int64), 0.0)
    usual = float(np.median(music.length_ms[ranked[:200]]))
    made = _List(music, length.cap(usual), free)
    lengths = music.length_ms[ranked].astype(float)
    if length.minutes is None or length.size is not None:
        _by_number(made, ranked, length.size or length.tracks(usual))
        total = float(music.length_ms[made.rows].sum())
        if length.minutes is None:
            return _told(made, total, length)
        if len(made.rows) == length.size and _exchange(made, ranked, lengths, total, length.window):
            return _told(made, float(music.length_ms[made.rows].sum()), length)
        made = _List(music, Length(None, length.minutes, length.artist_share).cap(usual), free)
    _by_minutes(made, ranked, lengths, length.window)
    return _told(made, float(music.length_ms[made.rows].sum()), length)


def _by_number(made: _List, ranked: np.ndarray, size: int) -> None:
    for row in ranked.tolist():
        if len(made.rows) == size:
            return
        if made.may(row):
            made.take(row)


def _by_minutes(made: _List, ranked: np.ndarray, lengths: np.ndarray, window: tuple[float, float]) -> None:
    low, high = window
    total = 0.0
    for row, ms in zip(ranked.tolist(), lengths.tolist(), strict=True):
        if total + ms <= high and made.may(row):
            made.take(row)
            total += ms
            if total >= low:
                return
    _exchange(made, ranked, lengths, total, window)


def _exchange(made: _List, ranked: np.ndarray, lengths: np.ndarray, total: float, window: tuple[float, float]) -> bool:
    """Exchange tracks, the last taken first, until the list is as long as asked; whether it is."""
    low, high = window
    middle = (low + high) / 2
    ms_of = dict(zip(ranked.tolist(), lengths.tolist(), strict=True))
    for _ in range(EXCHANGES):
        if low <= total <= high:
            return True
        best: tuple[float, int, int] | None = None
        for out in reversed(made.rows):
            wanted = np.abs(total - ms_of[out] + lengths - middle)
            made.drop(out)
            at = next(
                (
                    n
                    for n in np.argsort(wanted, kind="stable")[:50].tolist()
                    if ranked[n] != out and made.may(int(ranked[n]))
                ),
                None,
            )
            made.take(out)
            if at is not None and wanted[at] < abs(total - middle) and (best is None or wanted[at] < best[0]):
                best = (float(wanted[at]), out, int(ranked[at]))
                if low <= total - ms_of[out] + lengths[at] <= high:
                    break
        if best is None:
            return False
        made.drop(best[1])
        made.take(best[2])
        total += ms_of[best[2]] - ms_of[best[1]]
    return low <= total <= high


def _told(made: _List, total: float, length: Length) -> Filled:
    rows, short = np.array(made.rows, np.int64), None
    if length.minutes is not None:
        low, high = length.window
        if not low <= total <= high:
            short = f"the tracks that fit and repeat nothing make {total / 60_000:.0f} minutes, not {length.minutes:g}"
        elif length.size is not None and len(rows) != length.size:
            short = (
                f"{length.size} tracks of these do not make {length.minutes:g} minutes; the minutes were kept, with "
                f"{len(rows)} tracks"
            )
    elif length.size is not None and len(rows) < length.size:
        short = f"only {len(rows)} tracks fit and repeat nothing, not {length.size}"
    return Filled(rows, total, short)
