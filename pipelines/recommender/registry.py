"""What is fitted and what finds candidates, each listed once.

A fitted part is a file in `pipelines.recommender.parts` and a line in PARTS; it names the sources that are made of it. A source
that nothing is fitted for is a file in `transforms.candidates` and a line in SOURCES. A package of one's own brings both as
a plugin (`transforms.common.plugins`).
"""

from __future__ import annotations

from pipelines.recommender.parts.adjacent_artists import AdjacentArtistsPart
from pipelines.recommender.parts.als import AlsPart
from pipelines.recommender.parts.base import Part
from pipelines.recommender.parts.clusters import ClustersPart
from pipelines.recommender.parts.ease import EasePart
from pipelines.recommender.parts.generative import GenerativePart
from pipelines.recommender.parts.neighbours import NeighboursPart
from pipelines.recommender.parts.next_in_session import NextInSessionPart
from pipelines.recommender.parts.popularity import PopularityPart
from pipelines.recommender.parts.sequence import SequencePart
from pipelines.recommender.parts.signals import SignalsPart
from pipelines.recommender.parts.two_tower import TwoTowerPart
from transforms.candidates.albums import Albums
from transforms.candidates.artists import NewReleases
from transforms.candidates.base import Source
from transforms.candidates.content import Content
from transforms.candidates.library import Library
from transforms.candidates.rediscover import Rediscover
from transforms.common import plugins

PARTS: tuple[type[Part], ...] = (  # a part stands after those that its fit reads
    AlsPart,
    ClustersPart,
    NeighboursPart,
    PopularityPart,
    EasePart,
    AdjacentArtistsPart,
    TwoTowerPart,
    SequencePart,
    GenerativePart,
    NextInSessionPart,
    SignalsPart,
)
SOURCES: tuple[type[Source], ...] = (Albums, NewReleases, Content, Rediscover, Library)


def parts() -> tuple[type[Part], ...]:
    """Every fitted part: ours in order of dependency, then those of plugins."""
    return plugins.all_of("parts", PARTS)


def sources() -> tuple[type[Source], ...]:
    """Every source: those that are made of a part, the others, then those of plugins."""
    own = (*(source for part in parts() for source in part.sources), *SOURCES)
    return plugins.all_of("sources", own)


def unranked_sources() -> frozenset[str]:
    """Names of the sources whose scores no ranker weighs."""
    return frozenset(kind.name for kind in sources() if not kind.ranked)


def read_by() -> dict[str, tuple[str, ...]]:
    """Of every part, the names of the sources that read it."""
    return {part.name: tuple(source.name for source in part.sources) for part in parts()}
