"""The log formats: a row each, with its name, how its files are read, what they hold, and what it needs to be told.

A new format is a file with its adapter and a row here; a package of one's own brings rows as a plugin. A piece is what one
worker reads at a time: some row groups of a Parquet file, a whole text file (its lines have to be counted from the first),
or all files at once where they only make sense together.

    >>> named("csv").mapped, named("sessions").untimed
    (True, True)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

import polars as pl

from transforms.common import plugins
from transforms.common.errors import UserError
from transforms.formats import csv, lastfm_1k, listenbrainz, parquet, spotify_history
from transforms.formats.base import Options, Parsed, rejects_frame
from transforms.formats.containers import opened
from transforms.formats.files import InputFile, open_input
from transforms.formats.mapping import IDENTITY
from transforms.formats.pieces import Piece
from transforms.formats.readers import Lines, Reader, RowGroups, Together, Whole
from transforms.formats.signal_tables import ROLE, check_signal_columns
from transforms.formats.tables import check_columns
from transforms.formats.text import LineBlock, blocks, delimited
from transforms.formats.times import TimeUnit
from transforms.signals.declared import Declared

FEW = 10
WRONG_UNIT = ("bad_time", "before_1990")  # why lines are refused whose times are of another unit


@dataclass(frozen=True)
class LogFormat:
    """One format of a listening log.

    Attributes:
        name: after `--format`.
        reader: how its files are read.
        holds: what a file of it holds, for messages and docs.
        mapped: a mapping file says which column is which.
        untimed: its lines have no times, so the end date must be given; each line may be a listener of its own.
        of_one: its lines need not say whose they are; an option may.
        check_all: sees all its files together before anything is started, and raises UserError.
    """

    name: str
    reader: Reader
    holds: str
    mapped: bool = False
    untimed: bool = False
    of_one: bool = False
    check_all: Callable[[Sequence[str], Options], None] | None = None


def csv_blocks(cut: Iterable[LineBlock], options: Options) -> Iterator[Parsed]:
    """Blocks of delimited text; the first has the header, where the mapping says there is one."""
    mapping = options.mapping or IDENTITY
    names: list[str] | None = None
    for block in cut:
        lines = block
        if names is None:
            first, _, rest = block.data.partition(b"\n")
            names = csv.header_of(first, mapping, block.file)
            lines = LineBlock(block.file, 2, rest) if mapping.header else block
        if lines.data:
            yield csv.parse(lines, names, options)


FORMATS = (
    LogFormat("csv", Lines(csv_blocks), "lines with the columns that the mapping names", mapped=True, of_one=True),
    LogFormat(
        "lastfm-1k",
        Lines(lambda cut, options: (lastfm_1k.parse(block, options) for block in cut)),
        "six tab-separated columns (listener, ISO time, artist mbid, artist, track mbid, track)",
    ),
    LogFormat(
        "listenbrainz",
        Lines(lambda cut, options: (listenbrainz.parse(block, options) for block in cut)),
        "one JSON object a line with user_name (or user_id), listened_at and track_metadata",
        of_one=True,
    ),
    LogFormat("parquet", RowGroups(), "rows with the columns that the mapping names", mapped=True, of_one=True),
    LogFormat("sessions", Together(), "lines of a listener and tracks, separated by commas", untimed=True),
    LogFormat(
        "spotify-history",
        Whole(spotify_history.parse),
        "a JSON array of plays with ts, ms_played and spotify_track_uri",
        of_one=True,
        check_all=spotify_history.check_folders,
    ),
)


def formats() -> tuple[LogFormat, ...]:
    """Ours, then those that plugins bring."""
    return plugins.all_of("formats", FORMATS)


def named(name: str) -> LogFormat:
    """The format of a name.

    Raises:
        UserError: there is none.
    """
    found = {fmt.name: fmt for fmt in formats()}
    if name not in found:
        raise UserError(f"--format: expected one of {', '.join(sorted(found))} or bigquery, found {name!r}.")
    return found[name]


def check(fmt: str, file: InputFile, options: Options, alone: bool = True) -> int:
    """Look at a file's beginning, before anything is started. Returns how many lines were found there.

    A file among others may hold a few lines that are all refused; one that stands alone, or goes on like that, is a
    wrong file.

    Raises:
        UserError: it is not of the format, lacks a mapped column, or not one of its first lines can be taken.
    """
    row = named(fmt)
    head, lines = row.reader.look(fmt, file, options)
    if head.rows > (0 if alone else FEW) and not head.plays.height:
        worst = head.rejects["reason"].value_counts(sort=True, name="n").row(0)
        raise UserError(
            f"{file.name}: expected {fmt}, {row.holds}, found that none of the first {head.rows} lines can be "
            f"taken ({worst[1]} of them: {worst[0]}){_unit(row, worst[0], options)}."
        )
    return lines


def _unit(fmt: LogFormat, reason: str, options: Options) -> str:
    """What to try where times come out absurd because they are written in another unit than the mapping says."""
    if not fmt.mapped or reason not in WRONG_UNIT:
        return ""
    says = (
        f"the mapping says time: {options.mapping.time}"
        if options.mapping
        else "without a mapping file it is time: iso"
    )
    *others, last = get_args(TimeUnit)
    return f"; {says}; try {', '.join(others)} or {last}"


def pieces(fmt: str, files: Sequence[InputFile]) -> list[Piece]:
    """Cut the files of a batch into pieces, deterministically. `numbers` are positions in `files`."""
    out = named(fmt).reader.pieces([(n, f) for n, f in enumerate(files) if f.role == "log"])
    for n, file in enumerate(files):
        if file.role == "log":
            continue
        if not is_parquet(fmt, file):
            out.append(Piece((file,), (n,)))
            continue
        with open_input(file.path) as stream:
            groups = list(parquet.pieces(parquet.open_file(stream, file.name)))
        if file.role in ("tracks", "listeners") and groups:
            joined = tuple(g for part in groups for g in part.groups)
            groups = [parquet.RowGroups(joined, 0, sum(part.rows for part in groups))]
        out.extend(Piece((file,), (n,), part) for part in groups)
    return out


def is_parquet(fmt: str, file: InputFile) -> bool:
    """Whether a file is Parquet: a log by its format, a table by its first bytes."""
    if file.role == "log":
        return named(fmt).reader.is_parquet
    with open_input(file.path) as stream:
        return stream.read(4) == b"PAR1"


def parse_log(fmt: str, piece: Piece, options: Options) -> Iterator[tuple[int, Parsed]]:
    """Parse a piece of a log, block by block: the number of the file each block is of, and the block.

    Raises:
        UserError: the file is damaged or not of the format.
    """
    return named(fmt).reader.parse(piece, options)


def read_table(piece: Piece, signals: Declared | None = None) -> Iterator[tuple[pl.DataFrame, int, pl.DataFrame]]:
    """Columns of a table's file, the number of the first row (from 1; in CSV, the line), and lines that are no rows.

    Args:
        signals: what a table of signals holds.

    Raises:
        UserError: required columns are missing, or the file is damaged.
    """
    file = piece.files[0]

    def check_these(names: list[str]) -> None:
        if file.role == ROLE:
            check_signal_columns(signals or {}, names, file.name)
        else:
            check_columns(file.role, names, file.name)

    with open_input(file.path) as raw:
        if piece.row_groups is not None:
            source = parquet.open_file(raw, file.name)
            check_these(source.schema_arrow.names)
            names = source.schema_arrow.names
            yield (
                parquet.read(source, piece.row_groups.groups, names, file.name),
                piece.row_groups.first_row + 1,
                rejects_frame(),
            )
            return
        names = None
        for block in blocks(opened(raw, file.name), file.name):
            if names is None:
                first, _, rest = block.data.partition(b"\n")
                names = csv.header_of(first, IDENTITY, file.name)
                check_these(names)
                lines = LineBlock(block.file, 2, rest)
            else:
                lines = block
            if lines.data:
                table = delimited(lines, names, ",")
                yield table.frame.drop("line"), lines.first_line, table.broken
