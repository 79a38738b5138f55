"""`forget` in a bucket: the same objects rewritten as files are in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from pipelines.forget import forget
from tests.pipelines.byte_search import found
from tests.pipelines.tiny import LISTENERS, NIGHT, build
from tests.storage_emulator import Storage, Strict, storage_emulator
from transforms.tables.upkeep import check_table
from transforms.tables.warehouse import Warehouse

TODAY = date(2026, 2, 1)


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    import google.auth
    from google.auth.credentials import AnonymousCredentials

    with storage_emulator(tmp_path) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(google.auth, "default", lambda *_, **__: (AnonymousCredentials(), "nightshelf-test"))
        yield running


def downloaded(storage: Storage, prefix: str, folder: Path) -> Path:
    for blob in storage.client().list_blobs(storage.bucket, prefix=f"{prefix}/"):
        path = folder / blob.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(blob.download_as_bytes())
    return folder / prefix


def test_a_listener_is_in_no_object_and_everybody_else_is_there(storage: Storage, tmp_path: Path) -> None:
    local = build(tmp_path)
    warehouse = Warehouse(storage.upload(Path(local.url), "warehouse"))
    warehouse.store._client._http_internal = Strict()  # type: ignore[attr-defined]
    who = LISTENERS[3]
    assert found(downloaded(storage, "warehouse", tmp_path / "before"), [who])
    forget(warehouse.url, [who], today=TODAY)
    left = downloaded(storage, "warehouse", tmp_path / "after")
    assert found(left, [who]) == []
    forget(local.url, [who], today=TODAY)
    for table in ("shelves", "library"):
        ours, theirs = warehouse.need(table, NIGHT), local.need(table, NIGHT)
        assert [f.sha256 for f in ours.files] == [f.sha256 for f in theirs.files], table
        assert ours.version == theirs.version and ours.redactions == theirs.redactions
        assert check_table(warehouse, ours) == []
    assert forget(warehouse.url, [who], today=TODAY).rows == 0, "there is nothing left to do"
