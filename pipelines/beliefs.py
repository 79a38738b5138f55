"""The job `beliefs`: who found what lately and came back to it, and what is believed of each track's long-term reward.

listens, library, discoveries before -> discoveries/date=D, by listener
                                     -> sums of traces by track and shelf -> prior, posterior -> beliefs/date=D
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING

import apache_beam as beam

from pipelines.runtime.jobs import launch
from transforms.outcomes.believing import CombineTraces, ForPrior, Sums, beliefs_of, partials, track_shard
from transforms.outcomes.discoveries import COLUMNS
from transforms.outcomes.discovery_plan import FoldDiscoveries, plan_discoveries
from transforms.tables.as_of import as_of
from transforms.tables.beam import Commit, ReadChunks, WriteChunks
from transforms.tables.chunks import Chunk
from transforms.tables.runs import plan
from transforms.tables.specs import specs
from transforms.tables.upkeep import inputs_of

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

STEP = "2"
TABLES = ("discoveries", "beliefs")


def beliefs(warehouse: str, day: date, *, settings: Settings, beam_args: Sequence[str] = ()) -> None:
    """Fold the days since the newest discoveries, and believe anew; nothing where no long-term reward is declared.

    Raises:
        UserError: there are no listens up to `day`.
    """
    past, rewards = as_of(warehouse, day), settings.rewards
    if rewards.days is None:
        return
    todo, catalog = plan_discoveries(past, rewards), past.catalog()
    described = rewards.model_dump(mode="json", exclude={"weights"})
    read = inputs_of(catalog, *(m for found in todo.tables.values() for m in found))
    runs = [
        run
        for table in TABLES
        if (
            run := plan(
                past.warehouse,
                table,
                day,
                shards=settings.shards,
                inputs=read,
                settings=described,
                step_version=STEP,
            )
        )
    ]
    if not runs:
        return
    days, reward, shards = todo.days, next(iter(rewards.of("long_term"))), settings.shards
    share = min(1.0, rewards.prior_arms / max(catalog.rows if catalog else 1, 1))
    work = specs(past.warehouse, settings.shards, todo.tables)

    def rows(mine: tuple[int, Iterable[tuple[str, Sums]]], known: list[tuple[str, Sums]]) -> Chunk:
        return beliefs_of(*mine, known, days, reward)

    def define(root: beam.Pipeline) -> None:
        found = (
            root
            | "Plays" >> ReadChunks(work, COLUMNS)
            | "Discoveries" >> beam.ParDo(FoldDiscoveries(warehouse, catalog, todo)).with_output_types(Chunk)
        )
        arms = (
            found
            | "Traces"
            >> beam.FlatMap(lambda c: partials(c["discoveries"], day, days, share)).with_output_types(tuple[str, Sums])
            | "By arm" >> beam.CombinePerKey(CombineTraces())
        )
        prior = arms | "For the prior" >> beam.CombineGlobally(ForPrior(days, rewards))
        believed = (
            arms
            | "Shard"
            >> beam.Map(lambda arm: (track_shard(arm[0], shards), arm)).with_output_types(tuple[int, tuple[str, Sums]])
            | "By shard" >> beam.GroupByKey()
            | "Believe" >> beam.Map(rows, beam.pvalue.AsSingleton(prior)).with_output_types(Chunk)
        )
        written = (found, believed) | "Tables" >> beam.Flatten() | "Files" >> WriteChunks(runs)
        _ = root | "Done" >> Commit(runs, written)

    launch("beliefs", past.warehouse, define, beam_args, runs)
