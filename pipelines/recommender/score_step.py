"""Scoring as a step over shards: the night's rows, what the gates measure of them, and what each part took."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.recommender import measured
from pipelines.recommender.earlier import earlier_of
from pipelines.recommender.night import Scoring
from pipelines.recommender.scoring import Scorer
from transforms.shelves.standing import carried
from transforms.tables.chunks import Chunk
from transforms.tables.shard_work import Made


@dataclass(frozen=True)
class ScoreStep:
    """What is done with a chunk of listeners; see `transforms.tables.shard_work.Step`. Picklable."""

    work: Scoring

    def load(self, known: Sequence[Any] = ()) -> Callable[[Chunk], Iterator[Made]]:
        """Models, ranker and catalog in memory."""
        scorer = self.work.scorer()
        return lambda chunk: self._of(scorer, chunk)

    def _of(self, scorer: Scorer, chunk: Chunk) -> Iterator[Made]:
        """The chunk's tables; beside them, of a night with shelves, what the gates measure."""
        shelves, before = self.work.what.shelves, self.work.before
        if shelves:
            yield measured.of_inputs(scorer, chunk).dumps().encode()
        stood, days = earlier_of(chunk, scorer.plan.since), scorer.plan.shelf_days
        for made in scorer.score(chunk):
            if shelves:
                with scorer.clock.part("carried", made["shelves"].height):
                    made.tables["carried"] = carried(stood, made["shelves"], scorer.plan.day, days)
            yield scorer.clock.drain()
            yield made
            for found in measured.of_made(scorer, chunk, made, before) if shelves else ():
                yield found.dumps().encode()
