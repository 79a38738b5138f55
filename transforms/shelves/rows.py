"""One frame of everything that could stand on a listener's shelves in a block of listeners.

Rows come from the ranked candidates, from the popular tracks of each listener's market (for `popular-now` and as a
fallback) and from shelves that are carried; `origin` tells them apart. The same rules then run over all of them.
Facts of a track (recording, markets, explicit, released_on) come with the row, else from the catalog, else from the
listener's own candidates or the popular tracks; so what is decided for a listener never depends on who else is in the
block.

Example: a candidate row (ann, t1, recording r1, score .9) and the carried row (ann, t7) of Monday's Discover become two
rows of listener index 0, the second with its recording looked up in the catalog.
"""

from __future__ import annotations

import polars as pl

from transforms.common.hashing import stable_hash

UTC = pl.Datetime("us", "UTC")
CANDIDATE, POPULAR, CARRIED = 0, 1, 2

# What a row holds beside its order columns; all but listener_id and track_id may be missing on the way in.
COLUMNS: dict[str, pl.DataType] = {
    "listener_id": pl.String(),
    "track_id": pl.String(),
    "recording_id": pl.String(),
    "artist_ids": pl.List(pl.String()),
    "heard_before": pl.Boolean(),
    "sampled_at": UTC,
    "last_heard_at": UTC,
    "released_on": pl.Date(),
    "markets": pl.List(pl.String()),
    "explicit": pl.Boolean(),
    "saved": pl.Boolean(),
    "plays": pl.Float32(),
    "source": pl.String(),
    "reason": pl.String(),
    "reason_ref": pl.String(),
}
_FACTS = ("recording_id", "markets", "explicit", "released_on")


def as_rows(frame: pl.DataFrame, origin: int, order_columns: list[str], extra: tuple[str, ...] = ()) -> pl.DataFrame:
    """Cast a frame to the columns of a row; missing ones become null, NaN scores too."""
    schema = COLUMNS | dict.fromkeys((c for c in order_columns if c not in COLUMNS), pl.Float32())
    return frame.select(
        *(
            _cast(frame, name, dtype) if name in frame.columns else pl.lit(None, dtype=dtype).alias(name)
            for name, dtype in schema.items()
        ),
        *extra,
        origin=pl.lit(origin, dtype=pl.Int8),
    )


def _cast(frame: pl.DataFrame, name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime) and getattr(frame.schema[name], "time_zone", "") is None:
        column = column.dt.replace_time_zone("UTC")
    column = column.cast(dtype)
    return column.fill_nan(None) if dtype == pl.Float32() else column


def popular_rows(popular: pl.DataFrame, roster: pl.DataFrame, order_columns: list[str]) -> pl.DataFrame:
    """The popular tracks of every listener's market.

    Args:
        popular: market (null or empty = everywhere), track_id, score, facts of the track.
        roster: listener_id, market.

    Returns:
        Rows of source `popular`. A listener whose market has none gets those of everywhere; without such rows, the sum
        of all markets.
    """
    popular = popular.with_columns(market=pl.col("market").fill_null(""), score=pl.col("score").cast(pl.Float64))
    everywhere = popular.filter(pl.col("market") == "")
    if everywhere.is_empty():
        # Sorted before summing, so that the sum of floats has one order.
        everywhere = (
            popular.sort("track_id", "market")
            .group_by("track_id", maintain_order=True)
            .agg(pl.col("score").sum(), pl.exclude("score", "market").first())
            .with_columns(market=pl.lit(""))
        )
        popular = pl.concat([popular, everywhere], how="diagonal_relaxed")
    known = popular["market"].unique()
    at = roster.select(
        "listener_id", market=pl.when(pl.col("market").is_in(known.implode())).then("market").otherwise(pl.lit(""))
    )
    here = at.join(popular, on="market").with_columns(
        source=pl.lit("popular"),
        reason=pl.lit("popular_in"),
        reason_ref=pl.when(pl.col("market") != "").then("market"),
        score_popular=pl.col("score").cast(pl.Float32),
    )
    return as_rows(here, POPULAR, order_columns)


def with_facts(rows: pl.DataFrame, catalog: pl.DataFrame | None, popular: pl.DataFrame | None) -> pl.DataFrame:
    """Fill in facts of carried tracks, and recordings of tracks that came without one.

    A carried track is marked `gone` if there is a catalog that does not know it and it is no candidate any more.
    """
    carried = rows.filter(pl.col("origin") == CARRIED)
    others = rows.filter(pl.col("origin") != CARRIED).with_columns(gone=pl.lit(False))
    if carried.height:
        others = pl.concat([others, _carried_facts(carried.drop(_FACTS), others, catalog)], how="diagonal_relaxed")
    unnamed = others.filter(pl.col("recording_id").is_null())
    if unnamed.is_empty():
        return others
    named = others.filter(pl.col("recording_id").is_not_null())
    return pl.concat([named, recordings(unnamed.drop("recording_id"), named, catalog, popular)], how="diagonal")


def _carried_facts(carried: pl.DataFrame, others: pl.DataFrame, catalog: pl.DataFrame | None) -> pl.DataFrame:
    mine = ["listener_id", "track_id"]
    own = others.filter(pl.col("origin") == CANDIDATE).select(*mine, *_FACTS, considered=pl.lit(True))
    own = own.join(carried, on=mine, how="semi").unique(mine)
    if catalog is None:
        return carried.join(own.drop("considered"), on=mine, how="left").with_columns(gone=pl.lit(False))
    facts = catalog.select("track_id", *(f for f in _FACTS if f in catalog.columns), known=pl.lit(True))
    facts = facts.join(carried, on="track_id", how="semi").unique("track_id")
    return (
        carried.join(facts, on="track_id", how="left")
        .join(own.select(*mine, "considered"), on=mine, how="left")
        # A catalog may be incomplete: what is a candidate today is as good as any other.
        .with_columns(gone=pl.coalesce("known", "considered").is_null())
        .drop("known", "considered")
    )


def recordings(
    pairs: pl.DataFrame, rows: pl.DataFrame, catalog: pl.DataFrame | None, popular: pl.DataFrame | None
) -> pl.DataFrame:
    """Add `recording_id` to rows of (listener_id, track_id): the catalog's, else that of the listener's own rows, else
    that of the popular tracks, else the track itself."""
    mine = ["listener_id", "track_id"]
    own = rows.select(*mine, own="recording_id").join(pairs, on=mine, how="semi").unique(mine)
    pairs = pairs.join(own, on=mine, how="left")
    places = ["own"]
    for name, frame in (("catalog", catalog), ("popular", popular)):
        if frame is not None and "recording_id" in frame.columns:
            facts = frame.select("track_id", pl.col("recording_id").alias(name)).drop_nulls()
            facts = facts.join(pairs, on="track_id", how="semi").unique("track_id")
            pairs = pairs.join(facts, on="track_id", how="left")
            places = ["catalog", *places] if name == "catalog" else [*places, name]
    return pairs.with_columns(recording_id=pl.coalesce(*places, "track_id")).drop(places)


def in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows sorted by listener and by the hash of their track, with the codes that rules and placing use.

    Adds `tie` (hash of the track), `track` (its place in the order of hashes: the order among equals) and `recording`
    (code, equal for equal recordings in this frame).
    """
    tracks = rows.select(pl.col("track_id").unique())
    tracks = (
        tracks.with_columns(pl.Series("tie", stable_hash(tracks["track_id"])))
        .sort("tie", "track_id")
        .with_row_index("track")
    )
    names = rows.select(pl.col("recording_id").unique()).with_row_index("recording")
    return (
        rows.join(tracks, on="track_id", how="left", maintain_order="left")
        .join(names, on="recording_id", how="left", maintain_order="left")
        .sort("listener", "track", "origin", maintain_order=True)
    )
