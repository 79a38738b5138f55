"""The jobs that can be started from outside, and what each is told: the one declaration of their options.

The terminal's commands, the templates' parameters and their metadata are made of it (`pipelines.cli.declare`), and a test holds
each job's arguments to it. Adding an option is a line here and an argument of the job.
"""

from __future__ import annotations

import re
from dataclasses import replace

import click

from pipelines.cli.declare import DAY, Command, Option, Text, a_day

_BUCKET = r"gs://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]"
_LOCAL = r"[^\s:,]+"
_NAME = r"(?:[a-z][a-z0-9.-]*:)?[A-Za-z][A-Za-z0-9-]*\.\w+"
_ITEM = rf"(?:{_BUCKET}/[^\s,]+|{_LOCAL}|{_NAME}\.[\w-]+)"


NAMELESS = {"spotify-history"}  # its lines never say whose they are


def _formats() -> tuple[str, ...]:
    """Formats of a log. An export of one person names that person in an option, which everybody sees who sees the job."""
    from transforms.formats.formats import FORMATS

    return (*(f.name for f in FORMATS if f.name not in NAMELESS), "bigquery")


def _tables() -> str:
    """Names of tables, separated by commas."""
    from transforms.tables.schema import TABLES

    table = "(?:" + "|".join(sorted(TABLES)) + ")"
    return f"{table}(?:,{table})*"


def _one_of(choices: tuple[str, ...]) -> str:
    return "|".join(re.escape(c).replace(r"\-", "-") for c in choices)


FOLDER = Text(rf"{_BUCKET}(?:/[^\s,]*)?|{_LOCAL}", "gs://bucket/prefix or a folder")
FILE = Text(rf"{_BUCKET}/[^\s,]+|{_LOCAL}", "gs://bucket/file or a file")
FILES = Text(rf"{_ITEM}(?:,{_ITEM})*", "files, patterns or BigQuery tables, separated by commas")
FILE_OR_TABLE = Text(
    rf"{_BUCKET}/[^\s,]+|{_LOCAL}|bigquery:{_NAME}\.[\w-]+", "a file or bigquery:PROJECT.DATASET.TABLE"
)
DATASET = Text(rf"bigquery:{_NAME}", "bigquery:PROJECT.DATASET")
TARGET = Text(
    rf"jsonl:(?:{_BUCKET}(?:/[^\s,]*)?|{_LOCAL})|bigtable:[A-Za-z0-9.:-]+/[A-Za-z0-9-]+/[\w.-]+",
    "jsonl:FOLDER or bigtable:PROJECT/INSTANCE/TABLE",
)
COPY = Text(
    f"{DATASET.form}|{TARGET.form}", "bigquery:PROJECT.DATASET, jsonl:FOLDER or bigtable:PROJECT/INSTANCE/TABLE"
)
DATE = Text(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])", "a date as YYYY-MM-DD", value=a_day, click_type=DAY
)
DAYS = Text(r"[1-9][0-9]{0,3}", "a number of days from 1 to 9999", value=int, click_type=click.IntRange(1, 9999))
SWITCH = Text(r"true|false", "true or false", "BOOLEAN", ("true", "false"), lambda text: text == "true")
NAMES = Text(_tables, "names of tables, separated by commas")
FORMAT = Text(lambda: _one_of(_formats()), "", "ENUM", _formats)

WAREHOUSE = Option("warehouse", FOLDER, "Folder or bucket of the warehouse.", required=True, here="./warehouse")
CONFIG = Option("config", FILE, "Settings file, as `nightshelf config` prints one.")
NIGHT = Option("day", DATE, "The night: as of the end of this date, UTC.", "date", required=True)
ACCEPT_GATES = Option("accept_gates", SWITCH, "Go on even if a check fails.", default="false")
CANDIDATES_ONLY = Option("candidates_only", SWITCH, "For a night that stops before the ranker.", default="false")
HORIZON = Option("horizon", DAYS, "Days of the ranker's labels; default: as the settings say.")
KEY = Option(
    "pseudonym_key_file",
    FILE,
    "Key that ids are replaced under; workers read it.",
    more="Default: NIGHTSHELF_PSEUDONYM_KEY, if it is set.",
)
EVERY, DATED = (WAREHOUSE, CONFIG), (WAREHOUSE, CONFIG, NIGHT)

COMMANDS = (
    Command(
        "ingest",
        "Nightshelf: ingest",
        "A listening log into the warehouse: cleaned, counted, split by listener, filed by date.",
        (
            *EVERY,
            Option("format", FORMAT, "What the log is.", required=True, more="docs/mapping.md lists the formats."),
            Option("inputs", FILES, "Files, patterns or BigQuery tables; commas.", "input", required=True, many=True),
            Option("mapping", FILE, "YAML: which column is what; docs/mapping.md says for which formats."),
            Option("tracks", FILE_OR_TABLE, "Catalog in the columns of table tracks."),
            Option("listeners_file", FILE_OR_TABLE, "In the columns of table listeners."),
            Option("feedback", FILE_OR_TABLE, "In the columns of table feedback."),
            Option("impressions", FILE_OR_TABLE, "In the columns of table impressions."),
            Option("blends", FILE_OR_TABLE, "In the columns of table blends: who joins or leaves a group."),
            Option("signals", FILE_OR_TABLE, "A table of signals that the mapping names: docs/signals.md."),
            Option("end_date", DATE, "Last date of the batch; later events are refused."),
            Option("anonymous", SWITCH, "Each line of sessions is a listener.", default="false"),
            Option(
                "listener",
                FILE,
                "Whose log it is, where its lines do not say (an export of one person).",
                only="terminal",
            ),
            KEY,
            ACCEPT_GATES,
        ),
    ),
    Command(
        "check",
        "Nightshelf: check the log",
        "Volume, freshness and nulls of a date's listens, before the date is folded and closed.",
        (*DATED, ACCEPT_GATES),
    ),
    Command(
        "features",
        "Nightshelf: features",
        "Days folded into sessions, library, track statistics and co-listens.",
        (
            *EVERY,
            replace(NIGHT, name="date_to", flag="--to"),
            Option("date_from", DATE, "First date to fold; default: the last.", "from_date", "--from"),
            replace(ACCEPT_GATES, only="terminal"),
        ),
    ),
    Command(
        "exclusions",
        "Nightshelf: exclusions",
        "The plays that feedback has taken out of a listener's taste, as of a date.",
        DATED,
    ),
    Command(
        "outcomes",
        "Nightshelf: outcomes",
        "What became of the stored nights whose horizons close on a date.",
        (*DATED, HORIZON),
    ),
    Command(
        "try_models",
        "Nightshelf: try the models",
        "Newly fitted models against earlier ones, on a stored night that neither has seen.",
        (*DATED, HORIZON),
        one_process=True,
    ),
    Command(
        "beliefs",
        "Nightshelf: beliefs",
        "Who found what lately and came back to it, and what is believed of each track's long-term reward.",
        DATED,
    ),
    Command(
        "train",
        "Nightshelf: train",
        "Everything a night learns from other listeners, fitted as of a date.",
        (*DATED, CANDIDATES_ONLY),
        one_process=True,
    ),
    Command(
        "train_ranker",
        "Nightshelf: train the ranker",
        "The ranker, fitted on stored nights and their outcomes.",
        (*DATED, HORIZON),
        one_process=True,
    ),
    Command(
        "score",
        "Nightshelf: score",
        "Every listener scored: candidates, draws and shelves of a night.",
        (
            *DATED,
            Option("fit_date", DATE, "Date of the models; default: the night's own."),
            replace(CANDIDATES_ONLY, help="Stop before the ranker: a night to learn from."),
            Option("greedy", SWITCH, "The ranker's order, eligibility only.", default="false"),
            ACCEPT_GATES,
        ),
    ),
    Command(
        "blend",
        "Nightshelf: blend",
        "Groups of listeners: a list each, as a shelf for every member.",
        DATED,
    ),
    Command(
        "file_prompts",
        "Nightshelf: file prompts",
        "A file of prompts into table prompts of a date: cleaned, counted, split by listener.",
        (*DATED, Option("path", FILE, "Prompts as .parquet, .csv or .jsonl.", "input", required=True, here=""), KEY),
    ),
    Command(
        "prompt",
        "Nightshelf: prompt",
        "The prompts of a date understood and answered: intents and playlists.",
        DATED,
    ),
    Command(
        "evaluate",
        "Nightshelf: evaluate",
        "A stored night, its sources and the baselines against what was listened to afterwards.",
        (*DATED, Option("ahead", DAYS, "Listens of this many days after it are targets.", "days", default="7")),
    ),
    Command(
        "experiments",
        "Nightshelf: experiments",
        "Who was exposed to the experiments that have started, and what each says as of a date.",
        DATED,
    ),
    Command(
        "publish",
        "Nightshelf: publish",
        "A night into BigQuery: loaded, counted, then the view replaced.",
        (
            *EVERY,
            replace(NIGHT, here=""),
            Option("to", DATASET, "The dataset that consumers read.", required=True),
            Option(
                "tables",
                NAMES,
                "In this order; consumers' entrance last.",
                flag="--table",
                default="shelves",
                many=True,
                more="May be repeated.",
            ),
            Option("keep_days", DAYS, "Days until a run that no view reads expires.", default="7"),
            ACCEPT_GATES,
        ),
    ),
    Command(
        "export",
        "Nightshelf: export",
        "A night by key where apps read it: files of lines or Bigtable, then the pointer moved.",
        (
            *EVERY,
            replace(NIGHT, here=""),
            Option("to", TARGET, "Where apps read.", required=True),
            Option("keep_days", DAYS, "Days until an earlier publication expires.", default="7"),
            ACCEPT_GATES,
        ),
    ),
    Command(
        "forget",
        "Nightshelf: forget",
        "People removed from every table, stored night and published copy.",
        (
            WAREHOUSE,
            replace(CONFIG, only="template"),  # every template is told of the settings; this job reads none
            Option("listeners_file", FILE, "Listener ids, one a line.", required=True, here=""),
            Option("published", COPY, "Where nights were published or exported to."),
            replace(KEY, help="Key that ids were replaced under at ingest."),
        ),
    ),
)
JOBS = {command.name: command for command in COMMANDS}
