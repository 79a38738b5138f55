"""Mutated inputs through the adapters: each file is refused in a sentence, or every row of it is accounted for.

What counts as a finding:

- an error that is not a UserError;
- a row that is neither a play nor a reject, or is both: every line number stands exactly once (sessions: every play);
- a record that was left alone and does not come out under its own line, as the track it is;
- plays that cleaning neither keeps, nor calls duplicates, nor rejects;
- a message that holds a listener's id.
"""

from __future__ import annotations

import gzip
import io
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random

import polars as pl

from tests.fuzzing import cases, tables, texts
from transforms.common.errors import UserError
from transforms.formats import formats
from transforms.formats.base import Options, Parsed
from transforms.formats.files import InputFile
from transforms.formats.readers import Lines
from transforms.formats.text import blocks
from transforms.ingest.cleaning import IngestSettings, clean

END = date(2026, 2, 1)
LOGS: dict[str, Callable[[Random], cases.Case]] = {
    "csv": cases.csv_file,
    "lastfm-1k": cases.lastfm,
    "listenbrainz": cases.listenbrainz,
    "parquet": cases.parquet,
    "sessions": cases.sessions,
    "spotify-history": cases.spotify,
}
TEXTS: dict[str, tuple[Callable[[Random], str], Callable[[str], str]]] = {
    "mapping": (texts.mapping, texts.try_mapping),
    "settings": (texts.settings, texts.try_settings),
    "bigquery": (texts.table, texts.try_table),
}
TURNS = (*LOGS, *(f"table {t}" for t in tables.ROLES), *TEXTS, *TEXTS, *TEXTS)
BY_BLOCKS = ("csv", "lastfm-1k", "listenbrainz")


@dataclass
class Tally:
    """What came of the inputs: by kind, inputs, files, files refused, rows, plays and rejects."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, kind: str, **counts: int) -> None:
        """Add counts to a kind's."""
        self.counts.setdefault(kind, Counter()).update(counts)

    @property
    def inputs(self) -> int:
        """Mutated inputs so far."""
        return sum(c["inputs"] for c in self.counts.values())


class Finding(AssertionError):
    """Something is wrong; `number` and `kind` make it again."""

    def __init__(self, number: int, seed: int, kind: str, words: str, data: bytes) -> None:
        super().__init__(f"{kind}, file {number} of seed {seed}: {words}")
        self.number, self.kind, self.data = number, kind, data


def fuzz(
    count: int, seed: int, folder: Path, before: Callable[[], None] = lambda: None, only: int | None = None
) -> Tally:
    """Feed at least `count` mutated inputs to the adapters.

    Args:
        count: inputs: mutated records, whole mutated files, mutated texts.
        seed: of everything.
        folder: where mutated files are put, one after the other.
        before: called before each file, for example to start a clock.
        only: this file alone, to make a finding again.

    Raises:
        Finding: the first thing that is wrong.
    """
    tally, number = Tally(), only or 0
    while tally.inputs < count:
        kind = TURNS[number % len(TURNS)]
        before()
        one(number, seed, kind, folder, tally)
        if only is not None:
            break
        number += 1
    return tally


def one(number: int, seed: int, kind: str, folder: Path, tally: Tally) -> None:
    """One file or text.

    Raises:
        Finding: see the module.
    """
    rng = Random(f"{seed}/{number}")
    data = b""
    try:
        if kind in TEXTS:
            make, attempt = TEXTS[kind]
            text = make(rng)
            data = text.encode("utf-8", "replace")
            tally.add(kind, inputs=1, files=1, **{attempt(text): 1})
        elif kind in LOGS:
            case = LOGS[kind](rng)
            data = case.data
            _log(kind, case, rng, folder, tally)
        else:
            case = tables.make(kind.removeprefix("table "), rng)
            data = case.data
            tables.read(kind, case, folder, tally.add)
    except (KeyboardInterrupt, Finding):
        raise
    except BaseException as error:  # a panic of a library in another language is no Exception
        raise Finding(number, seed, kind, f"{type(error).__name__}: {str(error)[:300]}", data) from error


def _log(fmt: str, case: cases.Case, rng: Random, folder: Path, tally: Tally) -> None:
    path = folder / "mutated"
    path.write_bytes(case.data)
    options = Options(END, case.mapping, anonymous=fmt == "sessions" and rng.random() < 0.3)
    file = InputFile(str(path), "mutated", "0" * 64, len(case.data))
    try:
        formats.check(fmt, file, options, alone=False)
        parsed = [p for piece in formats.pieces(fmt, [file]) for _, p in formats.parse_log(fmt, piece, options)]
        if fmt in BY_BLOCKS and rng.random() < 0.3:
            _same_by_blocks(fmt, case, rng.choice((64, 300, 1000)), options, parsed)
    except UserError as error:
        assert cases.CANARY not in str(error), f"a listener's id stands in a message: {error}"
        tally.add(fmt, inputs=case.inputs, files=1, refused=1)
        return
    plays = [p.plays for p in parsed if p.plays.height]
    rejects = pl.concat([p.rejects for p in parsed]) if parsed else pl.DataFrame(schema={"line": pl.Int64})
    found = pl.concat(plays, how="diagonal") if plays else pl.DataFrame(schema={"line": pl.Int64})
    rows = found.height + rejects.height
    assert rows == sum(p.rows for p in parsed), "the adapter's count is not plays and rejects"
    assert case.rows is None or rows == case.rows, f"{case.rows} rows in, {rows} accounted for"
    if fmt != "sessions":
        lines = sorted([*found["line"], *rejects["line"]])
        first = lines[0] if lines else 0
        assert lines == list(range(first, first + rows)), "a line is missing or stands twice"
    _intact(case, found)
    if plays:
        _cleaned(found)
    tally.add(fmt, inputs=case.inputs, files=1, rows=rows, plays=found.height, rejects=rejects.height)


def _intact(case: cases.Case, plays: pl.DataFrame) -> None:
    if not case.intact:
        return
    got = {}
    for line, track in plays.select("line", "track_id").iter_rows():
        got.setdefault(line, track)
    lost = {n: track for n, track in case.intact.items() if got.get(n) != track}
    assert not lost, f"records that were left alone went missing, at lines {sorted(lost)[:5]}"


def _cleaned(plays: pl.DataFrame) -> None:
    for closed in (None, date(2026, 1, 10)):
        done = clean(
            plays.with_columns(file_no=pl.lit(0, dtype=pl.Int32)),
            None,
            IngestSettings(),
            closed,
            datetime(2026, 2, 1, tzinfo=UTC),
        )
        assert plays.height == done.listens.height + done.rejects.height + done.duplicates, "cleaning lost rows"


def _same_by_blocks(fmt: str, case: cases.Case, size: int, options: Options, parsed: list[Parsed]) -> None:
    """However a file is cut into blocks, the same lines come out the same."""
    data = case.data if not case.data.startswith(b"\x1f\x8b") else gzip.decompress(case.data)
    reader = formats.named(fmt).reader
    assert isinstance(reader, Lines)
    cut = list(reader.blocks(blocks(io.BytesIO(data), "mutated", size), options))

    def as_values(parts: list[Parsed]) -> tuple[list[object], list[object]]:
        plays = [
            row for p in parts for row in p.plays.select("line", "listener_id", "track_id", "started_at").iter_rows()
        ]
        return sorted(plays), sorted(row for p in parts for row in p.rejects.iter_rows())

    assert as_values(cut) == as_values(parsed), f"blocks of {size} bytes read otherwise than the whole file"
