"""What the gates look at, counted while a night is scored: in a chunk's inputs, and in what was made of it."""

from __future__ import annotations

from datetime import date

import polars as pl

from pipelines.recommender.earlier import earlier_of
from pipelines.recommender.night import ranker_kind
from pipelines.recommender.scoring import Scorer
from transforms.gates import measure, moving, truth
from transforms.gates.measure import Measured
from transforms.listening.feedback import standing
from transforms.tables.chunks import Chunk


def of_inputs(scorer: Scorer, chunk: Chunk) -> Measured:
    """Who a chunk's listeners are, and what of the night's date the models can work with."""
    known = pl.Series(scorer.catalog.track_ids.tolist(), dtype=pl.String)
    found = measure.inputs(chunk.tables, scorer.plan.day, known)
    return Measured({**found.counts, **moving.watched_inputs(chunk.tables, scorer.plan.day, known)}, found.examples)


def of_made(scorer: Scorer, chunk: Chunk, made: Chunk, before: date | None) -> list[Measured]:
    """What stands on the shelves and stood there before, whether reasons are true, what rules took, how scores are spread."""
    day, shelves = scorer.plan.day, made["shelves"]
    earlier = earlier_of(chunk, before).filter(pl.col("run_date") == before) if before else None
    return [
        measure.shelves(shelves, earlier, day, chunk.shard),
        truth.reasons(shelves, scorer.library, standing(chunk["feedback"]), scorer.facts, day, scorer.rest_days),
        measure.removed(made["removed"]),
        measure.scores(made["candidates"], ranker_kind(scorer), chunk.shard),
        Measured(moving.watched_candidates(made["candidates"], scorer.plan.seed)),
        Measured(moving.watched_shelves(shelves, scorer.plays)),
        Measured(moving.expected(made["candidates"])),
    ]
