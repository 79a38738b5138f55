"""Scoring one chunk: retrieval, ranker and assembly together in memory, block by block.

    chunk (listeners, library, sessions, feedback, earlier shelves) -> candidates, listener_embeddings, shelves, draws

A place to put parts together, as `fitting` is: what each part means stands in `transforms.candidates`, `models.ranker` and
`transforms.shelves`. It runs without Beam.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from pipelines.recommender.arms import by_arm
from pipelines.recommender.earlier import earlier_of
from pipelines.recommender.fitting import Fitted
from pipelines.recommender.known import known_of
from pipelines.recommender.ranked import Rewarded, scored_by
from pipelines.recommender.scored import answered, embeddings_of, ever_heard, joined, plays_of_tracks, stored
from pipelines.recommender.scoring_plan import UNTRAINED, Plan
from pipelines.recommender.signal_columns import with_signals
from transforms.candidates.blocks import Block
from transforms.candidates.features import Directions, features
from transforms.candidates.next_in_session import CONTINUES, NextInSession
from transforms.candidates.reasons import explain
from transforms.candidates.rediscover import REST_LEAST
from transforms.candidates.settings import SourceSettings
from transforms.candidates.union import popular_alone, retrieve_block
from transforms.common.clock import Clock
from transforms.common.sample import in_sample
from transforms.shelves.assemble import Given, assemble
from transforms.shelves.history import Embeddings, TrackSide, aged
from transforms.shelves.output import Assembled
from transforms.shelves.popularity import Popular
from transforms.shelves.settings import NightContext, ShelvesSettings
from transforms.shelves.tracks import Tracks
from transforms.signals.features import Said
from transforms.tables.chunks import Chunk

FLUSH_BYTES = 256 << 20


class Scorer:
    """Everything loaded once a process."""

    def __init__(
        self,
        plan: Plan,
        fitted: Fitted,
        ranker: Any | None,
        tracks: pl.DataFrame,
        sample: pl.DataFrame | None = None,
        heads: Any | None = None,
        beliefs: pl.DataFrame | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            sample: table `session_sample` of the models' fit date; None without one.
            heads: the ranker's `RewardHeads`; None without.
            beliefs: rows of table `beliefs` of tracks wherever they were found; None without.
        """
        self.rewarded = Rewarded(heads, beliefs, plan.rewards)
        self.plan, self.fitted, self.ranker, self.clock = plan, fitted, ranker, Clock()
        self.catalog = fitted.catalog(tracks)
        self.facts = tracks.select("track_id", "recording_id", "album_id", "artist_ids")
        self.rest_days = min((plan.sources or SourceSettings()).rest_days, REST_LEAST)
        self.library = pl.DataFrame()  # of the chunk at work, in taste: what its reasons are checked against
        self.directions = Directions(np.asarray(fitted["als"].item_factors))
        sessions = sample if plan.shelves else None
        self.sources = fitted.sources(self.catalog, plan.day, plan.sources, plan.continuation, sessions)
        self.following = next((source for source in self.sources if isinstance(source, NextInSession)), None)
        if plan.shelves:
            self.tracks = Tracks.build(tracks, self.catalog.track_ids[1:].tolist())
            self.track_of_item = self.tracks.rows(self.catalog.ids)
            self.popular = Popular.of(self._popular(), self.tracks)
            self.side = self._side()
            # what the nights' drift of popularity is told by
            self.plays = dict(zip(self.catalog.ids.to_list(), fitted.learned.popularity.plays.tolist(), strict=True))

    def _side(self) -> TrackSide:
        """What shelves read of tracks beside the catalog: embeddings and audience, aligned to its rows."""
        item = np.zeros(len(self.tracks), np.int32)
        item[self.track_of_item[1:]] = np.arange(1, len(self.track_of_item))
        unit = self.directions.vectors * self.directions.inverse_lengths[:, None]
        has = (item > 0) & (self.directions.inverse_lengths[item] > 0)
        heard = np.where(item > 0, self.fitted.learned.clusters.listeners[item], np.nan)
        return TrackSide.of(self.tracks, Embeddings(unit, np.where(has, item, -1).astype(np.int32)), heard)

    def _popular(self) -> pl.DataFrame:
        """The most popular tracks of each market and of everywhere."""
        popularity = self.fitted.learned.popularity
        ids = self.catalog.ids
        frames = []
        for market in ["", *(m for m in popularity.markets.tolist() if m)]:
            reach = popularity.of_market(market)
            best = np.lexsort((self.catalog.tie, -reach))[:500]
            best = best[reach[best] > 0]
            frames.append(
                pl.DataFrame(
                    {
                        "market": pl.Series([market] * len(best), dtype=pl.String),
                        "track_id": ids.gather(best),
                        "score": reach[best].astype(np.float32),
                    }
                )
            )
        return pl.concat(frames)

    def score(self, chunk: Chunk) -> Iterator[Chunk]:
        """The night's rows of a chunk's listeners; handed on whenever they fill `FLUSH_BYTES`."""
        known = known_of(chunk, self.plan, self.facts)
        self.library = known.liked
        self.said = Said.of(chunk.tables.get("listener_signals"), chunk.tables.get("signal_values"))
        sessions, previous, lately = known.sessions, earlier_of(chunk, self.plan.since), chunk.tables
        if self.plan.shelves:
            sessions = aged(sessions, NightContext(self.plan.day).data_cutoff)
        waiting: list[dict[str, pl.DataFrame]] = []
        for block in known.blocks(self.catalog, self.plan):
            made = self._block(block, known.roster, known.library, sessions, known.acts, previous, lately)
            waiting.append(answered(made, known.machines))
            if sum(frame.estimated_size() for made in waiting for frame in made.values()) > FLUSH_BYTES:
                yield joined(chunk.shard, waiting)
                waiting = []
        if waiting:
            yield joined(chunk.shard, waiting)

    def blocks(self, chunk: Chunk) -> Iterator[Block]:
        """The chunk's listeners as sources see them."""
        yield from known_of(chunk, self.plan, self.facts).blocks(self.catalog, self.plan)

    def _block(
        self,
        block: Block,
        roster: pl.DataFrame,
        library: pl.DataFrame,
        sessions: pl.DataFrame,
        acts: pl.DataFrame,
        previous: pl.DataFrame | None,
        lately: Mapping[str, pl.DataFrame],
    ) -> dict[str, pl.DataFrame]:
        plan = self.plan
        found = retrieve_block(block, self.catalog, self.sources, plan.k, self.clock)
        with self.clock.part("features", found.height):
            learned, directions = self.fitted.learned, self.directions
            weighed = features(
                block,
                self.catalog,
                found,
                learned,
                self.sources,
                as_of=plan.day,
                k=plan.k,
                directions=directions,
                keep=plan.cut,
            )
        with self.clock.part("signals", weighed.height):
            weighed = with_signals(weighed, block, self.said, self.fitted, plan.signals)
        with self.clock.part("ranker", weighed.height):
            scored = self.rank(weighed)
        with self.clock.part("embeddings", len(block)):
            tables = {"listener_embeddings": embeddings_of(block, self.sources, plan.model_version)}
        stages = None
        if plan.shelves:
            here = roster.filter(pl.col("listener_id").is_in(block.listener_ids))
            with self.clock.part("shelves", len(block)):
                candidates, explain = self._for_shelves(block, scored), partial(self._reasons, block, scored, acts)
                given = Given(
                    self.tracks,
                    self.popular,
                    self.side,
                    blocks=acts,
                    previous=previous if previous is not None and previous.height else None,
                    library=ever_heard(here, library),
                    plays=plays_of_tracks(block, self.track_of_item),
                    sessions=sessions.join(here, on="listener_id", how="semi"),
                    keep=here["listener_id"].filter(in_sample(here["listener_id"], plan.keep, plan.seed)),
                    impressions=lately.get("impressions"),
                    looks=lately.get("looks"),
                    looked=plan.looked,
                )
                ranked_by = plan.ranker_version or UNTRAINED
                night = NightContext(plan.day, plan.versions.get("shelves", ""), plan.seed, ranked_by, plan.greedy)

                def shelves_of(listeners: pl.DataFrame, settings: ShelvesSettings) -> Assembled:
                    return assemble(candidates, listeners, given, night=night, settings=settings, explain=explain)

                made = by_arm(here, plan.experiments, plan.settings, plan.day, shelves_of)
            wanted = pl.col("shelf_id").is_in(plan.only_shelves) if plan.only_shelves else pl.lit(True)
            tables |= {"shelves": made.shelves.filter(wanted), "draws": made.draws.filter(wanted)}
            tables["removed"] = made.removed.filter(wanted)
            stages = made.stages
        tables["candidates"] = stored(scored, stages, plan)
        return tables

    def rank(self, candidates: pl.DataFrame) -> pl.DataFrame:
        """Add `ranker_score`, the heads' probabilities and `ranker_rank` among candidates of equal `heard_before`.

        A listener for whom no source but popularity found anything gets them in the order of popularity.
        """
        scored = scored_by(self.ranker, candidates)
        impersonal = next((f"score_{s.name}" for s in self.sources if not s.personal and s.ranked), None)
        if impersonal in scored.columns:
            alone = popular_alone(scored, self.sources)
            scored = scored.with_columns(ranker_score=pl.when(alone).then(impersonal).otherwise("ranker_score"))
        tie = pl.Series("tie", self.catalog.tie[scored["item"].to_numpy()])
        return (
            self.rewarded(scored)
            .with_columns(tie)
            .sort("row", "heard_before", "ranker_score", "tie", descending=[False, False, True, False])
            .with_columns(ranker_rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("row", "heard_before"))
            .drop("tie")
        )

    def _for_shelves(self, block: Block, scored: pl.DataFrame) -> pl.DataFrame:
        """What the shelves' rules and orders read."""
        own = (
            block.history.filter(pl.col("item") > 0)
            .select("row", "item", "plays", "saved", "activation", "decayed_plays")
            .unique(["row", "item"], keep="first", maintain_order=True)
        )
        return (
            self._continued(block, scored)
            .drop("recording")
            .join(own, on=["row", "item"], how="left", maintain_order="left")
            .with_columns(pl.Series("track", self.track_of_item[scored["item"].to_numpy()]))
        )

    def _continued(self, block: Block, scored: pl.DataFrame) -> pl.DataFrame:
        """Add `continues`: the session's continuation where the shelf is nothing else, and what is kept off it."""
        if self.following is None:
            return scored
        score = pl.col(f"score_{self.following.name}")
        alone = pl.Series(self.following.goes_on(block)[scored["row"].to_numpy()], dtype=pl.Boolean)
        return scored.with_columns(pl.when((score < 0) | alone).then(score).alias(CONTINUES))

    def _reasons(self, block: Block, scored: pl.DataFrame, feedback: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
        """`source`, `reason` and `reason_ref` of the pairs that are shown: too dear for every candidate."""
        shown = scored.join(pairs, on=["listener_id", "track_id"], maintain_order="left")
        explained = explain(block, self.catalog, self.sources, shown, feedback)
        return explained.select("listener_id", "track_id", "source", "reason", "reason_ref")
