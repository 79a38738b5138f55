"""What became of what a night considered and showed: the one join of later listens to an earlier night.

For a night N and a horizon of h days, one row per listener and track: every candidate and placed item of the night, and
(`missed`) every recording that the listener heard in (N, N + h] without its having been a candidate. Ranker labels,
rewards, evaluation, counterfactual estimates and experiment readouts all come from here, so no feature can see the
future: what a night knew is stored with it, and only what came later is joined.

Hits go by recording: a listen to the remaster is a hit of the original. A label that the log cannot know is null, and
masked in the loss; it is never 0:

    listened   heard (completed, or 30 s or more, or length unknown and not skipped), any version
    completed  some play completed; null where no play of it says so, or the log never does
    skipped    some play skipped and none completed; null likewise
    saved      saved or liked within the horizon; null without a feedback table
    returned   heard on two or more days (UTC); null for a horizon of one day
    adopted    heard on a later day than the first without being led there: that play names no shelf; null likewise

`stage` is the furthest a track came: shown, placed, candidate, else missed. An impression shows an item of this night when it
names the row's version or, where the consumer sends none, when listener, surface, shelf and a time inside the row's validity
agree, and so do all items of that viewing: a shelf that holds other tracks too is another recommender's.

`propensity` stands only on the night that drew the slot. A shelf that is carried keeps what was not heard, skipped or blocked
since, so its survivors are no longer as drawn, and their first p would weigh them wrongly.

`origin` is attributed when a play that counts as heard names the shelf the track stood on (any of our shelves, for a track
that stood on none), else organic.

`inclusion` is the probability that the row was kept, to weight by 1 / inclusion. Candidates are kept for a hashed share
of listeners only, so `missed` is told only of listeners whose candidates are there.

    >>> night = date(2026, 1, 1)
    >>> candidates = pl.DataFrame({"listener_id": ["ann"], "track_id": ["song"], "stage": ["candidate"],
    ...     "heard_before": [False], "inclusion": [1.0], "ranker_rank": [1]})
    >>> listens = pl.DataFrame({"listener_id": ["ann"], "track_id": ["song (remaster)"], "ms_played": [90_000],
    ...     "started_at": [datetime(2026, 1, 2, 9, tzinfo=timezone.utc)]})
    >>> recordings = pl.DataFrame({"track_id": ["song", "song (remaster)"], "recording_id": ["song", "song"]})
    >>> join_outcomes(night, 1, candidates, listens, recordings)["stage", "listened", "completed"].row(0)
    ('candidate', True, None)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone  # noqa: F401  (timezone: the example above)

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from transforms.common.hashing import stable_hash
from transforms.listening.plays import is_heard
from transforms.tables.schema import TABLES

HORIZONS = (1, 7, 28)
SAVES = ("save", "like")
STAGES = ("candidate", "placed", "shown", "missed")

_LISTEN: dict[str, pl.DataType | type[pl.DataType]] = {
    "listener_id": pl.String,
    "track_id": pl.String,
    "started_at": pl.Datetime("us", "UTC"),
    "ms_played": pl.Int32,
    "skipped": pl.Boolean,
    "completed": pl.Boolean,
    "shelf_id": pl.String,
}
_KEY = ["listener_id", "recording_id"]


class OutcomeSettings(BaseModel):
    """When outcomes are joined."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    horizons: tuple[int, ...] = Field(
        default=HORIZONS, min_length=1, description="days after a night that are looked at"
    )


@dataclass(frozen=True)
class Known:
    """What a log can tell at all: a fact of the log, not of a chunk of it, so the job finds out and hands it in."""

    completed: bool = False
    skipped: bool = False

    @classmethod
    def of(cls, listens: pl.DataFrame) -> Known:
        """Known where any play says so."""
        said = {c: c in listens.columns and listens[c].null_count() < listens.height for c in ("completed", "skipped")}
        return cls(**said)


def window(night: date, horizon: int) -> tuple[datetime, datetime]:
    """[start, end) in UTC of the days after a night that a horizon looks at."""
    start = datetime(night.year, night.month, night.day, tzinfo=UTC) + timedelta(days=1)
    return start, start + timedelta(days=horizon)


def with_recording(frame: pl.DataFrame, recordings: pl.DataFrame) -> pl.DataFrame:
    """Adds recording_id, from track_id, recording_id pairs; a track unknown to the catalog stands for itself."""
    known = recordings.select("track_id", "recording_id").unique("track_id", keep="any")
    return frame.join(known, on="track_id", how="left").with_columns(
        pl.col("recording_id").fill_null(pl.col("track_id"))
    )


def labels(
    listens: pl.DataFrame, recordings: pl.DataFrame, night: date, horizon: int, known: Known | None = None
) -> pl.DataFrame:
    """What each listener did with each recording within the horizon.

    Args:
        listens: table `listens` of the days in question; columns it lacks count as unknown. Rows outside are left out.
        known: what the log can tell; by default, what these listens tell.

    Returns:
        listener_id, recording_id, heard, completed?, skipped?, days (heard on), own_later (heard on a later day than the
        first by a play that names no shelf), heard_from (shelves that heard plays name), track_id (of the first heard play),
        sorted by listener_id and recording_id. A recording that was only sampled has heard = false.
    """
    known = known or Known.of(listens)
    absent = [pl.lit(None, dtype=t).alias(c) for c, t in _LISTEN.items() if c not in listens.columns]
    start, stop = window(night, horizon)
    plays = (
        listens.with_columns(absent)
        .select(pl.col(c).cast(t) for c, t in _LISTEN.items())
        .filter(pl.col("started_at").is_between(start, stop, closed="left"))
        .with_columns(is_heard())
    )
    plays = with_recording(plays, recordings).with_columns(_hash=stable_hash(plays["track_id"]))
    completed = pl.col("completed").any().and_(pl.lit(known.completed))
    day, own = pl.col("started_at").dt.date(), pl.col("heard") & pl.col("shelf_id").is_null()
    return (
        plays.sort("started_at", "_hash", "track_id")
        .group_by(_KEY)
        .agg(
            heard=pl.col("heard").any(),
            completed=_tell(completed, pl.col("completed").is_not_null().any(), known.completed),
            skipped=_tell(pl.col("skipped").any() & ~completed, pl.col("skipped").is_not_null().any(), known.skipped),
            days=day.filter("heard").n_unique(),
            own_later=(day.filter(own).max() > day.filter("heard").min()).fill_null(False),
            heard_from=pl.col("shelf_id").filter("heard").drop_nulls().unique().sort(),
            track_id=pl.col("track_id").filter(pl.col("heard")).first(),
        )
        .sort(_KEY)
    )


def _tell(value: pl.Expr, said: pl.Expr, possible: bool) -> pl.Expr:
    """`value`, or null where nothing was said about it or the log never does."""
    return pl.when(said & pl.lit(possible)).then(value).otherwise(None)


def join_outcomes(
    night: date,
    horizon: int,
    candidates: pl.DataFrame,
    listens: pl.DataFrame,
    recordings: pl.DataFrame,
    *,
    shelves: pl.DataFrame | None = None,
    impressions: pl.DataFrame | None = None,
    feedback: pl.DataFrame | None = None,
    heard: pl.DataFrame | None = None,
    known: Known | None = None,
) -> pl.DataFrame:
    """The outcomes of one night at one horizon, for some listeners.

    Args:
        night: the night N.
        horizon: h, days.
        candidates: the night's table; listener_id, track_id, stage, heard_before, inclusion, ranker_rank.
        listens: of (N, N + h], any columns of the table.
        recordings: track_id, recording_id.
        shelves: the night's table; None for a night that stopped after its candidates.
        impressions: of (N, N + h]; which of them count is said in the module.
        feedback: of (N, N + h]; None = the log has no feedback, so `saved` cannot be known.
        heard: listener_id, recording_id heard by the end of the night, for `heard_before` of missed recordings.
        known: what the log can tell; by default, what these listens tell.

    Returns:
        Rows of the table `outcomes`, sorted by its key.
    """
    known = known or Known.of(listens)
    seen = labels(listens, recordings, night, horizon, known)
    rows = with_recording(_considered(night, candidates, shelves, impressions), recordings)
    sampled = candidates.filter(pl.col("stage") == "candidate")
    sampled = sampled.group_by("listener_id").agg(pl.col("inclusion").min())
    missed = (
        seen.filter("heard")
        .join(sampled, on="listener_id")
        .join(rows.select(_KEY), on=_KEY, how="anti")
        .select("listener_id", "track_id", "recording_id", "inclusion", stage=pl.lit("missed"))
    )
    before = (
        (heard if heard is not None else seen.clear()).select(_KEY).unique().with_columns(heard_before=pl.lit(True))
    )
    missed = missed.join(before, on=_KEY, how="left").with_columns(pl.col("heard_before").fill_null(False))
    joined = (
        pl.concat([rows, missed], how="diagonal_relaxed")
        .join(seen.drop("track_id"), on=_KEY, how="left")
        .with_columns(listened=pl.col("heard").fill_null(False), played=pl.col("heard").is_not_null())
    )
    joined = _with_saved(joined, feedback, recordings, night, horizon)
    unplayed = ~pl.col("played")
    out = joined.select(
        pl.lit(night).alias("night"),
        "listener_id",
        "track_id",
        pl.lit(horizon, dtype=pl.Int32).alias("horizon"),
        "stage",
        pl.when("listened")
        .then(pl.when(_attributed()).then(pl.lit("attributed")).otherwise(pl.lit("organic")))
        .alias("origin"),
        "shelf_id",
        "rank",
        "propensity",
        "inclusion",
        "listened",
        # a track that was not played at all was neither completed nor skipped, if the log would have told
        *(
            pl.when(unplayed & pl.lit(getattr(known, c))).then(pl.lit(False)).otherwise(pl.col(c)).alias(c)
            for c in ("completed", "skipped")
        ),
        "saved",
        (pl.lit(None, dtype=pl.Boolean) if horizon == 1 else pl.col("days").fill_null(0) >= 2).alias("returned"),
        (pl.lit(None, dtype=pl.Boolean) if horizon == 1 else pl.col("own_later").fill_null(False)).alias("adopted"),
        "heard_before",
    )
    table = TABLES["outcomes"]
    return out.select(pl.col(c).cast(t) for c, t in table.polars.items()).sort(table.key)


def _attributed() -> pl.Expr:
    """Whether a heard play names the shelf a row stood on, or any where it stood on none."""
    from_it = pl.col("heard_from").list.contains(pl.col("shelf_id"))
    return pl.when(pl.col("shelf_id").is_null()).then(pl.col("heard_from").list.len() > 0).otherwise(from_it)


def _considered(
    night: date, candidates: pl.DataFrame, shelves: pl.DataFrame | None, impressions: pl.DataFrame | None
) -> pl.DataFrame:
    """Every candidate with the furthest stage it came to, one row a listener and track."""
    base = candidates.select(
        "listener_id",
        "track_id",
        "heard_before",
        pl.col("inclusion").cast(pl.Float32),
        pl.col("ranker_rank").cast(pl.Int32),
    )
    if shelves is None:
        none = {"shelf_id": pl.String, "propensity": pl.Float32}
        return base.with_columns(pl.lit(None, dtype=t).alias(c) for c, t in none.items()).select(
            "listener_id",
            "track_id",
            "heard_before",
            "inclusion",
            "shelf_id",
            "propensity",
            rank="ranker_rank",
            stage=pl.lit("candidate"),
        )
    stood = _stood(night, shelves, impressions)
    return (
        base.join(stood, on=["listener_id", "track_id"], how="full", coalesce=True)
        .with_columns(
            stage=pl.col("stage").fill_null("candidate"),
            inclusion=pl.col("inclusion").fill_null(1.0),
            # an item that is no candidate is of a fallback row, or carried from an earlier refresh
            heard_before=pl.coalesce("heard_before", "last_heard", pl.lit(False)),
            rank=pl.coalesce("position", "ranker_rank"),
        )
        .drop("position", "ranker_rank", "last_heard")
    )


def shown_tracks(shelves: pl.DataFrame, impressions: pl.DataFrame | None) -> pl.DataFrame:
    """listener_id, shelf_id, track_id of the items and spares of some shelves that impressions show; see the module.

    Args:
        shelves: one row a listener and shelf, with `surface`, `version`, `valid_from`, `valid_until`, `items`, `spares`.
    """
    named = ["listener_id", "shelf_id", "track_id"]
    if impressions is None or impressions.is_empty():
        return pl.DataFrame(schema=dict.fromkeys(named, pl.String))
    row = ["listener_id", "shelf_id"]
    every = pl.concat_list(pl.col(k).list.eval(pl.element().struct.field("track_id")) for k in ("items", "spares"))
    stands = shelves.select(*row, "surface", "version", "valid_from", "valid_until", holds=every)
    met = impressions.rename({"version": "shown_version", "surface": "shown_surface"}).join(stands, on=row)
    by_name = met.filter(pl.col("shown_version") == pl.col("version"))
    viewing = [*row, "shown_surface", "shown_at"]
    inside = pl.col("shown_at").is_between(pl.col("valid_from"), pl.col("valid_until"), closed="left")
    here = pl.col("holds").list.contains(pl.col("track_id"))
    unnamed = met.filter(
        pl.col("shown_version").is_null() & (pl.col("shown_surface") == pl.col("surface")) & inside
    ).filter(here.all().over(viewing))
    return pl.concat([by_name.select(named), unnamed.select(named)]).unique()


def _stood(night: date, shelves: pl.DataFrame, impressions: pl.DataFrame | None) -> pl.DataFrame:
    """Where each placed track stood: shown before unshown, drawn before chosen, then the highest on its surface."""
    rows = shelves.select("listener_id", "shelf_id", "home_position", "refresh_date", "items", "spares")
    parts = [
        rows.select("listener_id", "shelf_id", "home_position", "refresh_date", pl.col(kind).alias("item"))
        .explode("item")
        .filter(pl.col("item").is_not_null())
        .unnest("item")
        .with_columns(spare=pl.lit(kind == "spares"))
        for kind in ("items", "spares")
    ]
    shown = shown_tracks(shelves, impressions).with_columns(shown=pl.lit(True))
    stood = (
        pl.concat(parts)
        .join(shown, on=["listener_id", "shelf_id", "track_id"], how="left")
        .with_columns(
            pl.col("shown").fill_null(False),
            propensity=pl.when(pl.col("refresh_date") == night).then("propensity"),
        )
    )
    return (
        stood.filter(pl.col("shown") | ~pl.col("spare"))
        .sort(
            "listener_id",
            "track_id",
            ~pl.col("shown"),
            pl.col("propensity").is_null(),
            pl.col("home_position").fill_null(1 << 30),
            "shelf_id",
            "position",
        )
        .unique(["listener_id", "track_id"], keep="first", maintain_order=True)
        .select(
            "listener_id",
            "track_id",
            "shelf_id",
            pl.col("propensity").cast(pl.Float32),
            pl.col("position").cast(pl.Int32),
            stage=pl.when("shown").then(pl.lit("shown")).otherwise(pl.lit("placed")),
            last_heard=pl.when(pl.col("last_heard_at").is_not_null()).then(True),
        )
    )


def _with_saved(
    rows: pl.DataFrame, feedback: pl.DataFrame | None, recordings: pl.DataFrame, night: date, horizon: int
) -> pl.DataFrame:
    if feedback is None:
        return rows.with_columns(saved=pl.lit(None, dtype=pl.Boolean))
    start, stop = window(night, horizon)
    saves = feedback.filter(pl.col("kind").is_in(SAVES) & pl.col("at").is_between(start, stop, closed="left")).select(
        "listener_id", track_id="target"
    )
    saves = with_recording(saves, recordings).select(_KEY).unique().with_columns(saved=pl.lit(True))
    return rows.join(saves, on=_KEY, how="left").with_columns(pl.col("saved").fill_null(False))
