"""What listeners say outright: the kinds of act that table `feedback` knows, and how each is spelt.

>>> pl.select(kind_of(pl.lit(" Block-Artist "))).item(), pl.select(kind_of(pl.lit("ban_artist"))).item()
('block_artist', None)
"""

from __future__ import annotations

import polars as pl

OF_TRACKS = ("save", "like", "dislike", "block_track", "own")
OF_ARTISTS = ("block_artist", "follow_artist")
OF_PLAYS = ("exclude_from_taste",)
UNKNOWN = "unknown_kind"  # why an act of another kind is refused
KINDS = (*OF_TRACKS, *OF_ARTISTS, *OF_PLAYS)


def kind_of(text: pl.Expr) -> pl.Expr:
    """The kind of an act, forgiving blanks, case and hyphens; null for one that is not known."""
    name = text.str.strip_chars().str.to_lowercase().str.replace_all(r"[\s_-]+", "_")
    return pl.when(name.is_in(KINDS)).then(name)
