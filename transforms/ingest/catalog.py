"""The catalog, and which of its tracks are the same music.

A recording is one performance, however often it was released. Two tracks belong to one recording if they share the main
artist and the normalised title, or if they share an ISRC or a MusicBrainz id and their titles agree: they name the same
kind of version, and the words of one are all in the other. An id counts only if it is well formed, since "N/A" joins
everything; a title must agree, since ids are mistyped, reused and copied from one track of an album to the next. A track
without a title joins by its id where everyone else who carries that id agrees.

    merges     remaster, mono, stereo, explicit, clean, feat., album/single/original version, radio edit, a bare year
    stays      live, acoustic, remix, mix, cover, karaoke, instrumental, demo, extended, and whatever else is said

How titles and names are compared stands in `transforms.common.text`.

"Heard" and "unheard" are decided by recording, since a listener who knows a song does not discover its remaster
(ListenBrainz, which compares raw ids, serves remasters as discoveries). Groups are the connected components of these
relations; a component is called by the smallest hash of its track ids, so no order of input matters.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from transforms.common.hashing import hex_text, stable_hash
from transforms.common.text import name_key, normalised_title, version_words
from transforms.formats.values import well_formed_isrc, well_formed_mbid
from transforms.tables.schema import TABLES

MOST_TITLES = 20  # an id that more different titles carry is a placeholder of somebody's: only equal titles agree


def recordings(tracks: pl.DataFrame) -> pl.Series:
    """The recording of each track.

    Args:
        tracks: track_id, title, artist_ids, isrc, mbid (any but track_id may be null).

    Returns:
        `recording_id`, aligned with the input: 16 hex characters.
    """
    title = normalised_title(pl.col("title"))
    keyed = tracks.select(
        label=pl.Series(stable_hash(tracks["track_id"])),
        isrc=well_formed_isrc(pl.col("isrc")),
        mbid=well_formed_mbid(pl.col("mbid")),
        artist=name_key(pl.col("artist_ids").list.first()),
        title=pl.when(title != "").then(title),
        version=version_words(pl.col("title")),
    )
    codes = [_codes(keyed["artist"], keyed["title"], keyed["version"].fill_null(""), untitled=False)]
    for name in ("isrc", "mbid"):
        agreed = _agreed(keyed.select("title", "version", id=name))
        codes.append(_codes(keyed[name], agreed, keyed["version"], untitled=True))
    return hex_text(_components(keyed["label"].to_numpy(), codes)).alias("recording_id")


def _agreed(keyed: pl.DataFrame) -> pl.Series:
    """The title that the tracks of an id and a kind of version agree on with this one, null where none has a title.

    It is the shortest title all of whose words this one has. An untitled track takes the title of its id's plain
    versions where there is one only.

    Args:
        keyed: id, title, version.
    """
    group = ["id", "version"]
    titles = keyed.drop_nulls(["id", "title"]).select("id", "version", "title").unique()
    titles = titles.with_columns(
        agreed="title", n=pl.len().over(group), words=pl.col("title").str.split(" ").list.unique()
    )
    several = titles.filter(pl.col("n").is_between(2, MOST_TITLES))
    if several.height:
        shorter = (
            several.join(several.select(*group, other="title", theirs="words"), on=group)
            .filter(pl.col("theirs").list.set_difference("words").list.len() == 0)
            .with_columns(size=pl.col("theirs").list.len())
            .sort(*group, "title", "size", "other")
            .unique([*group, "title"], keep="first", maintain_order=True)
            .select(*group, "title", shorter="other")
        )
        titles = titles.join(shorter, on=[*group, "title"], how="left").with_columns(
            agreed=pl.coalesce("shorter", "agreed")
        )
    alone = (
        titles.filter(pl.col("version") == "")
        .group_by("id")
        .agg(n=pl.col("agreed").n_unique(), only=pl.col("agreed").min())
        .filter(pl.col("n") == 1)
    )
    joined = keyed.join(
        titles.select(*group, "title", "agreed"), on=[*group, "title"], how="left", maintain_order="left"
    ).join(alone.select("id", "only"), on="id", how="left", maintain_order="left")
    return joined.select(pl.when(pl.col("title").is_null()).then("only").otherwise("agreed")).to_series()


def _codes(ids: pl.Series, titles: pl.Series, versions: pl.Series, *, untitled: bool) -> np.ndarray:
    """Dense numbers from 1 of equal (id, title, version), 0 where there is no id (or no title, unless `untitled`)."""
    frame = pl.DataFrame({"id": ids, "title": titles, "version": versions})
    known = pl.col("id").is_not_null()
    if not untitled:
        known &= pl.col("title").is_not_null()
    distinct = frame.filter(known).unique().with_row_index("code", offset=1)
    joined = frame.join(distinct, on=["id", "title", "version"], how="left", maintain_order="left", nulls_equal=True)
    return joined["code"].fill_null(0).cast(pl.Int64).to_numpy()


def _components(labels: np.ndarray, codes: list[np.ndarray]) -> np.ndarray:
    """Smallest label in each connected component of rows that share a code in any of the columns (0 shares nothing)."""
    while True:
        before = labels
        for code in codes:
            least = np.full(int(code.max(initial=0)) + 1, np.iinfo(np.uint64).max, dtype=np.uint64)
            np.minimum.at(least, code, labels)
            labels = np.where(code > 0, least[code], labels)
        if np.array_equal(labels, before):
            return labels


def with_recordings(tracks: pl.DataFrame) -> pl.DataFrame:
    """The table `tracks`: every declared column, recordings decided over all of it, sorted by track."""
    table = TABLES["tracks"]
    full = tracks.drop("recording_id", strict=False).with_columns(
        pl.lit(None, dtype=t).alias(c)
        for c, t in table.polars.items()
        if c not in tracks.columns and c != "recording_id"
    )
    full = full.unique("track_id", keep="first", maintain_order=True).sort("track_id")
    return full.with_columns(recordings(full)).select(list(table.polars)).cast(dict(table.polars))  # type: ignore[arg-type]


def merge_tracks(before: pl.DataFrame, given: pl.DataFrame, derived: pl.DataFrame) -> pl.DataFrame:
    """The catalog after a batch.

    A row of a catalog file replaces what was known of its track; what the log says only fills what is unknown.

    Args:
        before: the newest `tracks` (may be empty).
        given: rows of the catalog file (may be empty).
        derived: track_id and what the log knows of it (may be empty).

    Returns:
        The table `tracks`, of every track in any of the three.
    """
    kept = before.drop("recording_id", strict=False).join(given.select("track_id"), on="track_id", how="anti")
    known = pl.concat([given.drop("recording_id", strict=False), kept], how="diagonal_relaxed")
    extra = [c for c in derived.columns if c != "track_id"]
    joined = known.join(derived, on="track_id", how="full", coalesce=True, suffix="_log")
    return with_recordings(
        joined.with_columns(
            pl.coalesce(c, f"{c}_log") if f"{c}_log" in joined.columns else pl.col(c) for c in extra
        ).drop([f"{c}_log" for c in extra], strict=False)
    )
