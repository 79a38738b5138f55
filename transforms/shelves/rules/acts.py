"""What the listener said: blocked and disliked tracks with their recording, blocked artists on any credit, what they own."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from transforms.shelves.feedback import BLOCKED, BLOCKED_ARTIST, DISLIKED, OWNED
from transforms.shelves.rules.reads import Facts
from transforms.shelves.rules.registry import Parameters, rule


class Which(Parameters):
    """What happens to such tracks."""

    keep: Literal["others", "these"] = Field("others", description="which tracks stay: all others, or these alone")


@rule("blocked_track", "the listener blocked this recording", always=True)
def blocked_track(facts: Facts, _: Parameters, shelf_id: str) -> np.ndarray:
    """A blocked track takes its whole recording with it."""
    return facts.act(BLOCKED)


@rule("disliked", "the listener disliked this recording", always=True)
def disliked(facts: Facts, _: Parameters, shelf_id: str) -> np.ndarray:
    """So does a disliked one."""
    return facts.act(DISLIKED)


@rule("blocked_artist", "the listener blocked an artist who is credited on it", always=True)
def blocked_artist(facts: Facts, _: Parameters, shelf_id: str) -> np.ndarray:
    """Any credit counts, not only the first."""
    return facts.artist_act(BLOCKED_ARTIST)


@rule("owned", "whether the listener owns the recording", Which, again=True)
def owned(facts: Facts, which: Which, shelf_id: str) -> np.ndarray:
    """Recordings that the listener owns, or all others."""
    return facts.act(OWNED) == (which.keep == "others")


@rule("saved", "whether the listener saved or liked the track", Which)
def saved(facts: Facts, which: Which, shelf_id: str) -> np.ndarray:
    """Saved or liked tracks, or all others."""
    return (facts.column("saved") > 0) == (which.keep == "others")
