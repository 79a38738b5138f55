"""A bucket that throttles, is away for a while, or lets nobody replace or delete: waited for, or told in one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core.exceptions import Forbidden, ServiceUnavailable, TooManyRequests
from google.api_core.retry import retry_unary

from pipelines.ingest import ingest
from pipelines.runtime.foreseen import foreseen
from tests.pipelines.test_ingest import END, log, run
from tests.pipelines.world import hashes
from tests.storage_emulator import Strict, storage_emulator
from transforms.common.errors import UserError
from transforms.tables.store import GcsStore, open_store
from transforms.tables.warehouse import Warehouse


class Refusing(Strict):
    """Answers some requests with a code: every `each`-th until `most` were refused, or those that replace and delete."""

    def __init__(self, code: int, each: int = 1, most: int = 10**9, changes_only: bool = False) -> None:
        super().__init__()
        self.code, self.each, self.most, self.changes_only = code, each, most, changes_only
        self.asked = self.refused = 0

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        self.asked += 1
        replaces = method == "POST" and "ifGenerationMatch" in url and "ifGenerationMatch=0" not in url
        changes = replaces or method == "DELETE"
        if self.refused < self.most and self.asked % self.each == 0 and (changes or not self.changes_only):
            self.refused += 1
            answer = requests.Response()
            answer.status_code, answer.url = self.code, str(url)
            answer.request = requests.Request(method, url).prepare()
            answer._content = json.dumps({"error": {"code": self.code, "message": "zoe is not welcome"}}).encode()
            return answer
        return super().request(method, url, *args, **kwargs)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GcsStore]:
    """A bucket in which nobody has to wait for the next try."""
    with storage_emulator(tmp_path) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(retry_unary.time, "sleep", lambda _: None)
        open_store.cache_clear()
        made = open_store(f"gs://{running.bucket}/warehouse")
        assert isinstance(made, GcsStore)
        made._client._http_internal = Strict()
        yield made
        open_store.cache_clear()


@pytest.mark.parametrize("code", [429, 503])
def test_an_ingest_into_a_bucket_that_throttles_ends_with_the_same_bytes(
    store: GcsStore, tmp_path: Path, code: int
) -> None:
    (tmp_path / "mapping.yaml").write_text("columns: {listener_id: u, track_id: t, started_at: at, ms_played: ms}\n")
    path = log(tmp_path / "a.csv", ("ann", "t1", 1), ("bob", "t2", 30))
    run(tmp_path, path)
    wire = store._client._http_internal = Refusing(code, each=3, most=60)
    from pipelines.runtime.config import Settings

    ingest(store.root, "csv", [path], mapping=str(tmp_path / "mapping.yaml"), end_date=END, settings=Settings(shards=2))
    assert wire.refused >= 10, "it was throttled"
    assert hashes(Warehouse(store.root)) == hashes(Warehouse(str(tmp_path / "w")))


def test_without_the_right_to_replace_nothing_is_committed_and_the_right_is_named(
    store: GcsStore, tmp_path: Path
) -> None:
    store.write("listens/x", b"one")
    store._client._http_internal = Refusing(403, changes_only=True)
    for act in (lambda: store.delete("listens/x"), lambda: store.replace("listens/x", b"two", 1), lambda: held(store)):
        with pytest.raises(Forbidden) as found:
            act()
        told = foreseen(found.value)
        assert told is not None and "refused (403)" in str(told) and "storage.objectUser" in str(told)
        assert "zoe" not in str(told)
    assert store.read("listens/x") == b"one"


def held(store: GcsStore) -> None:
    with store.turn("ingest"):
        pytest.fail("a commit was begun that cannot be ended")


def test_a_service_that_stays_away_or_cannot_be_reached_is_said() -> None:
    for error in (TooManyRequests("zoe"), ServiceUnavailable("zoe"), requests.exceptions.ConnectionError("zoe")):
        told = foreseen(error)
        assert isinstance(told, UserError) and "same command again" in str(told) and "zoe" not in str(told)
