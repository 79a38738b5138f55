"""Earlier sessions that share tracks with the present one, and what was played around the shared tracks (VSTAN).

    like(s, n)  = sum over tracks j of both of exp(-(ago_j - 1) / position) idf_j^match / sqrt(|n|)
                  times exp(-age_n / recency), age_n = share of all sessions that came after n
    score(s, i) = sum over the neighbours n with i of like(s, n) exp(-(ago* - 1) / position)
                  exp(-|p_i - p*| / around) idf_i^rare

where * is the latest track of s that n holds and p a place in n. After Ludewig, Mauro, Latifi & Jannach, "Empirical
analysis of session-based recommendation algorithms" (UMUAI 2021), with two changes that let blocks of prefixes be
computed as arrays: the recency sample is taken for each track, and a neighbour counts within `reach` plays of *.
One track in common may be chance, two hardly are: `two_first` takes neighbours that share at least two tracks before
the others, and lets those others count `single` times as much.

    >>> index = SessionIndex.fit(SessionLog.from_lists([[1, 2, 3], [1, 4]]), 5, SessionNeighbourSettings())
    >>> index.neighbours(SessionLog.from_lists([[1, 2]]).open_ends()).sessions.tolist()
    [0, 1]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, Field
from scipy import sparse

from transforms.next_in_session.sessions import UNKNOWN, Prefixes, SessionLog

_PLACE = 13  # bits for a place in a session and for a distance; what is further away counts as furthest
_FAR = (1 << _PLACE) - 1
_DENSE = 1 << 24  # cells up to which sums over (row, item) are made in one flat array, which is faster than sorting


class SessionNeighbourSettings(BaseModel, frozen=True, extra="forbid"):
    """Settings of the session neighbours."""

    sample: int = Field(1000, ge=1, description="latest sessions of a track that are looked at")
    kept: int = Field(300, ge=1, description="neighbours kept a session")
    plays: int = Field(50, ge=1, description="last plays of the present session that are looked at")
    position: float = Field(2.0, gt=0, description="plays after which a track of the present session counts 1/e")
    recency: float = Field(0.3, gt=0, description="share of all sessions after which a neighbour counts 1/e")
    around: float = Field(
        2.0, gt=0, description="plays from the shared track after which a neighbour's track counts 1/e"
    )
    reach: int = Field(
        20, ge=1, description="plays from the shared track beyond which a neighbour's tracks do not count"
    )
    match: float = Field(2.0, ge=0, description="power of the idf of a shared track")
    rare: float = Field(0.5, ge=0, description="power of the idf of a recommended track")
    two_first: bool = Field(True, description="neighbours that share two tracks come first")
    single: float = Field(0.3, ge=0, le=1, description="weight of a neighbour sharing one track, where two come first")


PLAIN = SessionNeighbourSettings(two_first=False)


@dataclass(frozen=True)
class Found:
    """Neighbours of a block of prefixes, best first in each row.

    Attributes:
        rows: int64 [E], the prefix; ascending.
        sessions: int64 [E], the neighbour's number in the index.
        like: float64 [E], how alike the two are.
        shared: int64 [E], tracks in common.
        ago: int64 [E], how many plays ago the latest of them was played; 1 = the last play.
        place: int64 [E], where it stands in the neighbour, from 0.
    """

    rows: np.ndarray
    sessions: np.ndarray
    like: np.ndarray
    shared: np.ndarray
    ago: np.ndarray
    place: np.ndarray


@dataclass(frozen=True)
class Around:
    """Plays of neighbours near the shared track.

    Attributes:
        rows, items: int64 [E], the prefix and the track.
        weight: float64 [E], the term of the sum in `score`.
        offset: int64 [E], places after the shared track; below 0 = before it.
        shared: int64 [E], tracks the neighbour has in common with the prefix.
    """

    rows: np.ndarray
    items: np.ndarray
    weight: np.ndarray
    offset: np.ndarray
    shared: np.ndarray


@dataclass(frozen=True)
class SessionIndex:
    """Sessions, findable by track.

    Attributes:
        log: the sessions.
        n_items: size of the vocabulary.
        settings: how they are compared.
        idf: float64 [n_items], log(1 + sessions / sessions with the track).
        plays: int64 [E], first play of each (session, track), the latest session of a track first.
        starts: int64 [n_items + 1], where a track's plays begin.
    """

    log: SessionLog
    n_items: int
    settings: SessionNeighbourSettings
    idf: np.ndarray
    plays: np.ndarray
    starts: np.ndarray

    @classmethod
    def fit(cls, log: SessionLog, n_items: int, settings: SessionNeighbourSettings) -> SessionIndex:
        """Index sessions by track; unknown tracks are not indexed."""
        later = log.next_same
        first = np.ones(len(log.items), bool)
        first[later[later < len(first)]] = False
        plays = np.flatnonzero(first & (log.items != UNKNOWN))
        plays = plays[np.lexsort((-log.session[plays], log.items[plays]))]
        counts = np.bincount(log.items[plays], minlength=n_items)
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        idf = np.log1p(len(log) / np.maximum(counts, 1))
        return cls(log, n_items, settings, idf, plays, starts)

    def with_settings(self, settings: SessionNeighbourSettings) -> SessionIndex:
        """The same sessions compared otherwise."""
        return SessionIndex(self.log, self.n_items, settings, self.idf, self.plays, self.starts)

    def neighbours(self, prefixes: Prefixes) -> Found:
        """The most alike sessions of each prefix, itself left out (`Prefixes.own`); ties go to the later session."""
        s, log = self.settings, self.log
        rows, items, ago = prefixes.tracks(s.plays)
        sizes = np.minimum(self.starts[items + 1] - self.starts[items], s.sample)
        entry = np.repeat(np.arange(len(rows)), sizes)
        step = np.arange(len(entry)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        plays = self.plays[self.starts[items[entry]] + step]
        if prefixes.own is not None:
            other = log.session[plays] != prefixes.own[rows[entry]]
            entry, plays = entry[other], plays[other]
        # One sortable number: prefix, session (later ones first), how long ago, place. Nothing is equal to anything.
        pair = rows[entry] * len(log) + (len(log) - 1 - log.session[plays])
        key = (pair << (2 * _PLACE)) | (np.minimum(ago[entry], _FAR) << _PLACE) | np.minimum(log.position[plays], _FAR)
        weight = np.exp(-(ago - 1) / s.position) * self.idf[items] ** s.match
        order = np.argsort(key)
        key, pair, weight = key[order], pair[order], weight[entry][order]
        heads = np.flatnonzero(np.diff(pair, prepend=-1))
        shared = np.diff(np.append(heads, len(pair)))
        found, session = np.divmod(pair[heads], max(len(log), 1))
        session = len(log) - 1 - session
        like = np.add.reduceat(weight, heads) if len(heads) else np.zeros(0)
        like /= np.sqrt(np.diff(log.starts)[session])
        like *= np.exp(-(len(log) - 1 - session) / (len(log) * s.recency))
        first = np.where(shared >= 2, 0, 1) if s.two_first else np.zeros(len(heads), np.int64)
        best = np.lexsort((-like, first, found))
        counts = np.bincount(found, minlength=len(prefixes))
        rank = np.arange(len(best)) - (np.cumsum(counts) - counts)[found[best]]
        best = best[rank < s.kept]
        matched = key[heads[best]]
        return Found(found[best], session[best], like[best], shared[best], (matched >> _PLACE) & _FAR, matched & _FAR)

    def around(self, found: Found) -> Around:
        """What the neighbours played near the shared track, the track itself left out."""
        s, log = self.settings, self.log
        begin, end = log.starts[found.sessions], log.starts[found.sessions + 1]
        middle = begin + found.place
        low, high = np.maximum(begin, middle - s.reach), np.minimum(end, middle + s.reach + 1)
        sizes = high - low
        entry = np.repeat(np.arange(len(low)), sizes)
        plays = low[entry] + np.arange(len(entry)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        offset, items = plays - middle[entry], log.items[plays]
        keep = (offset != 0) & (items != UNKNOWN)
        entry, offset, items = entry[keep], offset[keep], items[keep].astype(np.int64)
        base = found.like * np.exp(-(found.ago - 1) / s.position)
        if s.two_first:
            base *= np.where(found.shared >= 2, 1.0, s.single)
        weight = base[entry] * np.exp(-np.abs(offset) / s.around) * self.idf[items] ** s.rare
        return Around(found.rows[entry], items, weight, offset, found.shared[entry])

    def score(self, prefixes: Prefixes) -> sparse.csr_matrix:
        """float64 [B, n_items]: the score above; nothing where no neighbour holds a track."""
        near = self.around(self.neighbours(prefixes))
        return gather(near.rows, near.items, near.weight, (len(prefixes), self.n_items))[0]


def gather(
    rows: np.ndarray, items: np.ndarray, values: np.ndarray, shape: tuple[int, int], parts: Sequence[np.ndarray] = ()
) -> list[sparse.csr_matrix]:
    """Sums over equal (row, item), as CSR matrices with sorted columns and without zeros.

    Args:
        rows, items: int64 [E].
        values: float64 [E], above zero.
        shape: of the result.
        parts: bool [E] each: some of the entries.

    Returns:
        the sums of all entries, then of each part.
    """
    columns = np.flatnonzero(np.bincount(items, minlength=shape[1]))  # few tracks of a catalog are in any block
    place = np.zeros(shape[1], np.int64)
    place[columns] = np.arange(len(columns))
    key = rows * len(columns) + place[items]
    size = shape[0] * len(columns)
    if size <= _DENSE:
        sums = np.bincount(key, values, minlength=size)
        at = np.flatnonzero(sums)
        sums = sums[at]
    else:  # the flat array would be too large
        at, key = np.unique(key, return_inverse=True)
        sums = np.bincount(key, values, minlength=len(at))
    out = [_sorted_csr(at, sums, columns, shape)]
    for part in parts:
        data = np.bincount(key[part], values[part], minlength=size if size <= _DENSE else len(at))
        data = data[at] if size <= _DENSE else data
        out.append(_sorted_csr(at[data > 0], data[data > 0], columns, shape))
    return out


def _sorted_csr(at: np.ndarray, data: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> sparse.csr_matrix:
    """CSR of entries at row * len(columns) + place in columns, ascending."""
    width = max(len(columns), 1)
    indptr = np.searchsorted(at, np.arange(shape[0] + 1) * width)
    return sparse.csr_matrix((data, columns[at % width], indptr), shape=shape)
