"""What a shelf chooses from for each listener, best first, each recording once.

A shelf ordered by one column takes it as it is: Discover stands in the ranker's order. Several columns have different
units, so each is standardised within the listener's pool and their weighted sum orders it (counts are logged first:
a hundred plays are not fifty times two). Rows that are `preferred` stand before the others, by that column alone. Among
equals the hash of the track decides; a track without a score is last.

Example, order {plays: 1, ranker_score: 1}: plays 1, 1, 7 and scores .3, .9, .6 give 0 - 1.2, 0 - .7 + 1.2, 1.4 + 0
in standard deviations, so the third track comes first, then the second.
"""

from __future__ import annotations

import datetime as dt

import polars as pl

from transforms.shelves.rows import CANDIDATE, POPULAR
from transforms.shelves.settings import ShelfSettings

_COUNTS = ("plays", "decayed_plays")
_LATER = 100.0  # from what is preferred down to the best of the others: far enough that hardly a draw crosses it


def order_columns(shelves: tuple[ShelfSettings, ...]) -> list[str]:
    """Every column some shelf orders by or requires, besides the score of the popular."""
    named = {name for shelf in shelves for name in (*shelf.order, *shelf.requires, *_preferred(shelf))}
    return sorted(named | {"score_popular", "ranker_score"})


def passes(shelf: ShelfSettings, cutoff: dt.datetime) -> pl.Expr:
    """The rules a row must pass for this shelf, wherever it comes from (candidates, popular or carried)."""
    rule = pl.col("refused").is_null()
    if shelf.pool == "unheard":
        rule &= ~pl.col("heard") & ~pl.col("sampled_lately")
    return rule


def pool(rows: pl.DataFrame, shelf: ShelfSettings, cutoff: dt.datetime, cooled: pl.DataFrame | None) -> pl.DataFrame:
    """The rows this shelf may take, in its order.

    Args:
        rows: judged rows, sorted by listener and hash of track, numbered by `row`.
        shelf: the shelf.
        cutoff: end of the night's date, UTC.
        cooled: (listener_id, recording_id) shown on this shelf too lately, or None.

    Returns:
        listener, row, recording, score (float32), sorted by listener, then best first.
    """
    chosen = rows.filter(
        (pl.col("origin") == (POPULAR if shelf.pool == "popular" else CANDIDATE)) & passes(shelf, cutoff)
    )
    if shelf.pool == "heard":
        chosen = chosen.filter("heard")
    if shelf.requires:
        chosen = chosen.filter(pl.any_horizontal(pl.col(name) > 0 for name in shelf.requires))
    for name in _preferred(shelf):
        chosen = chosen.filter((pl.col(name) >= 0).fill_null(True))
    if shelf.rest_days:
        chosen = chosen.filter(pl.col("last_heard_at") <= cutoff - dt.timedelta(days=shelf.rest_days))
    if shelf.min_plays:
        chosen = chosen.filter((pl.col("plays") >= shelf.min_plays) | pl.col("saved"))
    if cooled is not None and cooled.height:
        chosen = chosen.join(cooled, on=["listener_id", "recording_id"], how="anti", maintain_order="left")
    return in_order_of(chosen, shelf.order, shelf.preferred)


def fallback_pool(rows: pl.DataFrame, shelf: ShelfSettings, cutoff: dt.datetime) -> pl.DataFrame:
    """The popular tracks of the market that this shelf's rules allow, in the form of `pool`."""
    chosen = rows.filter((pl.col("origin") == POPULAR) & passes(shelf, cutoff))
    return in_order_of(chosen, {"score_popular": 1.0})


def in_order_of(rows: pl.DataFrame, order: dict[str, float], preferred: str | None = None) -> pl.DataFrame:
    """Score and sort rows within each listener; keep the best row of each recording.

    Where a listener has rows that are preferred, these are scored by that column and come first.
    """
    if len(order) == 1:
        (name, weight), *_ = order.items()
        score = pl.col(name) * weight
    else:
        score = pl.sum_horizontal(_standardised(name) * weight for name, weight in order.items())
    if preferred is not None:
        first = (pl.col(preferred) > 0).fill_null(False)
        some = first.any().over("listener")
        below = score - score.max().over("listener") - _LATER
        score = pl.when(first).then(preferred).otherwise(pl.when(some).then(below).otherwise(score))
    return (
        rows.select("listener", "row", "recording", score=score.cast(pl.Float32))
        .sort("listener", "score", "row", descending=[False, True, False], nulls_last=True)
        .filter(pl.struct("listener", "recording").is_first_distinct())
    )


def _preferred(shelf: ShelfSettings) -> tuple[str, ...]:
    return () if shelf.preferred is None else (shelf.preferred,)


def _standardised(name: str) -> pl.Expr:
    value = pl.col(name).cast(pl.Float64)
    if name in _COUNTS:
        value = (value + 1).log()
    spread = value.std(ddof=0).over("listener")
    return ((value - value.mean().over("listener")) / pl.when(spread > 0).then(spread)).fill_null(0.0)
