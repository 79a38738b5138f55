"""The sides of a comparison: a stored night, its candidates in another ranker's order, or the night as other settings make it.

    stored(warehouse, day, ahead, settings)                    as it was made
    reordered(side, ranker)                                    its stored candidates, whole lists only, by a ranker or the blend
    remade(side, settings, listeners)                          scored anew by other settings, with its models and ranker

Each is measured as the job `evaluate` measures a night: the whole ranking, against what was listened to in the days after it. A
chunk is in memory at a time, and what is kept of it are numbers by listener, of at most `evaluation.max_listeners`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import polars as pl

from pipelines.recommender.artefacts import fetch
from pipelines.recommender.champion import made_with
from pipelines.recommender.night import Asked, plan_scoring
from pipelines.recommender.ranked import scored_by
from pipelines.recommender.ranker_lists import features_of
from pipelines.recommender.registry import unranked_sources
from pipelines.recommender.settings import READ_WHEN_SCORING
from transforms.common.errors import UserError
from transforms.evaluation.facts import MeasureFacts
from transforms.evaluation.measure import TOP
from transforms.evaluation.stored import StoredNight, columns_of, count_chunk, measure_chunk
from transforms.metrics.ranking import CUTOFFS
from transforms.tables.as_of import as_of, days_logged_after
from transforms.tables.chunks import Chunk, Spec, read_chunks
from transforms.tables.manifest import Heading, Manifest
from transforms.tables.specs import specs
from transforms.tables.warehouse import Warehouse

METRICS = (f"ndcg@{TOP}", f"recall@{TOP}", f"hit@{min(CUTOFFS)}")
Change = Callable[[Chunk], Chunk]


@dataclass(frozen=True)
class Side:
    """What is measured, and of which night.

    Attributes:
        name: as it is printed.
        night: how it is measured.
        counting, measuring: its shards: the library alone, and all that is measured.
        columns: of candidates, whether or not a chunk has them.
        change: what becomes of a chunk before it is measured.
    """

    name: str
    night: StoredNight
    counting: Sequence[Spec]
    measuring: Sequence[Spec]
    columns: dict[str, Sequence[str]]
    change: Change = field(default=lambda chunk: chunk)

    @cached_property
    def facts(self) -> MeasureFacts:
        """What was known of tracks by the night."""
        recordings = self.night.recordings()
        read = {"library": ("listener_id", "track_id")}
        return self.night.facts([count_chunk(c, recordings) for spec in self.counting for c in read_chunks(spec, read)])

    def other(self, name: str, change: Change, candidates: Sequence[str]) -> Side:
        """Another side of the same night, with these columns of candidates; what was known by the night is read once."""
        made = replace(self, name=name, change=change, columns={**self.columns, "candidates": candidates})
        made.__dict__["facts"] = self.facts
        return made

    @cached_property
    def rows(self) -> pl.DataFrame:
        """Metrics by listener, model and target, of every list that the side has: one that lists nothing for anyone is none."""
        found, listing = [], []
        for spec in self.measuring:
            for chunk in read_chunks(spec, self.columns):
                made = measure_chunk(self.night, self.change(chunk), self.columns["candidates"], self.facts)
                found.append(made["rows"])
                listing.append(made["exposures"].select("model", "target").unique())
        if not found:
            return pl.DataFrame()
        some = pl.concat(listing).unique()
        return pl.concat(found, how="diagonal_relaxed").join(some, on=["model", "target"], how="semi")


def stored(warehouse: str, day: date, ahead: int, settings: Any, name: str = "") -> Side:
    """A night as it stands, with the days after it, or as many of them as are logged.

    Raises:
        UserError: the night is not stored, or nothing was logged after it.
    """
    past = as_of(warehouse, day)
    ahead = min(ahead, days_logged_after(warehouse, day) or ahead)
    future = past.following(day + timedelta(ahead))
    candidates, shelves, after = past.need("candidates"), past.current("shelves"), future.every("listens")
    if not after:
        raise UserError(
            f"no listens after {day} are stored in {warehouse}; ingest them, or compare a night that has days after it"
        )
    library, columns = past.library(), columns_of(past.warehouse, candidates)
    made: dict[str, Sequence[Heading]] = {"candidates": [candidates], "shelves": [shelves] if shelves else []}
    tables: dict[str, Sequence[Heading]] = {**made, "library": library, "listens": after}
    unranked = frozenset(unranked_sources())
    night = StoredNight(warehouse, day, ahead, future.catalog(), settings.evaluation, settings.seed, unranked)
    counting = specs(past.warehouse, settings.shards, {"library": library})
    return Side(
        name or f"night of {day}", night, counting, specs(past.warehouse, settings.shards, tables), dict(columns)
    )


def ranker_of(warehouse: str, day: date, fit: date) -> Any:
    """The ranker that stands for a date.

    Raises:
        UserError: there is none, or it is later than the night: it has learned from the days that the night is measured on.
    """
    from models.rankers.kinds import load

    if fit > day:
        raise UserError(
            f"the ranker of {fit} has learned from days after the night of {day}, on which it would be measured; compare the "
            "two on a night that neither has seen"
        )
    manifest = Warehouse(warehouse).current("rankers", fit)
    if manifest is None:
        known = ", ".join(d.isoformat() for d in Warehouse(warehouse).dates("rankers")) or "none"
        raise UserError(f"there is no ranker of {fit} in {warehouse}; there are those of: {known}")
    return load(fetch(warehouse, manifest, day))


def reordered(side: Side, ranker: Any | None, name: str) -> Side:
    """The night's stored candidates in the order of a ranker; None = of the untrained blend. It has no shelves.

    Raises:
        UserError: when it is measured, if most of the ranker's features are not among those that were stored.
    """

    def change(chunk: Chunk) -> Chunk:
        scored = scored_by(ranker, chunk["candidates"].drop("p_listened", strict=False))
        return Chunk(chunk.shard, {**chunk.tables, "candidates": scored, "shelves": chunk["shelves"].clear()})

    opened = Warehouse(side.night.warehouse)
    features = features_of(opened, opened.need("candidates", side.night.day))
    return side.other(name, change, [*side.columns["candidates"], *(f for f in features if f != "f_blend")])


def remade(side: Side, manifest: Manifest, settings: Any, listeners: pl.Series, name: str) -> Side:
    """The night scored anew for some listeners by other settings, with the models and the ranker that it was made with.

    Args:
        manifest: of the night's shelves: what it was made of.
        settings: the other settings.
        listeners: whose night; it is made in memory, so some thousands at most.

    Raises:
        UserError: the settings would fit other models, or the night knows none of the listeners.
    """
    night = side.night
    fit = date.fromisoformat(manifest.settings.get("fit_date") or night.day.isoformat())
    past = as_of(night.warehouse, night.day)
    models, greedy = made_with(manifest), bool(manifest.settings.get("greedy"))
    _refuse_other_models(past.need("models", models), settings)
    asked = Asked(fit_date=fit, greedy=greedy, only=listeners.to_list(), models_of=models)
    plan = plan_scoring(past, settings, asked, "compare")
    if plan is None:
        raise UserError(f"the night of {night.day} could not be planned anew; make it with `nightshelf run` first")
    work = replace(plan.work, what=replace(plan.work.what, keep=1.0))
    scorer = work.scorer()
    made: dict[str, list[pl.DataFrame]] = {"candidates": [], "shelves": []}
    for spec in plan.specs:
        for chunk in read_chunks(spec):
            for answer in scorer.score(chunk):
                for table, frames in made.items():
                    frames.append(answer[table])
    if not made["candidates"]:
        raise UserError(f"the night of {night.day} knows none of the listeners that were to be compared")
    whole = {table: pl.concat(frames, how="diagonal") for table, frames in made.items()}
    columns = [c for c in side.columns["candidates"] if c in whole["candidates"].columns]

    def change(chunk: Chunk) -> Chunk:
        here = chunk["library"].select("listener_id").unique()
        mine = {table: frame.join(here, on="listener_id", how="semi") for table, frame in whole.items()}
        mine["candidates"] = mine["candidates"].select(columns)
        known = {t: f.join(listeners.to_frame(), on="listener_id", how="semi") for t, f in chunk.tables.items()}
        return Chunk(chunk.shard, {**known, **mine})

    return side.other(name, change, columns)


def _refuse_other_models(models: Manifest, settings: Any) -> None:
    """Settings that are read when models are fitted cannot be compared by scoring anew."""
    wanted = settings.models.model_dump(mode="json", exclude=set(READ_WHEN_SCORING))
    had = models.settings.get("models", models.settings)
    other = sorted(name for name, value in wanted.items() if name in had and had[name] != value)
    if other:
        raise UserError(
            f"these settings would fit other models: {', '.join(f'models.{name}' for name in other)}; make that night in a "
            "warehouse of its own and compare the two with --with-warehouse"
        )
