"""The formats by name: how a file of each is cut into pieces, and how a piece is parsed.

A piece is what one worker reads at a time: some row groups of a Parquet file, or a whole text file (its lines have to
be counted from the first). Sessions have no times of their own, and a listener's are invented from all of their
lines, so all files of that format are one piece.

    FORMATS -> csv, lastfm-1k, listenbrainz, parquet, sessions, spotify-history
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, get_args

import polars as pl

from transforms.common.errors import UserError
from transforms.formats import csv, lastfm_1k, listenbrainz, parquet, sessions, spotify_history
from transforms.formats.base import Options, Parsed, rejects_frame
from transforms.formats.files import InputFile, open_input
from transforms.formats.mapping import IDENTITY
from transforms.formats.tables import check_columns
from transforms.formats.text import Block, blocks, delimited, opened, read_some
from transforms.formats.times import TimeUnit

FORMATS = ("csv", "lastfm-1k", "listenbrainz", "parquet", "sessions", "spotify-history")
EXPECTED = {
    "csv": "lines with the columns that the mapping names",
    "lastfm-1k": "six tab-separated columns (listener, ISO time, artist mbid, artist, track mbid, track)",
    "listenbrainz": "one JSON object a line with user_name (or user_id), listened_at and track_metadata",
    "parquet": "rows with the columns that the mapping names",
    "sessions": "lines of a listener and tracks, separated by commas",
    "spotify-history": "a JSON array of plays with ts, ms_played and spotify_track_uri",
}
HEAD_BYTES = 1 << 18
MOST_JSON = 512 << 20  # bytes of a file that is read whole
FEW = 10
WRONG_UNIT = ("bad_time", "before_1990")  # why lines are refused whose times are of another unit


@dataclass(frozen=True)
class Piece:
    """What one worker reads: a log's files, or part of one; or a file of a table."""

    files: tuple[InputFile, ...]
    numbers: tuple[int, ...]
    row_groups: parquet.RowGroups | None = None

    def dumps(self) -> str:
        """As a string, the element that travels to a worker."""
        groups = self.row_groups and [self.row_groups.groups, self.row_groups.first_row, self.row_groups.rows]
        return json.dumps([[[f.path, f.name, f.sha256, f.bytes, f.role] for f in self.files], self.numbers, groups])

    @classmethod
    def loads(cls, text: str) -> Piece:
        """Back from `dumps`."""
        files, numbers, groups = json.loads(text)
        cut = parquet.RowGroups(tuple(groups[0]), groups[1], groups[2]) if groups else None
        return cls(tuple(InputFile(*f) for f in files), tuple(numbers), cut)


def check(fmt: str, file: InputFile, options: Options, alone: bool = True) -> int:
    """Look at a file's beginning, before anything is started. Returns how many lines were found there.

    A file among others may hold a few lines that are all refused; one that stands alone, or goes on like that, is a
    wrong file.

    Raises:
        UserError: it is not of the format, lacks a mapped column, or not one of its first lines can be taken.
    """
    if fmt == "parquet":
        with open_input(file.path) as stream:
            opened_file = parquet.open_file(stream, file.name)
            parquet.check(opened_file, file.name, options)
            if not opened_file.num_row_groups:
                return 0
            first = opened_file.metadata.row_group(0).num_rows
            head = parquet.parse(opened_file, parquet.RowGroups((0,), 0, first), file.name, options)
        _some(fmt, file, head, options, alone)
        return opened_file.metadata.num_rows
    with open_input(file.path) as raw:
        stream = opened(raw, file.name)
        data = _whole(stream, file.name) if fmt == "spotify-history" else read_some(stream, file.name, HEAD_BYTES)
        rest = fmt != "spotify-history" and bool(read_some(stream, file.name, 1))
    if data.startswith((b"PAR1", b"PK\x03\x04")):
        raise UserError(f"{file.name}: expected {fmt} text, found a {'Parquet' if data[:3] == b'PAR' else 'zip'} file.")
    if rest:
        data = data[: data.rfind(b"\n") + 1] or data
    return _some(fmt, file, _head(fmt, file, data, options), options, alone)


def _head(fmt: str, file: InputFile, data: bytes, options: Options) -> Parsed:
    if fmt == "spotify-history":
        return spotify_history.parse(data, file.path, options)
    if fmt != "sessions":
        done = [p for b in _text_blocks(data, file.name) for p in _parse_text(fmt, [b], options)]
        empty = pl.DataFrame()
        return Parsed(
            pl.concat([p.plays for p in done]) if done else empty,
            empty,
            pl.concat([p.rejects for p in done]) if done else rejects_frame(),
            sum(p.rows for p in done),
        )
    rows, broken = sessions.read_lines(Block(file.name, 1, data), 0)
    return Parsed(rows, pl.DataFrame(), broken, rows.height + broken.height)


def _whole(stream: IO[bytes], name: str) -> bytes:
    """All of a stream, of a bounded length.

    Raises:
        UserError: it is longer, or a damaged gzip file.
    """
    data = read_some(stream, name, MOST_JSON + 1)
    if len(data) > MOST_JSON:
        raise UserError(
            f"{name}: expected at most {MOST_JSON >> 20} MB of JSON, found more; cut the export into files."
        )
    return data


def _text_blocks(data: bytes, name: str) -> list[Block]:
    import io

    return list(blocks(io.BytesIO(data), name))


def _some(fmt: str, file: InputFile, head: Parsed, options: Options, alone: bool) -> int:
    if head.rows > (0 if alone else FEW) and not head.plays.height:
        worst = head.rejects["reason"].value_counts(sort=True, name="n").row(0)
        raise UserError(
            f"{file.name}: expected {fmt}, {EXPECTED[fmt]}, found that none of the first {head.rows} lines can be "
            f"taken ({worst[1]} of them: {worst[0]}){_unit(fmt, worst[0], options)}."
        )
    return head.rows


def _unit(fmt: str, reason: str, options: Options) -> str:
    """What to try where times come out absurd because they are written in another unit than the mapping says."""
    if fmt not in ("csv", "parquet") or reason not in WRONG_UNIT:
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
    out: list[Piece] = []
    log = [(n, f) for n, f in enumerate(files) if f.role == "log"]
    if fmt == "sessions" and log:
        out.append(Piece(tuple(f for _, f in log), tuple(n for n, _ in log)))
        log = []
    tables = [(n, f) for n, f in enumerate(files) if f.role != "log"]
    for n, file in [*log, *tables]:
        if is_parquet(fmt, file):
            with open_input(file.path) as stream:
                groups = list(parquet.pieces(parquet.open_file(stream, file.name)))
            whole = file.role in ("tracks", "listeners")
            if whole and groups:
                joined = tuple(g for part in groups for g in part.groups)
                groups = [parquet.RowGroups(joined, 0, sum(part.rows for part in groups))]
            out.extend(Piece((file,), (n,), part) for part in groups)
        else:
            out.append(Piece((file,), (n,)))
    return out


def is_parquet(fmt: str, file: InputFile) -> bool:
    """Whether a file is Parquet: a log by its format, a table by its first bytes."""
    if file.role == "log":
        return fmt == "parquet"
    with open_input(file.path) as stream:
        return stream.read(4) == b"PAR1"


def parse_log(fmt: str, piece: Piece, options: Options) -> Iterator[tuple[int, Parsed]]:
    """Parse a piece of a log, block by block: the number of the file each block is of, and the block.

    Raises:
        UserError: the file is damaged or not of the format.
    """
    if fmt == "sessions":
        yield from _parse_sessions(piece, options)
        return
    file, number = piece.files[0], piece.numbers[0]
    with open_input(file.path) as raw:
        if fmt == "parquet":
            assert piece.row_groups is not None
            yield number, parquet.parse(parquet.open_file(raw, file.name), piece.row_groups, file.name, options)
        elif fmt == "spotify-history":
            data = _whole(opened(raw, file.name), file.name)
            yield number, spotify_history.parse(data, file.path, options)
        else:
            for parsed in _parse_text(fmt, blocks(opened(raw, file.name), file.name), options):
                yield number, parsed


def _parse_text(fmt: str, cut: Iterator[Block] | Sequence[Block], options: Options) -> Iterator[Parsed]:
    names: list[str] | None = None
    for block in cut:
        if fmt == "lastfm-1k":
            yield lastfm_1k.parse(block, options)
        elif fmt == "listenbrainz":
            yield listenbrainz.parse(block, options)
        else:
            mapping = options.mapping or IDENTITY
            if names is None:
                first, _, rest = block.data.partition(b"\n")
                names = csv.header_of(first, mapping, block.file)
                lines = Block(block.file, 2, rest) if mapping.header else block
            else:
                lines = block
            if lines.data:
                yield csv.parse(lines, names, options)


def _parse_sessions(piece: Piece, options: Options) -> Iterator[tuple[int, Parsed]]:
    parts = []
    for file, number in zip(piece.files, piece.numbers, strict=True):
        with open_input(file.path) as raw:
            for block in blocks(opened(raw, file.name), file.name):
                rows, broken = sessions.read_lines(block, number)
                parts.append(rows)
                if broken.height:
                    yield number, Parsed(pl.DataFrame(), pl.DataFrame(), broken, broken.height)
    if not parts:
        return
    timed = sessions.invent_times(pl.concat(parts), options)
    for (number,), rows in timed.partition_by("file_no", as_dict=True, maintain_order=True).items():
        for start in range(0, rows.height, 100_000):
            yield int(number), sessions.plays_of(rows.slice(start, 100_000), options)  # type: ignore[call-overload]


def read_table(piece: Piece) -> Iterator[tuple[pl.DataFrame, int, pl.DataFrame]]:
    """Columns of a table's file, the number of the first row (from 1; in CSV, the line), and lines that are no rows.

    Raises:
        UserError: required columns are missing, or the file is damaged.
    """
    file = piece.files[0]
    with open_input(file.path) as raw:
        if piece.row_groups is not None:
            source = parquet.open_file(raw, file.name)
            check_columns(file.role, source.schema_arrow.names, file.name)
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
                check_columns(file.role, names, file.name)
                lines = Block(block.file, 2, rest)
            else:
                lines = block
            if lines.data:
                table = delimited(lines, names, ",")
                yield table.frame.drop("line"), lines.first_line, table.broken
