"""Commands that look at what is made: shelves, measurements, the report, the settings."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from pipelines.cli.beam_options import BeamCommand
from pipelines.cli.declare import DAY
from pipelines.cli.jobs import JOBS
from pipelines.cli.options import as_date, config_option, day_option, key_option, settings_of, standing_option


@click.command()
@click.argument("listener")
@click.option("--shelf", help="Only this shelf.")
@click.option("--why", is_flag=True, help="Where each item came from, and what moved its score.")
@click.option("--date", "day", type=DAY, help="Default: the newest night.")
@click.option("--json", "in_json", is_flag=True, help="One JSON object a shelf, a line each.")
@key_option
@standing_option
def show(listener: str, warehouse: str, **o: Any) -> None:
    """Print one listener's shelves."""
    from pipelines.cli.show import as_json, shelves_of
    from pipelines.cli.show import show as run
    from pipelines.runtime.identity import known_as
    from transforms.tables.warehouse import Warehouse

    (known,) = known_as(warehouse, [listener], o["pseudonym_key_file"])
    if o["in_json"]:
        stored = Warehouse(warehouse)
        _, rows = shelves_of(stored, known, o["shelf"], as_date(o["day"]))
        for line in as_json(stored, known, rows, why=o["why"]):
            click.echo(line)
        return
    run(warehouse, known, shelf=o["shelf"], why=o["why"], day=as_date(o["day"]))


@click.command("why-not")
@click.argument("listener")
@click.argument("track")
@click.option("--date", "day", type=DAY, help="Default: the newest night.")
@key_option
@standing_option
@config_option
def why_not(listener: str, track: str, day: datetime | None, warehouse: str, **o: Any) -> None:
    """Say what kept a track off a listener's shelves: not retrieved, removed by a rule, or ranked too low.

    The night is worked out again for this one listener with what stands: its library, models, ranker and settings.
    """
    from pipelines.cli.why_not import answer
    from pipelines.runtime.identity import known_as
    from transforms.common.printable import plain

    (known,) = known_as(warehouse, [listener], o["pseudonym_key_file"])
    for line in answer(warehouse, known, track, as_date(day), settings_of(o["config"])):
        click.echo(plain(line, lines=True))


@click.command(cls=BeamCommand)
@JOBS["evaluate"].on_terminal
@click.option("--json", "as_json", is_flag=True, help="The figures as JSON.")
@click.pass_context
def evaluate(ctx: click.Context, config: str | None, warehouse: str, as_json: bool, **given: Any) -> None:
    """Measure a stored night, its sources and the baselines against what was listened to afterwards."""
    import json

    from pipelines.cli.summary import evaluation_lines, of_evaluation
    from pipelines.evaluate import evaluate as run
    from pipelines.runtime.jobs import described_only
    from pipelines.runtime.processes import processes_of
    from transforms.tables.warehouse import standing

    stored = standing(warehouse)
    settings = settings_of(config)
    count = processes_of(settings, warehouse, given["day"], ctx.args)
    run(warehouse, settings=settings, processes=count, beam_args=ctx.args, **given)
    if described_only(ctx.args) or stored.current("evaluation", given["day"]) is None:
        return  # the work is done elsewhere
    found = of_evaluation(stored, given["day"])
    where = "" if warehouse == "./warehouse" else f" --warehouse {warehouse}"
    page = f"nightshelf report --date {given['day']}{where}"
    click.echo(json.dumps(found) if as_json else "\n".join(evaluation_lines(found, page)))


@click.command()
@day_option
@standing_option
@config_option
@click.option(
    "--gallery",
    type=click.IntRange(0, 20_000),
    default=2000,
    show_default=True,
    help="Listeners whose shelves stand in the gallery beside it, at most; 0 = no gallery.",
)
def report(day: datetime, warehouse: str, config: str | None, gallery: int) -> None:
    """Write the night's report: one self-contained HTML page, and a gallery of listeners' shelves beside it."""
    from pipelines.cli.report import report as run

    click.echo(run(warehouse, day.date(), settings_of(config).cost, gallery))


@click.command("config")
@config_option
def print_config(config: str | None) -> None:
    """Print all settings as YAML, with their defaults."""
    from pipelines.runtime.settings_file import to_yaml

    click.echo(to_yaml(settings_of(config)), nl=False)


@click.command()
@click.option("--sample", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many ids.")
@click.option("--date", "day", type=DAY, help="Default: the newest night.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@standing_option
def listeners(sample: int, day: datetime | None, as_json: bool, warehouse: str) -> None:
    """Ids of some listeners of a night to try `show` with, from those with many shelves of their own to those with none."""
    import json

    from pipelines.cli.listeners import sample as drawn
    from transforms.common.printable import plain

    for row in drawn(warehouse, sample, as_date(day)).iter_rows(named=True):
        found = f"{plain(row['listener_id'])}  {row['personal']} of {row['shelves']} shelves are personal"
        click.echo(json.dumps(row) if as_json else found)


COMMANDS = (show, why_not, listeners, evaluate, report, print_config)
