"""What listeners say outright, and what of it stands: every act can be undone.

An act concerns a track, an artist or plays; the last word on each counts. An act that undoes another names the same
target, and some acts end their opposite: a like ends a dislike, and a block of an artist ends following them. Following
does not end a block, which takes its own undoing. Names of artists are compared by `name_key`.

    ann  like    t1  day 1                 standing as of day 3:
    ann  unlike  t1  day 2                     ann  save  t1
    ann  save    t1  day 1                     ann  follow_artist  Low
    ann  follow_artist  Low  day 3

    >>> pl.select(kind_of(pl.lit(" Block-Artist "))).item(), pl.select(kind_of(pl.lit("ban_artist"))).item()
    ('block_artist', None)

What acts change: `save`, `like` and `own` put a track into the library; `own`, `dislike`, `block_track` and `block_artist` keep
tracks off shelves; what is disliked or blocked says nothing of taste any more, while it stays heard; `dislike` also takes
from its artists and `follow_artist` gives to one (`transforms.candidates.artists`).
"""

from __future__ import annotations

import polars as pl

from transforms.common.text import name_key
from transforms.tables.schema import TABLES

OF_TRACKS = ("save", "like", "dislike", "block_track", "own")
OF_ARTISTS = ("block_artist", "follow_artist")
OF_PLAYS = ("exclude_from_taste",)
UNDOES = {
    "unsave": "save",
    "unlike": "like",
    "undislike": "dislike",
    "unblock_track": "block_track",
    "unown": "own",
    "unblock_artist": "block_artist",
    "unfollow_artist": "follow_artist",
    "include_in_taste": "exclude_from_taste",
}
ENDS = {"like": "dislike", "dislike": "like", "block_artist": "follow_artist"}
SAVING = ("save", "like", "own")
UNWANTED = ("dislike", "block_track")
UNKNOWN = "unknown_kind"  # why an act of another kind is refused
KINDS = (*OF_TRACKS, *OF_ARTISTS, *OF_PLAYS, *UNDOES)
SPELLINGS = {"unfollow": "unfollow_artist", "follow": "follow_artist", "un_own": "unown", "disown": "unown"}
COUNTS = ("plays", "heard", "completions", "skips")


def kind_of(text: pl.Expr) -> pl.Expr:
    """The kind of an act, forgiving blanks, case and hyphens; null for one that is not known."""
    name = text.str.strip_chars().str.to_lowercase().str.replace_all(r"[\s_-]+", "_").replace(SPELLINGS)
    return pl.when(name.is_in(KINDS)).then(name)


def _words(feedback: pl.DataFrame) -> pl.DataFrame:
    """Every word on a kind of act and its target, in time: `kind`, `key`, `target`, `at`, `stands`."""
    said = feedback.select("listener_id", "kind", "target", "at")
    undone = said.filter(pl.col("kind").is_in(UNDOES)).with_columns(pl.col("kind").replace_strict(UNDOES))
    ended = said.filter(pl.col("kind").is_in(ENDS)).with_columns(pl.col("kind").replace_strict(ENDS))
    words = pl.concat(
        [
            said.filter(~pl.col("kind").is_in(UNDOES)).with_columns(stands=pl.lit(True)),
            undone.with_columns(stands=pl.lit(False)),
            ended.with_columns(stands=pl.lit(False)),
        ]
    )
    of_artist = pl.col("kind").is_in(OF_ARTISTS)
    return words.with_columns(key=pl.when(of_artist).then(name_key(pl.col("target"))).otherwise("target"))


def standing(feedback: pl.DataFrame) -> pl.DataFrame:
    """The acts that stand after all of these: the last word on each kind and target; of words at one moment, the act.

    Args:
        feedback: listener_id, kind, target, at, of any dates up to the night, in any order.

    Returns:
        listener_id, kind, target, at; each kind and target once, sorted.
    """
    last = (
        _words(feedback)
        .sort("at", "stands", "target")
        .group_by("listener_id", "kind", "key")
        .agg(pl.col("target", "at", "stands").last())
    )
    return last.filter("stands").select("listener_id", "kind", "target", "at").sort("listener_id", "kind", "target")


def settled(library: pl.DataFrame, feedback: pl.DataFrame) -> pl.DataFrame:
    """The library with `saved` as it stands: a pair that was saved, liked or owned once and is so no more is not saved.

    The stored library keeps that a pair was ever saved, so that days can be added up in any order. A pair that was only
    saved, never played, and is so no more has no row.

    Args:
        library: table `library`, one row a pair.
        feedback: see `standing`.
    """
    pair = ["listener_id", "track_id"]
    ever = feedback.with_columns(pl.col("kind").replace(UNDOES)).filter(pl.col("kind").is_in(SAVING))
    still = standing(feedback).filter(pl.col("kind").is_in(SAVING))
    pairs = ever.select("listener_id", track_id="target").unique()
    gone = pairs.join(still, left_on=pair, right_on=["listener_id", "target"], how="anti").with_columns(
        gone=pl.lit(True)
    )
    if not gone.height:
        return library
    marked = library.join(gone, on=pair, how="left", maintain_order="left")
    left = marked.with_columns(saved=pl.col("saved") & pl.col("gone").is_null())
    return left.filter((pl.col("plays") > 0) | pl.col("saved")).select(library.columns)


def unwanted(acts: pl.DataFrame, tracks: pl.DataFrame | None = None) -> pl.DataFrame:
    """listener_id, track_id of everything a listener disliked or blocked, each track with all of its recording.

    Args:
        acts: `standing`.
        tracks: track_id, recording_id, artist_ids of the catalog; None: only the tracks that acts name.
    """
    of_track = acts.filter(pl.col("kind").is_in(UNWANTED)).select("listener_id", track_id="target")
    if tracks is None:
        return of_track.unique().sort("listener_id", "track_id")
    named = tracks.select("track_id", pl.coalesce("recording_id", "track_id").alias("recording_id"))
    known = of_track.join(named, on="track_id").select("listener_id", "recording_id").unique()
    whole = known.join(named, on="recording_id").select("listener_id", "track_id")
    blocked = acts.filter(pl.col("kind") == "block_artist").select("listener_id", artist=name_key(pl.col("target")))
    parts = [of_track, whole]
    if blocked.height:
        credits = tracks.select("track_id", artist="artist_ids").explode("artist").drop_nulls("artist")
        credits = credits.with_columns(name_key(pl.col("artist"))).join(blocked.select("artist").unique(), on="artist")
        parts.append(blocked.join(credits, on="artist").select("listener_id", "track_id"))
    return pl.concat(parts).unique().sort("listener_id", "track_id")


def without_pairs(library: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """A library in which these pairs say nothing of taste: no plays, not saved, while `known` keeps what was heard.

    Args:
        library: as `exclusions.taste` gives it, with `known`.
        pairs: listener_id, track_id, each once.
    """
    marked = library.join(
        pairs.with_columns(_out=pl.lit(True)), on=["listener_id", "track_id"], how="left", maintain_order="left"
    )
    schema = TABLES["library"].polars
    nothing = {
        **{c: pl.lit(0, dtype=schema[c]) for c in COUNTS},
        "saved": pl.lit(False),
        "latest": pl.lit([], dtype=schema["latest"]),
    }
    out = pl.col("_out").is_not_null()
    return marked.with_columns(pl.when(out).then(v).otherwise(pl.col(c)).alias(c) for c, v in nothing.items()).drop(
        "_out"
    )


def plays_of(sessions: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """The plays in sessions of these pairs, as table `exclusions` holds plays.

    Args:
        sessions: columns listener_id and tracks at least.
        pairs: listener_id, track_id, each once.
    """
    mine = sessions.join(pairs.select("listener_id").unique(), on="listener_id", how="semi")
    plays = mine.select("listener_id", "tracks").explode("tracks").drop_nulls("tracks").unnest("tracks")
    found = plays.join(pairs, on=["listener_id", "track_id"], how="semi")
    found = found.with_columns(target=pl.lit(None, dtype=pl.String))
    return found.select(pl.col(c).cast(kind) for c, kind in TABLES["exclusions"].polars.items())
