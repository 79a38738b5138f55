"""Everything learned from other listeners, fitted once and loaded where listeners are scored.

Nothing here holds a listener: neighbours and weights are of tracks, popularity is of tracks and markets, clusters
are sums. All are as of one fit date, which may be earlier than the night that is scored.

    >>> Learned(neighbours, popularity, clusters).save("model/candidates")
    >>> sources = default_sources(Learned.load("model/candidates"), catalog, as_of, [als_source(fold_in, vectors)])
    >>> [source.name for source in sources][:3]
    ['als', 'co_sessions', 'last_session']
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from scipy import sparse

from transforms.candidates.adjacent_artists import Adjacency, AdjacentArtists
from transforms.candidates.albums import Albums
from transforms.candidates.artists import artist_tracks, new_releases
from transforms.candidates.base import Source
from transforms.candidates.blocks import Catalog
from transforms.candidates.co_sessions import CoSessions, last_session
from transforms.candidates.content import Content
from transforms.candidates.ease import Ease
from transforms.candidates.library import Library
from transforms.candidates.neighbours import Neighbours
from transforms.candidates.next_tracks import NextTracks
from transforms.candidates.popular import Popular, Popularity
from transforms.candidates.rediscover import Rediscover
from transforms.candidates.settings import SourceSettings
from transforms.candidates.similar_listeners import Clusters, SimilarListeners
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


def default_sources(
    learned: Learned,
    catalog: Catalog,
    as_of: date,
    dense: Sequence[Source] = (),
    settings: SourceSettings | None = None,
) -> list[Source]:
    """Every source of a night, in the order that settles ties between them.

    Args:
        learned: fitted artefacts.
        catalog: aligned to the same vocabulary; a source whose columns it lacks is left out.
        as_of: the night (for what counts as a new release).
        dense: sources made of models: `als_source(...)`, `two_tower_source(...)`, `sequence_source(...)`.
        settings: which of the sources that are not fitted are asked.
    """
    settings, plays = settings or SourceSettings(), learned.popularity.plays
    sources: list[Source] = [
        *dense,
        CoSessions(learned.neighbours),
        last_session(learned.neighbours),
        NextTracks(learned.neighbours),
        *([Ease(learned.ease)] if learned.ease is not None else []),
        SimilarListeners(learned.clusters),
    ]
    if catalog.artists.shape[1] and settings.artists:
        sources.append(artist_tracks(catalog, plays))
    if catalog.artists.shape[1] and learned.adjacency is not None:
        sources.append(AdjacentArtists(catalog, learned.adjacency.aligned(catalog), plays))
    if (catalog.album >= 0).any() and settings.albums:
        sources.append(Albums(catalog))
    if catalog.artists.shape[1] and settings.new_releases:
        sources.append(new_releases(catalog, as_of, settings.new_for_days))
    if (catalog.artists.shape[1] or catalog.tags.shape[1]) and settings.content:
        sources.append(Content(catalog, plays, settings.content_tracks))
    if settings.rediscover:
        sources.append(Rediscover(settings.rest_days))
    return [*sources, Popular(learned.popularity), Library()]
