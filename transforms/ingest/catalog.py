"""The catalog, and which of its tracks are the same music.

A recording is one performance, however often it was released. Two tracks belong to one recording if they share an
ISRC or a MusicBrainz id and their titles are compatible (they name the same kind of version), or if they share the
main artist and the normalised title. What a title says in brackets or after a dash decides:

    merges     remaster, mono, stereo, explicit, clean, feat., album/single/original version, radio edit, a bare year
    stays      live, acoustic, remix, mix, cover, karaoke, instrumental, demo, extended, and whatever else is said

    >>> titles = ["Help!", "Help! - 2009 Remaster", "Help (Live)", "Café (feat. Ann)", "CAFE"]
    >>> pl.DataFrame({"t": titles}).select(normalised_title(pl.col("t"))).to_series().to_list()
    ['help', 'help', 'help live', 'cafe', 'cafe']

"Heard" and "unheard" are decided by recording, since a listener who knows a song does not discover its remaster
(ListenBrainz, which compares raw ids, serves remasters as discoveries). Groups are the connected components of these
relations; a component is called by the smallest hash of its track ids, so no order of input matters.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from transforms.common.hashing import stable_hash
from transforms.ingest.cleaning import hex_text
from transforms.tables.schema import TABLES

_YEAR = r"(?:19|20)\d\d"
_REMASTER = (
    rf"(?:{_YEAR} )?(?:(?:digital|digitally|newly|original|mono|stereo|\d+th anniversary) )*re ?master(?:ed|s|ing)?"
    rf"(?: (?:version|edition|mono|stereo|album|single|in|for|from|{_YEAR}|\d{{1,2}} bit))*"
)
_PLAIN = (
    rf"{_YEAR}|{_REMASTER}|(?:{_YEAR} )?(?:mono|stereo)(?: (?:version|mix|{_YEAR}))*"
    r"|(?:explicit|clean|censored|uncensored|dirty)(?: (?:album|single|lp))?(?: version)?"
    r"|(?:the )?(?:original )?(?:album|single|lp|radio|original)(?: (?:version|edit|mix))?"
    r"|bonus(?: track)?|(?:super )?deluxe(?: (?:edition|version))?"
    r"|(?:feat|ft|featuring) [^()\[\]{}]+"
)
_VERSION = (
    r"\b(live|unplugged|acoustic|remix|remixed|rmx|mix|cover|karaoke|instrumental|demo|acapella|a cappella|orchestral"
    r"|extended|dub|reprise|sped up|slowed|nightcore|session|sessions|rehearsal|outtake|alternate|take|edit|rework"
    r"|bootleg|piano|strings|taylors version|re recorded|rerecorded|medley)\b"
)
_DASH = r"\s+[-–—]\s+([^()\[\]{}–—]*?)\s*((?:[(\[{][^()\[\]{}]*[)\]}]\s*)*)$"
_BARE_FEAT = r"\s(?:feat\.|ft\.|featuring\s|feat\s)[^()\[\]{}]*"
_BRACKETS = r"[(\[{]([^()\[\]{}]*)[)\]}]"


def folded(text: pl.Expr) -> pl.Expr:
    """Lower case without Latin accents: "Björk" and "bjork" are one name; other scripts keep their marks.

    Control characters, which broken tags carry, count as spaces.
    """
    latin = text.str.replace_all(r"\p{Cc}+", " ").str.normalize("NFKD").str.replace_all(r"[\u{0300}-\u{036F}]", "")
    return latin.str.normalize("NFKC").str.to_lowercase().str.replace_all("ß", "ss")


def _bracketed(title: pl.Expr) -> pl.Expr:
    """Folded title with what follows a dash in brackets, and without its plain qualifiers."""
    out = folded(title).str.replace_all("[’'`´]", "").str.replace_all("&", " and ").str.strip_chars()
    for _ in range(3):
        out = out.str.replace(_DASH, " (${1}) ${2}")
    out = out.str.replace(_BARE_FEAT, " ")
    spaced = out.str.replace_all(r"([(\[{])\s+", "${1}").str.replace_all(r"[-./:,\s]+", " ")
    spaced = spaced.str.replace_all(r"\s+([)\]}])", "${1}")
    return spaced.str.replace_all(rf"[(\[{{](?:{_PLAIN})(?: (?:{_PLAIN}))*[)\]}}]", " ")


def normalised_title(title: pl.Expr) -> pl.Expr:
    """Words of a title without its plain qualifiers; of a title without any letter or digit, the title itself."""
    words = _bracketed(title).str.replace_all(r"[^\p{L}\p{N}\p{M}]+", " ").str.strip_chars()
    return pl.when(words != "").then(words).otherwise(folded(title).str.strip_chars())


def version_words(title: pl.Expr) -> pl.Expr:
    """The kinds of version named in brackets or after a dash, sorted and joined; empty for a plain title or none."""
    said = _bracketed(title).str.extract_all(_BRACKETS).list.join(" ")
    return said.str.extract_all(_VERSION).list.unique().list.sort().list.join(" ").fill_null("")


def recordings(tracks: pl.DataFrame) -> pl.Series:
    """The recording of each track.

    Args:
        tracks: track_id, title, artist_ids, isrc, mbid (any but track_id may be null).

    Returns:
        `recording_id`, aligned with the input: 16 hex characters.
    """
    titled = pl.col("title").str.strip_chars() != ""
    isrc = pl.col("isrc").str.to_uppercase().str.replace_all(r"[^A-Z0-9]", "")
    mbid = pl.col("mbid").str.to_lowercase().str.strip_chars()
    artist = pl.col("artist_ids").list.first()
    words = version_words(pl.col("title"))
    keyed = tracks.select(
        label=pl.Series(stable_hash(tracks["track_id"])),
        by_isrc=pl.when(isrc != "").then(pl.struct(isrc.alias("id"), words.alias("words"))),
        by_mbid=pl.when(mbid != "").then(pl.struct(mbid.alias("id"), words.alias("words"))),
        by_title=pl.when(titled & (artist != "")).then(
            pl.struct(artist.alias("id"), normalised_title(pl.col("title")).alias("words"))
        ),
    )
    codes = [_codes(keyed[k]) for k in ("by_isrc", "by_mbid", "by_title")]
    return hex_text(_components(keyed["label"].to_numpy(), codes)).alias("recording_id")


def _codes(keys: pl.Series) -> np.ndarray:
    """Dense numbers from 1 of equal keys, 0 for null."""
    frame = pl.DataFrame({"id": keys.struct.field("id"), "words": keys.struct.field("words")})
    known = pl.col("id").is_not_null()
    distinct = frame.filter(known).unique().with_row_index("code", offset=1)
    joined = frame.join(distinct, on=["id", "words"], how="left", maintain_order="left", nulls_equal=True)
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
