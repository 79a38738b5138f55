"""Kinds of feedback (table `feedback`) that shelves read."""

from __future__ import annotations

BLOCKED, DISLIKED, OWNED = "block_track", "dislike", "own"
BLOCKED_ARTIST, FOLLOWED_ARTIST = "block_artist", "follow_artist"
ON_TRACKS = (BLOCKED, DISLIKED, OWNED)
ON_ARTISTS = (BLOCKED_ARTIST, FOLLOWED_ARTIST)
