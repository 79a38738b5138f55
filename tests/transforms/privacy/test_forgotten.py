"""The list of who was forgotten, and traces of ids in text."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from transforms.common.errors import UserError
from transforms.privacy import forgotten as the_list
from transforms.privacy.forget import prints
from transforms.privacy.traces import Traces
from transforms.tables.warehouse import Warehouse


def test_the_list_knows_who_is_on_it_and_nobody_can_read_it(tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path))
    assert not the_list.forgotten(warehouse) and not the_list.forgotten(warehouse).mask(pl.Series(["ann"])).any()
    the_list.add(warehouse, ["ann", "bob"])
    the_list.add(warehouse, ["bob"])
    known = the_list.forgotten(warehouse)
    assert known.mask(pl.Series(["ann", None, "cyd", "bob", "Ann"])).tolist() == [True, False, False, True, False]
    assert len(known.hashes) == 2 and "ann" not in (tmp_path / the_list.LIST).read_text()


def test_two_warehouses_hash_the_same_listener_differently(tmp_path: Path) -> None:
    lists = [the_list.add(Warehouse(str(tmp_path / name)), ["ann"]) for name in "ab"]
    assert not lists[0].hashes & lists[1].hashes and lists[0].fingerprint != lists[1].fingerprint


def test_readmitting_takes_off_the_list(tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path))
    the_list.add(warehouse, ["ann", "bob"])
    assert the_list.readmit(warehouse, ["ann", "cyd"]) == 1
    assert the_list.forgotten(warehouse).among(["ann", "bob"]) == {"bob"}


def test_a_damaged_list_stops_everything(tmp_path: Path) -> None:
    Warehouse(str(tmp_path)).store.write(the_list.LIST, b'{"salt": ')
    with pytest.raises(UserError, match="put it back from a backup"):
        the_list.forgotten(Warehouse(str(tmp_path)))


@pytest.mark.parametrize("listener", ["ann.smith@example.org", 'o"neill', "a b/c", "mārtiņš", "a<b>&c"])
def test_traces_are_found_however_text_writes_them(listener: str) -> None:
    from tests.pipelines.byte_search import encodings

    traces = Traces([listener])
    for kind in ("plain", "json", "html", "percent"):
        text = encodings(listener)[kind].decode()
        assert traces.within(f"x/{text}/y") and listener not in traces.replaced([f"of {text}."])[0], kind


def test_a_name_within_another_word_is_no_trace() -> None:
    traces = Traces(["anna", "7"])
    assert not traces.within("hannah susanna anna2 part-7.csv 17")
    assert traces.replaced({"a": ["7", "logs/7/x.csv", "7.csv", 7]}) == {
        "a": ["(forgotten)", "logs/(forgotten)/x.csv", "(forgotten).csv", 7]
    }


def test_prints_tell_the_shard_for_any_number_of_shards() -> None:
    from transforms.tables.chunks import shard_of

    for shards in (1, 4, 64, 1 << 16):
        assert [p % shards for p in prints(["ann"])] == shard_of(pl.Series(["ann"]), shards).tolist()
    assert prints([]) == ()
