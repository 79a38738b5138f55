"""A simulated world, one night, the report: everything at once, with no data needed."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import click
import polars as pl

from pipelines.runtime.config import Settings
from pipelines.runtime.progress import stage, stopwatch
from transforms.tables.warehouse import Warehouse

END = date(2026, 1, 31)
PROMPTS = 100


def demo(listeners: int, tracks: int, days: int, out: str, seed: int, settings: Settings) -> None:
    """Simulate into `out`, ingest into `out/warehouse`, run the night a week before the end, measure it, report."""
    from pipelines.cli.report import report
    from pipelines.cli.show import show
    from pipelines.cli.summary import evaluation_lines, night_lines, of_evaluation, of_night
    from pipelines.evaluate import evaluate
    from pipelines.file_prompts import file_prompts
    from pipelines.ingest import ingest
    from pipelines.nightly import night
    from pipelines.runtime.processes import processes_of
    from pipelines.simulate import simulate
    from transforms.simulation.files import log_of

    world, warehouse = Path(out), str(Path(out) / "warehouse")
    with stage("simulate"):
        simulate(listeners, tracks, days, str(world), seed, end_date=END)
    with stage("ingest"):
        ingest(
            warehouse,
            "csv",
            **log_of(world),
            impressions=str(world / "impressions.parquet"),
            end_date=END,
            settings=settings,
        )
    ahead = min(7, max(1, days // 4))
    day = END - timedelta(ahead)
    with stage("prompts"):
        file_prompts(warehouse, day, prompts_of(world, seed), settings=settings)
    watch = stopwatch()
    night(warehouse, day, settings)
    took = watch()
    with stage("evaluate"):
        evaluate(warehouse, day, ahead, settings=settings, processes=processes_of(settings, warehouse, day))
    with stage("report"):
        page = report(warehouse, day, settings.cost)
    roster = pl.read_parquet(world / "listeners.parquet", columns=["listener_id"])
    stored = Warehouse(warehouse)
    show(warehouse, one_to_show(stored, day, roster["listener_id"]), day=day)
    lines = night_lines(of_night(stored, day, took), warehouse)
    click.echo("\n".join([*lines, "", *evaluation_lines(of_evaluation(stored, day), str(page))]))


def one_to_show(warehouse: Warehouse, day: date, listeners: pl.Series) -> str:
    """The first listener who shares a shelf with a group, else the first."""
    if warehouse.current("blend_shelves", day) is not None:
        shared = warehouse.read("blend_shelves", day).filter(pl.col("status") == "personal")["listener_id"]
        listeners = shared if len(shared) else listeners
    return str(listeners.sort()[0])


def prompts_of(world: Path, seed: int) -> str:
    """A file of what some listeners of a simulated world ask for."""
    from transforms.simulation.prompts import prompts_frame

    tracks, artists = (pl.read_parquet(world / f"{name}.parquet") for name in ("tracks", "truth/artists"))
    who = pl.read_parquet(world / "listeners.parquet", columns=["listener_id"])["listener_id"].sort().to_list()
    path = world / "prompts.parquet"
    prompts_frame(tracks, artists, PROMPTS, seed, who).select("prompt_id", "listener_id", "text").write_parquet(path)
    return str(path)
