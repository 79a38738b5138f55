"""Text logs as blocks of whole lines, and delimited lines as columns.

A block is some megabytes of whole lines with the number of its first one, so that a reject can name its line however
the file was cut. `delimited` parses a block with Arrow's CSV reader and falls back, for that block only, to looking
at lines one by one: a line that cannot be parsed is kept as a reject and never takes its neighbours along. One line
is one row; a quoted field may hold delimiters and doubled quotes but no line break.

    >>> table = delimited(Block("log.csv", 1, b"ann,t1\\nbob\\n"), ["listener", "track"], ",")
    >>> table.frame.rows(), table.broken.rows()[0][:2]
    ([('ann', 't1', 1)], (2, 'broken_line'))
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv

from transforms.errors import UserError
from transforms.sources.base import hashed, rejects_frame

BLOCK_BYTES = 48 << 20
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Block:
    """Whole lines of one file. `first_line` counts from 1."""

    file: str
    first_line: int
    data: bytes

    def lines(self) -> list[bytes]:
        """Its lines without their ends."""
        lines = self.data.split(b"\n")
        return lines[:-1] if lines and not lines[-1] else lines

    def raw(self, numbers: list[int]) -> dict[int, bytes]:
        """The text of some lines, by line number."""
        lines = self.lines()
        return {n: lines[n - self.first_line].rstrip(b"\r") for n in numbers}


@dataclass(frozen=True)
class Delimited:
    """A parsed block: string columns and `line`; what could not be parsed."""

    frame: pl.DataFrame
    broken: pl.DataFrame


def opened(stream: IO[bytes], name: str) -> IO[bytes]:
    """The stream, unzipped where it is gzip (by its first bytes, whatever the name)."""
    head = stream.read(2)
    stream.seek(0)
    return gzip.open(stream, "rb") if head == b"\x1f\x8b" else stream  # type: ignore[return-value]


def blocks(stream: IO[bytes], name: str, size: int = BLOCK_BYTES, first_line: int = 1) -> Iterator[Block]:
    """Cut a stream into blocks of whole lines, in order.

    Raises:
        UserError: a gzip file that ends early or is damaged.
    """
    line, rest = first_line, b""
    while True:
        data = read_some(stream, name, size)
        if line == first_line and not rest:
            data = data.removeprefix(BOM)
        if not data:
            break
        cut = data.rfind(b"\n") + 1
        if not cut:
            rest += data
            continue
        block, rest = rest + data[:cut], data[cut:]
        yield Block(name, line, block)
        line += block.count(b"\n")
    if rest:
        yield Block(name, line, rest)


def read_some(stream: IO[bytes], name: str, size: int = -1) -> bytes:
    """Read, with a damaged gzip stream reported as the user's file.

    Raises:
        UserError: the compressed stream is cut short or damaged.
    """
    try:
        return stream.read(size)
    except (EOFError, gzip.BadGzipFile, OSError) as error:
        raise UserError(
            f"{name}: expected a whole gzip file, found one that is cut short or damaged ({error})."
        ) from None


def delimited(block: Block, names: Sequence[str], delimiter: str, quote: str | None = '"') -> Delimited:
    """Parse a block into string columns (empty text = null) and `line`.

    Args:
        block: whole lines.
        names: the columns a line must have.
        delimiter: what stands between them.
        quote: the quote character; None where the format knows none.

    Returns:
        The frame, and the lines that have another number of columns, an open quote or other than UTF-8.
    """
    parsed = _parse(block.data, names, delimiter, quote)
    lines = block.data.count(b"\n") + (not block.data.endswith(b"\n"))
    if parsed is not None and parsed[0].num_rows + len(parsed[1]) == lines:
        return _result(block, parsed[0], np.arange(lines), parsed[1], {})
    good, numbers, refused = [], [], {}
    for number, line in enumerate(block.lines()):
        reason = _unreadable(line, quote)
        if reason:
            refused[number] = reason
        else:
            good.append(line)
            numbers.append(number)
    parsed = _parse(b"\n".join(good) + b"\n" if good else b"", names, delimiter, quote)
    if parsed is None or parsed[0].num_rows + len(parsed[1]) != len(good):
        raise UserError(
            f"{block.file}: expected lines of {len(names)} columns separated by {delimiter!r}, found lines from "
            f"{block.first_line} on that cannot be read as such."
        )
    return _result(block, parsed[0], np.array(numbers, dtype=np.int64), parsed[1], refused)


def _unreadable(line: bytes, quote: str | None) -> str | None:
    if quote and line.count(quote.encode()) % 2:
        return "broken_line"
    try:
        line.decode()
    except UnicodeDecodeError:
        return "bad_encoding"
    return "broken_line" if b"\r" in line.rstrip(b"\r") or b"\x00" in line else None


def _parse(data: bytes, names: Sequence[str], delimiter: str, quote: str | None) -> tuple[pa.Table, list[int]] | None:
    """Arrow's reader over the data; the numbers (from 0) of rows with a wrong number of columns; None if it gave up."""
    wrong: list[int] = []
    if not data:
        return pa.table({n: pa.array([], pa.string()) for n in names}), wrong

    def note(row: pacsv.InvalidRow) -> str:
        wrong.append(row.number - 1)
        return "skip"

    try:
        table = pacsv.read_csv(
            io.BytesIO(data),
            read_options=pacsv.ReadOptions(column_names=list(names), use_threads=False, block_size=len(data) + 1),
            parse_options=pacsv.ParseOptions(
                delimiter=delimiter, quote_char=quote or False, invalid_row_handler=note, ignore_empty_lines=False
            ),
            convert_options=pacsv.ConvertOptions(
                column_types={n: pa.string() for n in names},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid:
        return None
    return table, wrong


def _result(block: Block, table: pa.Table, numbers: np.ndarray, wrong: list[int], refused: dict[int, str]) -> Delimited:
    for row in wrong:
        refused[int(numbers[row])] = "broken_line"
    kept = np.delete(numbers, wrong) if wrong else numbers
    frame = pl.DataFrame(pl.from_arrow(table)).with_columns(line=pl.Series(kept + block.first_line, dtype=pl.Int64))
    if not refused:
        return Delimited(frame, rejects_frame())
    lines = block.lines()
    broken = rejects_frame(
        (n + block.first_line, reason, hashed(lines[n].rstrip(b"\r"))) for n, reason in sorted(refused.items())
    )
    return Delimited(frame, broken)
