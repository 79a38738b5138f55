"""What an ingest is asked for: its format, mapping and end checked, and the files that are new."""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import date
from pathlib import Path
from typing import Protocol

from transforms.common.errors import UserError
from transforms.formats.base import Options
from transforms.formats.files import InputFile
from transforms.formats.formats import LogFormat, check, formats, named
from transforms.formats.mapping import Mapping, load_mapping
from transforms.gates.settings import GateSettings
from transforms.ingest.batch import Batch, plan_batch
from transforms.ingest.cleaning import IngestSettings
from transforms.ingest.result import Ingested
from transforms.privacy.pseudonyms import KeySource
from transforms.tables.warehouse import Warehouse

BIGQUERY = "bigquery"


def format_of(name: str, end_date: date | None, anonymous: bool, listener: str | None) -> LogFormat:
    """The format of a log, if the options go with it; a table of BigQuery is read as Parquet.

    Raises:
        UserError: no such format, or an option that it lacks or does not have.
    """
    fmt = named("parquet" if name == BIGQUERY else name)
    if anonymous and not fmt.untimed:
        raise UserError(f"--anonymous: expected a format without times, found {name!r}, whose listeners have names.")
    if listener is not None and not fmt.of_one:
        raise UserError(
            f"--listener: expected a log that may not say whose it is, found {name!r}, whose lines always do; leave it out."
        )
    if fmt.untimed and end_date is None:
        raise UserError(
            "--end-date: expected the date of each listener's last session, since sessions have no times; found none."
        )
    return fmt


def mapping_of(fmt: LogFormat, path: str | None, signals: bool = False) -> Mapping | None:
    """The mapping of a file; None where none is given.

    Args:
        signals: a table of signals is given, whose columns a mapping names whatever the log's format.

    Raises:
        UserError: the format takes none, or the file cannot be read, or names no columns of the log.
    """
    if path is None:
        return None
    if not fmt.mapped and not signals:
        taking = ", ".join((*(row.name for row in formats() if row.mapped), BIGQUERY))
        raise UserError(
            f"--mapping: expected one of the formats {taking}, found {fmt.name!r}, whose columns are known."
        )
    try:
        found = load_mapping(Path(path).read_text(), path)
    except (OSError, UnicodeDecodeError):
        raise UserError(f"--mapping {path}: expected a readable YAML file, found none.") from None
    if fmt.mapped and not found.columns:
        raise UserError(f"{path}: key 'columns': expected the columns of the log, found none; {fmt.name} needs them.")
    if not fmt.mapped and (found.columns or any(one.of == "listen" for one in found.signals.values())):
        raise UserError(
            f"{path}: expected signals of listeners, tracks or pairs alone, since the columns of {fmt.name} are known; leave "
            "the columns of the log out."
        )
    return found


def new_files(files: Sequence[InputFile], known: Set[tuple[str, str]]) -> tuple[list[InputFile], list[InputFile]]:
    """Files that are new in content or role, and the others; of equal files the first is new."""
    fresh: dict[tuple[str, str], InputFile] = {}
    left = []
    for file in files:
        if file.identity in known or file.identity in fresh:
            left.append(file)
        else:
            fresh[file.identity] = file
    return list(fresh.values()), left


def looked_over(
    files: Sequence[InputFile], known: Set[tuple[str, str]], tables: Sequence[str], fmt: LogFormat, options: Options
) -> tuple[list[InputFile], Ingested]:
    """The files that are new, looked into; and what is to be said of the others.

    Args:
        known: identities of the files that were ingested before.
        tables: names of BigQuery tables that were ingested as they are now.

    Raises:
        UserError: a new file is of another format, or its times are of another unit.
    """
    fresh, left = new_files(files, known)
    said = (*tables, *(f.name for f in left if not f.empty))
    empty = tuple(f.name for f in left if f.empty)  # all are equal, so one may be known
    logs = [f for f in fresh if f.role == "log"]
    if fresh and fmt.check_all is not None:
        fmt.check_all([f.path for f in logs], options)
    looked = {file: check(fmt.name, file, options, alone=len(logs) == 1) for file in logs}
    empty = (*(f.name for f in fresh if f.empty or looked.get(f) == 0), *empty)
    return fresh, Ingested(known=said, empty=empty)


class BatchSettings(Protocol):
    """The settings that an ingest reads."""

    @property
    def shards(self) -> int: ...
    @property
    def ingest(self) -> IngestSettings: ...
    @property
    def gates(self) -> GateSettings: ...


def batch_of(
    warehouse: Warehouse,
    fmt: LogFormat,
    fresh: Sequence[InputFile],
    options: Options,
    end: date,
    settings: BatchSettings,
    key: KeySource | None,
    accept_gates: bool,
) -> Batch:
    """The batch that new files make; see `plan_batch`."""
    return plan_batch(
        warehouse,
        fmt.name,
        fresh,
        options,
        settings=settings.ingest,
        shards=settings.shards,
        end_date=end,
        key=key,
        gates=settings.gates,
        accept_gates=accept_gates,
    )
