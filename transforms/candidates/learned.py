"""What the ranker's features read of everything learned from other listeners.

Nothing here holds a listener: neighbours and weights are of tracks, popularity is of tracks and markets, clusters are sums.
All are as of one fit date, which may be earlier than the night that is scored.
"""

from __future__ import annotations

from dataclasses import dataclass

from transforms.candidates.neighbours import Neighbours
from transforms.candidates.popular import Popularity
from transforms.candidates.similar_listeners import Clusters


@dataclass(frozen=True)
class Learned:
    """Three fitted parts over one vocabulary."""

    neighbours: Neighbours
    popularity: Popularity
    clusters: Clusters
