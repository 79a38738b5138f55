"""Commands that look after what is made: is it whole, is it good, who reads it, who is to be gone from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import click

from pipelines.cli.beam_options import HANDED_ON, BeamCommand, mistake, own_options
from pipelines.cli.declare import DAY
from pipelines.cli.jobs import JOBS
from pipelines.cli.options import (
    as_date,
    config_option,
    day_option,
    settings_of,
    standing_option,
)


@click.command()
@standing_option
@click.option("--date", "day", type=DAY, help="Only dates up to this one; default: all.")
@click.option("--json", "as_json", is_flag=True, help="Every table and date, one JSON object a line.")
def status(warehouse: str, day: datetime | None, as_json: bool) -> None:
    """What stands in the warehouse, what is pinned or out of date, and the command for it."""
    from pipelines.cli.status import standing_tables, status_lines
    from transforms.tables.warehouse import Warehouse

    stored = Warehouse(warehouse)
    if as_json:
        for one in standing_tables(stored, as_date(day)):
            click.echo(json.dumps(one.to_dict()))
    else:
        click.echo("\n".join(status_lines(stored, as_date(day))))


@click.command()
@click.argument("table")
@day_option
@click.option("--unpin", is_flag=True, help="Release the pin, so that runs may replace it again.")
@standing_option
def rollback(table: str, day: datetime, unpin: bool, warehouse: str) -> None:
    """Point a table's date at the run before the current one, and pin it there."""
    from pipelines.cli.upkeep import rollback as run

    click.echo(run(warehouse, table, day.date(), unpin=unpin))


@click.command()
@click.option("--date", "day", type=DAY, help="Only this date; default: all of them.")
@click.option("--dry-run", is_flag=True, help="Only say what is damaged.")
@standing_option
def repair(day: datetime | None, dry_run: bool, warehouse: str) -> None:
    """Check every file against its manifest, and mark what is damaged to be made again."""
    from pipelines.cli.upkeep import repair as run

    for line in run(warehouse, as_date(day), dry_run=dry_run):
        click.echo(line)


@click.command()
@standing_option
@config_option
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--abandoned", is_flag=True, help="Also runs that never committed and whose job has ended.")
def clean(warehouse: str, config: str | None, dry_run: bool, abandoned: bool) -> None:
    """Delete old runs; never a current one, nor what an outcome window still needs."""
    from pipelines.cli.upkeep import clean as run

    for line in run(warehouse, settings_of(config).retention, dry_run=dry_run, abandoned=abandoned):
        click.echo(line)


@click.command()
@day_option
@standing_option
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def check(day: datetime, warehouse: str, config: str | None, as_json: bool) -> None:
    """A night's checks with their numbers; exits with 3 if one fails, also of a night that was held back."""
    from pipelines.runtime.check import checked, require_passed, told_lines

    found = checked(warehouse, day.date(), settings_of(config).gates)
    click.echo(json.dumps(found.to_dict()) if as_json else "\n".join(told_lines(found)))
    require_passed(found)


@click.command()
@JOBS["publish"].on_terminal
@click.option("--rollback", "back", is_flag=True, help="Point the views back at what they read before.")
def publish(day: date | None, to: str, tables: Sequence[str], back: bool, warehouse: str, **o: Any) -> None:
    """Load a night into BigQuery, count its rows, then replace the view that consumers read.

    With --rollback, --date is the night to withdraw; without it, whatever the views read.
    """
    from pipelines import publish as job
    from transforms.tables.warehouse import standing

    keep_days: int = o["keep_days"]
    if back:
        done = job.rollback(to, tables, day=day, keep_days=keep_days)
    elif day is None:
        raise click.UsageError("--date is required, except with --rollback")
    else:
        standing(warehouse)
        gates, accept = settings_of(o["config"]).gates, o["accept_gates"]
        done = job.publish(warehouse, day, to, tables, keep_days=keep_days, gates=gates, accept_gates=accept)
    for one in done:
        click.echo(one)


@click.command(cls=BeamCommand)
@JOBS["export"].on_terminal
@click.option("--rollback", "back", is_flag=True, help="Point readers back at the publication before.")
@click.pass_context
def export(ctx: click.Context, day: date | None, to: str, back: bool, warehouse: str, **o: Any) -> None:
    """Write a night's shelves by key, then move the pointer that apps read by."""
    from pipelines import export as job
    from transforms.tables.warehouse import standing

    if back:
        done = job.rollback(to)
    elif day is None:
        raise click.UsageError("--date is required, except with --rollback")
    else:
        standing(warehouse)
        settings, more = settings_of(o["config"]), {name: o[name] for name in ("keep_days", "accept_gates")}
        found = job.export(warehouse, day, to, settings=settings, beam_args=ctx.args, **more)
        if found is None:
            return
        done = found
    click.echo(
        f"{to} serves the night of {done.date}: {done.listeners:,} listeners, {done.rows:,} rows, stamp {done.stamp}"
    )


@click.command(context_settings=HANDED_ON)
@click.argument("listeners", nargs=-1)
@JOBS["forget"].on_terminal
@click.option(
    "--readmit", is_flag=True, help="Only take them off the list: what is ingested from now on is taken again."
)
@click.pass_context
def forget(ctx: click.Context, listeners: tuple[str, ...], warehouse: str, **o: Any) -> None:
    """Remove listeners from every table, stored run and published copy, and refuse them from now on.

    While no other job is at work. With no LISTENER, everybody who was forgotten is looked for once more, everywhere.
    """
    from pipelines import forget as job
    from transforms.tables.warehouse import standing

    ids, beam = _told_apart([*listeners, *ctx.args])
    wrong = mistake(beam, own_options(ctx.command, ctx), quoted=False) if beam else None
    if wrong:
        raise click.UsageError(f"nobody was forgotten: {wrong}", ctx)
    standing(warehouse)
    if o["readmit"]:
        known = [*ids, *(job.ids_of_file(o["listeners_file"]) if o["listeners_file"] else [])]
        click.echo(f"readmitted: {job.readmit(warehouse, known, o['pseudonym_key_file'])}")
        return
    done = job.forget(
        warehouse,
        ids,
        listeners_file=o["listeners_file"],
        published=o["published"],
        pseudonym_key_file=o["pseudonym_key_file"],
        beam_args=beam,
    )
    click.echo(done)


def _told_apart(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Listeners, and options for Beam, among what a command was given: the parser takes the ones for the others.

    Raises:
        UserError: something that could be either; a listener who was never meant would be forgotten.
    """
    from transforms.common.errors import UserError

    beam = [w for w in words if w.startswith("--")]
    if any("=" not in w for w in beam):
        raise UserError(
            "expected LISTENER or an option for Beam as --name=value, found a word that begins with two dashes and has no "
            "value; nobody was forgotten: mend the option, or put an id that begins so into --listeners-file"
        )
    return [w for w in words if not w.startswith("--")], beam


COMMANDS = (status, rollback, repair, clean, check, publish, export, forget)
