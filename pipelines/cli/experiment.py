"""The commands of experiments: what one would need, what one says, and which there are."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import click

from pipelines.cli.beam_options import BeamCommand
from pipelines.cli.options import DAY, as_date, config_option, settings_of, standing_option


@click.group()
def experiment() -> None:
    """Experiments on shelves: plan one, read one, list them."""


@experiment.command("read", cls=BeamCommand)
@click.argument("name")
@click.option("--date", "day", type=DAY, help="Through this date; default: the newest that was logged.")
@standing_option
@config_option
@click.pass_context
def read(ctx: click.Context, name: str, day: datetime | None, warehouse: str, config: str | None) -> None:
    """What an experiment says so far: every metric against the control, and whether to ship."""
    from pipelines.experiments import experiments as run
    from transforms.common.errors import UserError
    from transforms.reporting.readouts import readout_lines
    from transforms.tables.warehouse import Warehouse

    newest = Warehouse(warehouse).newest("listens", datetime.max.date())
    through = as_date(day) or (newest.date if newest else datetime.min.date())
    settings = settings_of(config)
    one = settings.experiments.named(name)
    if through <= one.starts:
        raise UserError(
            f"experiment {name} starts with the night of {one.starts}; read it from the day after on, not as of {through}"
        )
    found = run(warehouse, through, settings=settings, beam_args=ctx.args).filter(experiment=name)
    if found.is_empty():
        raise UserError(
            f"nobody is exposed to {name} from {one.starts + timedelta(1)} to {through}; ingest the listens of these days before "
            "reading it"
        )
    for line in readout_lines(found, through):
        click.echo(line)


@experiment.command("plan")
@click.argument("name")
@click.option("--date", "day", type=DAY, help="As if it started after this date; default: the newest that was logged.")
@click.option("--days", type=click.IntRange(1, 28), default=14, show_default=True, help="Days that it would run.")
@standing_option
@config_option
def plan(name: str, day: datetime | None, days: int, warehouse: str, config: str | None) -> None:
    """How many listeners an experiment needs, judged by what listeners did in the same number of days before."""
    from transforms.experiments.planned import planned

    settings = settings_of(config)
    for line in planned(warehouse, name, as_date(day), days, settings.experiments, settings.seed):
        click.echo(line)


@experiment.command("list")
@config_option
def list_all(config: str | None) -> None:
    """The experiments of the settings, running and closed, and their places in their layers."""
    settings: Any = settings_of(config)
    places = settings.experiments.places()
    for one in settings.experiments.experiments:
        until = one.ends or "open"
        arms = ", ".join(f"{name} {arm.weight:g}" for name, arm in one.arms.items())
        low, high = places[one.name], places[one.name] + one.share
        click.echo(f"{one.name}: {one.starts} to {until}, layer {one.layer} {low:.0%} to {high:.0%}, arms {arms}")
    if not places:
        click.echo("no experiment is declared; they stand in the settings under experiments.experiments")


COMMANDS = (experiment,)
