"""The command line. Each command imports what it needs when it runs, so that `--help` answers at once."""

from __future__ import annotations

import os
import re
import sys
from datetime import datetime
from typing import Any

import click

from pipelines.cli.beam_options import BeamCommand
from pipelines.cli.care import COMMANDS
from pipelines.cli.live import live
from pipelines.cli.options import (
    DAY,
    Commands,
    as_date,
    config_option,
    day_option,
    in_order,
    key_option,
    settings_of,
    standing_option,
    warehouse_option,
)

INTERRUPTED = "nightshelf: interrupted; the same command again goes on where it can"


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option("0.1.0", prog_name="nightshelf")
def cli() -> None:
    """A listening log into every listener's shelves, overnight.

    Options for Beam (--runner=..., --project=...) stand among a command's own; what neither knows is refused.
    """


@cli.command()
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


@cli.command(cls=BeamCommand)
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


@cli.command(cls=BeamCommand)
@click.option(
    "--format", "fmt", required=True, help="csv, parquet, bigquery, lastfm-1k, listenbrainz, spotify-history, sessions."
)
@click.option("--input", "inputs", multiple=True, required=True, help="File, glob or BigQuery table; may be repeated.")
@click.option("--mapping", help="YAML: which column is what (csv, parquet, bigquery).")
@click.option("--tracks", help="Catalog file (Parquet or CSV) in the columns of table `tracks`.")
@click.option("--listeners-file", help="Listeners file in the columns of table `listeners`.")
@click.option("--feedback", help="Feedback file in the columns of table `feedback`.")
@click.option("--impressions", help="Impressions file in the columns of table `impressions`.")
@click.option("--end-date", type=DAY, help="Last date of the batch; later events are refused.")
@click.option("--anonymous", is_flag=True, help="Each line of a sessions file is a listener of its own.")
@click.option("--listener", help="Listener id for an export of one person (spotify-history).")
@click.option("--accept-gates", is_flag=True, help="Commit the batch even if a check fails; the ledger says so.")
@key_option
@warehouse_option
@config_option
@click.pass_context
def ingest(ctx: click.Context, **o: Any) -> None:
    """Bring a listening log into the warehouse: cleaned, counted, split by listener."""
    from pipelines.ingest import ingest as run

    run(
        o["warehouse"],
        o["fmt"],
        list(o["inputs"]),
        mapping=o["mapping"],
        tracks=o["tracks"],
        listeners_file=o["listeners_file"],
        feedback=o["feedback"],
        impressions=o["impressions"],
        end_date=as_date(o["end_date"]),
        anonymous=o["anonymous"],
        listener=o["listener"],
        pseudonym_key_file=o["pseudonym_key_file"],
        accept_gates=o["accept_gates"],
        settings=settings_of(o["config"]),
        beam_args=ctx.args,
    )


@cli.command("run", cls=BeamCommand)
@day_option
@warehouse_option
@config_option
@click.option("--fit-date", type=DAY, help="Learn from other listeners only up to this date.")
@click.option("--shelf", "shelves", multiple=True, help="Preview of this shelf, with what stands there.")
@click.option("--listeners", type=click.Path(exists=True), help="Preview of a file's listener ids, one a line.")
@click.option("--greedy", is_flag=True, help="The ranker's order under eligibility rules only.")
@click.option("--accept-gates", is_flag=True, help="Commit the night even if a check fails; its manifest says so.")
@key_option
@click.pass_context
def run_night(ctx: click.Context, **o: Any) -> None:
    """Make a night: features, models, shelves, and what is missing before them.

    With --shelf or --listeners only a preview: the night's library and the models of its fit date are used as they
    stand, no date is folded, nothing is fitted or committed, and its shelves are printed.
    """
    day, settings, more = o["day"].date(), settings_of(o["config"]), {"greedy": o["greedy"], "beam_args": ctx.args}
    if o["shelves"] or o["listeners"]:
        from pipelines.cli.preview import preview

        who = {"listeners_file": o["listeners"], "pseudonym_key_file": o["pseudonym_key_file"]}
        preview(o["warehouse"], day, as_date(o["fit_date"]) or day, settings, shelves=list(o["shelves"]), **who, **more)
        return
    from pipelines.nightly import night

    night(o["warehouse"], day, settings, fit_date=as_date(o["fit_date"]), accept_gates=o["accept_gates"], **more)


@cli.command(cls=BeamCommand)
@click.option("--from", "first", type=DAY, required=True)
@click.option("--to", "last", type=DAY, required=True)
@warehouse_option
@config_option
@click.option("--accept-gates", is_flag=True, help="Fold, and so close, dates long after the newest listens too.")
@click.pass_context
def features(ctx: click.Context, first: datetime, last: datetime, warehouse: str, **o: Any) -> None:
    """Fold days into sessions, library, track statistics and co-listens, in one job."""
    from pipelines.features import features as run
    from pipelines.runtime.check import require_listens
    from transforms.tables.warehouse import Warehouse

    in_order(first, last)
    settings, place = settings_of(o["config"]), Warehouse(warehouse)
    if place.current("library", last.date()) is None and place.newest(
        "listens", last.date()
    ):  # else closed, or nothing
        command = f"features --from {first.date()} --to {last.date()}"
        require_listens(place, last.date(), settings.gates, o["accept_gates"], names=("freshness",), command=command)
    run(warehouse, first.date(), last.date(), settings=settings, beam_args=ctx.args)


@cli.command(cls=BeamCommand)
@click.option("--from", "first", type=DAY, required=True)
@click.option("--to", "last", type=DAY, required=True)
@warehouse_option
@config_option
@click.pass_context
def backfill(ctx: click.Context, first: datetime, last: datetime, warehouse: str, config: str | None) -> None:
    """Remake what `status` names as out of date, for every night of a range."""
    from pipelines.backfill import backfill as run
    from pipelines.runtime.jobs import watched

    in_order(first, last)
    with watched() as made:
        run(warehouse, first.date(), last.date(), settings_of(config), beam_args=ctx.args)
    if not made:
        click.echo(f"nothing to do from {first.date()} to {last.date()}: everything is current")


@cli.command()
@click.argument("listener")
@click.option("--shelf", help="Only this shelf.")
@click.option("--why", is_flag=True, help="Where each item came from, and what moved its score.")
@click.option("--date", "day", type=DAY, help="Default: the newest night.")
@key_option
@standing_option
def show(listener: str, warehouse: str, **o: Any) -> None:
    """Print one listener's shelves."""
    from pipelines.cli.show import show as run
    from pipelines.runtime.identity import known_as

    (known,) = known_as(warehouse, [listener], o["pseudonym_key_file"])
    run(warehouse, known, shelf=o["shelf"], why=o["why"], day=as_date(o["day"]))


@cli.command(cls=BeamCommand)
@day_option
@click.option(
    "--days",
    type=click.IntRange(1, 9999),
    default=7,
    show_default=True,
    help="Listens of this many days after the night are the targets, or of as many as the log holds.",
)
@standing_option
@config_option
@click.pass_context
def evaluate(ctx: click.Context, day: datetime, days: int, warehouse: str, config: str | None) -> None:
    """Measure a stored night, its sources and the baselines against what was listened to afterwards."""
    from pipelines.evaluate import evaluate as run

    run(warehouse, day.date(), days, settings=settings_of(config), beam_args=ctx.args)


@cli.command()
@day_option
@standing_option
@config_option
def report(day: datetime, warehouse: str, config: str | None) -> None:
    """Write the night's report: one self-contained HTML page."""
    from pipelines.cli.report import report as run

    click.echo(run(warehouse, day.date(), settings_of(config).cost))


@cli.command("config")
@config_option
def print_config(config: str | None) -> None:
    """Print all settings as YAML, with their defaults."""
    from pipelines.runtime.settings_file import to_yaml

    click.echo(to_yaml(settings_of(config)), nl=False)


for one in (live, *COMMANDS):
    cli.add_command(one)


def main() -> None:
    """Entry point: runs the command, and leaves with its exit code."""
    from pipelines.runtime.leave import exit_code, leave

    try:
        _run()
    except SystemExit as done:
        leave(exit_code(done.code))
    leave(0)


def _run() -> None:
    """Run a command: user errors become one sentence and an exit code, never a stack trace, which might quote a row."""
    from pipelines.runtime import logs
    from transforms.common.errors import UserError, interrupted

    logs.setup()
    try:
        cli(standalone_mode=False)
    except UserError as error:
        _fail(f"nightshelf: {error}", error.exit_code)
    except click.UsageError as error:
        if error.ctx is not None and not logs.as_json():
            click.echo(error.ctx.get_usage(), err=True)
        _fail(f"nightshelf: {_unnamed(error)}", error.exit_code)
    except click.ClickException as error:
        _fail(f"nightshelf: {error.format_message()}", error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail(INTERRUPTED, 130)
    except Exception as error:
        if interrupted(error):
            _fail(INTERRUPTED, 130)
        if os.environ.get(logs.DEBUG):
            raise
        _fail(f"nightshelf: an error that nobody foresaw: {logs.told(error)}; {logs.MORE}", 1)


def _unnamed(error: click.UsageError) -> str:
    """A usage error without the arguments it quotes, among which may be a listener."""
    return re.sub(r"argument(s?) \(.*\)", r"argument\1", error.format_message(), flags=re.DOTALL)


def _fail(message: str, code: int) -> None:
    from pipelines.runtime import logs

    logs.say("ERROR", message, exit_code=code)
    sys.exit(code)


if __name__ == "__main__":
    main()
