"""Whether the reasons on a night's shelves are true: counted from what listeners did and said, not from how reasons are made.

    cites disliked         the track named was disliked or blocked, in any version
    cites blocked artist   an artist of the track named is blocked
    cites unheard          the track named was only skipped, or is not in the library at all
    not kept playing       "you keep playing it" for fewer than 3 plays, or none in the last 28 days
    heard lately           "you have not heard it for a while" of a track heard in the last `rest_days` days
    other album, artist    "from the album of", "new, by an artist of", where the album or every artist is another

Example: ann played a once and disliked it. An item "because you played a" counts as `cites disliked`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import polars as pl

from transforms.common.text import name_key
from transforms.gates.measure import Measured

KEPT_PLAYS, KEPT_DAYS = 3, 28
KINDS = (
    "cites disliked",
    "cites blocked artist",
    "cites unheard",
    "not kept playing",
    "heard lately",
    "other album",
    "other artist",
)
_CITED = ["listener_id", "recording"]


def reasons(
    shelves: pl.DataFrame,
    library: pl.DataFrame,
    feedback: pl.DataFrame,
    tracks: pl.DataFrame,
    day: date,
    rest_days: int,
) -> Measured:
    """Count the reasons of a night's items and spares, and the untrue ones by kind.

    Args:
        shelves: table `shelves` of some listeners.
        library: their library as of the night, without plays that they took out of their taste: listener_id, track_id,
            plays, heard, saved, last_played_at.
        feedback: listener_id, kind, target as of the night.
        tracks: track_id, recording_id, album_id, artist_ids.
        day: the night.
        rest_days: days after which a track was "not heard for a while".

    Returns:
        `reasons` and `untrue <kind>` for every kind that occurs.
    """
    items = _items(shelves)
    facts = tracks.select("track_id", "album_id", "artist_ids", recording=pl.coalesce("recording_id", "track_id"))
    of_ref = facts.select(pl.all().name.prefix("ref_"))
    shown = (
        items.join(facts.select("track_id", "album_id", "artist_ids", own="recording"), on="track_id", how="left")
        .join(of_ref, left_on="reason_ref", right_on="ref_track_id", how="left")
        .with_columns(recording=pl.coalesce("ref_recording", "reason_ref"), own=pl.coalesce("own", "track_id"))
    )
    end = datetime.combine(day + timedelta(days=1), time(), tzinfo=UTC)
    ago = (pl.lit(end) - pl.col("last_played_at")).dt.total_seconds() / 86_400
    of_track = library.select(
        "listener_id",
        "track_id",
        "plays",
        age=ago,
        liked=(pl.col("heard").fill_null(0) > 0) | pl.col("saved").fill_null(False),
    )
    of_track = of_track.join(facts.select("track_id", "recording"), on="track_id", how="left")
    of_track = of_track.with_columns(recording=pl.coalesce("recording", "track_id"))
    liked = of_track.filter("liked").select(_CITED).unique().with_columns(is_liked=pl.lit(True))
    against = _recordings_against(feedback, facts).with_columns(is_against=pl.lit(True))
    shown = (
        shown.join(liked, on=_CITED, how="left")
        .join(against, on=_CITED, how="left")
        .join(of_track.select("listener_id", "track_id", "plays", "age"), on=["listener_id", "track_id"], how="left")
        .with_columns(pl.Series("is_blocked", _by_blocked(shown, feedback)))
    )
    cited = pl.col("reason_ref").is_not_null() & ~pl.col("reason").is_in(["popular_in"])
    shared = pl.col("artist_ids").list.set_intersection("ref_artist_ids").list.len()
    untrue = {
        "cites disliked": cited & pl.col("is_against").is_not_null(),
        "cites blocked artist": cited & pl.col("is_blocked"),
        "cites unheard": cited & pl.col("is_liked").is_null(),
        "not kept playing": (pl.col("reason") == "you_keep_playing")
        & ((pl.col("plays").fill_null(0) < KEPT_PLAYS) | (pl.col("age").fill_null(1e9) > KEPT_DAYS)),
        "heard lately": (pl.col("reason") == "not_heard_lately") & (pl.col("age").fill_null(0.0) < rest_days),
        "other album": cited
        & (pl.col("reason") == "same_album")
        & pl.col("album_id").ne_missing(pl.col("ref_album_id")),
        "other artist": cited & (pl.col("reason") == "new_from") & (shared.fill_null(0) == 0),
    }
    found = shown.select(
        pl.len().alias("reasons"), *(expr.sum().alias(f"untrue {kind}") for kind, expr in untrue.items())
    )
    counts = {name: int(n or 0) for name, n in found.row(0, named=True).items()}
    shelves_of = {
        f"untrue {kind}": tuple(f"shelf {s}" for s in shown.filter(expr)["shelf_id"].unique().sort()[:3])
        for kind, expr in untrue.items()
        if counts[f"untrue {kind}"]
    }
    return Measured({name: n for name, n in counts.items() if n or name == "reasons"}, shelves_of)


def _items(shelves: pl.DataFrame) -> pl.DataFrame:
    parts = [
        shelves.select("listener_id", "shelf_id", pl.col(column).alias("item"))
        .explode("item", keep_nulls=False)
        .drop_nulls("item")
        .select("listener_id", "shelf_id", pl.col("item").struct.field("track_id", "reason", "reason_ref"))
        for column in ("items", "spares")
    ]
    return pl.concat(parts)


def _recordings_against(feedback: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    acts = feedback.filter(pl.col("kind").is_in(["dislike", "block_track"])).select("listener_id", track_id="target")
    acts = acts.join(facts.select("track_id", "recording"), on="track_id", how="left")
    return acts.select("listener_id", recording=pl.coalesce("recording", "track_id")).unique()


def _by_blocked(shown: pl.DataFrame, feedback: pl.DataFrame) -> pl.Series:
    acts = feedback.filter(pl.col("kind") == "block_artist").select("listener_id", artist=name_key(pl.col("target")))
    credits = (
        shown.select("listener_id", artist="ref_artist_ids")
        .with_row_index("at")
        .explode("artist", keep_nulls=False)
        .drop_nulls("artist")
        .with_columns(artist=name_key(pl.col("artist")))
    )
    hit = credits.join(acts.unique(), on=["listener_id", "artist"], how="semi")["at"].unique()
    return pl.Series(range(shown.height), dtype=pl.UInt32).is_in(hit.implode())
