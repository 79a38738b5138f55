"""Caps: rules that are kept while a shelf is filled, since they depend on what was placed before.

A collaboration counts for each of its artists: caps that count only the first let an artist return through features.
"""

from __future__ import annotations

from pydantic import Field

from transforms.shelves.rules.registry import Parameters, Rule, add


class Most(Parameters):
    """How many."""

    most: int = Field(2, ge=1, le=500, description="tracks, items and spares together")


ARTIST_CAP = add(Rule("artist_cap", "enough of one of its artists on the shelf", Most))
ALBUM_CAP = add(Rule("album_cap", "enough of its album on the shelf", Most))
TAG_CAP = add(Rule("tag_cap", "enough of one of its tags on the shelf", Most))
ONE_SONG = add(Rule("one_song", "another version of the song (live, a remix) is on the shelf"))
