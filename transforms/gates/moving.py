"""What is watched from night to night, counted in a chunk: how inputs, features, sources, reasons and shelves are spread.

Each thing that is watched is a histogram of whole numbers, named by its kind and its name; chunks, shards and batches add up in
any order. Numbers fall into bins of asinh, even around 0 and logarithmic away, so bins are the same every night and need no
fitting. Judged in `drift`.

    >>> watched_listens(pl.DataFrame({"platform": ["ios", "ios", None]}))
    {'moves log|platform none': 1, 'moves log|platform ios': 2}
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np
import polars as pl

from transforms.common.sample import in_sample
from transforms.common.typed_names import Watched
from transforms.signals.declared import NUMBER, TEXT

BINS_A_UNIT = 4
MOST_VALUES = 40  # values of a category that are counted by name; the others together
NONE = "none"
_CATEGORIES = ("platform", "country", "context")
_FLAGS = ("skipped", "completed", "shuffle")
_PAIRS = 4000  # candidates of a chunk whose features are looked at, about: a hashed share of its listeners


def watched_listens(rows: pl.DataFrame) -> dict[str, int]:
    """Histograms of a log's own columns, of rows of table `listens` of one date; columns that are not there are left out."""
    out: dict[str, int] = {}
    for name in (c for c in (*_CATEGORIES, *_FLAGS) if c in rows.columns):
        found = (
            rows.group_by(pl.col(name).cast(pl.String).alias("value"))
            .len()
            .sort("len", "value", descending=[True, False])
        )
        out |= _named("log", name, found)
    for name in (c for c in rows.columns if c.startswith(NUMBER)):
        out |= _binned("log", name, rows[name])
    for name in (c for c in rows.columns if c.startswith(TEXT)):
        found = rows.group_by(pl.col(name).alias("value")).len().sort("len", "value", descending=[True, False])
        out |= _named("log", name, found)
    if "ms_played" in rows.columns:
        out |= _binned("log", "ms_played", rows["ms_played"])
    if "started_at" in rows.columns:
        hours = rows.group_by(pl.col("started_at").dt.hour().cast(pl.String).alias("value")).len()
        out |= _named("log", "hour", hours)
        out |= _hours_by_country(rows)
    return out


def _hours_by_country(rows: pl.DataFrame) -> dict[str, int]:
    """Hours within each country: in a log of many time zones the day has no shape of its own, and a clock that is off none."""
    if "country" not in rows.columns:
        return {}
    out: dict[str, int] = {}
    known = rows.drop_nulls("country").with_columns(value=pl.col("started_at").dt.hour().cast(pl.String))
    most = known.group_by("country").len().sort("len", "country", descending=[True, False]).head(MOST_VALUES)
    hours = known.join(most.select("country"), on="country", how="semi").group_by("country", "value").len()
    for (country,), found in hours.sort("country", "value").group_by("country", maintain_order=True):
        out |= _named("log", f"hour in {country}", found)
    return out


def watched_inputs(chunk: Mapping[str, pl.DataFrame], day: date, known: pl.Series) -> dict[str, int]:
    """Who played on the date and what: markets, plays of a listener, whether they or their tracks are new.

    Args:
        chunk: listeners, library, sessions of some listeners. Whoever is in the library for plays of the date alone is new.
        day: the date.
        known: tracks that the models know, most played first where they are ordered.
    """
    today = chunk["sessions"].filter(pl.col("started_at").dt.date() == day).select("listener_id", "tracks", "new_share")
    plays = (
        today.explode("tracks").select("listener_id", track_id=pl.col("tracks").struct.field("track_id")).drop_nulls()
    )
    markets = plays.join(chunk["listeners"].select("listener_id", "market"), on="listener_id", how="left")
    out = _named("input", "market", markets.group_by(pl.col("market").alias("value")).len())
    out |= _binned("input", "plays of a listener", plays.group_by("listener_id").len()["len"])
    out |= _binned("input", "share of new tracks", today["new_share"] * 4)
    earlier = pl.col("first_played_at").is_null() | (pl.col("first_played_at").dt.date() < day)
    people = chunk["library"].filter(earlier)["listener_id"].unique()  # the day's own plays are in the library by now
    seen = today.select(pl.col("listener_id").unique()).with_columns(
        value=pl.col("listener_id")
        .is_in(people.implode())
        .replace_strict({True: "known", False: "new"}, return_dtype=pl.String)
    )
    out |= _named("input", "listeners", seen.group_by("value").len())
    models = plays.select(
        value=pl.when(pl.col("track_id").is_in(known.implode())).then(pl.lit("known")).otherwise(pl.lit("new"))
    )
    return out | _named("input", "tracks", models.group_by("value").len())


def watched_candidates(candidates: pl.DataFrame, seed: int) -> dict[str, int]:
    """Of candidates: which sources found them, and, of a hashed share of the listeners, how each feature and score is spread."""
    out: dict[str, int] = {}
    for name in sorted(c for c in candidates.columns if c.startswith("rank_")):
        found = candidates.height - candidates[name].null_count()
        out |= {str(Watched.of("source", name.removeprefix("rank_"), "found")): found}
        out |= {str(Watched.of("source", name.removeprefix("rank_"), NONE)): candidates.height - found}
    share = min(1.0, _PAIRS / max(candidates.height, 1))
    mine = candidates.filter(in_sample(candidates["listener_id"], share, seed))
    for name in sorted(c for c in mine.columns if c.startswith(("f_", "p_", "reward_"))):
        out |= _binned("feature" if name.startswith("f_") else "score", name, mine[name])
    return out | _binned("score", "ranker_score", mine["ranker_score"])


def watched_shelves(rows: pl.DataFrame, plays: Mapping[str, float]) -> dict[str, int]:
    """Of shelves: their state, and of their items the sources, the reasons, and how popular they are.

    Args:
        rows: table `shelves`.
        plays: track_id -> plays that the models know of.
    """
    out = _named("shelf", "status", rows.group_by(pl.col("status").alias("value")).len())
    items = (
        rows.select("items")
        .explode("items")
        .drop_nulls()
        .select(pl.col("items").struct.field("track_id", "source", "reason"))
    )
    for name in ("source", "reason"):
        out |= _named("shelf", name, items.group_by(pl.col(name).alias("value")).len())
    popular = items["track_id"].replace_strict(plays, default=0.0, return_dtype=pl.Float64)
    return out | _binned("shelf", "popularity of items", popular)


EXPECTED = "expected listens of new tracks, ppm"


def expected(candidates: pl.DataFrame) -> dict[str, int]:
    """Sum of the chances of a listen over candidates never heard, in millionths; nothing where no ranker gives any."""
    if "p_listened" not in candidates.columns:
        return {}
    new = candidates.filter(~pl.col("heard_before"))["p_listened"].fill_null(0.0).fill_nan(0.0)
    return {EXPECTED: int((new.cast(pl.Float64) * 1e6).round().cast(pl.Int64).sum())}


def _named(kind: str, name: str, found: pl.DataFrame) -> dict[str, int]:
    """value, len as counts; a value that is null is `none`, and those beyond MOST_VALUES are `others`."""
    out: dict[str, int] = {}
    for number, (value, n) in enumerate(found.select("value", "len").iter_rows()):
        shown = NONE if value is None else str(value).replace(" ", "_") if number < MOST_VALUES else "others"
        key = str(Watched.of(kind, name, shown))
        out[key] = out.get(key, 0) + int(n)
    return out


def _binned(kind: str, name: str, values: pl.Series) -> dict[str, int]:
    """A histogram over bins of 1/4 of asinh; what is no number is `none`."""
    numbers = values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    finite = np.isfinite(numbers)
    bins, n = np.unique(np.floor(np.arcsinh(numbers[finite]) * BINS_A_UNIT).astype(np.int64), return_counts=True)
    out = {str(Watched.of(kind, name, str(b))): int(c) for b, c in zip(bins.tolist(), n.tolist(), strict=True)}
    missing = int((~finite).sum())
    return out | ({str(Watched.of(kind, name, NONE)): missing} if missing else {})
