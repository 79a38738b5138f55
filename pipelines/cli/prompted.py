"""Commands of prompted playlists: one prompt at once, or a file of them in a night's frame."""

from __future__ import annotations

from typing import Any

import click

from pipelines.cli.beam_options import BeamCommand
from pipelines.cli.declare import DAY
from pipelines.cli.jobs import JOBS
from pipelines.cli.options import as_date, config_option, key_option, settings_of, standing_option


@click.command()
@click.argument("text")
@click.option("--listener", help="Whose taste, market and blocks count.")
@click.option("--follows", help="Id of the prompt that this one changes.")
@click.option("--minutes", type=click.FloatRange(0, 1440, min_open=True), help="Length, whatever the text says.")
@click.option("--size", type=click.IntRange(1, 500), help="Number of tracks, whatever the text says.")
@click.option("--date", "day", type=DAY, help="Default: the newest night.")
@key_option
@config_option
@standing_option
def playlist(text: str, warehouse: str, **o: Any) -> None:
    """A playlist from a sentence, at once: nightshelf playlist "an hour of calm jazz from the 60s, no Kenny G"."""
    from pipelines.cli.playlist import playlist as run
    from pipelines.runtime.identity import known_as

    listener = known_as(warehouse, [o["listener"]], o["pseudonym_key_file"])[0] if o["listener"] else None
    more = {name: o[name] for name in ("follows", "minutes", "size")}
    run(warehouse, text, settings=settings_of(o["config"]), listener=listener, day=as_date(o["day"]), **more)


@click.command(cls=BeamCommand)
@JOBS["prompt"].on_terminal
@click.pass_context
def prompt(ctx: click.Context, config: str | None, warehouse: str, **given: Any) -> None:
    """Answer every prompt of a date: tables intents and playlists."""
    from pipelines.prompt import prompt as run
    from transforms.tables.warehouse import standing

    standing(warehouse)
    run(warehouse, settings=settings_of(config), beam_args=ctx.args, **given)


@click.command("file-prompts", cls=BeamCommand)
@JOBS["file_prompts"].on_terminal
@click.pass_context
def file_prompts(ctx: click.Context, config: str | None, warehouse: str, path: str | None, **given: Any) -> None:
    """File prompts under a date: .parquet, .csv or .jsonl in the columns of table prompts."""
    from pipelines.file_prompts import file_prompts as run
    from transforms.tables.warehouse import standing

    standing(warehouse)
    if path is None:
        raise click.UsageError("--input is required: a file of prompts", ctx)
    counts = run(warehouse, path=path, settings=settings_of(config), beam_args=ctx.args, **given)
    click.echo(", ".join(f"{name} {n:,}" for name, n in sorted(counts.items(), key=lambda c: c[0] != "rows")))


COMMANDS = (playlist, prompt, file_prompts)
