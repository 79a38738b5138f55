"""Everything a night learns from other listeners, fitted together over one vocabulary, saved and loaded as one folder.

    vocabulary.parquet  als/  two_tower/  sequence/  neighbours.npz  clusters.npz  popularity.npz  artists.npz
    next_in_session.npz

This is a place to put parts together: what each part means stands in `models` and `transforms.candidates`. It runs without
Beam, so that the same fit can be made in a notebook.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field
from scipy import sparse

from models.checkpoints import Checkpoints
from models.clusters import ClusterSettings
from models.settings import AlsSettings, HistorySettings, SequenceSettings, TwoTowerSettings
from models.vocabulary import Vocabulary
from pipelines.recommender.registry import SOURCES
from transforms.candidates.adjacent_artists import AdjacencySettings, fit_adjacency
from transforms.candidates.base import Source, SourceInputs, TopK, made_of
from transforms.candidates.blocks import Block, Catalog
from transforms.candidates.ease import EaseSettings, fit_ease
from transforms.candidates.learned import Learned
from transforms.candidates.neighbours import NeighbourSettings, fit_neighbours
from transforms.candidates.popular import Audience, fit_popularity
from transforms.candidates.settings import ContinueSettings, SourceSettings
from transforms.candidates.similar_listeners import ProfileSettings, fit_clusters
from transforms.common.clock import Clock
from transforms.common.errors import UserError
from transforms.next_in_session.fitted import NextModel, NextModelSettings
from transforms.next_in_session.sample import as_log, in_time

READ_WHEN_SCORING = ("history", "use_next_in_session", "next_in_session")  # of ModelSettings, by `Fitted.load`


class ModelSettings(BaseModel):
    """Settings of everything that is fitted before scoring."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    als: AlsSettings = Field(AlsSettings(), description="iALS")
    two_tower: TwoTowerSettings = Field(TwoTowerSettings(), description="two-tower retrieval")
    use_two_tower: bool = Field(True, description="train the two-tower model")
    sequence: SequenceSettings = Field(
        SequenceSettings(
            layers=1,
            length=50,
            epochs=1,
            batch=64,
            positions=1.0,
            negatives=256,
            full_softmax=2000,
            windows=3072,
            warm_up=10,
            learning_rate=3e-3,
        ),
        description="the sequence model, trained for seconds; more windows and epochs pay with a larger audience",
    )
    use_sequence: bool = Field(True, description="train the sequence model")
    use_next_in_session: bool = Field(True, description="learn how sessions go on, for `now-playing`")
    next_in_session: NextModelSettings = Field(NextModelSettings(), description="what is learned of sessions")
    history: HistorySettings = Field(HistorySettings(), description="histories as the two-tower model reads them")
    neighbours: NeighbourSettings = Field(NeighbourSettings(), description="track-to-track neighbours")
    use_ease: bool = Field(False, description="fit the source `ease`; the ranker gained nothing from it where measured")
    ease: EaseSettings = Field(EaseSettings(), description="what predicts a track within its neighbourhood")
    use_adjacent_artists: bool = Field(
        False,
        description="fit the source `adjacent_artists`; it finds more, but the order gained nothing where measured",
    )
    adjacency: AdjacencySettings = Field(AdjacencySettings(), description="what makes artists near")
    clusters: ClusterSettings = Field(
        ClusterSettings(clusters=4096, listeners_per_cluster=3), description="clusters of listeners"
    )
    profiles: ProfileSettings = Field(ProfileSettings(), description="what is kept of a cluster")
    sample_listeners: int = Field(2_000_000, ge=1, description="listeners learned from at most, a hashed sample")


@dataclass(frozen=True)
class Evidence:
    """What a fit reads, all of it as of the fit date.

    Attributes:
        library: `listener` (uint64 hash), `track_id`, `value` (plays heard, plus one if saved), one row a pair, sorted by
            listener; where known `recency`, what the pair counts in popularity (halved with every half-life; else 1).
        plays: `listener`, `session` (int, grows with time), `track_id`, `started_at` where known, in order of play.
        tracks: table `tracks`.
        markets: `listener`, `market` of listeners whose market is known.
        pairs: the co-listens window; stats, recent: the track-statistics window, slow and fast half-life.
        sample: table `session_sample`; None = nothing is learned of how sessions go on.
    """

    library: pl.DataFrame
    plays: pl.DataFrame
    tracks: pl.DataFrame
    pairs: pl.DataFrame
    stats: pl.DataFrame
    recent: pl.DataFrame
    sample: pl.DataFrame | None = None
    markets: pl.DataFrame | None = None


@dataclass
class Fitted:
    """The parts, aligned to one vocabulary of n rows; `took` is what `Clock.drain` said of fitting them."""

    vocabulary: Vocabulary
    als: Any
    two_tower: Any | None
    history: HistorySettings
    learned: Learned
    sequence: Any | None = None
    next_in_session: NextModel | None = None
    took: dict[str, int] = field(default_factory=dict)

    def catalog(self, tracks: pl.DataFrame) -> Catalog:
        """A catalog table aligned to the vocabulary."""
        return Catalog.build(self.vocabulary.ids.to_list(), tracks)

    def sources(
        self,
        catalog: Catalog,
        as_of: date,
        settings: SourceSettings | None = None,
        continuation: ContinueSettings | None = None,
        sample: pl.DataFrame | None = None,
    ) -> list[Source]:
        """Every candidate source, in the order that settles ties of attribution; `settings` switch some off."""
        fitted = {
            **self.learned.parts(),
            "als": self.als,
            "two_tower": None if self.two_tower is None else _Tower(self.two_tower, self.history),
            "sequence": None if self.sequence is None else _States(self.sequence),
            "next_in_session": self.next_in_session,
        }
        inputs = SourceInputs(
            catalog,
            as_of,
            fitted,
            settings or SourceSettings(),
            continuation or ContinueSettings(),
            sample,
            self._search,
        )
        return made_of(SOURCES, inputs)

    def _search(self, name: str, vectors: np.ndarray) -> TopK:
        if name not in self._searches:
            from models.topk import TopK as Search

            self._searches[name] = Search(vectors, skip=unknown_rows(vectors))
        return self._searches[name]

    @cached_property
    def _searches(self) -> dict[str, TopK]:
        return {}

    def metrics(self) -> dict[str, float]:
        """What the registry notes of the fit: sizes, and the two-tower model's last loss."""
        found = {
            "tracks": float(len(self.vocabulary) - 1),
            "neighbours": float(self.learned.neighbours.together.nnz),
            "clusters": float(max(len(self.learned.clusters.members) - 1, 0)),
        }
        if self.two_tower is not None and self.two_tower.losses:
            found["two_tower_loss"] = self.two_tower.losses[-1]
        if self.sequence is not None and self.sequence.losses:
            found["sequence_loss"] = self.sequence.losses[-1]
        return found

    def save(self, folder: Path) -> None:
        """Write every part below a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        self.vocabulary.save(folder / "vocabulary.parquet")
        self.als.save(folder / "als")
        if self.two_tower is not None:
            self.two_tower.save(folder / "two_tower")
        if self.sequence is not None:
            self.sequence.save(folder / "sequence")
        if self.next_in_session is not None:
            self.next_in_session.save(folder / "next_in_session.npz")
        self.learned.save(folder)

    @classmethod
    def load(cls, folder: Path, settings: ModelSettings) -> Fitted:
        """Read what `save` wrote; the files are trusted (see `pipelines.recommender.artefacts.fetch`).

        Raises:
            UserError: an older version of this code wrote them, and what it wrote lacks something.
        """
        try:
            return cls._load(folder, settings)
        except KeyError as error:
            raise UserError(
                f"expected models as this version writes them, found some without {error}; make them again with "
                "`nightshelf run --date` of their date, or leave `--fit-date` out"
            ) from error

    @classmethod
    def _load(cls, folder: Path, settings: ModelSettings) -> Fitted:
        from models.als import Als

        tower = None
        if (folder / "two_tower").is_dir():
            from models.two_tower import TwoTower

            tower = TwoTower.load(folder / "two_tower")
        sequence = None
        if (folder / "sequence").is_dir():
            from models.sequence import SequenceModel

            sequence = SequenceModel.load(folder / "sequence")
        following, path = None, folder / "next_in_session.npz"
        if settings.use_next_in_session and path.exists():
            following = NextModel.load(path, settings.next_in_session)
        return cls(
            Vocabulary.load(folder / "vocabulary.parquet"),
            Als.load(folder / "als"),
            tower,
            settings.history,
            Learned.load(folder),
            sequence,
            following,
        )


@dataclass(frozen=True)
class _Tower:
    """The two-tower model as its source reads it."""

    model: Any
    history: HistorySettings

    @property
    def items(self) -> np.ndarray:
        return np.asarray(self.model.items)

    def embed(self, block: Block) -> np.ndarray:
        """Listeners' vectors of a block."""
        from models.histories import matrix

        played = block.history.filter(pl.col("last_age").is_not_null() & (pl.col("heard") > 0))
        when = (-played["last_age"] * 86_400_000).cast(pl.Int64).to_numpy()
        rows = matrix(
            played["row"].to_numpy(), played["item"].to_numpy(), when, (len(block), block.n_items), self.history
        )
        return self.model.embed(rows)


@dataclass(frozen=True)
class _States:
    """The sequence model as its source reads it."""

    model: Any

    @property
    def items(self) -> np.ndarray:
        return np.asarray(self.model.items)

    @property
    def length(self) -> int:
        return self.model.settings.length

    def states(self, items: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """States after listens `seconds` apart, both [B, length], right-aligned."""
        from models.sequence_data import gap_buckets

        gaps = np.where(np.isnan(seconds), 0, gap_buckets(np.nan_to_num(seconds)))
        return self.model.embed(items, gaps.astype(np.int32))


def unknown_rows(vectors: np.ndarray) -> np.ndarray:
    """Rows without a vector: the unknown track, and tracks nothing is known of."""
    return np.flatnonzero(~np.any(vectors != 0, axis=1))


def fit(evidence: Evidence, settings: ModelSettings, seed: int, checkpoints: Checkpoints | None = None) -> Fitted:
    """Fit every part. The vocabulary holds each track somebody played and each track of the catalog.

    Args:
        checkpoints: where models keep their epochs, so that a second attempt goes on where the first died.
    """
    from models import clusters
    from models.als import Als

    vocabulary = Vocabulary.build(
        pl.concat([evidence.library["track_id"], evidence.plays["track_id"], evidence.tracks["track_id"]])
    )
    ids = vocabulary.ids.to_list()
    order = evidence.library["listener"].unique().sort()
    rows = np.asarray(order.search_sorted(evidence.library["listener"]), np.int32)
    items = vocabulary.rows(evidence.library["track_id"])
    shape = (len(order), len(vocabulary))
    heard = sparse.csr_matrix((evidence.library["value"].cast(pl.Float32).to_numpy(), (rows, items)), shape=shape)
    clock, pairs = Clock(), len(evidence.library)
    at = heard.tocoo()
    with clock.part("als", pairs):
        als = Als.fit(at.row, at.col, at.data, *shape, settings.als, seed)
    with clock.part("clusters", pairs):
        vectors = in_blocks(als.fold_in, heard)
        centroids = clusters.fit(vectors, settings.clusters, seed)
        nearest = clusters.assign(vectors, centroids, settings.profiles.overlap)[0]
        profiles = fit_clusters(heard, nearest, settings.profiles)
    with clock.part("neighbours", len(evidence.pairs)):
        neighbours = fit_neighbours(evidence.pairs, ids, settings.neighbours)
    with clock.part("popularity", pairs):
        reach = audience(evidence, order, rows, items, len(vocabulary))
        popularity = fit_popularity(evidence.stats, evidence.recent, ids, reach)
    ease = adjacency = None
    if settings.use_ease:
        with clock.part("ease", neighbours.shared.nnz):
            ease = fit_ease(neighbours.shared.T.tocsr(), neighbours.own, settings.ease, settings.neighbours.power)
    if settings.use_adjacent_artists:
        with clock.part("adjacent_artists", neighbours.shared.nnz):
            catalog = Catalog.build(ids, evidence.tracks)
            adjacency = fit_adjacency(neighbours.shared, neighbours.own, catalog, settings.adjacency)
    learned = Learned(neighbours, popularity, profiles, ease, adjacency)
    tower = sequence = None
    if settings.use_two_tower:
        with clock.part("two_tower", len(evidence.plays)):
            tower = _two_tower(evidence, vocabulary, als.item_factors, settings, seed, checkpoints)
    if settings.use_sequence:
        with clock.part("sequence", len(evidence.plays)):
            sequence = _sequence(evidence.plays, vocabulary, als.item_factors, settings, seed, checkpoints)
    with clock.part("next_in_session", 0 if evidence.sample is None else len(evidence.sample)):
        following = _next_in_session(evidence.sample, vocabulary, settings, seed)
    return Fitted(vocabulary, als, tower, settings.history, learned, sequence, following, clock.drain())


def audience(evidence: Evidence, listeners: pl.Series, rows: np.ndarray, items: np.ndarray, n: int) -> Audience:
    """Who heard what, by market; `rows` and `items` are the library's listeners and tracks as numbers below len and n."""
    pairs = evidence.library
    recency = pairs["recency"].to_numpy() if "recency" in pairs.columns else np.ones(len(pairs))
    names, market = [""], np.zeros(len(listeners), np.int32)
    if evidence.markets is not None and evidence.markets.height:
        known = evidence.markets.unique("listener", keep="first", maintain_order=True)
        found = listeners.to_frame("listener").join(known, on="listener", how="left", maintain_order="left")
        each = found["market"].fill_null("")
        names = each.unique().sort().to_list()
        market = (each.rank("dense").to_numpy() - 1).astype(np.int32)
    return Audience.of(items, recency, market[rows], names, n)


def in_blocks(
    function: Callable[[sparse.csr_matrix], np.ndarray], rows: sparse.csr_matrix, size: int = 4096
) -> np.ndarray:
    """A function of sparse rows, applied a slice at a time."""
    parts = [function(rows[n : n + size]) for n in range(0, rows.shape[0], size)]
    return np.concatenate(parts) if parts else function(rows)


def _two_tower(
    evidence: Evidence,
    vocabulary: Vocabulary,
    start: np.ndarray,
    settings: ModelSettings,
    seed: int,
    checkpoints: Checkpoints | None,
) -> Any | None:
    from models import two_tower
    from models.histories import examples
    from models.two_tower_data import content_bags

    plays = evidence.plays.with_columns(pl.Series("item", vocabulary.rows(evidence.plays["track_id"])))
    histories, targets = examples(plays, len(vocabulary), settings.history, seed)
    if not histories.shape[0]:
        return None
    content = two_tower.Content(content_bags(evidence.tracks, vocabulary))
    own = checkpoints.under("two_tower") if checkpoints is not None else None
    return two_tower.fit(histories, targets, content, settings.two_tower, seed, own, start=start)


def _sequence(
    plays: pl.DataFrame,
    vocabulary: Vocabulary,
    start: np.ndarray,
    settings: ModelSettings,
    seed: int,
    checkpoints: Checkpoints | None,
) -> Any | None:
    from models import sequence
    from models.sequence_data import Sequences

    order = plays["listener"].unique().sort()
    numbered = plays.with_columns(
        row=pl.Series(order.search_sorted(plays["listener"]), dtype=pl.Int32),
        item=pl.Series(vocabulary.rows(plays["track_id"]), dtype=pl.Int32),
    )
    if not (numbered.group_by("row").len()["len"] > 1).any():
        return None
    times = ["started_at"] if "started_at" in plays.columns else []
    listens = Sequences.from_plays(numbered.sort("row", "session", maintain_order=True).select("row", "item", *times))
    own = checkpoints.under("sequence") if checkpoints is not None else None
    return sequence.fit(listens, len(vocabulary), settings.sequence, seed, own, start=start)


def _next_in_session(
    sample: pl.DataFrame | None, vocabulary: Vocabulary, settings: ModelSettings, seed: int
) -> NextModel | None:
    from models.rankers.session import fit_model

    if sample is None or not settings.use_next_in_session:
        return None
    log = as_log(in_time(sample), vocabulary.rows)
    return fit_model(log, len(vocabulary), settings.next_in_session, seed) if len(log) else None
