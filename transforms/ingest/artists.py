"""Names of artists beside their ids: what logs and catalogs call them, as one name and its other spellings.

A log says a name with every play, and may spell it in several ways; the one that most plays carry is the name, and of the
others those that `name_key` tells apart are aliases. A catalog's word (`artist_names` beside `artist_ids`) outweighs any
number of plays. A name that is known stays, unless a catalog says another, so that shelves do not change their spelling
with every batch.

    >>> said = pl.DataFrame({"artist_id": ["q"] * 3, "name": ["Queen", "QUEEN", "Queen + Adam"], "plays": [5, 9, 1]})
    >>> merge_artists(None, said).rows()
    [('q', 'QUEEN', ['Queen + Adam'])]
"""

from __future__ import annotations

import polars as pl

from transforms.common.text import name_key
from transforms.formats.songs import CATALOGS_WORD, add_artists
from transforms.tables.schema import TABLES


def merge_artists(before: pl.DataFrame | None, said: pl.DataFrame) -> pl.DataFrame:
    """Table `artists` after a batch.

    Args:
        before: the newest table (None: there is none).
        said: artist_id, name, plays; of a catalog, plays are at least CATALOGS_WORD.
    """
    known = TABLES["artists"].empty() if before is None else before
    kept = [
        known.select("artist_id", "name", weight=pl.lit(CATALOGS_WORD - 1, dtype=pl.Int64)),
        known.select("artist_id", name="aliases", weight=pl.lit(0, dtype=pl.Int64)).explode("name").drop_nulls("name"),
        add_artists([said]).select("artist_id", "name", weight="plays"),
    ]
    spelt = pl.concat(kept).with_columns(key=name_key(pl.col("name"))).drop_nulls("key")
    spelt = spelt.sort("artist_id", "weight", "name", descending=[False, True, False])
    each = spelt.unique(["artist_id", "key"], keep="first", maintain_order=True)
    named = each.group_by("artist_id", maintain_order=True).agg(
        name=pl.col("name").first(), aliases=pl.col("name").slice(1).sort()
    )
    return named.select(list(TABLES["artists"].polars)).sort("artist_id")


def with_artist_names(tracks: pl.DataFrame, artists: pl.DataFrame | None) -> pl.DataFrame:
    """Add `artist_names` to rows of table `tracks`: the name of each of `artist_ids`, the id where nobody says one.

    Args:
        tracks: track_id and artist_ids at least.
        artists: table `artists`; None: every artist is called by id.
    """
    if artists is None or not artists.height:
        return tracks.with_columns(artist_names="artist_ids")
    credits = tracks.select("artist_ids").unique().drop_nulls()
    names = (
        credits.with_row_index("_n")
        .with_columns(artist_id="artist_ids")
        .explode("artist_id")
        .join(artists.select("artist_id", "name"), on="artist_id", how="left", maintain_order="left")
        .group_by("_n", maintain_order=True)
        .agg(pl.col("artist_ids").first(), artist_names=pl.coalesce("name", "artist_id").drop_nulls())
        .drop("_n")
    )
    return tracks.join(names, on="artist_ids", how="left", maintain_order="left")
