"""The rules: what may stand on a listener's shelf at all. They come before variety and draws, and always hold.

On every shelf: nothing the listener blocked or disliked (a blocked track takes its whole recording with it, a blocked
artist every track that credits them, however the name is spelt), only what can be played in the listener's market,
explicit only where allowed (to whoever wants none, a track of which nobody says that it is clean is explicit), only what
is released by the night, even if somebody has played it. On shelves of unheard music: no recording of which any track was
heard or is owned, and none sampled (played for less than 30 s) within the last 90 days. Everything is decided by
recording, so that a remaster of a heard track is heard.

    refused    blocked > blocked_artist > gone > market > explicit > unreleased       null = may be shown
    heard      any track of the recording was heard
"""

from __future__ import annotations

import datetime as dt

import polars as pl

from transforms.common.text import name_key

BLOCKS_TRACK = ("block_track", "dislike")
BLOCKS_ARTIST = ("block_artist",)
OWNS = ("own",)


def known_recordings(rows: pl.DataFrame, library: pl.DataFrame | None, owned: pl.DataFrame) -> pl.DataFrame:
    """What a listener did with each recording, over all its tracks.

    Args:
        rows: listener_id, recording_id, heard_before, sampled_at, last_heard_at.
        library: listener_id, recording_id, and of heard (default true), sampled_at, last_heard_at what there is.
        owned: listener_id, recording_id.

    Returns:
        listener_id, recording_id, heard, sampled (last sampled play), last_heard (last heard play).
    """
    # Most rows say nothing (unheard, never sampled): leaving them out makes the grouping small.
    parts = [
        rows.filter(
            pl.col("heard_before").fill_null(False)
            | pl.col("sampled_at").is_not_null()
            | pl.col("last_heard_at").is_not_null()
        ).select("listener_id", "recording_id", "heard_before", "sampled_at", "last_heard_at"),
        owned.select("listener_id", "recording_id", heard_before=pl.lit(True)),
    ]
    if library is not None:
        heard = pl.col("heard").cast(pl.Boolean) if "heard" in library.columns else pl.lit(True)
        times = [
            pl.col(name).cast(rows.schema[name]) for name in ("sampled_at", "last_heard_at") if name in library.columns
        ]
        parts.append(library.select("listener_id", "recording_id", *times, heard_before=heard))
    return (
        pl.concat(parts, how="diagonal")
        .group_by("listener_id", "recording_id")
        .agg(
            heard=pl.col("heard_before").any(),
            sampled=pl.col("sampled_at").max(),
            last_heard=pl.col("last_heard_at").max(),
        )
    )


def judge(
    rows: pl.DataFrame,
    *,
    roster: pl.DataFrame,
    blocks: pl.DataFrame,
    known: pl.DataFrame,
    cutoff: dt.datetime,
    sampled_days: int,
) -> pl.DataFrame:
    """Decide the rules for every row.

    Args:
        rows: listener_id, track_id, recording_id, artist_ids, markets, explicit, released_on, gone.
        roster: listener_id, market (null = unknown: anything plays), explicit_ok (null = yes).
        blocks: listener_id, kind, target, recording_id (of a track).
        known: what `known_recordings` returns.
        cutoff: end of the night's date, UTC.
        sampled_days: days a sampled recording stays out of shelves of unheard music.

    Returns:
        The rows in their order with `refused` (first rule broken, null = none), `heard`, `sampled_lately` and
        `last_heard_at` of the recording.
    """
    tracks = blocks.filter(pl.col("kind").is_in(BLOCKS_TRACK)).select(
        "listener_id", "recording_id", blocked=pl.lit(True)
    )
    artists = blocks.filter(pl.col("kind").is_in(BLOCKS_ARTIST)).select(
        "listener_id", artist=name_key(pl.col("target")), blocked_artist=pl.lit(True)
    )
    credited = (
        rows.select("row", "listener_id", "artist_ids")
        .join(artists.select("listener_id").unique(), on="listener_id", how="semi")
        .explode("artist_ids", keep_nulls=False)
        .with_columns(artist=name_key(pl.col("artist_ids")))
        .join(artists.unique(), on=["listener_id", "artist"])
        .select("row", "blocked_artist")
        .unique()
    )
    since = cutoff - dt.timedelta(days=sampled_days)
    market, markets = pl.col("market"), pl.col("markets")
    return (
        rows.join(
            roster.select("listener_id", "market", "explicit_ok"), on="listener_id", how="left", maintain_order="left"
        )
        .join(tracks.unique(), on=["listener_id", "recording_id"], how="left", maintain_order="left")
        .join(credited, on="row", how="left", maintain_order="left")
        .join(known, on=["listener_id", "recording_id"], how="left", maintain_order="left")
        .with_columns(
            refused=pl.when("blocked")
            .then(pl.lit("blocked"))
            .when("blocked_artist")
            .then(pl.lit("blocked_artist"))
            .when("gone")
            .then(pl.lit("gone"))
            .when(markets.is_not_null() & market.is_not_null() & ~markets.list.contains(market))
            .then(pl.lit("market"))
            .when(pl.col("explicit").fill_null(True) & ~pl.col("explicit_ok").fill_null(True))
            .then(pl.lit("explicit"))
            .when(pl.col("released_on") > (cutoff - dt.timedelta(days=1)).date())
            .then(pl.lit("unreleased")),
            heard=pl.col("heard").fill_null(False),
            sampled_lately=(pl.col("sampled") >= since).fill_null(False),
            last_heard_at=pl.col("last_heard"),
        )
        .drop("market", "explicit_ok", "blocked", "blocked_artist", "sampled", "last_heard", "gone")
    )
