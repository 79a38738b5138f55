"""Listeners whose plays of a date look like a machine's, each with the reasons: a table, not a deletion.

A date's plays are judged by themselves, so a night adds a date; whoever was a suspect on any of the last `days` dates is one.
Their plays are kept and stay heard, but train nothing and are answered with no personal shelves. Four behaviours tell:

    regular_gaps      share of starts whose distance from the start before is the day's commonest one, to the second, over
                      at least `least_plays` plays of at least `regular_tracks` tracks (one track looped is another matter)
    round_the_clock   hours of the day (UTC) in which something starts: nobody is awake in all of them
    one_track         share of the day's plays that are of one track, over at least `loop_plays` plays
    breadth           different tracks started: as many as no ear can take in

A date with listens whose times were invented (a log of sessions without times) is not judged. What is more playing time
than a day has is refused before (`ingest.day_hours`), since it is a broken account and no taste.

Every threshold is a setting, and the table keeps value and threshold of each reason. They were chosen by hand on one seed of
the simulated world, to leave all its people alone; docs/benchmarks/suspects.md has what they catch on another.
"""

from __future__ import annotations

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from transforms.tables.schema import TABLES

UNTIMED = "untimed"  # key in the manifest of a date of listens: times of some of them were invented, and tell nothing
REASONS = ("regular_gaps", "round_the_clock", "one_track", "breadth")
STATUS = "the plays look like a machine's ({})"


class SuspectSettings(BaseModel):
    """What tells a machine by its behaviour."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(True, description="judge every date; if not, nobody is a suspect")
    days: int = Field(28, ge=1, le=365, description="dates for which a suspect stays one")
    personal: bool = Field(False, description="answer suspects with personal shelves all the same")
    least_plays: int = Field(60, ge=2, description="plays of a date below which gaps tell nothing")
    regular_share: float = Field(0.6, gt=0, le=1, description="share of equal gaps from which they are regular")
    regular_tracks: int = Field(10, ge=2, description="different tracks below which equal gaps tell nothing")
    hours: int = Field(23, ge=1, le=24, description="hours of a date with starts, from which it is round the clock")
    loop_plays: int = Field(200, ge=2, description="plays of a date below which one looped track tells nothing")
    loop_share: float = Field(0.95, gt=0, le=1, description="share of plays of one track from which it is looped")
    breadth: int = Field(700, ge=2, description="different tracks of a date that nobody listens to")


def suspects(listens: pl.DataFrame, settings: SuspectSettings) -> pl.DataFrame:
    """Judge the plays of some dates.

    Args:
        listens: listener_id, track_id, started_at, date (the date filed under); any order.
        settings: thresholds.

    Returns:
        Table `suspects` with `date`: one row a listener, date and reason; sorted.
    """
    key = ["listener_id", "date"]
    empty = TABLES["suspects"].empty().with_columns(date=pl.lit(None, dtype=pl.Date))
    if not settings.enabled or not listens.height:
        return empty
    rows = listens.select(*key[:1], "track_id", "started_at", "date")
    few = min(settings.least_plays, settings.loop_plays, settings.breadth, settings.hours)
    busy = rows.group_by(key).agg(
        plays=pl.len(),
        tracks=pl.col("track_id").n_unique(),
        hours=pl.col("started_at").dt.truncate("1h").n_unique(),
    )
    busy = busy.filter(pl.col("plays") >= few)
    if not busy.height:
        return empty
    rows = rows.join(busy.select(key), on=key, how="semi")
    top = rows.group_by(*key, "track_id").len("n").group_by(key).agg(most=pl.col("n").max())
    gap = pl.col("started_at").diff().over(key, order_by="started_at").dt.total_seconds()
    gaps = rows.with_columns(gap=gap).drop_nulls("gap").group_by(*key, "gap").len("n")
    commonest = gaps.filter(pl.col("gap") > 0).group_by(key).agg(equal=pl.col("n").max())
    facts = (
        busy.join(top, on=key, how="left")
        .join(commonest, on=key, how="left")
        .with_columns(pl.col("equal").fill_null(0))
    )
    n = pl.col("plays")
    judged = {
        "regular_gaps": (
            pl.when((n >= settings.least_plays) & (pl.col("tracks") >= settings.regular_tracks)).then(
                pl.col("equal") / (n - 1)
            ),
            settings.regular_share,
        ),
        "round_the_clock": (pl.col("hours").cast(pl.Float64), float(settings.hours)),
        "one_track": (pl.when(n >= settings.loop_plays).then(pl.col("most") / n), settings.loop_share),
        "breadth": (pl.col("tracks").cast(pl.Float64), float(settings.breadth)),
    }
    found = [
        facts.select(
            *key,
            reason=pl.lit(reason),
            value=value.cast(pl.Float32),
            threshold=pl.lit(threshold, dtype=pl.Float32),
            plays=n.cast(pl.Int32),
        ).filter(pl.col("value") >= threshold)
        for reason, (value, threshold) in judged.items()
    ]
    every = pl.concat(found).with_columns(pl.col("listener_id").cast(pl.String))
    return every.select(empty.columns).sort("date", "listener_id", "reason")


def without_suspects(frame: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    """Rows of a frame (listener_id, date) of which the listener was no suspect on the date."""
    if not found.height:
        return frame
    key = ["listener_id", "date"]
    marks = found.select(pl.col("listener_id").cast(frame.schema["listener_id"]), "date").unique()
    return frame.join(marks, on=key, how="anti", maintain_order="left")


def why(found: pl.DataFrame) -> pl.DataFrame:
    """listener_id, and the words of a shelf's `status_reason`, of every suspect.

    Args:
        found: table `suspects` of the last dates.
    """
    reasons = found.group_by("listener_id").agg(pl.col("reason").unique().sort())
    words = pl.col("reason").list.join(", ").str.replace_all("_", " ", literal=True)
    return reasons.select("listener_id", status_reason=pl.format(STATUS, words)).sort("listener_id")
