"""A step over shards says and writes the same by the runner's own worker and by several processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest

from tests.pipelines.tiny import LISTENERS, NIGHT, build
from transforms.common.errors import UserError
from transforms.common.processes import taken
from transforms.tables.as_of import as_of
from transforms.tables.beam import Commit
from transforms.tables.chunks import Chunk
from transforms.tables.map_shards import MapShards
from transforms.tables.runs import Run, plan
from transforms.tables.shard_work import Made
from transforms.tables.specs import specs
from transforms.tables.warehouse import Warehouse


@dataclass(frozen=True)
class Halve:
    """Every second row of `library` as a table; tells who was there, where, and what it was told itself."""

    folder: str
    refuses: bool = False

    def load(self, known: Sequence[Any]) -> Callable[[Chunk], Iterator[Made]]:
        said = ",".join(map(str, known))

        def halved(chunk: Chunk) -> Iterator[Made]:
            if self.refuses:
                raise UserError("expected whole listeners, found halves; halve nothing")
            (Path(self.folder) / str(os.getpid())).touch()
            yield {"halving.rows": chunk["library"].height}
            yield Chunk(chunk.shard, {"library": chunk["library"].gather_every(2)})
            yield f"{chunk['library']['listener_id'].n_unique()} {said}".encode()

        return halved


def halved(
    warehouse: Warehouse, day: date, folder: Path, processes: int, refuses: bool = False
) -> tuple[Run, list[str]]:
    """A library of another date, made of the night's; and what was told."""
    past = as_of(warehouse.url, NIGHT)
    folder.mkdir()
    work = specs(warehouse, 4, {"library": past.library()})
    run = plan(warehouse, "library", day, shards=4, inputs={}, settings={}, step_version="test")
    assert run is not None
    told: list[str] = []
    with beam.Pipeline("FnApiRunner") as root:
        numbers = root | "Numbers" >> beam.Create([7])
        step = Halve(str(folder), refuses)
        written, said = MapShards(work, step, [run], processes=processes, known=numbers).on(root, "Halve")
        _ = root | "Done" >> Commit([run], written)
        _ = said | beam.combiners.ToList() | beam.Map(lambda found: (folder / "said").write_text(repr(sorted(found))))
    told = eval((folder / "said").read_text())
    return run, told


def files(warehouse: Warehouse, day: date) -> list[tuple[str, str, int]]:
    return [(Path(f.path).name, f.sha256, f.rows) for f in warehouse.need("library", day).files]


def test_processes_write_and_tell_the_same(tmp_path: Path) -> None:
    warehouse = build(tmp_path)
    taken()
    one, two = date(2026, 2, 1), date(2026, 2, 2)
    _, here = halved(warehouse, one, tmp_path / "here", 1)
    assert [p.name for p in (tmp_path / "here").iterdir() if p.name.isdigit()] == [str(os.getpid())]
    assert taken().cpu_seconds == 0
    _, there = halved(warehouse, two, tmp_path / "there", 2)
    pids = {p.name for p in (tmp_path / "there").iterdir() if p.name.isdigit()}
    assert 1 <= len(pids) <= 2 and str(os.getpid()) not in pids
    assert here == there and sum(int(text.split()[0]) for text in here) == len(LISTENERS)
    assert all(text.endswith(b" 7") for text in here)
    assert files(warehouse, one) == files(warehouse, two) and len(files(warehouse, one)) > 1
    assert warehouse.read("library", one).equals(warehouse.read("library", two))
    assert taken().cpu_seconds > 0


def test_what_a_step_raises_in_a_process_arrives(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="halve nothing"):
        halved(build(tmp_path), date(2026, 2, 1), tmp_path / "there", 2, refuses=True)
