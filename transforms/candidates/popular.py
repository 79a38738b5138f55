"""What is played much lately, in the listener's market: the fallback that always has an answer.

    score(u, i) = log(1 + reach of i in u's market + reach of i anywhere / 10)
    reach = sum over listeners who heard i of 2^(-days since they last played it / half-life), within the window

A listener counts once however often they play a track: plays, and days with plays, are moved by the repeats of a few.
Counts from everywhere only order what a small market does not know. The same fit holds what is known of a track from
everybody's plays: decayed plays, trend (recent against usual), skip and completion rates, each shrunk towards the mean of
all tracks by 20 plays.

    >>> stats = pl.DataFrame({"track_id": ["a", "b"], "market": ["SE", "SE"], "plays": [9.0, 1.0], "heard": [9.0, 1.0],
    ...                       "completions": [0.0, 0.0], "skips": [0.0, 0.0]})
    >>> audience = Audience.of(np.int32([1, 2, 2]), np.float32([1, 1, 0.5]), np.int32([1, 1, 0]), ["NO", "SE"], 3)
    >>> fitted = fit_popularity(stats, stats, ["", "a", "b"], audience)
    >>> fitted.plays.round().tolist(), fitted.reach.tolist()
    ([0.0, 9.0, 1.0], [0.0, 1.0, 1.5])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import polars as pl
from scipy import sparse

from transforms.candidates.base import Candidates, Source, SourceInputs
from transforms.candidates.blocks import Block
from transforms.common.arrays import from_csr, load_arrays, save_arrays, to_csr

PRIOR_PLAYS = 20.0
ELSEWHERE = 10.0  # listeners of other markets that count as one


def recency(as_of: date, half_life_days: float, window_days: int) -> pl.Expr:
    """What a row of table `library` counts in its track's reach: float32, 1 if played on the date.

    0 if it was only saved, or last played before the window of so many days that ends with the date.
    """
    age = (pl.lit(as_of) - pl.col("last_played_at").dt.date()).dt.total_days().clip(lower_bound=0)
    return pl.when(age < window_days).then(pl.lit(0.5).pow(age / half_life_days)).otherwise(0.0).cast(pl.Float32)


@dataclass(frozen=True)
class Audience:
    """Reach of every track by market.

    Attributes: markets: sorted names, "" where unknown; by_market: float32 CSR [markets, n]; reach: float32[n], all of them.
    """

    markets: np.ndarray
    by_market: sparse.csr_matrix
    reach: np.ndarray

    @classmethod
    def of(cls, items: np.ndarray, recency: np.ndarray, market: np.ndarray, markets: Sequence[str], n: int) -> Audience:
        """Add up pairs of listener and track heard.

        Args:
            items: int[m], the tracks' rows; 0 = unknown to the vocabulary.
            recency: float[m], what each pair counts: 1 if played today, halved with every half-life since.
            market: int[m], place of the listener's market in `markets`.
            markets: sorted names, "" for unknown.
            n: rows of the vocabulary.
        """
        counted = np.where(items > 0, recency, 0).astype(np.float64)
        by_market = sparse.csr_matrix((counted, (market, items)), shape=(max(len(markets), 1), n))
        by_market.sum_duplicates()
        by_market.eliminate_zeros()
        reach = np.bincount(items, weights=counted, minlength=n).astype(np.float32)
        return cls(np.array(markets or [""], dtype=str), by_market.astype(np.float32), reach)


@dataclass(frozen=True)
class Popularity:
    """Fitted popularity over n vocabulary rows.

    Attributes:
        markets: sorted market names.
        by_market: float32 CSR [markets, n], reach in each market.
        reach: float32[n], all markets.
        plays: float32[n], decayed plays heard, all markets.
        trend: float32[n], log of the recent share of plays over the usual one; 0 = steady.
        skip_rate, completion_rate: float32[n], shrunk to the mean.
    """

    markets: np.ndarray
    by_market: sparse.csr_matrix
    reach: np.ndarray
    plays: np.ndarray
    trend: np.ndarray
    skip_rate: np.ndarray
    completion_rate: np.ndarray

    def save(self, path: str | Path) -> None:
        """Write one npz without pickles."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        save_arrays(path, {**from_csr("by_market", self.by_market), **arrays})

    @classmethod
    def load(cls, path: str | Path) -> Popularity:
        """Read what `save` wrote."""
        found = load_arrays(path)
        return cls(by_market=to_csr("by_market", found), **{name: found[name] for name in _ARRAYS})

    def of_market(self, name: str) -> np.ndarray:
        """float32[n]: what orders tracks for listeners of a market; everywhere's reach where nobody is of that market."""
        names = self.markets.tolist()
        if not name or name not in names:
            return self.reach
        return np.asarray(self.by_market[names.index(name)].todense()).ravel() + self.reach / ELSEWHERE


_ARRAYS = ("markets", "reach", "plays", "trend", "skip_rate", "completion_rate")


def fit_popularity(
    window: pl.DataFrame, recent: pl.DataFrame, track_ids: Sequence[str], audience: Audience
) -> Popularity:
    """Popularity as of a night.

    Args:
        window: `track_stats` summed over the window (half-life of weeks): track_id, market, plays, heard, completions,
            skips.
        recent: the same with a half-life of days.
        track_ids: the vocabulary in row order, row 0 a placeholder.
        audience: who heard what, over the same vocabulary.
    """
    n = len(track_ids)
    rows = pl.DataFrame(
        {"track_id": pl.Series(list(track_ids)[1:], dtype=pl.String), "item": np.arange(1, n, dtype=np.int32)}
    )
    known = window.join(rows, on="track_id").sort("market", "item")
    lately = recent.join(rows, on="track_id").sort("market", "item")
    heard, usual_plays = _sums(known, "heard", n), _sums(known, "plays", n)
    now = _sums(lately, "plays", n)
    expected = usual_plays * (now.sum() / max(usual_plays.sum(), 1e-9))
    typical = max(float(expected[expected > 0].mean()) if (expected > 0).any() else 1.0, 1e-6)
    return Popularity(
        markets=audience.markets,
        by_market=audience.by_market,
        reach=audience.reach,
        plays=heard.astype(np.float32),
        trend=np.log((now + typical) / (expected + typical)).astype(np.float32),
        skip_rate=_rate(_sums(known, "skips", n), usual_plays),
        completion_rate=_rate(_sums(known, "completions", n), usual_plays),
    )


def _sums(frame: pl.DataFrame, column: str, n: int) -> np.ndarray:
    return np.bincount(frame["item"].to_numpy(), weights=frame[column].cast(pl.Float64).to_numpy(), minlength=n)


def _rate(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    mean = part.sum() / max(whole.sum(), 1e-9)
    return ((part + PRIOR_PLAYS * mean) / (whole + PRIOR_PLAYS)).astype(np.float32)


@dataclass(frozen=True)
class PopularScores:
    """One list a market, read by each of its listeners."""

    lists: np.ndarray
    market: np.ndarray

    def top(self, k: int, exclude: sparse.csr_matrix | None) -> Candidates:
        """See `Scores.top`. Each market is sorted once, deep enough for its listener who has heard most."""
        items, counts = [np.zeros(0, np.int32)], []
        most = 0 if exclude is None else int(np.diff(exclude.indptr).max(initial=0))
        hidden = np.zeros(self.lists.shape[1], np.bool_)
        order = {m: _descending(self.lists[m], k + most) for m in np.unique(self.market).tolist()}
        for row, m in enumerate(self.market.tolist()):
            best = order[m]
            if exclude is not None:
                heard = exclude.indices[exclude.indptr[row] : exclude.indptr[row + 1]]
                hidden[heard] = True
                best = best[~hidden[best]]
                hidden[heard] = False
            items.append(best[:k])
            counts.append(len(items[-1]))
        rows = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        found = np.concatenate(items).astype(np.int32)
        return Candidates(rows, found, self.of(rows, found))

    def of(self, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """See `Scores.of`."""
        return self.lists[self.market[rows], items].astype(np.float32)


def _descending(scores: np.ndarray, k: int) -> np.ndarray:
    """The k best rows with a positive score; equals by row."""
    usable = np.flatnonzero(scores > 0)
    if len(usable) > k:
        least = np.partition(scores[usable], len(usable) - k)[len(usable) - k]
        usable = usable[scores[usable] >= least]
    return usable[np.lexsort((usable, -scores[usable]))][:k]


@dataclass(frozen=True)
class Popular(Source):
    """The source `popular`."""

    popularity: Popularity

    name: ClassVar[str] = "popular"
    reason: ClassVar[str] = "popular_in"
    precedence: ClassVar[int] = 90
    personal: ClassVar[bool] = False

    @classmethod
    def of(cls, inputs: SourceInputs) -> Self | None:
        """From part `popularity`."""
        popularity = inputs.fitted.get("popularity")
        return None if popularity is None else cls(popularity)

    def score(self, block: Block) -> PopularScores:
        """One dense list for each market in the block, and one for unknown markets."""
        wanted = sorted(set(block.markets))
        place = {name: at for at, name in enumerate(wanted)}
        lists = np.log1p(np.stack([self.popularity.of_market(name) for name in wanted]))
        lists[:, 0] = 0
        return PopularScores(lists.astype(np.float32), np.array([place[m] for m in block.markets], np.int64))

    def explain(self, block: Block, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Nothing of one's own history makes a track popular."""
        return np.zeros(len(rows), np.int32)
