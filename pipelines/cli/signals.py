"""The commands of signals: what one would bring, and which there are."""

from __future__ import annotations

from datetime import datetime

import click

from pipelines.cli.options import DAY, as_date, config_option, settings_of, standing_option


@click.group()
def signal() -> None:
    """Signals: your own columns and tables as features of the rankers. Try one, list them."""


@signal.command("try")
@click.argument("name")
@click.option("--date", "day", type=DAY, help="With outcomes known by this date; default: the newest.")
@standing_option
@config_option
def try_one(name: str, day: datetime | None, warehouse: str, config: str | None) -> None:
    """What a signal brings: verdict, paired interval, cost, and whether it knows the future.

    A signal that does is refused, with exit code 2.
    """
    from pipelines.recommender.signal_trial import trial
    from pipelines.runtime.schedule import horizon
    from transforms.common.errors import UserError
    from transforms.tables.warehouse import Warehouse

    settings, opened = settings_of(config), Warehouse(warehouse)
    newest = opened.newest("outcomes", datetime.max.date())
    through = as_date(day) or (newest.date if newest else None)
    if through is None:
        raise UserError("the warehouse has no outcomes yet; make nights with `nightshelf run --date D` first")
    found = trial(warehouse, name, settings, through, horizon(opened, through, settings))
    for line in found.lines():
        click.echo(line)
    if found.why_refused:
        raise UserError(found.why_refused)


@signal.command("list")
@standing_option
@config_option
def list_all(warehouse: str, config: str | None) -> None:
    """The signals of a warehouse: kind, what each is of, and its column."""
    from transforms.signals.plan import declared_in
    from transforms.tables.as_of import as_of

    past, settings = as_of(warehouse, datetime.max.date()), settings_of(config).signals
    for name, one in sorted({**settings.signals({}), **declared_in(past)}.items()):
        ignored = ", ignored" if name in settings.ignored else ""
        click.echo(f"{name}: {one.kind} of a {one.of}, column {one.column}{ignored}")


COMMANDS = (signal,)
