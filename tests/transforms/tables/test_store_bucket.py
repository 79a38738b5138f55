"""The store's two promises in a bucket: a replace compares first, and a reader gets one whole object or another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.storage_emulator import Strict, storage_emulator
from tests.transforms.tables.test_store import replaces_only_what_was_seen
from transforms.tables.store import GcsStore


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GcsStore]:
    with storage_emulator(tmp_path) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        made = GcsStore(f"gs://{running.bucket}/warehouse")
        made._client._http_internal = Strict()
        yield made


def test_replace_succeeds_only_on_what_was_seen(store: GcsStore) -> None:
    replaces_only_what_was_seen(store)


def test_an_object_replaced_between_look_up_and_download_is_read_as_it_is_now(
    store: GcsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("t/x", b"one")
    look_up = store._bucket.get_blob
    looked: list[int] = []

    def replaced_after(name: str) -> Any:
        found = look_up(name)
        if not looked:
            store.write("t/x", b"two")
        looked.append(found.generation)
        return found

    monkeypatch.setattr(store._bucket, "get_blob", replaced_after)
    data, token = store.read_with_token("t/x")
    assert data == b"two" and len(looked) == 2 and token == looked[1] != looked[0]
    assert store.replace("t/x", b"three", token), "the token is of what was read"


def test_folders_and_paths_are_those_under_the_prefix(store: GcsStore) -> None:
    for path in ("listens/date=2026-01-05/a", "listens/date=2026-01-06/b", "listens2/c"):
        store.write(path, b"")
    assert store.folders("") == ["listens", "listens2"] and len(store.folders("listens")) == 2
    assert store.paths("listens") == ["listens/date=2026-01-05/a", "listens/date=2026-01-06/b"]
    store.delete("listens")
    assert store.paths("") == ["listens2/c"]


def test_folders_are_told_by_the_service_and_manifests_without_reading_them(store: GcsStore) -> None:
    for path in ("t/date=1/_current.json", "t/date=1/run=a/shard.parquet", "t/date=2/run=b/shard.parquet", "u/x"):
        store.write(path, b"{}")
    assert store.folders("t") == ["date=1", "date=2"]
    assert store.folders("") == ["t", "u"]
    assert store.folders("none") == []
    assert store.folders_with("t", "_current.json") == ["date=1"]


def test_of_a_large_file_only_the_wanted_columns_and_row_groups_are_fetched(
    store: GcsStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    table = pa.table({name: rng.random(400_000) for name in ("a", "b", "c")})
    pq.write_table(table, tmp_path / "f.parquet", row_group_size=100_000, compression="none")
    data = (tmp_path / "f.parquet").read_bytes()
    store.write("f.parquet", data)
    fetched: list[int] = []
    get = Strict.request

    def counted(self: Strict, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        answer = get(self, method, url, *args, **kwargs)
        if "alt=media" in url:
            fetched.append(len(answer.content))
        return answer

    monkeypatch.setattr(Strict, "request", counted)
    with pq.ParquetFile(store.open("f.parquet"), pre_buffer=True) as file:
        part = file.read_row_group(2, columns=["b"])
    assert part.equals(table.slice(200_000, 100_000).select(["b"]))
    assert sum(fetched) < len(data) / 8
    assert len(fetched) <= 3
