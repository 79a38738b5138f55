"""Publishing against an emulated BigQuery, with the real client: what a reader of the view sees, whatever happens."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import requests
from google.api_core.exceptions import Conflict

from pipelines import publish as job
from pipelines.publish import publish, rollback
from tests.emulators import PROJECT, Emulator, Killed, Wire
from tests.pipelines.tiny import NIGHT, shelves_of
from transforms.common.errors import UserError
from transforms.tables import bigquery_views
from transforms.tables import warehouse as warehouse_module
from transforms.tables.chunks import split
from transforms.tables.manifest import Manifest
from transforms.tables.runs import Written, finish, plan
from transforms.tables.store import LocalStore
from transforms.tables.warehouse import Warehouse
from transforms.tables.writing import write_frame

NOW = datetime(2026, 2, 1, tzinfo=UTC)
NEXT = date(2026, 1, 21)
VIEW = "SELECT COUNT(*) AS n, COUNT(DISTINCT version) AS versions, MIN(version) AS version FROM `{}.{}.shelves`"


def make(warehouse: Warehouse, rows: int, day: date = NIGHT) -> Manifest:
    """A run of shelves of so many rows, each naming its run; told apart by the number of rows."""
    run = plan(warehouse, "shelves", day, shards=4, inputs={}, settings={"rows": rows}, step_version="test")
    assert run is not None
    frame = shelves_of().head(rows).with_columns(version=pl.lit(run.run_id))
    parts = [write_frame(run, shard, part) for shard, part in split(frame, 4)]
    return finish(run, [Written("shelves", day.isoformat(), entry) for entry in parts])


class Place:
    """A warehouse, and the dataset it is published to."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        self.emulator, self.dataset = emulator, emulator.dataset()
        self.warehouse = Warehouse(str(folder / "warehouse"))
        self.to = f"bigquery:{PROJECT}.{self.dataset}"

    def publish(self, wire: Wire | None = None, day: date = NIGHT) -> list[str]:
        client = self.emulator.client(wire)
        return [str(p) for p in publish(self.warehouse.url, day, self.to, client=client, now=NOW)]

    def rollback(self, wire: Wire | None = None, day: date | None = None) -> list[str]:
        return [str(p) for p in rollback(self.to, day=day, client=self.emulator.client(wire), now=NOW)]

    def read(self) -> tuple[int, int, str]:
        """Rows of the view, distinct runs among them, and the run."""
        row = next(iter(self.emulator.client().query(VIEW.format(PROJECT, self.dataset)).result()))
        return row["n"], row["versions"], row["version"]


@pytest.fixture
def warehouse(emulator: Emulator, tmp_path: Path) -> Place:
    return Place(emulator, tmp_path)


def seen(manifest: Manifest) -> tuple[int, int, str]:
    return manifest.rows, 1, manifest.run_id


def test_a_published_row_is_the_row_of_the_warehouse(warehouse: Place) -> None:
    run = make(warehouse.warehouse, 12)
    assert warehouse.publish() == [f"shelves reads shelves__20260120__{run.run_id}, 12 rows"]
    question = (
        f"SELECT listener_id, items, valid_from FROM `{PROJECT}.{warehouse.dataset}.shelves` ORDER BY listener_id"
    )
    found = [dict(row) for row in warehouse.emulator.client().query(question).result()]
    stored = warehouse.warehouse.read("shelves", NIGHT).sort("listener_id").select("listener_id", "items", "valid_from")
    for row, want in zip(found, stored.to_dicts(), strict=True):
        assert row["listener_id"] == want["listener_id"] and row["valid_from"] == want["valid_from"]
        items = [(i["position"], i["track_id"], i["propensity"]) for i in row["items"]]
        assert items == [(i["position"], i["track_id"], i["propensity"]) for i in want["items"]] and items


def test_publishing_again_loads_nothing_and_changes_nothing(warehouse: Place) -> None:
    run = make(warehouse.warehouse, 5)
    warehouse.publish()
    wire = Wire()
    assert warehouse.publish(wire) == [f"shelves already reads shelves__20260120__{run.run_id}, 5 rows"]
    assert not [r for r in wire.sent if "upload" in r.path or "CREATE" in str(r.body)]
    assert warehouse.read() == seen(run)


def test_rollback_goes_back_once_for_a_date_however_often_it_is_asked(warehouse: Place) -> None:
    first = make(warehouse.warehouse, 5)
    warehouse.publish()
    second = make(warehouse.warehouse, 7, NEXT)
    warehouse.publish(day=NEXT)
    assert warehouse.read() == seen(second)
    for _ in range(2):
        warehouse.rollback(day=NEXT)
        assert warehouse.read() == seen(first)
    with pytest.raises(UserError, match="what it read before is gone or never was"):
        warehouse.rollback()
    assert warehouse.read() == seen(first)
    warehouse.publish(day=NEXT)
    assert warehouse.read() == seen(second)


def changes_of(warehouse: Place, day: date) -> list[int]:
    """Numbers of the requests of a publish that change something, in a dataset of its own that has the same past."""
    other = Place.__new__(Place)
    other.__dict__.update(warehouse.__dict__)
    other.dataset = warehouse.emulator.dataset()
    other.to = f"bigquery:{PROJECT}.{other.dataset}"
    other.publish()
    wire = Wire()
    other.publish(wire, day)
    return [n for n, r in enumerate(wire.sent) if r.method != "GET" and "INFORMATION_SCHEMA" not in str(r.body)]


@pytest.mark.parametrize("after", [False, True], ids=["before it is sent", "after it was answered"])
def test_killed_at_any_change_and_started_again_no_row_is_lost_doubled_or_mixed(warehouse: Place, after: bool) -> None:
    old, new = make(warehouse.warehouse, 5), make(warehouse.warehouse, 7, NEXT)
    cuts = changes_of(warehouse, NEXT)
    assert len(cuts) >= 6  # create, upload in two, label, free, view, expire
    for cut in cuts:
        other = Place.__new__(Place)
        other.__dict__.update(warehouse.__dict__)
        other.dataset = warehouse.emulator.dataset()
        other.to = f"bigquery:{PROJECT}.{other.dataset}"
        other.publish()
        with pytest.raises(Killed):
            other.publish(Wire(cut, after), NEXT)
        assert other.read() in (seen(old), seen(new))
        other.publish(day=NEXT)
        assert other.read() == seen(new), f"cut at request {cut}"
        other.rollback(day=NEXT)
        assert other.read() == seen(old), f"cut at request {cut}"


class Reader(threading.Thread):
    """Polls the view until told to stop, keeping every distinct answer."""

    def __init__(self, warehouse: Place) -> None:
        super().__init__(daemon=True)
        self.warehouse, self.answers, self.polls, self.done = warehouse, set(), 0, threading.Event()  # type: ignore[var-annotated]
        self.failed: list[BaseException] = []

    def run(self) -> None:
        while not self.done.is_set():
            try:
                self.answers.add(self.warehouse.read())
                self.polls += 1
            except Exception as error:
                self.failed.append(error)
                return


@pytest.fixture
def reader(warehouse: Place) -> Iterator[Reader]:
    thread = Reader(warehouse)
    yield thread
    thread.done.set()
    if thread.is_alive():
        thread.join(30)


KILLED = """
import sys, os, signal
from datetime import date
from tests.emulators import Emulator, Wire
from pipelines.publish import publish
class Deadly(Wire):
    def request(self, method, url, *args, **kwargs):
        if len(self.sent) == int(sys.argv[5]):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().request(method, url, *args, **kwargs)
emulator = Emulator(sys.argv[1], None)
publish(sys.argv[2], date.fromisoformat(sys.argv[3]), sys.argv[4], client=emulator.client(Deadly()))
"""


def test_a_reader_sees_whole_runs_through_publish_kill_republish_and_rollback(warehouse: Place, reader: Reader) -> None:
    old, new = make(warehouse.warehouse, 5), make(warehouse.warehouse, 7, NEXT)
    warehouse.publish()
    reader.start()
    arguments = [warehouse.emulator.url, warehouse.warehouse.url, NEXT.isoformat(), warehouse.to, "5"]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True, text=True, env=os.environ)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert warehouse.read() == seen(old)
    warehouse.publish(day=NEXT)
    for _ in range(3):
        warehouse.rollback(day=NEXT)
        warehouse.publish(day=NEXT)
    polls = reader.polls
    while reader.polls < polls + 2 and reader.is_alive():
        reader.done.wait(0.01)
    reader.done.set()
    reader.join(30)
    assert not reader.failed
    assert reader.answers == {seen(old), seen(new)} and reader.polls > 10


def test_rows_that_do_not_match_the_manifest_never_reach_the_view(warehouse: Place) -> None:
    old = make(warehouse.warehouse, 5)
    warehouse.publish()
    new = make(warehouse.warehouse, 7, NEXT)
    path = f"shelves/date={NEXT}/_current.json"
    warehouse.warehouse.store.write(path, new.model_copy(update={"rows": 8}).to_json())
    with pytest.raises(
        UserError, match="expected 8 rows as the manifest says, found 7 loaded; the view was not replaced"
    ):
        warehouse.publish(day=NEXT)
    assert warehouse.read() == seen(old)


def test_an_empty_run_is_not_published(warehouse: Place) -> None:
    old = make(warehouse.warehouse, 5)
    warehouse.publish()
    make(warehouse.warehouse, 0, NEXT)
    with pytest.raises(UserError, match="no rows"):
        warehouse.publish(day=NEXT)
    assert warehouse.read() == seen(old)


def test_a_table_of_somebody_elses_under_the_views_name_is_left_alone(warehouse: Place) -> None:
    make(warehouse.warehouse, 5)
    client = warehouse.emulator.client()
    client.query(f"CREATE TABLE `{PROJECT}.{warehouse.dataset}.shelves` AS SELECT 1 AS x").result()
    with pytest.raises(UserError, match="found something else"):
        warehouse.publish()
    assert client.get_table(f"{PROJECT}.{warehouse.dataset}.shelves").num_rows == 1


def test_a_refusal_is_told_without_the_services_message(warehouse: Place) -> None:
    run = make(warehouse.warehouse, 5)
    for entry in run.files:  # another table's rows in this one's files: the load itself fails or the cast does
        (Path(warehouse.warehouse.url) / entry.path).write_bytes(b"PAR1 not a file of listener-3 PAR1")
    with pytest.raises(UserError) as raised:
        warehouse.publish()
    assert "listener-" not in str(raised.value)


def test_a_dataset_that_is_not_there_is_named(warehouse: Place) -> None:
    make(warehouse.warehouse, 5)
    with pytest.raises(UserError, match="found no nightshelf-test.nowhere; create it first"):
        publish(warehouse.warehouse.url, NIGHT, f"bigquery:{PROJECT}.nowhere", client=warehouse.emulator.client())


def test_expiry_is_asked_for_on_what_no_view_reads_and_taken_from_what_one_will(warehouse: Place) -> None:
    first = make(warehouse.warehouse, 5)
    wire = Wire()
    warehouse.publish(wire)
    name = f"shelves__20260120__{first.run_id}"
    expiry = str(int(datetime(2026, 2, 8, tzinfo=UTC).timestamp() * 1000))
    made = next(r.body for r in wire.sent if r.method == "POST" and r.path.endswith("/tables"))
    assert made["expirationTime"] == expiry
    freed = [n for n, r in enumerate(wire.sent) if r.method == "PATCH" and r.body.get("expirationTime", 0) is None]
    replaced = [n for n, r in enumerate(wire.sent) if "CREATE OR REPLACE VIEW" in str(r.body)]
    assert len(replaced) == 1 and len(freed) == 1 and freed[0] < replaced[0]
    make(warehouse.warehouse, 7, NEXT)
    wire = Wire()
    warehouse.publish(wire, NEXT)
    replaced = [n for n, r in enumerate(wire.sent) if "CREATE OR REPLACE VIEW" in str(r.body)]
    set_on = [n for n, r in enumerate(wire.sent) if r.method == "PATCH" and r.body.get("expirationTime") == expiry]
    assert [wire.sent[n].path.rsplit("/", 1)[-1] for n in set_on] == [name] and set_on[0] > replaced[0]


@pytest.mark.parametrize("at", range(1, 9))
def test_two_publishes_interleaved_leave_no_expiry_on_what_the_view_reads(warehouse: Place, at: int) -> None:
    """The first is held at each of its requests that changes something, while the second goes by."""
    make(warehouse.warehouse, 5)
    make(warehouse.warehouse, 6, NEXT)
    warehouse.publish(day=NEXT)  # loaded, so that only views and expiries are left to change
    warehouse.publish()
    inner, changes = Wire(), iter(range(1, 1 << 30))
    request = inner.request

    def held(method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:
        if method in ("POST", "PATCH", "PUT") and next(changes) == at:
            warehouse.publish()
        return request(method, url, *args, **kwargs)

    inner.request = held  # type: ignore[method-assign]
    warehouse.publish(inner, day=NEXT)
    to = job.target(warehouse.to, warehouse.emulator.client())
    shown = bigquery_views._shown(to, "shelves")
    assert shown is not None
    found = to.get(shown)
    assert found is not None and found.expires is None


def test_a_local_run_is_uploaded_by_one_job_with_its_own_id(warehouse: Place) -> None:
    run = make(warehouse.warehouse, 12)
    assert len(run.files) > 1
    wire = Wire()
    warehouse.publish(wire)
    loads = [r.body for r in wire.sent if "load" in r.body.get("configuration", {})]
    assert len(loads) == 1
    assert loads[0]["jobReference"]["jobId"].startswith(f"nightshelf_shelves__20260120__{run.run_id}_")
    assert loads[0]["configuration"]["load"]["parquetOptions"] == {"enableListInference": True}


class Bucket(LocalStore):
    """A folder that says it is a bucket."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(str(folder))
        self._inner, self.root = LocalStore(str(folder)), url

    def _path(self, path: str) -> Path:
        return self._inner._path(path)

    def paths(self, prefix: str) -> list[str]:
        return self._inner.paths(prefix)

    def turn(self, who: str) -> AbstractContextManager[None]:
        return self._inner.turn(who)

    def at_work(self) -> str:
        return self._inner.at_work()


class Flat(Wire):
    """Loads from copies in one folder: DuckDB, inside the emulator, takes `date=` in a path for a column."""

    def __init__(self, bucket: Path) -> None:
        super().__init__()
        self.bucket = bucket

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        data = kwargs.get("data")
        sent = json.loads(data) if isinstance(data, str) and "sourceUris" in data else None
        if sent:
            load = sent["configuration"]["load"]
            here = [self.bucket / uri.removeprefix("gs://bucket/") for uri in load["sourceUris"]]
            (self.bucket / "flat").mkdir(exist_ok=True)
            for path in here:
                (self.bucket / "flat" / path.name).unlink(missing_ok=True)
                if path.exists():
                    shutil.copy(path, self.bucket / "flat")
            load["sourceUris"] = [f"gs://bucket/flat/{path.name}" for path in here]
            self.asked = json.loads(data or "")
            kwargs["data"] = json.dumps(sent)
        return super().request(method, url, *args, **kwargs)


@pytest.fixture
def bucket(warehouse: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The same, with the warehouse in a bucket that the emulator reads, too."""
    url = f"gs://bucket/{warehouse.dataset}"
    monkeypatch.setattr(
        warehouse_module, "open_store", lambda _: Bucket(warehouse.emulator.bucket / warehouse.dataset, url)
    )
    warehouse.warehouse = Warehouse(url)
    return warehouse


def test_a_bucket_is_loaded_from_where_it_lies_by_one_job_that_is_started_once(bucket: Place) -> None:
    run = make(bucket.warehouse, 12)
    wire = Flat(bucket.emulator.bucket)
    bucket.publish(wire)
    assert bucket.read() == seen(run)
    loads = [r.body for r in wire.sent if "load" in r.body.get("configuration", {})]
    assert len(loads) == 1 and len(run.files) > 1
    asked = wire.asked["configuration"]["load"]["sourceUris"]
    assert asked == [f"{bucket.warehouse.url}/{f.path}" for f in run.files]
    client = bucket.emulator.client()
    found = client.get_table(f"{PROJECT}.{bucket.dataset}.shelves__20260120__{run.run_id}")
    found.labels = {"content": "forgotten"}  # so that publish has to ask again
    client.update_table(found, ["labels"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(client), "load_table_from_uri", _conflict)
        bucket.publish()
    assert bucket.read() == seen(run)


def _conflict(*args: object, **kwargs: object) -> None:
    """What the service answers to a job id that it knows (the emulator starts the job again)."""
    raise Conflict("already exists")


def test_a_load_whose_file_is_gone_fails_and_succeeds_when_it_is_back(
    bucket: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make(bucket.warehouse, 12)
    path = run.files[0].path
    data = bucket.warehouse.store.read(path)
    bucket.warehouse.store.delete(path)
    with pytest.raises(UserError, match="is missing or damaged"):
        bucket.publish(Flat(bucket.emulator.bucket))
    with monkeypatch.context() as gone_after_the_checks:
        gone_after_the_checks.setattr(job, "require", lambda *_: None)
        with pytest.raises(UserError, match="BigQuery refused.*the view was not replaced"):
            bucket.publish(Flat(bucket.emulator.bucket))
    bucket.warehouse.store.write(path, data)
    bucket.publish(Flat(bucket.emulator.bucket))
    assert bucket.read() == seen(run)


def test_the_command_says_what_the_view_reads(warehouse: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from pipelines.cli.main import cli

    run = make(warehouse.warehouse, 5)
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", warehouse.emulator.url)
    asked = ["publish", "--to", warehouse.to, "--warehouse", warehouse.warehouse.url]
    done = CliRunner().invoke(cli, [*asked, "--date", NIGHT.isoformat()])
    assert done.output == f"shelves reads shelves__20260120__{run.run_id}, 5 rows\n"
    refused = CliRunner().invoke(cli, asked)
    assert refused.exit_code == 2 and "--date is required" in refused.output
    back = CliRunner().invoke(cli, [*asked, "--rollback"])
    assert "gone or never was" in str(back.exception)
