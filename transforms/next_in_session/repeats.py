"""Repeats within the session: tracks that come again, by how long ago they were played and by what follows what.

    again[d]  = how often the next play was the track whose latest play is d plays ago, over how often there was one
    loop      = where the last track stands earlier in this session, what came after it then comes again

`again` falls with d for somebody who starts a song over and rises at d = 2 for two songs in turn; it is counted, not assumed.
The rule is a source of candidates that can be switched off: then no track of the session is recommended again.

    >>> repeats = Repeats.fit(SessionLog.from_lists([[1, 2, 1, 2]]), 3, RepeatSettings(shrink=0))
    >>> repeats.again[1:3].tolist()
    [0.0, 1.0]
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, Field
from scipy import sparse

from transforms.next_in_session.sessions import UNKNOWN, Prefixes, SessionLog


class RepeatSettings(BaseModel, frozen=True, extra="forbid"):
    """Settings of the repeats."""

    allowed: bool = Field(True, description="may a track of the session be recommended again")
    plays: int = Field(50, ge=1, description="last plays of the session that may come again")
    shrink: float = Field(5.0, ge=0, description="cases in which the track did not come again added to each distance")
    decay: float = Field(
        2.0, gt=0, description="plays after which an earlier round of the session counts 1/e in `loop`"
    )


@dataclass(frozen=True)
class Repeats:
    """Fitted chances.

    Attributes:
        again: float64 [plays + 1], by distance; 0 at distance 0.
        n_items: size of the vocabulary.
        settings: what they were fitted with.
    """

    again: np.ndarray
    n_items: int
    settings: RepeatSettings

    @classmethod
    def fit(cls, log: SessionLog, n_items: int, settings: RepeatSettings) -> Repeats:
        """Count over every prefix of every session."""
        came, could = np.zeros(settings.plays + 1), np.zeros(settings.plays + 1)
        for block in log.prefixes().blocks(100_000):
            rows, items, ago = block.tracks(settings.plays)
            could += np.bincount(ago, minlength=len(could))
            came += np.bincount(ago[items == block.targets()[rows]], minlength=len(came))
        return cls(came / np.maximum(could + settings.shrink, 1e-9), n_items, settings)

    def score(self, prefixes: Prefixes) -> sparse.csr_matrix:
        """`again` of each track of the prefix, float64 [B, n_items]."""
        rows, items, ago = prefixes.tracks(self.settings.plays)
        return _csr(rows, items, self.again[ago], (len(prefixes), self.n_items))

    def loop(self, prefixes: Prefixes) -> sparse.csr_matrix:
        """What came after earlier plays of the last track in this session, float64 [B, n_items].

        An earlier play d plays ago with k equal plays before both counts (k + 1) exp(-(rank - 1) / decay), rank = 1 for
        the latest one: a round that has been the same for longer is likelier to go on.
        """
        items = prefixes.log.items
        rows, plays = prefixes.plays(self.settings.plays)
        end = prefixes.end[rows]
        hit = (items[plays] == prefixes.last[rows]) & (items[plays] != UNKNOWN) & (plays < end - 1)
        hit &= items[np.minimum(plays + 1, len(items) - 1)] != UNKNOWN
        rows, plays, end = rows[hit], plays[hit], end[hit]
        first = np.searchsorted(rows, rows)
        rank = np.arange(len(rows)) - first
        equal, same = np.ones(len(rows)), np.ones(len(rows), bool)
        begin = prefixes.log.starts[prefixes.session][rows]
        for back in range(1, 4):
            same = same & (plays - back >= begin)
            same &= items[np.maximum(plays - back, 0)] == items[end - 1 - back]
            equal += same
        weight = equal * np.exp(-rank / self.settings.decay)
        return _csr(rows, items[plays + 1], weight, (len(prefixes), self.n_items))


def _csr(rows: np.ndarray, items: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> sparse.csr_matrix:
    """Sums over equal (row, item)."""
    out = sparse.csr_matrix((values, (rows, items)), shape=shape)
    out.sum_duplicates()
    return out
