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

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv

from transforms.common.errors import UserError
from transforms.formats.base import hashed, rejects_frame

BLOCK_BYTES = 48 << 20
LONGEST_LINE = 32 << 20
WIDE = {  # how a file begins that is not UTF-8 though its text may be sound
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class LineBlock:
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


def blocks(stream: IO[bytes], name: str, size: int = BLOCK_BYTES, first_line: int = 1) -> Iterator[LineBlock]:
    """Cut a stream into blocks of whole lines, in order.

    Raises:
        UserError: a gzip file that ends early or is damaged, or a line that no log would have.
    """
    line, rest = first_line, b""
    while True:
        data = read_some(stream, name, size)
        if line == first_line and not rest:
            data = _checked(data, name).removeprefix(BOM)
        if not data:
            break
        cut = data.rfind(b"\n") + 1
        if not cut:
            rest += data
            if len(rest) > LONGEST_LINE:
                raise UserError(
                    f"{name}: expected lines of at most {LONGEST_LINE >> 20} MB, found a longer one after line {line - 1}."
                )
            continue
        block, rest = rest + data[:cut], data[cut:]
        yield LineBlock(name, line, block)
        line += block.count(b"\n")
    if rest:
        yield LineBlock(name, line, rest)


def _checked(head: bytes, name: str) -> bytes:
    """The first bytes of a file, once they have been seen to be lines of UTF-8.

    Raises:
        UserError: they are of a wider encoding, or their lines end as nothing has written them for long.
    """
    wide = next((kind for mark, kind in WIDE.items() if head.startswith(mark)), None)
    if wide is None and len(head) > 3 and b"\x00\x00" in (head[0:4:2], head[1:4:2]):
        wide = "UTF-16"
    if wide:
        raise UserError(
            f"{name}: expected text in UTF-8, found {wide}; save it as UTF-8 (iconv -f {wide} -t UTF-8 FILE > NEW)."
        )
    if b"\r" in head and b"\n" not in head:
        raise UserError(
            f"{name}: expected lines that end with LF or CR LF, found CR alone; write it anew (tr '\\r' '\\n' < FILE > NEW)."
        )
    return head


def read_some(stream: IO[bytes], name: str, size: int = -1) -> bytes:
    """Read, with a stream that cannot be read reported as the user's file.

    Raises:
        UserError: the stream is cut short or damaged.
    """
    try:
        return stream.read(size)
    except OSError as error:
        raise UserError(f"{name}: expected a readable file, found one that is not ({type(error).__name__}).") from None


def delimited(block: LineBlock, names: Sequence[str], delimiter: str, quote: str | None = '"') -> Delimited:
    """Parse a block into string columns (empty text = null) and `line`.

    Args:
        block: whole lines.
        names: the columns a line must have.
        delimiter: what stands between them.
        quote: the quote character; None where the format knows none.

    Returns:
        The frame, and the lines that have another number of columns, an open quote or other than UTF-8.
    """
    lines = block.data.count(b"\n") + (not block.data.endswith(b"\n"))
    if block.data.count(b"\r") == block.data.count(b"\r\n") and b"\x00" not in block.data and _is_text(block.data):
        # no line can be cut in two, so as many rows as lines means that none were joined either
        parsed = _parse(block.data, names, delimiter, quote, lines)
        if parsed is not None:
            return _result(block, parsed[0], np.arange(lines), parsed[1], {})
    good, numbers, refused = [], [], {}
    for number, line in enumerate(block.lines()):
        reason = _unreadable(line)
        if reason:
            refused[number] = reason
        else:
            good.append(line)
            numbers.append(number)
    for at in _open(good, names, delimiter, quote):
        refused[numbers[at]] = "broken_line"
    sound = [(n, line) for n, line in zip(numbers, good, strict=True) if n not in refused]
    parsed = _parse(_joined([line for _, line in sound]), names, delimiter, quote, len(sound))
    if parsed is None:
        raise UserError(
            f"{block.file}: expected lines of {len(names)} columns separated by {delimiter!r}, found lines from "
            f"{block.first_line} on that cannot be read as such."
        )
    return _result(block, parsed[0], np.array([n for n, _ in sound], dtype=np.int64), parsed[1], refused)


def _joined(lines: Sequence[bytes]) -> bytes:
    return b"\n".join(lines) + b"\n" if lines else b""


def _open(lines: Sequence[bytes], names: Sequence[str], delimiter: str, quote: str | None) -> list[int]:
    """Positions of the lines that do not read as one row by themselves, found by halving."""
    found, at = [], [(0, len(lines))]
    while at:
        first, last = at.pop()
        if _parse(_joined(lines[first:last]), names, delimiter, quote, last - first) is not None:
            continue
        if last - first == 1:
            found.append(first)
        else:
            middle = (first + last) // 2
            at += [(first, middle), (middle, last)]
    return found


def _unreadable(line: bytes) -> str | None:
    if not _is_text(line):
        return "bad_encoding"
    return "broken_line" if b"\r" in line.removesuffix(b"\r") or b"\x00" in line else None


def _is_text(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _parse(
    data: bytes, names: Sequence[str], delimiter: str, quote: str | None, lines: int
) -> tuple[pa.Table, list[int]] | None:
    """Arrow's reader over the data; the numbers (from 0) of rows with a wrong number of columns.

    None where it gave up, or does not see as many rows as there are lines, or the last line's quote never closes.
    """
    if quote and data:
        last = data[data[:-1].rfind(b"\n") + 1 :].rstrip(b"\n")
        # at the end of the data an open quote is no error to Arrow; before an empty line it swallows that line
        if quote.encode() in last and _rows(last + b"\n\n", names, delimiter, quote, 2) is None:
            return None
    return _rows(data, names, delimiter, quote, lines)


def _rows(
    data: bytes, names: Sequence[str], delimiter: str, quote: str | None, lines: int
) -> tuple[pa.Table, list[int]] | None:
    wrong: list[int] = []
    if not data:
        return pa.table({n: pa.array([], pa.string()) for n in names}), wrong

    if data.startswith(BOM):
        data = BOM + data  # the file's own mark is gone by now, and Arrow takes one off every block

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
    return (table, wrong) if table.num_rows + len(wrong) == lines else None


def _result(
    block: LineBlock, table: pa.Table, numbers: np.ndarray, wrong: list[int], refused: dict[int, str]
) -> Delimited:
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
