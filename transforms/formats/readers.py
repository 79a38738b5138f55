"""How the files of a log are read: by blocks of lines, whole, by row groups of Parquet, or all of them together.

A reader looks at a file's beginning before anything is started, cuts files into pieces and parses a piece. A format is a
reader with the adapter's function:

    >>> Lines(lambda cut, options: (lastfm_1k.parse(block, options) for block in cut))
    >>> Whole(spotify_history.parse)
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, ClassVar

import polars as pl

from transforms.common.errors import UserError
from transforms.formats import parquet, sessions
from transforms.formats.base import Options, Parsed, rejects_frame
from transforms.formats.containers import opened
from transforms.formats.files import InputFile, open_input
from transforms.formats.pieces import Piece
from transforms.formats.text import LineBlock, blocks, read_some

HEAD_BYTES = 1 << 18
MOST_JSON = 512 << 20  # bytes of a file that is read whole
_SESSIONS = 100_000  # sessions whose plays are handed on at a time

Numbered = tuple[int, InputFile]


class Reader(ABC):
    """Reads the files of one format.

    Attributes:
        is_parquet: its files are Parquet.
    """

    is_parquet: ClassVar[bool] = False

    @abstractmethod
    def look(self, fmt: str, file: InputFile, options: Options) -> tuple[Parsed, int]:
        """The beginning of a file, parsed, and how many lines are known of (of a text file, those of the beginning).

        Raises:
            UserError: it is not of the format, or lacks a mapped column.
        """

    def pieces(self, logs: Sequence[Numbered]) -> list[Piece]:
        """Files, with their numbers in the batch, cut into pieces. By default each file is one."""
        return [Piece((file,), (number,)) for number, file in logs]

    @abstractmethod
    def parse(self, piece: Piece, options: Options) -> Iterator[tuple[int, Parsed]]:
        """The blocks of a piece, each with the number of the file it is of.

        Raises:
            UserError: the file is damaged or not of the format.
        """


@dataclass(frozen=True)
class Lines(Reader):
    """Text, some megabytes of whole lines at a time.

    Attributes:
        blocks: (the blocks of a file in order, options) -> each parsed.
    """

    blocks: Callable[[Iterable[LineBlock], Options], Iterator[Parsed]]

    def look(self, fmt: str, file: InputFile, options: Options) -> tuple[Parsed, int]:
        """See `Reader.look`."""
        done = list(self.blocks(list(blocks(io.BytesIO(beginning(fmt, file)), file.name)), options))
        empty = pl.DataFrame()
        head = Parsed(
            pl.concat([p.plays for p in done]) if done else empty,
            empty,
            pl.concat([p.rejects for p in done]) if done else rejects_frame(),
            sum(p.rows for p in done),
        )
        return head, head.rows

    def parse(self, piece: Piece, options: Options) -> Iterator[tuple[int, Parsed]]:
        """See `Reader.parse`."""
        (file,), (number,) = piece.files, piece.numbers
        with open_input(file.path) as raw:
            for parsed in self.blocks(blocks(opened(raw, file.name), file.name), options):
                yield number, parsed


@dataclass(frozen=True)
class Whole(Reader):
    """Text that is parsed in one go, such as a JSON array.

    Attributes:
        file: (bytes, path, options) -> the file, parsed.
    """

    file: Callable[[bytes, str, Options], Parsed]

    def look(self, fmt: str, file: InputFile, options: Options) -> tuple[Parsed, int]:
        """See `Reader.look`: there is no beginning without the whole."""
        with open_input(file.path) as raw:
            data = whole(opened(raw, file.name), file.name)
        refuse_binary(fmt, file, data)
        head = self.file(data, file.path, options)
        return head, head.rows

    def parse(self, piece: Piece, options: Options) -> Iterator[tuple[int, Parsed]]:
        """See `Reader.parse`."""
        (file,), (number,) = piece.files, piece.numbers
        with open_input(file.path) as raw:
            yield number, self.file(whole(opened(raw, file.name), file.name), file.path, options)


@dataclass(frozen=True)
class RowGroups(Reader):
    """Parquet, some row groups at a time."""

    is_parquet: ClassVar[bool] = True

    def look(self, fmt: str, file: InputFile, options: Options) -> tuple[Parsed, int]:
        """See `Reader.look`: the columns and the first row group."""
        with open_input(file.path) as stream:
            opened_file = parquet.open_file(stream, file.name)
            parquet.check(opened_file, file.name, options)
            if not opened_file.num_row_groups:
                return Parsed(pl.DataFrame(), pl.DataFrame(), rejects_frame(), 0), 0
            first = opened_file.metadata.row_group(0).num_rows
            head = parquet.parse(opened_file, parquet.RowGroups((0,), 0, first), file.name, options)
            return head, opened_file.metadata.num_rows

    def pieces(self, logs: Sequence[Numbered]) -> list[Piece]:
        """See `Reader.pieces`."""
        out: list[Piece] = []
        for number, file in logs:
            with open_input(file.path) as stream:
                groups = parquet.pieces(parquet.open_file(stream, file.name))
                out.extend(Piece((file,), (number,), part) for part in groups)
        return out

    def parse(self, piece: Piece, options: Options) -> Iterator[tuple[int, Parsed]]:
        """See `Reader.parse`."""
        (file,), (number,) = piece.files, piece.numbers
        assert piece.row_groups is not None
        with open_input(file.path) as raw:
            yield number, parquet.parse(parquet.open_file(raw, file.name), piece.row_groups, file.name, options)


@dataclass(frozen=True)
class Together(Reader):
    """Lines without times: a listener's are invented from all of their lines, so all files are one piece."""

    def look(self, fmt: str, file: InputFile, options: Options) -> tuple[Parsed, int]:
        """See `Reader.look`."""
        rows, broken = sessions.read_lines(LineBlock(file.name, 1, beginning(fmt, file)), 0)
        head = Parsed(rows, pl.DataFrame(), broken, rows.height + broken.height)
        return head, head.rows

    def pieces(self, logs: Sequence[Numbered]) -> list[Piece]:
        """See `Reader.pieces`."""
        return [Piece(tuple(f for _, f in logs), tuple(n for n, _ in logs))] if logs else []

    def parse(self, piece: Piece, options: Options) -> Iterator[tuple[int, Parsed]]:
        """See `Reader.parse`."""
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
            for start in range(0, rows.height, _SESSIONS):
                yield int(number), sessions.plays_of(rows.slice(start, _SESSIONS), options)  # type: ignore[call-overload]


def beginning(fmt: str, file: InputFile) -> bytes:
    """The first lines of a text file, none of them cut.

    Raises:
        UserError: it is no text.
    """
    with open_input(file.path) as raw:
        stream = opened(raw, file.name)
        data = read_some(stream, file.name, HEAD_BYTES)
        rest = bool(read_some(stream, file.name, 1))
    refuse_binary(fmt, file, data)
    return (data[: data.rfind(b"\n") + 1] or data) if rest else data


def refuse_binary(fmt: str, file: InputFile, data: bytes) -> None:
    """See that a file of text is not Parquet or a zip archive.

    Raises:
        UserError: it is.
    """
    if data.startswith((b"PAR1", b"PK\x03\x04")):
        raise UserError(f"{file.name}: expected {fmt} text, found a {'Parquet' if data[:3] == b'PAR' else 'zip'} file.")


def whole(stream: IO[bytes], name: str) -> bytes:
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
