"""One shard's work from its files to its files, without Beam: read its chunks, apply a step, write what the step made.

A step is loaded once a process and then maps chunks: what it yields as a Chunk is a table's rows, bytes are a message for a
later step, a mapping adds to counters. `transforms.tables.map_shards` runs it in Beam's own workers or in processes of this
machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import polars as pl

from transforms.common.processes import Used, given, used
from transforms.tables.chunks import Chunk, Spec, read_chunks
from transforms.tables.order import by_date
from transforms.tables.runs import Run, Written
from transforms.tables.writing import write_frame

Made = Chunk | bytes | Mapping[str, int]


class Step(Protocol):
    """What is done with a chunk. Picklable."""

    def load(self, known: Sequence[Any]) -> Callable[[Chunk], Iterator[Made]]:
        """What maps chunks, with everything in memory that it needs; called once a process.

        Args:
            known: what earlier steps have found out, where the step is to be told of it.
        """
        ...


@dataclass(frozen=True)
class Shard:
    """What is done with every shard. Picklable.

    Attributes:
        columns: columns to read, table by table.
        dated: tables that get a `date` column.
        runs: of the tables that are written.
        known: what the step is told when it is loaded.
    """

    step: Step
    runs: Sequence[Run]
    columns: Mapping[str, Sequence[str]] | None
    dated: Sequence[str]
    chunk_bytes: int
    known: Sequence[Any] = ()


@dataclass
class Done:
    """What came of a shard: files, messages, counters, and what its process has used so far (`process` names it)."""

    written: list[Written] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    process: int = 0
    used: Used = field(default_factory=Used)

    def add(self, counts: Mapping[str, int]) -> None:
        """Add to the counters."""
        for name, n in counts.items():
            self.counts[name] = self.counts.get(name, 0) + n


def parts_of(runs: Sequence[Run], chunk: Chunk) -> Iterator[tuple[Run, pl.DataFrame]]:
    """The rows of a chunk that each run writes; tables without a run, and dates without one, are left out.

    Raises:
        ValueError: rows for several dates, and no column that tells them apart.
    """
    by_table: dict[str, dict[str, Run]] = {}
    for run in runs:
        by_table.setdefault(run.table, {})[run.day.isoformat()] = run
    for table, frame in chunk.tables.items():
        own = by_table.get(table)
        if not own or not frame.height:
            continue
        if "date" not in frame.columns:
            if len(own) != 1:
                raise ValueError(f"table {table}: rows for {len(own)} dates need a `date` column")
            yield next(iter(own.values())), frame
        else:
            yield from ((own[day.isoformat()], part) for day, part in sorted(by_date(frame)) if day.isoformat() in own)


# by the object that was shared: a process has one for as long as it lives
_LOADED: list[tuple[Shard, Callable[[Chunk], Iterator[Made]]]] = []


def work_on(spec: Spec) -> Done:
    """All of a shard, in a process of a pool that shares a `Shard`."""
    work: Shard = given()
    if not _LOADED or _LOADED[0][0] is not work:
        _LOADED[:] = [(work, work.step.load(work.known))]
    done = do(work, _LOADED[0][1], spec)
    done.process, done.used = os.getpid(), used()
    return done


def do(work: Shard, step: Callable[[Chunk], Iterator[Made]], spec: Spec) -> Done:
    """All of a shard: its chunks read, mapped and written, in order."""
    done = Done()
    for chunk in read_chunks(spec, work.columns, work.dated, work.chunk_bytes):
        done.add({"read.chunks": 1, "read.rows": chunk.rows, "read.bytes": chunk.bytes})
        for made in step(chunk):
            if isinstance(made, Chunk):
                for run, part in parts_of(work.runs, made):
                    file = write_frame(run, made.shard, part, None)
                    if file is not None:
                        done.written.append(Written(run.table, run.day.isoformat(), file))
                        done.add({"write.rows": file.rows, "write.bytes": file.bytes})
            elif isinstance(made, bytes):
                done.messages.append(made)
            else:
                done.add({f"took.{name}": n for name, n in made.items()})
    return done
