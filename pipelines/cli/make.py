"""Commands that make something: a world, a warehouse, a night, a range of nights."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import click

from pipelines.cli.beam_options import BeamCommand
from pipelines.cli.declare import DAY
from pipelines.cli.jobs import JOBS
from pipelines.cli.options import (
    as_date,
    config_option,
    day_option,
    in_order,
    key_option,
    settings_of,
    warehouse_option,
)


@click.command()
@click.option("--listeners", default=500, show_default=True)
@click.option("--tracks", default=5000, show_default=True)
@click.option("--days", default=60, show_default=True)
@click.option(
    "--out", default="./world", show_default=True, help="Where the world is written; the warehouse stands beside it."
)
@click.option("--seed", default=1, show_default=True)
@config_option
def demo(listeners: int, tracks: int, days: int, out: str, seed: int, config: str | None) -> None:
    """A simulated world, one night, the report: no data needed."""
    from pipelines.cli.demo import demo as run

    run(listeners, tracks, days, out, seed, settings_of(config))


@click.command(cls=BeamCommand)
@click.option("--listeners", default=2000, show_default=True)
@click.option("--tracks", default=20000, show_default=True)
@click.option("--days", default=60, show_default=True)
@click.option("--out", required=True, help="Folder to write.")
@click.option("--seed", default=1, show_default=True)
@click.option("--end-date", type=DAY, help="Last day simulated.")
@click.option("--plays-per-day", default=15.0, show_default=True, help="Mean plays of a listener a day.")
@click.option("--format", "fmt", type=click.Choice(["csv", "parquet"]), default="csv", show_default=True)
@click.pass_context
def simulate(ctx: click.Context, **o: Any) -> None:
    """Make a world of listeners, tracks and listening, with its log as dirty as real ones."""
    from pipelines.simulate import simulate as run

    more: dict[str, Any] = {"end_date": as_date(o["end_date"])} if o["end_date"] else {}
    more |= {"format": o["fmt"], "plays_per_day": o["plays_per_day"], "beam_args": ctx.args}
    run(o["listeners"], o["tracks"], o["days"], o["out"], o["seed"], **more)


@click.command(cls=BeamCommand)
@JOBS["ingest"].on_terminal
@click.pass_context
def ingest(ctx: click.Context, config: str | None, **given: Any) -> None:
    """Bring a listening log into the warehouse: cleaned, counted, split by listener."""
    from pipelines.ingest import ingest as run

    run(settings=settings_of(config), beam_args=ctx.args, **given)


@click.command("run", cls=BeamCommand)
@day_option
@warehouse_option
@config_option
@click.option("--fit-date", type=DAY, help="Learn from other listeners only up to this date.")
@click.option("--shelf", "shelves", multiple=True, help="Preview of this shelf, with what stands there.")
@click.option("--listeners", type=click.Path(exists=True), help="Preview of a file's listener ids, one a line.")
@click.option("--against", is_flag=True, help="With a preview: what it changes for whom, beside the stored night.")
@click.option("--greedy", is_flag=True, help="The ranker's order under eligibility rules only.")
@click.option("--accept-gates", is_flag=True, help="Commit the night even if a check fails; its manifest says so.")
@click.option("--dry-run", is_flag=True, help="Only say what would be made, stage by stage; nothing is written.")
@click.option("--json", "as_json", is_flag=True, help="With --dry-run: one JSON object.")
@key_option
@click.pass_context
def run_night(ctx: click.Context, **o: Any) -> None:
    """Make a night: features, models, shelves, and what is missing before them.

    With --shelf or --listeners only a preview: the night's library and the models of its fit date are used as they
    stand, no date is folded, nothing is fitted or committed, and its shelves are printed.
    """
    day, settings, more = o["day"].date(), settings_of(o["config"]), {"greedy": o["greedy"], "beam_args": ctx.args}
    if o["shelves"] or o["listeners"]:
        if o["dry_run"]:
            raise click.UsageError(
                "a preview commits nothing as it is: leave out --dry-run, or --shelf and --listeners"
            )
        from pipelines.cli.preview import preview

        who = {key: o[key] for key in ("pseudonym_key_file", "against")} | {"listeners_file": o["listeners"]}
        preview(o["warehouse"], day, as_date(o["fit_date"]) or day, settings, shelves=list(o["shelves"]), **who, **more)
        return
    if o["dry_run"]:
        _say_what_would_be_made(o, day, settings, more)
        return
    if o["as_json"]:
        raise click.UsageError("--json is of --dry-run: add it")
    if o["against"]:
        raise click.UsageError("--against compares a preview: add --shelf or --listeners")
    from pipelines.cli.summary import night_lines, of_night
    from pipelines.nightly import night
    from pipelines.runtime.progress import stopwatch
    from transforms.tables.warehouse import Warehouse

    took = stopwatch()
    night(o["warehouse"], day, settings, fit_date=as_date(o["fit_date"]), accept_gates=o["accept_gates"], **more)
    if Warehouse(o["warehouse"]).current("shelves", day) is not None:  # else another service is still at work
        made = of_night(Warehouse(o["warehouse"]), day, took())
        click.echo("\n".join(night_lines(made, o["warehouse"])))


def _say_what_would_be_made(o: dict[str, Any], day: date, settings: Any, more: dict[str, Any]) -> None:
    """The stages of a night, and which of them have something to make."""
    import json

    from pipelines.cli.dry_run import as_dict, dry_lines, dry_run
    from pipelines.runtime.schedule import Night
    from transforms.tables.store_dry import dry
    from transforms.tables.warehouse import standing

    standing(o["warehouse"])
    fit = as_date(o["fit_date"]) or day
    asked = Night(dry(o["warehouse"]), day, fit, settings, 0, accept_gates=o["accept_gates"], **more)
    lines, seconds = dry_run(asked)
    click.echo(
        json.dumps(as_dict(asked, lines, seconds)) if o["as_json"] else "\n".join(dry_lines(asked, lines, seconds))
    )


@click.command(cls=BeamCommand)
@JOBS["features"].on_terminal
@click.pass_context
def features(ctx: click.Context, date_from: date | None, date_to: date, warehouse: str, **o: Any) -> None:
    """Fold days into sessions, library, track statistics and co-listens, in one job."""
    from pipelines.features import features as run
    from pipelines.runtime.check import require_listens
    from transforms.tables.warehouse import Warehouse

    first = date_from or date_to
    in_order(first, date_to)
    settings, stored = settings_of(o["config"]), Warehouse(warehouse)
    if stored.current("library", date_to) is None and stored.newest("listens", date_to):  # else closed, or nothing
        command = f"features --from {first} --to {date_to}"
        require_listens(stored, date_to, settings.gates, o["accept_gates"], names=("freshness",), command=command)
    run(warehouse, first, date_to, settings=settings, beam_args=ctx.args)


@click.command(cls=BeamCommand)
@click.option("--from", "first", type=DAY, required=True)
@click.option("--to", "last", type=DAY, required=True)
@warehouse_option
@config_option
@click.pass_context
def backfill(ctx: click.Context, first: datetime, last: datetime, warehouse: str, config: str | None) -> None:
    """Remake what `status` names as out of date, for every night of a range."""
    from pipelines.backfill import backfill as run
    from pipelines.runtime.jobs import watched

    in_order(first.date(), last.date())
    with watched() as made:
        run(warehouse, first.date(), last.date(), settings_of(config), beam_args=ctx.args)
    if not made:
        click.echo(f"nothing to do from {first.date()} to {last.date()}: everything is current")


COMMANDS = (demo, simulate, ingest, run_night, features, backfill)
