"""What each template can be told, as PipelineOptions: strings, each with a pattern that the service checks at a launch.

A class is parsed beside Beam's own, so `--project`, `--region` and the rest stay Beam's. All derive from
`TemplateOptions`, which declares nothing: Beam puts every direct subclass of PipelineOptions into one parser, where two
templates' `--warehouse` would collide.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass

from apache_beam.options.pipeline_options import PipelineOptions

from transforms.formats.formats import FORMATS
from transforms.tables.schema import TABLES

_BUCKET = r"gs://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]"
_LOCAL = r"[^\s:,]+"
_NAME = r"(?:[a-z][a-z0-9.-]*:)?[A-Za-z][A-Za-z0-9-]*\.\w+"
_ITEM = rf"(?:{_BUCKET}/[^\s,]+|{_LOCAL}|{_NAME}\.[\w-]+)"
_TABLE = "(?:" + "|".join(sorted(TABLES)) + ")"


@dataclass(frozen=True)
class Text:
    """The type of an option: a string that a pattern matches as a whole.

    Attributes:
        pattern: in the syntax that Python and RE2 share.
        says: what is expected, for messages.
        kind: name of the service's ParameterType.
        choices: the strings it may be, where they can be counted.
    """

    pattern: str
    says: str
    kind: str = "TEXT"
    choices: tuple[str, ...] = ()

    def __call__(self, value: str) -> str:
        """The value itself.

        Raises:
            ArgumentTypeError: it does not match; argparse puts the option's name before it.
        """
        if re.fullmatch(self.pattern, value) is None:
            raise argparse.ArgumentTypeError(f"expected {self.says}, found {value!r}")
        return value


def _one_of(*choices: str) -> Text:
    pattern = "|".join(re.escape(c).replace(r"\-", "-") for c in choices)
    return Text(pattern, f"one of {', '.join(choices)}", "ENUM", choices)


FOLDER = Text(rf"{_BUCKET}(?:/[^\s,]*)?|{_LOCAL}", "gs://bucket/prefix or a folder")
FILE = Text(rf"{_BUCKET}/[^\s,]+|{_LOCAL}", "gs://bucket/file or a file")
FILES = Text(rf"{_ITEM}(?:,{_ITEM})*", "files, patterns or BigQuery tables, separated by commas")
FILE_OR_TABLE = Text(
    rf"{_BUCKET}/[^\s,]+|{_LOCAL}|bigquery:{_NAME}\.[\w-]+", "a file or bigquery:PROJECT.DATASET.TABLE"
)
DATASET = Text(rf"bigquery:{_NAME}", "bigquery:PROJECT.DATASET")
DATE = Text(r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])", "a date as YYYY-MM-DD")
DAYS = Text(r"[1-9][0-9]{0,3}", "a number of days from 1 to 9999")
SWITCH = Text(r"true|false", "true or false", "BOOLEAN", ("true", "false"))
NAMES = Text(rf"{_TABLE}(?:,{_TABLE})*", "names of tables, separated by commas")
# An export of one person names that person in an option, which everybody sees who sees the job: local command only.
FORMAT = _one_of(*(f.name for f in FORMATS if not f.of_one), "bigquery")


class TemplateOptions(PipelineOptions):
    """The root of all templates' options; declares none."""


def _add_accept_gates(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--accept_gates", type=SWITCH, default="false", help="Go on even if a check fails.")


class WarehouseOptions(TemplateOptions):
    """What every template is told."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--warehouse", type=FOLDER, required=True, help="Folder or bucket of the warehouse.")
        parser.add_argument("--config", type=FILE, help="Settings file, as `nightshelf config` prints one.")


class DateOptions(WarehouseOptions):
    """What every template is told that works on one date."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--date", type=DATE, required=True, help="The night: as of the end of this date, UTC.")


class IngestOptions(WarehouseOptions):
    """A log into the warehouse."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--format", type=FORMAT, required=True, help="What the log is.")
        parser.add_argument("--input", type=FILES, required=True, help="Files, patterns or BigQuery tables; commas.")
        parser.add_argument("--mapping", type=FILE, help="YAML: which column is what (csv, parquet, bigquery).")
        parser.add_argument("--tracks", type=FILE_OR_TABLE, help="Catalog in the columns of table tracks.")
        parser.add_argument("--listeners_file", type=FILE_OR_TABLE, help="In the columns of table listeners.")
        parser.add_argument("--feedback", type=FILE_OR_TABLE, help="In the columns of table feedback.")
        parser.add_argument("--impressions", type=FILE_OR_TABLE, help="In the columns of table impressions.")
        parser.add_argument("--end_date", type=DATE, help="Last date of the batch; later events are refused.")
        parser.add_argument("--anonymous", type=SWITCH, default="false", help="Each line of sessions is a listener.")
        parser.add_argument("--pseudonym_key_file", type=FILE, help="Key that ids are replaced under; workers read it.")
        _add_accept_gates(parser)


class FeaturesOptions(DateOptions):
    """Days folded up to a date."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--from_date", type=DATE, help="First date to fold; default: the one after the library's.")


class CheckOptions(DateOptions):
    """A night's log judged."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        _add_accept_gates(parser)


class TrainOptions(DateOptions):
    """What a night learns from others."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--candidates_only", type=SWITCH, default="false", help="For a night that stops before the ranker."
        )


class HorizonOptions(DateOptions):
    """Labels of a horizon."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--horizon", type=DAYS, help="Days of the ranker's labels; default: as the settings say.")


class ScoreOptions(DateOptions):
    """A night scored."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--fit_date", type=DATE, help="Date of the models; default: the night's own.")
        parser.add_argument(
            "--candidates_only", type=SWITCH, default="false", help="Stop before the ranker: a night to learn from."
        )
        parser.add_argument("--greedy", type=SWITCH, default="false", help="The ranker's order, eligibility only.")
        _add_accept_gates(parser)


class EvaluateOptions(DateOptions):
    """A stored night measured."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--days", type=DAYS, default="7", help="Listens of this many days after it are targets.")


class PublishOptions(DateOptions):
    """A night into BigQuery."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--to", type=DATASET, required=True, help="The dataset that consumers read.")
        parser.add_argument("--tables", type=NAMES, default="shelves", help="In this order; consumers' entrance last.")
        parser.add_argument("--keep_days", type=DAYS, default="7", help="Days until a run that no view reads expires.")
        _add_accept_gates(parser)


class ForgetOptions(WarehouseOptions):
    """People removed."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--listeners_file", type=FILE, required=True, help="Listener ids, one a line.")
        parser.add_argument("--published", type=DATASET, help="The dataset that nights were published to.")
        parser.add_argument("--pseudonym_key_file", type=FILE, help="Key that ids were replaced under at ingest.")
