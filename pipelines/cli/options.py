"""Options that commands share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from functools import wraps
from typing import Any

import click

from pipelines.cli.declare import DAY


def as_date(value: datetime | None) -> date | None:
    """The date of a parsed option."""
    return value.date() if value else None


def settings_of(path: str | None) -> Any:
    """The settings of a file; defaults without one."""
    from pipelines.runtime.config import Settings
    from pipelines.runtime.settings_file import load

    return load(Settings, path)


warehouse_option = click.option(
    "--warehouse", default="./warehouse", show_default=True, help="Folder or gs://bucket/prefix."
)


def standing_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--warehouse` of a command that needs one that is there; looked for when all its options are known to be right."""

    @wraps(command)
    def checked(*args: Any, **options: Any) -> Any:
        from transforms.tables.warehouse import standing

        standing(options["warehouse"])
        return command(*args, **options)

    return warehouse_option(checked)


config_option = click.option("--config", type=click.Path(), help="Settings file; `nightshelf config` prints one.")
day_option = click.option(
    "--date", "day", type=DAY, required=True, help="The night: everything as of the end of this date, UTC."
)


def in_order(first: date, last: date) -> None:
    """Refuse a range that ends before it begins.

    Raises:
        click.UsageError: it does.
    """
    if first > last:
        raise click.UsageError(f"--from is after --to: expected the earlier date first, found {first} and {last}")


def _format(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    from pipelines.runtime import logs

    if value:
        logs.choose(value)
        logs.setup()


def _profile(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    from pathlib import Path

    from pipelines.runtime.profile import profiled

    if value:
        ctx.with_resource(profiled(Path(value)))


class Commands(click.Group):
    """A group whose every command takes `--log-format` and `--profile`."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Register a command, with these options."""
        choices = click.Choice(["text", "json"])
        text = "Lines on stderr: for people, or a JSON object each; also NIGHTSHELF_LOG_FORMAT."
        option = click.Option(["--log-format"], type=choices, callback=_format, expose_value=False, help=text)
        folder = click.Path(file_okay=False)
        where = "Write into this folder where the time of this process went: jobs and their parts, functions, stacks."
        profile = click.Option(["--profile"], type=folder, callback=_profile, expose_value=False, help=where)
        cmd.params.extend([option, profile])
        super().add_command(cmd, name)


key_option = click.option(
    "--pseudonym-key-file", help="Key of pseudonyms; default: NIGHTSHELF_PSEUDONYM_KEY, if it is set."
)
