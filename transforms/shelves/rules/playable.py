"""What can be played at all: still there, in the listener's market, explicit only where allowed, released by the night."""

from __future__ import annotations

import numpy as np

from transforms.shelves.rules.reads import Facts
from transforms.shelves.rules.registry import Parameters, rule


@rule("gone", "the catalog no longer has the track", always=True)
def gone(facts: Facts, _: Parameters, shelf_id: str) -> np.ndarray:
    """What stood on a carried shelf, left the catalog and is no candidate any more."""
    return facts.gone


@rule("market", "not playable in the listener's market", always=True)
def market(facts: Facts, _: Parameters, shelf_id: str) -> np.ndarray:
    """A track without markets plays everywhere, and to a listener without a market everything plays."""
    return facts.elsewhere


@rule("explicit", "explicit, which the listener does not want", always=True)
def explicit(facts: Facts, _: Parameters, shelf_id: str) -> np.ndarray:
    """Explicit tracks, for listeners who do not allow them."""
    return facts.tracks.explicit[facts.track] & ~facts.explicit_ok[facts.listener]


@rule("unreleased", "not released by the night", always=True)
def unreleased(facts: Facts, _: Parameters, shelf_id: str) -> np.ndarray:
    """What is released after the night waits; an unknown date is no reason."""
    return facts.tracks.released[facts.track] > facts.night_number
