"""The store's two promises in a bucket: a replace compares first, and a reader gets one whole object or another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
