"""Scoring one chunk: retrieval, ranker and assembly together in memory, block by block.

    chunk (listeners, library, sessions, feedback, earlier shelves) -> candidates, listener_embeddings, shelves, draws

A place to put parts together, as `fitting` is: what each part means stands in `transforms.candidates`, `models.ranker` and
`transforms.shelves`. It runs without Beam.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from pipelines.recommender.arms import by_arm
from pipelines.recommender.fitting import Fitted
from pipelines.recommender.ranked import Rewarded, ranker_features
from transforms.candidates.blocks import DEFAULTS, Block, Catalog, build_blocks
from transforms.candidates.features import Directions, features
from transforms.candidates.next_in_session import CONTINUES, NextInSession
from transforms.candidates.reasons import explain
from transforms.candidates.rediscover import REST_LEAST
from transforms.candidates.settings import ContinueSettings, CutSettings, SourceSettings
from transforms.candidates.union import popular_alone, retrieve_block
from transforms.common.clock import Clock
from transforms.common.sample import in_sample
from transforms.experiments.settings import ExperimentsSettings
from transforms.listening.exclusions import still_out, taste, union, without_plays
from transforms.listening.feedback import plays_of, settled, standing, unwanted, without_pairs
from transforms.listening.library import LibrarySettings, merge
from transforms.listening.sessions import last_known
from transforms.listening.suspects import why
from transforms.outcomes.rewards import RewardSettings
from transforms.shelves.assemble import Given, assemble
from transforms.shelves.history import Embeddings, TrackSide
from transforms.shelves.output import Assembled
from transforms.shelves.popularity import Popular
from transforms.shelves.settings import NightContext, ShelvesSettings
from transforms.shelves.tracks import Tracks
from transforms.tables.chunks import Chunk

UNTRAINED = "blend"
FLUSH_BYTES = 256 << 20


@dataclass(frozen=True)
class Plan:
    """What one night's scoring is to make.

    Attributes:
        day: the night.
        k: candidates a source and listener.
        keep: share of listeners whose candidates are all stored; below it only what is placed or spare.
        sample: share of listeners scored at all (nights made to train the first ranker), by hash.
        cut: how the sources' union is cut before the features that cost most; None = not at all.
        shelves: assemble shelves, or stop after candidates.
        experiments: whose arms have settings of their own.
        sources: which sources are asked; None = as by default.
        continuation: which session goes on, and how; None = as by default.
        only: hand on these listeners alone; () = everyone.
        only_shelves: hand on these shelves alone; () = all. The others are assembled all the same, since what stands
            on one shelf may not stand on another of its surface.
        library: how fast a play is forgotten.
        rewards: what a track may be worth, and what that counts in the order.
    """

    day: date
    seed: int
    k: int
    keep: float
    sample: float
    shelves: bool
    greedy: bool
    model_version: str
    ranker_version: str | None
    versions: dict[str, str]
    settings: ShelvesSettings
    experiments: ExperimentsSettings = field(default_factory=ExperimentsSettings)
    sources: SourceSettings | None = None
    continuation: ContinueSettings | None = None
    cut: CutSettings | None = None
    only: tuple[str, ...] = ()
    only_shelves: tuple[str, ...] = ()
    library: LibrarySettings = DEFAULTS
    rewards: RewardSettings = field(default_factory=RewardSettings)


@dataclass(frozen=True)
class _Known:
    """What is known of a chunk's listeners.

    Attributes:
        roster: who they are.
        library: all they heard; of `liked` and `sessions` only what is in their taste.
        acts: the feedback that stands.
        machines: who is suspected of being one, with the reason in words; they have no library and no sessions.
    """

    roster: pl.DataFrame
    library: pl.DataFrame
    liked: pl.DataFrame
    sessions: pl.DataFrame
    acts: pl.DataFrame
    machines: pl.DataFrame

    def blocks(self, catalog: Catalog, plan: Plan) -> Iterator[Block]:
        """The listeners as sources see them."""
        own = (self.roster, self.liked, self.sessions)
        return build_blocks(*own, catalog, plan.day, settings=plan.library, acts=self.acts)


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
        known = self._known_of(chunk)
        self.library = known.liked
        sessions, previous = known.sessions, chunk.tables.get("shelves")
        aged = sessions.with_columns(age_days=_days_before_end(self.plan.day)) if self.plan.shelves else sessions
        waiting: list[dict[str, pl.DataFrame]] = []
        for block in known.blocks(self.catalog, self.plan):
            made = self._block(block, known.roster, known.library, aged, known.acts, previous)
            waiting.append(_answered(made, known.machines))
            if sum(frame.estimated_size() for made in waiting for frame in made.values()) > FLUSH_BYTES:
                yield _joined(chunk.shard, waiting)
                waiting = []
        if waiting:
            yield _joined(chunk.shard, waiting)

    def blocks(self, chunk: Chunk) -> Iterator[Block]:
        """The chunk's listeners as sources see them."""
        yield from self._known_of(chunk).blocks(self.catalog, self.plan)

    def _known_of(self, chunk: Chunk) -> _Known:
        """What is known of the chunk's listeners."""
        roster, acts, machines = self._roster(chunk), standing(chunk["feedback"]), why(chunk["suspects"])
        library = settled(merge([chunk["library"]]), chunk["feedback"]).join(roster, on="listener_id", how="semi")
        sessions = last_known(chunk["sessions"]).join(roster, on="listener_id", how="semi")
        library, sessions = (
            f.join(machines, on="listener_id", how="anti", maintain_order="left") for f in (library, sessions)
        )
        out = unwanted(acts, self.facts)
        asked = still_out(chunk["exclusions"], chunk["feedback"])
        excluded = union([asked, plays_of(sessions, out)])
        liked = without_pairs(taste(library, asked), out)
        return _Known(roster, library, liked, without_plays(sessions, excluded), acts, machines)

    def _roster(self, chunk: Chunk) -> pl.DataFrame:
        """Everyone who had joined by the night, is in the library or heard of through a session, in order."""
        also = pl.concat([chunk[t].select("listener_id") for t in ("library", "sessions")]).unique()
        joined = pl.col("joined_on").is_null() | (pl.col("joined_on") <= self.plan.day)
        known = chunk["listeners"].filter(joined | pl.col("listener_id").is_in(also["listener_id"].implode()))
        known = known.select("listener_id", "market", "time_zone", "explicit_ok")
        roster = known.join(also, on="listener_id", how="full", coalesce=True).sort("listener_id")
        if self.plan.only:
            roster = roster.filter(pl.col("listener_id").is_in(list(self.plan.only)))
        if self.plan.sample < 1:
            roster = roster.filter(in_sample(roster["listener_id"], self.plan.sample, self.plan.seed))
        return roster

    def _block(
        self,
        block: Block,
        roster: pl.DataFrame,
        library: pl.DataFrame,
        sessions: pl.DataFrame,
        acts: pl.DataFrame,
        previous: pl.DataFrame | None,
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
        with self.clock.part("ranker", weighed.height):
            scored = self.rank(weighed)
        with self.clock.part("embeddings", len(block)):
            tables = {"listener_embeddings": self._vectors(block)}
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
                    library=self._known(here, library),
                    plays=self._plays(block),
                    sessions=sessions.join(here, on="listener_id", how="semi"),
                    keep=here["listener_id"].filter(in_sample(here["listener_id"], plan.keep, plan.seed)),
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
        tables["candidates"] = self._stored(scored, stages)
        return tables

    def rank(self, candidates: pl.DataFrame) -> pl.DataFrame:
        """Add `ranker_score`, the heads' probabilities and `ranker_rank` among candidates of equal `heard_before`.

        A listener for whom no source but popularity found anything gets them in the order of popularity.
        """
        if self.ranker is None:
            scored = candidates.with_columns(ranker_score=pl.col("f_blend").cast(pl.Float32))
        else:
            matrix = ranker_features(candidates, self.ranker.names)
            heads = self.ranker.heads(matrix)
            scored = candidates.with_columns(
                pl.Series("ranker_score", self.ranker.score(matrix), dtype=pl.Float32),
                *(pl.Series(name, values, dtype=pl.Float32) for name, values in heads.items()),
            )
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

    def _known(self, roster: pl.DataFrame, library: pl.DataFrame) -> pl.DataFrame:
        """Everything ever heard or sampled."""
        heard = (pl.col("heard") > 0) | pl.col("saved")
        return library.join(roster, on="listener_id", how="semi").select(
            "listener_id",
            "track_id",
            heard=heard,
            sampled_at=pl.when(~heard).then("last_played_at"),
            last_heard_at=pl.when(heard).then("last_played_at"),
            first_heard_at=pl.when(heard).then("first_played_at"),
        )

    def _plays(self, block: Block) -> pl.DataFrame:
        """(listener_id, track, decayed_plays) of everything heard or saved that is in the listener's taste."""
        mine = block.history.filter((pl.col("item") > 0) & ((pl.col("heard") > 0) | pl.col("saved")))
        ids = pl.Series("listener_id", block.listener_ids, dtype=pl.String)
        track = pl.Series("track", self.track_of_item[mine["item"].to_numpy()])
        # A saved track that was never played weighs like one played a while ago.
        weight = mine.select(pl.col("decayed_plays").fill_null(0.0) + pl.when("saved").then(0.1).otherwise(0.0))
        return pl.DataFrame([ids.gather(mine["row"]), track, weight.to_series().alias("decayed_plays")])

    def _vectors(self, block: Block) -> pl.DataFrame:
        """Table `listener_embeddings` of a block: nobody without a history."""
        frames = []
        for source in self.sources:
            if not source.embeds:
                continue
            vectors = source.queries(block)  # type: ignore[attr-defined]
            known = np.flatnonzero(np.any(vectors != 0, axis=1))
            frames.append(
                pl.DataFrame(
                    {
                        "listener_id": pl.Series(block.listener_ids, dtype=pl.String).gather(known),
                        "model": pl.repeat(source.name, len(known), eager=True),
                        "model_version": pl.repeat(self.plan.model_version, len(known), eager=True),
                        "vector": pl.Series(np.ascontiguousarray(vectors[known], dtype=np.float32)).arr.to_list(),
                    },
                    schema={
                        "listener_id": pl.String,
                        "model": pl.String,
                        "model_version": pl.String,
                        "vector": pl.List(pl.Float32),
                    },
                )
            )
        return pl.concat(frames)

    def _stored(self, scored: pl.DataFrame, stages: pl.DataFrame | None) -> pl.DataFrame:
        """Table `candidates`: all rows of a hashed share of listeners, of the others what stood on a shelf."""
        keep = self.plan.keep
        stored = scored.drop("row", "item", "recording")
        if stages is not None:
            first = stages.sort("listener_id", "track_id", "stage").unique(["listener_id", "track_id"], keep="first")
            stored = stored.join(first, on=["listener_id", "track_id"], how="left", maintain_order="left")
        else:
            stored = stored.with_columns(stage=pl.lit(None, dtype=pl.String))
        whole = in_sample(stored["listener_id"], keep, self.plan.seed)
        return stored.filter(whole | pl.col("stage").is_not_null()).with_columns(
            inclusion=pl.when(pl.col("stage").is_null())
            .then(min(keep, self.plan.sample))
            .otherwise(1.0)
            .cast(pl.Float32),
            stage=pl.col("stage").fill_null("candidate"),
        )


def _days_before_end(day: date) -> pl.Expr:
    """Days from a session's start to the end of the night's date."""
    end = datetime.combine(day + timedelta(days=1), datetime.min.time(), tzinfo=UTC)
    return (pl.lit(end) - pl.col("started_at")).dt.total_seconds() / 86_400


def _answered(made: dict[str, pl.DataFrame], machines: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The night's rows, with suspects' shelves saying why they are not personal, and none of their candidates.

    They come as listeners without a history, so their shelves are what everybody in their market is shown.
    """
    if not machines.height:
        return made
    out = {"candidates": made["candidates"].join(machines, on="listener_id", how="anti", maintain_order="left")}
    if "shelves" in made:
        explained = made["shelves"].join(
            machines, on="listener_id", how="left", maintain_order="left", suffix="_suspect"
        )
        reason = pl.coalesce("status_reason_suspect", "status_reason")
        out["shelves"] = explained.with_columns(status_reason=reason).drop("status_reason_suspect")
    return made | out


def _joined(shard: int, made: list[dict[str, pl.DataFrame]]) -> Chunk:
    return Chunk(shard, {table: pl.concat([tables[table] for tables in made], how="diagonal") for table in made[0]})
