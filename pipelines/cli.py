"""The command line. Each command imports what it needs when it runs, so that `--help` answers at once."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import click

_DAY = click.DateTime(["%Y-%m-%d"])
_BEAM = {"ignore_unknown_options": True, "allow_extra_args": True}


def _date(value: datetime | None) -> date | None:
    return value.date() if value else None


def _settings(path: str | None) -> Any:
    from pipelines.config import Settings
    from pipelines.settings_file import load

    return load(Settings, path)


_warehouse = click.option("--warehouse", default="./warehouse", show_default=True, help="Folder or gs://bucket/prefix.")
_config = click.option("--config", type=click.Path(), help="Settings file; `nightshelf config` prints one.")
_day = click.option(
    "--date", "day", type=_DAY, required=True, help="The night: everything as of the end of this date, UTC."
)


def _format(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    from pipelines import logs

    if value:
        logs.choose(value)
        logs.setup()


class _Commands(click.Group):
    """A group whose every command takes `--log-format`."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        choices = click.Choice(["text", "json"])
        told = "Lines on stderr: for people, or a JSON object each; also NIGHTSHELF_LOG_FORMAT."
        option = click.Option(["--log-format"], type=choices, callback=_format, expose_value=False, help=told)
        cmd.params.append(option)
        super().add_command(cmd, name)


_key = click.option("--pseudonym-key-file", help="Key of pseudonyms; default: NIGHTSHELF_PSEUDONYM_KEY, if it is set.")


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option("0.1.0", prog_name="nightshelf")
def cli() -> None:
    """A listening log into every listener's shelves, overnight.

    Options that a command does not know are handed to Beam (--runner=..., --project=...).
    """


@cli.command()
@click.option("--listeners", default=500, show_default=True)
@click.option("--tracks", default=5000, show_default=True)
@click.option("--days", default=60, show_default=True)
@click.option(
    "--out", default="./world", show_default=True, help="Where the world is written; the warehouse stands beside it."
)
@click.option("--seed", default=1, show_default=True)
@_config
def demo(listeners: int, tracks: int, days: int, out: str, seed: int, config: str | None) -> None:
    """A simulated world, one night, the report: no data needed."""
    from pipelines.demo import demo as run

    run(listeners, tracks, days, out, seed, _settings(config))


@cli.command(context_settings=_BEAM)
@click.option("--listeners", default=2000, show_default=True)
@click.option("--tracks", default=20000, show_default=True)
@click.option("--days", default=60, show_default=True)
@click.option("--out", required=True, help="Folder to write.")
@click.option("--seed", default=1, show_default=True)
@click.option("--end-date", type=_DAY, help="Last day simulated.")
@click.option("--plays-per-day", default=15.0, show_default=True, help="Mean plays of a listener a day.")
@click.option("--format", "fmt", type=click.Choice(["csv", "parquet"]), default="csv", show_default=True)
@click.pass_context
def simulate(ctx: click.Context, **o: Any) -> None:
    """Make a world of listeners, tracks and listening, with its log as dirty as real ones."""
    from pipelines.simulate import simulate as run

    more: dict[str, Any] = {"end_date": _date(o["end_date"])} if o["end_date"] else {}
    more |= {"format": o["fmt"], "plays_per_day": o["plays_per_day"], "beam_args": ctx.args}
    run(o["listeners"], o["tracks"], o["days"], o["out"], o["seed"], **more)


@cli.command(context_settings=_BEAM)
@click.option(
    "--format", "fmt", required=True, help="csv, parquet, bigquery, lastfm-1k, listenbrainz, spotify-history, sessions."
)
@click.option("--input", "inputs", multiple=True, required=True, help="File, glob or BigQuery table; may be repeated.")
@click.option("--mapping", help="YAML: which column is what (csv, parquet, bigquery).")
@click.option("--tracks", help="Catalog file (Parquet or CSV) in the columns of table `tracks`.")
@click.option("--listeners-file", help="Listeners file in the columns of table `listeners`.")
@click.option("--feedback", help="Feedback file in the columns of table `feedback`.")
@click.option("--impressions", help="Impressions file in the columns of table `impressions`.")
@click.option("--end-date", type=_DAY, help="Last date of the batch; later events are refused.")
@click.option("--anonymous", is_flag=True, help="Each line of a sessions file is a listener of its own.")
@click.option("--listener", help="Listener id for an export of one person (spotify-history).")
@click.option("--accept-gates", is_flag=True, help="Commit the batch even if a check fails; the ledger says so.")
@_key
@_warehouse
@_config
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
        end_date=_date(o["end_date"]),
        anonymous=o["anonymous"],
        listener=o["listener"],
        pseudonym_key_file=o["pseudonym_key_file"],
        accept_gates=o["accept_gates"],
        settings=_settings(o["config"]),
        beam_args=ctx.args,
    )


@cli.command("run", context_settings=_BEAM)
@_day
@_warehouse
@_config
@click.option("--fit-date", type=_DAY, help="Learn from other listeners only up to this date.")
@click.option("--shelf", "shelves", multiple=True, help="Preview: only this shelf; nothing is committed.")
@click.option(
    "--listeners", type=click.Path(exists=True), help="Preview: a file of listener ids; nothing is committed."
)
@click.option("--greedy", is_flag=True, help="The ranker's order under eligibility rules only.")
@click.option("--accept-gates", is_flag=True, help="Commit the night even if a check fails; its manifest says so.")
@_key
@click.pass_context
def run_night(ctx: click.Context, **o: Any) -> None:
    """Make a night: features, models, shelves, and what is missing before them."""
    from pipelines.nightly import night

    night(
        o["warehouse"],
        _date(o["day"]),  # type: ignore[arg-type]
        _settings(o["config"]),
        fit_date=_date(o["fit_date"]),
        shelves=list(o["shelves"]),
        listeners_file=o["listeners"],
        pseudonym_key_file=o["pseudonym_key_file"],
        greedy=o["greedy"],
        accept_gates=o["accept_gates"],
        beam_args=ctx.args,
    )


@cli.command(context_settings=_BEAM)
@click.option("--from", "first", type=_DAY, required=True)
@click.option("--to", "last", type=_DAY, required=True)
@_warehouse
@_config
@click.pass_context
def features(ctx: click.Context, first: datetime, last: datetime, warehouse: str, config: str | None) -> None:
    """Fold days into sessions, library, track statistics and co-listens, in one job."""
    from pipelines.features import features as run

    run(warehouse, first.date(), last.date(), settings=_settings(config), beam_args=ctx.args)


@cli.command(context_settings=_BEAM)
@click.option("--from", "first", type=_DAY, required=True)
@click.option("--to", "last", type=_DAY, required=True)
@_warehouse
@_config
@click.pass_context
def backfill(ctx: click.Context, first: datetime, last: datetime, warehouse: str, config: str | None) -> None:
    """Remake what `status` names as out of date, for every night of a range."""
    from pipelines.nightly import backfill as run

    run(warehouse, first.date(), last.date(), _settings(config), beam_args=ctx.args)


@cli.command()
@_warehouse
@click.option("--date", "day", type=_DAY, help="Only what this night uses; default: the newest.")
def status(warehouse: str, day: datetime | None) -> None:
    """What stands in the warehouse, and what is out of date."""
    from pipelines.upkeep import print_status

    print_status(warehouse, _date(day))


@cli.command()
@click.argument("table")
@_day
@click.option("--unpin", is_flag=True, help="Release the pin, so that runs may replace it again.")
@_warehouse
def rollback(table: str, day: datetime, unpin: bool, warehouse: str) -> None:
    """Point a table's date at the run before the current one, and pin it there."""
    from pipelines.upkeep import rollback as run

    click.echo(run(warehouse, table, day.date(), unpin=unpin))


@cli.command()
@click.option("--date", "day", type=_DAY, help="Only this date; default: all of them.")
@click.option("--dry-run", is_flag=True, help="Only say what is damaged.")
@_warehouse
def repair(day: datetime | None, dry_run: bool, warehouse: str) -> None:
    """Check every file against its manifest, and mark what is damaged to be made again."""
    from pipelines.upkeep import repair as run

    for line in run(warehouse, _date(day), dry_run=dry_run):
        click.echo(line)


@cli.command()
@_warehouse
@_config
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--abandoned", is_flag=True, help="Also runs that never committed; only while no run is at work.")
def clean(warehouse: str, config: str | None, dry_run: bool, abandoned: bool) -> None:
    """Delete old runs; never a current one, nor what an outcome window still needs."""
    from pipelines.upkeep import clean as run

    for line in run(warehouse, _settings(config).retention, dry_run=dry_run, abandoned=abandoned):
        click.echo(line)


@cli.command()
@click.argument("listener")
@click.option("--shelf", help="Only this shelf.")
@click.option("--why", is_flag=True, help="Where each item came from, and what moved its score.")
@click.option("--date", "day", type=_DAY, help="Default: the newest night.")
@_key
@_warehouse
def show(listener: str, warehouse: str, **o: Any) -> None:
    """Print one listener's shelves."""
    from pipelines.identity import known_as
    from pipelines.show import show as run

    (known,) = known_as(warehouse, [listener], o["pseudonym_key_file"])
    run(warehouse, known, shelf=o["shelf"], why=o["why"], day=_date(o["day"]))


@cli.command(context_settings=_BEAM)
@_day
@click.option("--days", default=7, show_default=True, help="Listens of this many days after the night are the targets.")
@_warehouse
@_config
@click.pass_context
def evaluate(ctx: click.Context, day: datetime, days: int, warehouse: str, config: str | None) -> None:
    """Measure a stored night, its sources and the baselines against what was listened to afterwards."""
    from pipelines.evaluate import evaluate as run

    run(warehouse, day.date(), days, settings=_settings(config), beam_args=ctx.args)


@cli.command()
@_day
@_warehouse
@_config
def report(day: datetime, warehouse: str, config: str | None) -> None:
    """Write the night's report: one self-contained HTML page."""
    from pipelines.report import report as run

    click.echo(run(warehouse, day.date(), _settings(config).cost))


@cli.command()
@_day
@_warehouse
@_config
def check(day: datetime, warehouse: str, config: str | None) -> None:
    """A night's checks with their numbers; exits with 3 if one fails, also of a night that was held back."""
    from pipelines.check import print_checks

    print_checks(warehouse, day.date(), _settings(config).gates)


@cli.command()
@click.option("--date", "day", type=_DAY, help="The night; with --rollback, the night to withdraw.")
@click.option("--to", required=True, help="bigquery:PROJECT.DATASET")
@click.option("--table", "tables", multiple=True, default=["shelves"], show_default=True, help="May be repeated.")
@click.option("--rollback", "back", is_flag=True, help="Point the views back at what they read before.")
@click.option("--keep-days", default=7, show_default=True, help="Days until a run that no view reads expires.")
@click.option("--accept-gates", is_flag=True, help="Publish even if a check fails.")
@_warehouse
@_config
def publish(day: datetime | None, to: str, tables: Sequence[str], back: bool, warehouse: str, **o: Any) -> None:
    """Load a night into BigQuery, count its rows, then replace the view that consumers read."""
    from pipelines import publish as job

    keep_days: int = o["keep_days"]
    if back:
        done = job.rollback(to, tables, day=_date(day), keep_days=keep_days)
    elif day is None:
        raise click.UsageError("--date is required, except with --rollback")
    else:
        gates, accept = _settings(o["config"]).gates, o["accept_gates"]
        done = job.publish(warehouse, day.date(), to, tables, keep_days=keep_days, gates=gates, accept_gates=accept)
    for one in done:
        click.echo(one)


@cli.command(context_settings=_BEAM)
@click.argument("listeners", nargs=-1)
@click.option("--listeners-file", help="Further ids, one a line.")
@click.option("--published", help="bigquery:PROJECT.DATASET whose tables are cleared too.")
@click.option(
    "--readmit", is_flag=True, help="Only take them off the list: what is ingested from now on is taken again."
)
@_key
@_warehouse
@click.pass_context
def forget(ctx: click.Context, listeners: tuple[str, ...], warehouse: str, **o: Any) -> None:
    """Remove listeners from every table, stored run and published copy, and refuse them from now on.

    While no other job is at work. With no LISTENER, everybody who was forgotten is looked for once more, everywhere.
    """
    from pipelines import forget as job

    beam = [a for a in ctx.args if a.startswith("--")]  # a listener's id may stand among what click left over
    ids = [*listeners, *(a for a in ctx.args if not a.startswith("--"))]
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


@cli.command("config")
@_config
def print_config(config: str | None) -> None:
    """Print all settings as YAML, with their defaults."""
    from pipelines.settings_file import to_yaml

    click.echo(to_yaml(_settings(config)), nl=False)


def main() -> None:
    """Entry point: runs the command, and leaves with its exit code."""
    from pipelines.leave import exit_code, leave

    try:
        _run()
    except SystemExit as done:
        leave(exit_code(done.code))
    leave(0)


def _run() -> None:
    """Run a command: user errors become one sentence and an exit code, never a stack trace, which might quote a row."""
    from pipelines import logs
    from transforms.errors import UserError

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
    except click.Abort:
        _fail("nightshelf: interrupted; the same command again goes on where it can", 130)
    except Exception as error:
        if os.environ.get(logs.DEBUG):
            raise
        _fail(f"nightshelf: an error that nobody foresaw: {logs.told(error)}; {logs.MORE}", 1)


def _unnamed(error: click.UsageError) -> str:
    """A usage error without the arguments it quotes, among which may be a listener."""
    return re.sub(r"argument(s?) \(.*\)", r"argument\1", error.format_message(), flags=re.DOTALL)


def _fail(message: str, code: int) -> None:
    from pipelines import logs

    logs.say("ERROR", message, exit_code=code)
    sys.exit(code)


if __name__ == "__main__":
    main()
