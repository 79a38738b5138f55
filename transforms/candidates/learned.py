"""Everything learned from other listeners, fitted once and loaded where listeners are scored.

Nothing here holds a listener: neighbours and weights are of tracks, popularity is of tracks and markets, clusters
are sums. All are as of one fit date, which may be earlier than the night that is scored.

    >>> Learned(neighbours, popularity, clusters).save("model/candidates")
    >>> sources = made_of([Popular, CoSessions], SourceInputs(catalog, as_of, Learned.load("model/candidates").parts()))
    >>> [source.name for source in sources]
    ['co_sessions', 'popular']
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy import sparse

from transforms.candidates.adjacent_artists import Adjacency
from transforms.candidates.neighbours import Neighbours
from transforms.candidates.popular import Popularity
from transforms.candidates.similar_listeners import Clusters
from transforms.common.arrays import from_csr, load_arrays, save_arrays, to_csr

FILES = ("neighbours.npz", "popularity.npz", "clusters.npz", "ease.npz", "artists.npz")


@dataclass(frozen=True)
class Learned:
    """Fitted artefacts over one vocabulary; `ease` and `adjacency` are None where they were not asked for or known."""

    neighbours: Neighbours
    popularity: Popularity
    clusters: Clusters
    ease: sparse.csr_matrix | None = None
    adjacency: Adjacency | None = None

    def save(self, directory: str | Path) -> None:
        """Write one file for each artefact into a new or existing folder; equal artefacts give equal bytes."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        first, second, third, fourth, fifth = (folder / name for name in FILES)
        self.neighbours.save(first)
        self.popularity.save(second)
        self.clusters.save(third)
        if self.ease is not None:
            save_arrays(fourth, from_csr("weights", self.ease))
        if self.adjacency is not None:
            self.adjacency.save(fifth)

    @classmethod
    def load(cls, directory: str | Path) -> Learned:
        """Read what `save` wrote."""
        first, second, third, fourth, fifth = (Path(directory) / name for name in FILES)
        ease = to_csr("weights", load_arrays(fourth)) if fourth.exists() else None
        near = Adjacency.load(fifth) if fifth.exists() else None
        return cls(Neighbours.load(first), Popularity.load(second), Clusters.load(third), ease, near)

    def parts(self) -> dict[str, Any]:
        """By name of the part, as `SourceInputs` takes them; one that is None is not there."""
        found = {
            "neighbours": self.neighbours,
            "popularity": self.popularity,
            "clusters": self.clusters,
            "ease": self.ease,
            "adjacent_artists": self.adjacency,
        }
        return {name: part for name, part in found.items() if part is not None}
