"""Every source of candidates, listed once. A new source is a file in `transforms.candidates` and a line here."""

from __future__ import annotations

from transforms.candidates.adjacent_artists import AdjacentArtists
from transforms.candidates.albums import Albums
from transforms.candidates.als import Als
from transforms.candidates.artists import Artists, NewReleases
from transforms.candidates.base import Source
from transforms.candidates.co_sessions import CoSessions, LastSession
from transforms.candidates.content import Content
from transforms.candidates.ease import Ease
from transforms.candidates.library import Library
from transforms.candidates.next_in_session import NextInSession
from transforms.candidates.next_tracks import NextTracks
from transforms.candidates.popular import Popular
from transforms.candidates.rediscover import Rediscover
from transforms.candidates.sequence import Sequence
from transforms.candidates.similar_listeners import SimilarListeners
from transforms.candidates.two_tower import TwoTower

SOURCES: tuple[type[Source], ...] = (
    Als,
    TwoTower,
    Sequence,
    CoSessions,
    LastSession,
    NextTracks,
    Ease,
    SimilarListeners,
    Artists,
    AdjacentArtists,
    Albums,
    NewReleases,
    Content,
    Rediscover,
    Popular,
    Library,
    NextInSession,
)


def unranked_sources() -> frozenset[str]:
    """Names of the sources whose scores no ranker weighs."""
    return frozenset(kind.name for kind in SOURCES if not kind.ranked)


def by_name() -> dict[str, type[Source]]:
    """Every source by its name."""
    return {kind.name: kind for kind in SOURCES}
