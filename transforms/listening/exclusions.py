"""Plays taken out of a listener's taste: heard all the same, but no sign of what they like.

Feedback `exclude_from_taste` names a device, a session (its id) or a time range (`start/end`, ISO 8601, UTC where it
says nothing, the end excluded). It covers the listener's plays before and after the act. Table `exclusions` holds the
plays themselves, once they are known to be out, each with the target that was named: a set that grows, so that days can be
added in any grouping and twice. `include_in_taste` of the same target undoes the act: its rows stay and count no more
(`still_out`), and naming the target again has them count again.
The library keeps counting every play, for what was heard stays heard; taste is what remains without those plays,

    library   ann a: plays 5, heard 4        exclusions   ann a x 3        taste   ann a: plays 2, heard 1, known

worked out on reading, where histories become vectors, seeds or training examples.
"""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl

from transforms.listening.feedback import standing
from transforms.listening.library import LISTEN_COLUMNS, PAIR, day_library
from transforms.tables.schema import TABLES

KIND = "exclude_from_taste"
UNDO = "include_in_taste"
PLAY = ("listener_id", "started_at", "track_id")
COUNTS = ("plays", "heard", "completions", "skips")


def acts(feedback: pl.DataFrame) -> pl.DataFrame:
    """The acts of exclusion that stand, each once, and of those that name a time range `since`, `until`.

    Args:
        feedback: columns listener_id, kind, target, at and date, the date it was filed under.

    Returns:
        listener_id, target, date (of the first act that names it), again (of the last), since, until.
    """
    mine = feedback.filter(pl.col("kind") == KIND).drop_nulls("target")
    mine = mine.group_by("listener_id", "target").agg(pl.col("date").min(), again=pl.col("date").max())
    mine = mine.join(standing(feedback).filter(pl.col("kind") == KIND), on=["listener_id", "target"], how="semi")
    ranges = [(t, *found) for t in mine["target"].unique().sort() if (found := time_range(t))]
    kind = pl.Datetime("us", "UTC")
    parsed = pl.DataFrame(ranges, schema={"target": pl.String, "since": kind, "until": kind}, orient="row")
    return mine.join(parsed, on="target", how="left").sort("listener_id", "target")


def still_out(excluded: pl.DataFrame, feedback: pl.DataFrame) -> pl.DataFrame:
    """The rows of table `exclusions` whose act stands: all but those whose target was taken back since.

    Args:
        excluded: table `exclusions`.
        feedback: listener_id, kind, target, at, of all dates up to the night.
    """
    undone = feedback.filter(pl.col("kind") == UNDO).select("listener_id", "target")
    if not undone.height or not excluded.height:
        return excluded
    pair = ["listener_id", "target"]
    again = standing(feedback).filter(pl.col("kind") == KIND).select(pair)
    gone = undone.unique().join(again, on=pair, how="anti")
    return excluded.join(gone, on=pair, how="anti", maintain_order="left")


def time_range(target: str) -> tuple[datetime, datetime] | None:
    """Start and end of a target that is a time range, else None.

    >>> time_range("2026-01-05/2026-01-06T10:00:00Z")[1].isoformat()
    '2026-01-06T10:00:00+00:00'
    >>> time_range("ann-speaker")
    """
    parts = target.split("/")
    if len(parts) != 2:
        return None
    try:
        since, until = (datetime.fromisoformat(part.strip()) for part in parts)
        return (
            since.astimezone(UTC) if since.tzinfo else since.replace(tzinfo=UTC),
            until.astimezone(UTC) if until.tzinfo else until.replace(tzinfo=UTC),
        )
    except (ValueError, OverflowError):  # no times, or beyond the calendar once the zone is taken off
        return None


def possible_target(target: str) -> bool:
    """Whether a target can have an effect: a device, a session, or a time range that ends after it begins.

    >>> [possible_target(t) for t in ("ann-speaker", "2026-01-05/2026-01-06", "2026-01-06/2026-01-05")]
    [True, True, False]
    >>> possible_target("0001-01-01T00:00:00+14:00/2026-01-01")
    False
    """
    found = time_range(target)
    if found is not None:
        return found[0] < found[1]
    return not any(_begins_like_a_date(part) for part in target.split("/")) if "/" in target else True


def _begins_like_a_date(text: str) -> bool:
    day = text.strip()[:10]
    try:
        datetime.strptime(day, "%Y-%m-%d")
    except ValueError:
        return False
    return True


def covered(listens: pl.DataFrame, sessions: pl.DataFrame, excluded: pl.DataFrame) -> pl.DataFrame:
    """The plays that acts of exclusion cover.

    Args:
        listens: columns LISTEN_COLUMNS and device_id.
        sessions: columns listener_id, session_id, tracks.
        excluded: `acts`.

    Returns:
        Table `exclusions`, each play and target once, sorted by its key.
    """
    columns = list(TABLES["exclusions"].polars)
    named, ranges = excluded.select("listener_id", "target"), excluded.drop_nulls("since")
    of_device = named.with_columns(device_id="target")
    by_device = listens.join(of_device, on=["listener_id", "device_id"])
    by_time = listens.join(ranges, on="listener_id").filter(
        (pl.col("started_at") >= pl.col("since")) & (pl.col("started_at") < pl.col("until"))
    )
    by_session = (
        sessions.join(named.with_columns(session_id="target"), on=["listener_id", "session_id"])
        .select("listener_id", "target", "tracks")
        .explode("tracks")
        .drop_nulls("tracks")
        .unnest("tracks")
    )
    return union([frame.select(columns) for frame in (by_device, by_time, by_session)])


def union(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """Table `exclusions` of several: each play and target once, sorted by its key."""
    schema = TABLES["exclusions"].polars
    every = pl.concat(
        [
            TABLES["exclusions"].empty(),
            *(frame.select(pl.col(c).cast(kind) for c, kind in schema.items()) for frame in frames),
        ]
    )
    key = [*PLAY, "target"]
    return every.sort(*schema, nulls_last=True).unique(key, keep="first", maintain_order=True).sort(key)


def taste(library: pl.DataFrame, excluded: pl.DataFrame) -> pl.DataFrame:
    """The library without plays that are out of taste, and `known`: whether the track counts as heard, or is saved.

    Every pair keeps its row. Of the eight latest plays those left stay exact; if none of them is left, the others are
    taken to have ended where the eight began.

    Args:
        library: table `library`, one row a pair.
        excluded: table `exclusions`; a play may stand in it more than once.
    """
    library = library.with_columns(known=(pl.col("heard") > 0) | pl.col("saved").fill_null(False))
    out = excluded.unique(PLAY, keep="first").join(library, on=PAIR, how="semi")
    if not out.height:
        return library
    less = day_library(out.select(LISTEN_COLUMNS)).select(*PAIR, *(pl.col(c).alias(f"_{c}") for c in COUNTS))
    hit = library.join(less, on=PAIR, how="inner")
    left = (
        hit.select(*PAIR, started_at="latest")
        .explode("started_at")
        .drop_nulls("started_at")
        .join(out, on=[*PAIR, "started_at"], how="anti")
        .sort(*PAIR, "started_at", descending=[False, False, True])
        .group_by(PAIR, maintain_order=True)
        .agg(latest="started_at")
    )
    changed = (
        hit.with_columns(_before=pl.col("latest").list.min())
        .drop("latest")
        .join(left, on=PAIR, how="left")
        .with_columns(
            *((pl.col(c) - pl.col(f"_{c}")).clip(lower_bound=0) for c in COUNTS),
            pl.col("latest").fill_null(pl.lit([], dtype=library.schema["latest"])),
        )
        .with_columns(last_played_at=pl.coalesce(pl.col("latest").list.max(), "_before"))
    )
    gone = pl.col("plays") == 0
    changed = changed.with_columns(
        pl.when(~gone).then(c).alias(c) for c in ("first_played_at", "last_played_at")
    ).select(library.columns)
    return pl.concat([library.join(less, on=PAIR, how="anti"), changed]).sort(PAIR)


def without_plays(sessions: pl.DataFrame, excluded: pl.DataFrame) -> pl.DataFrame:
    """Sessions without plays that are out of taste; a session with no other play is left out.

    Args:
        sessions: columns listener_id, session_id, open, tracks at least, in any order.
        excluded: table `exclusions`.
    """
    rows = sessions.with_row_index("_row")
    marks = excluded.select(PLAY).unique().with_columns(out=pl.lit(True))
    plays = (
        rows.join(marks.select("listener_id").unique(), on="listener_id", how="semi")
        .select("_row", "listener_id", play="tracks")
        .explode("play")
        .drop_nulls("play")
        .with_columns(pl.col("play").struct.field("track_id", "started_at"))
        .join(marks, on=PLAY, how="left", maintain_order="left")
    )
    touched = plays.filter(pl.col("out").fill_null(False).any().over("_row"))
    if not touched.height:
        return sessions
    left = touched.filter(pl.col("out").is_null()).group_by("_row", maintain_order=True).agg(_left="play")
    kept = rows.join(touched.select("_row").unique(), on="_row", how="anti").with_columns(
        _left=pl.lit(None, dtype=sessions.schema["tracks"])
    )
    changed = rows.join(left, on="_row")
    both = pl.concat([kept, changed]).sort("_row").with_columns(tracks=pl.coalesce("_left", "tracks"))
    fresh = {
        "plays": pl.col("tracks").list.len().cast(pl.Int32),
        "skips": pl.col("tracks").list.eval(pl.element().struct.field("skipped")).list.sum().cast(pl.Int32),
    }
    again = pl.col("_left").is_not_null()
    return both.with_columns(
        pl.when(again).then(value).otherwise(pl.col(name)).alias(name)
        for name, value in fresh.items()
        if name in sessions.columns
    ).select(sessions.columns)
