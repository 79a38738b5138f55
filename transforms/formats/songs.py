"""Ids for songs that come without one, and the names that stand beside the ids of artists.

A track without an id gets one made from artist and title, in every format alike, so that the same song played twice is
one track; an artist without an id is called by name.

    >>> songs = pl.DataFrame({"track_id": ["t1", None, None], "artist": ["Low"] * 3, "title": ["Monkey", "Monkey", " "]})
    >>> with_track_ids(songs)["track_id"].to_list()
    ['t1', 'b267e0501ee93d23', None]
"""

from __future__ import annotations

import polars as pl

from transforms.common.hashing import hex_id

ARTISTS: dict[str, pl.DataType] = {"artist_id": pl.String(), "name": pl.String(), "plays": pl.Int64()}
CATALOGS_WORD = 1 << 40  # plays that a name in a catalog is worth: more than any log has
_ITEM = "\x1f"


def with_track_ids(frame: pl.DataFrame) -> pl.DataFrame:
    """Fill missing `track_id`s with a hash of `artist` and `title`; still null where there is no title either."""
    titled = frame["title"].is_not_null() & (frame["title"].str.strip_chars() != "")
    unnamed = frame["track_id"].is_null() & titled
    if not unnamed.any():
        return frame
    songs = frame.filter(unnamed).select(pl.col("artist", "title").fill_null("")).unique(maintain_order=True)
    songs = songs.with_columns(hex_id(songs["artist"], songs["title"], purpose="track").alias("made"))
    named = frame.with_columns(_a=pl.col("artist").fill_null(""), _t=pl.col("title").fill_null("")).join(
        songs.rename({"artist": "_a", "title": "_t"}), on=["_a", "_t"], how="left", maintain_order="left"
    )
    made = pl.when(titled).then("made")
    return named.with_columns(pl.coalesce("track_id", made).alias("track_id")).drop("_a", "_t", "made")


def one_artist(identity: pl.Expr) -> pl.Expr:
    """A list of one artist; null where there is none."""
    return pl.when(identity.is_not_null()).then(pl.concat_list(identity))


def artists_of(plays: pl.DataFrame) -> pl.DataFrame:
    """What these plays call their artists: artist_id, name, plays; sums over blocks are the same however they are cut.

    Args:
        plays: artist_ids and artist_names, lists that name the same artists in the same order; where one is longer than
            the other, nobody can say whose name is whose, and the play says nothing.
    """
    if "artist_names" not in plays.columns or "artist_ids" not in plays.columns:
        return pl.DataFrame(schema=ARTISTS)
    known = plays.lazy().filter(pl.col("artist_ids").list.len() == pl.col("artist_names").list.len())
    # grouped as text first: a log has far fewer credits than plays
    credits = known.select(ids=pl.col("artist_ids").list.join(_ITEM), names=pl.col("artist_names").list.join(_ITEM))
    counted = credits.drop_nulls().group_by("ids", "names").agg(plays=pl.len().cast(pl.Int64))
    pairs = counted.with_columns(pl.col("ids", "names").str.split(_ITEM)).explode("ids", "names")
    return add_artists([pairs.select(artist_id="ids", name=pl.col("names").str.strip_chars(), plays="plays").collect()])


def add_artists(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Counts of several blocks as one: artist_id, name, plays; sorted."""
    every = pl.concat([pl.DataFrame(schema=ARTISTS), *parts])
    known = every.filter((pl.col("artist_id") != "") & (pl.col("name") != ""))
    return known.group_by("artist_id", "name").agg(pl.col("plays").sum()).sort("artist_id", "name")
