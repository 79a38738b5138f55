"""Chunks: the hash, the split, and the lockstep walk that never cuts a listener."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from hashlib import md5
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.common.errors import UserError
from transforms.tables import writing
from transforms.tables.chunks import Chunk, read_chunks, shard_of, split
from transforms.tables.runs import Written, finish, plan
from transforms.tables.specs import specs
from transforms.tables.warehouse import Warehouse
from transforms.tables.writing import write_frame

DAY = date(2026, 1, 1)
LISTENERS = st.lists(st.text(alphabet="abcdé雪 ", min_size=1, max_size=3), min_size=1, max_size=60)


def put(warehouse: Warehouse, table: str, frame: pl.DataFrame, shards: int, day: date = DAY) -> None:
    run = plan(warehouse, table, day, shards=shards, inputs={}, settings={}, step_version=str(frame.height))
    assert run is not None
    written = [Written(table, day.isoformat(), write_frame(run, s, part)) for s, part in split(frame, shards)]
    finish(run, written)


def people(ids: list[str]) -> pl.DataFrame:
    return pl.DataFrame({"listener_id": ids, "market": ["SE"] * len(ids)})


def acts(ids: list[str]) -> pl.DataFrame:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    at = [start + timedelta(seconds=n) for n in range(len(ids))]
    return pl.DataFrame({"listener_id": ids, "kind": "save", "target": "t", "at": at})


def walk(warehouse: Warehouse, shards: int, chunk_bytes: int) -> list[Chunk]:
    tables = {t: [m] for t in ("listeners", "feedback") if (m := warehouse.current(t, DAY))}
    return [c for s in specs(warehouse, shards, tables) for c in read_chunks(s, chunk_bytes=chunk_bytes)]


def test_the_shard_is_the_first_four_bytes_of_md5_modulo_n() -> None:
    expected = int.from_bytes(md5("雪".encode()).digest()[:4], "big") % 16
    assert shard_of(pl.Series(["雪", "ann", "雪"]), 16).tolist()[0::2] == [expected, expected]


def test_shards_must_be_a_power_of_two() -> None:
    with pytest.raises(UserError, match="power of two"):
        shard_of(pl.Series(["ann"]), 6)


@given(LISTENERS, st.sampled_from([1, 2, 8]))
@settings(max_examples=30)
def test_splitting_loses_and_invents_nothing(ids: list[str], shards: int) -> None:
    frame = pl.DataFrame({"listener_id": ids, "n": range(len(ids))})
    parts = split(frame, shards)
    assert sorted(n for _, part in parts for n in part["n"]) == list(range(len(ids)))
    for shard, part in parts:
        assert (shard_of(part["listener_id"], shards) == shard).all()
        assert part["n"].is_sorted()


@given(LISTENERS, LISTENERS, st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 4]), st.sampled_from([1, 400, 1 << 20]))
@settings(max_examples=25)
def test_the_lockstep_walk_yields_every_listener_once_and_whole(
    tmp_path_factory: pytest.TempPathFactory, some: list[str], others: list[str], stored: int, read: int, size: int
) -> None:
    warehouse = Warehouse(str(tmp_path_factory.mktemp("w")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "ROW_GROUP", 3)
        put(warehouse, "listeners", people(sorted(set(some))), stored)
        put(warehouse, "feedback", acts(others), stored)
    seen: list[str] = []
    for chunk in walk(warehouse, read, size):
        here = set(chunk["listeners"]["listener_id"]) | set(chunk["feedback"]["listener_id"])
        assert not here & set(seen)
        seen += sorted(here)
        for who in here:
            assert chunk["feedback"].filter(listener_id=who).height == others.count(who)
        assert chunk["feedback"]["listener_id"].is_sorted()
    assert sorted(seen) == sorted({*some, *others})


def test_small_chunks_really_are_several(tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "ROW_GROUP", 10)
        put(warehouse, "listeners", people([f"p{n:03d}" for n in range(100)]), 1)
    assert len(walk(warehouse, 1, chunk_bytes=1)) > 5


def test_a_damaged_file_is_named_and_the_way_out_is_said(tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path))
    put(warehouse, "listeners", people(["ann"]), 1)
    manifest = warehouse.need("listeners", DAY)
    (tmp_path / manifest.files[0].path).write_bytes(b"not parquet")
    with pytest.raises(UserError, match="damaged.*repair --date"):
        walk(warehouse, 1, 1)


def test_a_chunk_survives_its_coder() -> None:
    from transforms.tables.beam import ChunkCoder

    chunk = Chunk(3, {"listeners": people(["ann"]), "feedback": acts([])})
    again = ChunkCoder().decode(ChunkCoder().encode(chunk))
    assert again.shard == 3
    assert again["listeners"].equals(chunk["listeners"])
    assert again["feedback"].schema == chunk["feedback"].schema
