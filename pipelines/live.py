"""The loop closed: a simulated world meets the shelves that the pipeline makes, and its answers are ingested, day by day.

    history -> ingest -> night -> the world lives a day with these shelves -> ingest its log, impressions, feedback -> night ...

Under OUT: `history/` and `log/date=D/` as a service would deliver them, `warehouse/`, and apart from it `truth/` (what each
item was worth, how listeners fared) and `state/`. A day that was lived is not lived again, so the same command goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl

from pipelines.ingest import ingest
from pipelines.nightly import night
from pipelines.runtime import logs
from transforms.simulation.live import LiveWorld
from transforms.simulation.live_files import Folder
from transforms.simulation.live_policies import policy_shelves
from transforms.simulation.live_settings import LiveSettings
from transforms.simulation.settings import Dirt, SimulationSettings
from transforms.tables.warehouse import Warehouse

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

END = date(2026, 1, 31)
SHOWN = ["listener_id", "surface", "shelf_id", "version", "home_position", "items"]


@dataclass(frozen=True)
class Plan:
    """What is lived: the world's size, its days of history, the days lived, and how often models are fitted anew."""

    listeners: int
    tracks: int
    days: int
    history: int = 42
    fit_every: int = 7
    seed: int = 1
    shows: Literal["pipeline", "random", "oracle"] = "pipeline"

    def world(self, live: LiveSettings) -> LiveWorld:
        """The world of this plan."""
        size = SimulationSettings(
            listeners=self.listeners,
            tracks=self.tracks,
            days=self.history + self.days,
            seed=self.seed,
            end_date=END,
            dirt=Dirt(duplicates=0, near_duplicates=0, broken=0, future=0, late_sessions=0, bot_every=1 << 30),
        )
        return LiveWorld.build(size, live, self.days)


def live(plan: Plan, out: str, *, settings: Settings, beam_args: Sequence[str] = ()) -> pl.DataFrame:
    """Live a world's days with the shelves that the pipeline makes (or, to compare with, random ones or the best possible).

    Returns:
        One row a lived day: date, possible, sessions, listeners, shown, played, finished, satisfaction.

    Raises:
        UserError: another world lives in `out`.
    """
    world, folder = plan.world(settings.live), Folder(Path(out))
    folder.begin(world, {**vars(plan), "days": None, "live": settings.live.model_dump(mode="json")}, plan.days)
    if plan.shows == "pipeline":
        history = folder.delivered(world.first_live - timedelta(1))
        ingest(folder.warehouse, "parquet", settings=settings, beam_args=beam_args, **folder.world_tables(), **history)
    state, summaries = world.morning(), []
    for n in range(plan.days):
        day, eve = world.first_live + timedelta(n), world.first_live + timedelta(n - 1)
        lived = folder.state(day)
        if plan.shows == "pipeline" and (lived is None or n == plan.days - 1):
            fit = world.first_live - timedelta(1) + timedelta(n - n % plan.fit_every)
            night(folder.warehouse, eve, settings, fit_date=fit, beam_args=beam_args)
        if lived is None:
            if plan.shows == "pipeline":
                shelves = Warehouse(folder.warehouse).read("shelves", eve, SHOWN)
            else:
                shelves = policy_shelves(world, state, day, plan.shows)
            lived, logged, truth = world.day(state, day, shelves)
            folder.keep(day, logged, truth, lived)
        state = lived
        if plan.shows == "pipeline":
            ingest(folder.warehouse, "parquet", settings=settings, beam_args=beam_args, **folder.delivered(day))
        summaries.append(folder.summary(day))
        logs.say(
            "INFO",
            "{date}: {sessions} of {possible} sessions, {shown} shown, {played} played, {finished} to the end, "
            "satisfaction {satisfaction:.3f}".format(**summaries[-1]),
            date=day.isoformat(),
        )
    return pl.DataFrame(summaries)
