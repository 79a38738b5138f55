"""Exporting by key: what an app that reads sees, whatever happens meanwhile, and which rows it is told to take anew."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.export import export, rollback
from pipelines.forget import forget
from pipelines.runtime.config import Settings
from tests.bigtable_emulator import new_table, running_bigtable
from tests.pipelines.tiny import LISTENERS, NIGHT, frame, put, shelves_of
from transforms.common.errors import LostRace, UserError
from transforms.serving import bigtable, targets
from transforms.serving.jsonl import Lines, folder, read_listener
from transforms.serving.publication import Pointer
from transforms.tables.chunks import shard_of, split
from transforms.tables.manifest import Manifest
from transforms.tables.runs import Written, finish, plan
from transforms.tables.warehouse import Warehouse
from transforms.tables.writing import write_frame

SETTINGS = Settings.model_validate({"gates": {"enforce": False}})
NEXT = NIGHT + timedelta(1)


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    with running_bigtable() as host:
        yield host


class JsonApp:
    """An app that reads files of lines."""

    def __init__(self, folder: Path) -> None:
        self.to = f"jsonl:{folder / 'apps'}"
        self.target = Lines(str(folder / "apps"))

    def pointer(self) -> Pointer | None:
        return self.target.pointer()[0]

    def rows(self, listener: str, pointer: Pointer) -> list[dict[str, Any]]:
        shards = self.target.files(pointer.now).shards
        shard = int(shard_of(pl.Series([listener]), shards)[0])
        found = read_listener(self.target, listener, shard, pointer)
        return [] if found is None else found["shelves"]


class BigtableApp:
    """An app that reads Bigtable."""

    def __init__(self, folder: Path) -> None:
        self.to = new_table()
        self.place = bigtable.Place.of(self.to)
        self.table = self.place.open()

    def pointer(self) -> Pointer | None:
        return bigtable.pointer_of(self.table) if self.place.open(admin=True).exists() else None

    def rows(self, listener: str, pointer: Pointer) -> list[dict[str, Any]]:
        return bigtable.read_listener(self.table, listener, pointer)


App = JsonApp | BigtableApp


@pytest.fixture(params=["jsonl", "bigtable"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> App:
    if request.param == "jsonl":
        return JsonApp(tmp_path)
    request.getfixturevalue("emulator")
    return BigtableApp(tmp_path)


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(str(tmp_path / "warehouse"))


def made(
    warehouse: Warehouse, mark: str, day: date = NIGHT, change: Callable[[pl.DataFrame], pl.DataFrame] = lambda f: f
) -> Manifest:
    """Shelves of a night, every row naming the run it is of."""
    run = plan(warehouse, "shelves", day, shards=4, inputs={}, settings={"mark": mark}, step_version="test")
    assert run is not None
    rows = change(shelves_of()).with_columns(version=pl.lit(run.version))
    return finish(run, [Written("shelves", day.isoformat(), write_frame(run, s, part)) for s, part in split(rows, 4)])


def publish(warehouse: Warehouse, app: App, day: date = NIGHT, **more: Any) -> None:
    assert export(warehouse.url, day, app.to, settings=SETTINGS, **more) is not None


def whole(app: App, expected: int) -> str:
    """The version that counts, once every listener was seen to have all of it and of it alone."""
    pointer = app.pointer()
    assert pointer is not None
    found = [row for who in LISTENERS for row in app.rows(who, pointer)]
    assert {row["version"] for row in found} == {pointer.now.version}
    assert len(found) == expected
    return pointer.now.version


def everything() -> int:
    return shelves_of().height


def test_a_row_says_what_the_table_says(warehouse: Warehouse, app: App) -> None:
    made(warehouse, "one")
    publish(warehouse, app)
    pointer = app.pointer()
    assert pointer is not None and (pointer.now.listeners, pointer.now.rows) == (len(LISTENERS), everything())
    who = LISTENERS[3]
    stored = warehouse.read("shelves", NIGHT).filter(pl.col("listener_id") == who)
    got = {row["shelf_id"]: row for row in app.rows(who, pointer)}
    assert set(got) == set(stored["shelf_id"])
    for row in stored.iter_rows(named=True):
        assert got[row["shelf_id"]]["title"] == row["title"]
        assert [i["track_id"] for i in got[row["shelf_id"]]["items"]] == [i["track_id"] for i in row["items"]]
    assert app.rows("listener-", pointer) == [] if isinstance(app, BigtableApp) else True


def test_the_same_night_again_changes_nothing(warehouse: Warehouse, app: App) -> None:
    made(warehouse, "one")
    publish(warehouse, app)
    before = app.pointer()
    publish(warehouse, app)
    assert app.pointer() == before
    made(warehouse, "two")
    publish(warehouse, app)
    after = app.pointer()
    assert (
        before is not None and after is not None and after.now.stamp > before.now.stamp and after.before == before.now
    )


def test_a_reader_never_sees_a_mix(warehouse: Warehouse, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Polling while a night is published, killed, published again, followed by another and rolled back."""
    first = made(warehouse, "one").version
    publish(warehouse, app)
    seen: list[str] = []
    faults: list[BaseException] = []
    over = threading.Event()

    def poll() -> None:
        while not over.is_set():
            try:
                seen.append(whole(app, everything()))
            except BaseException as fault:
                faults.append(fault)
                return

    reader = threading.Thread(target=poll)
    reader.start()
    second = made(warehouse, "two").version
    name = "_file" if isinstance(app, JsonApp) else "_rows"
    works, times = getattr(targets, name), iter(range(1000))

    def dies(*given: Any) -> Iterator[Any]:
        for one in works(*given):
            if next(times) >= 2:
                raise RuntimeError("killed")
            yield one

    with monkeypatch.context() as patch:
        patch.setattr(targets, name, dies)
        with pytest.raises(Exception, match="export"):
            publish(warehouse, app)
    assert whole(app, everything()) == first
    publish(warehouse, app)
    third = made(warehouse, "three", NEXT).version
    publish(warehouse, app, NEXT)
    assert whole(app, everything()) == third
    assert rollback(app.to).version == second
    time.sleep(0.3)
    over.set()
    reader.join(timeout=60)
    assert not faults, faults
    assert seen[0] == first and seen[-1] == second and set(seen) <= {first, second, third}
    with pytest.raises(UserError, match="no earlier publication"):
        rollback(app.to)


def test_what_changed_since_a_publication_is_told_without_comparing(warehouse: Warehouse, app: App) -> None:
    who, shelf = LISTENERS[0], shelves_of()["shelf_id"][0]

    def emptied(rows: pl.DataFrame) -> pl.DataFrame:
        mine = (pl.col("listener_id") == who) & (pl.col("shelf_id") == shelf)
        return rows.with_columns(items=pl.when(mine).then(pl.col("items").list.head(0)).otherwise("items"))

    made(warehouse, "one")
    publish(warehouse, app)
    held = app.pointer()
    assert held is not None
    made(warehouse, "two", NEXT, emptied)
    publish(warehouse, app, NEXT)
    now = app.pointer()
    assert now is not None
    at = datetime.fromisoformat
    anew = {
        (one, row["shelf_id"])
        for one in LISTENERS
        for row in app.rows(one, now)
        if at(row["changed_at"]) > held.now.stamp
    }
    assert anew == {(who, shelf)}
    table = warehouse.read("shelf_changes", NEXT)
    assert table.filter(pl.col("changed_at") > held.now.stamp).select("listener_id", "shelf_id").rows() == [
        (who, shelf)
    ]


def test_two_at_once_and_the_slower_is_refused(warehouse: Warehouse, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    made(warehouse, "one")
    made(warehouse, "two", NEXT)
    publish(warehouse, app)
    target = targets.target_of(app.to)
    seen = target.prepare(7)
    publish(warehouse, app, NEXT)
    assert seen is not None
    other = seen.now.model_copy(update={"stamp": seen.now.stamp + timedelta(days=3)})
    with pytest.raises(LostRace):
        target.publish(other, 4, [], seen, 7)


def test_forget_reaches_every_publication(warehouse: Warehouse, app: App) -> None:
    made(warehouse, "one")
    publish(warehouse, app)
    made(warehouse, "two", NEXT)
    publish(warehouse, app, NEXT)
    gone, other = LISTENERS[1], LISTENERS[2]
    done = forget(warehouse.url, [gone], published=app.to, today=date(2026, 2, 1))
    assert done.published_rows > 0
    now = app.pointer()
    assert now is not None and now.before is not None
    for pointer in (now, Pointer(now=now.before)):
        assert app.rows(gone, pointer) == []
        assert app.rows(other, pointer) != [] or isinstance(app, BigtableApp)
    # with nobody named, whoever is on the list is looked for
    forget(warehouse.url, [other], today=date(2026, 2, 1))
    assert app.rows(other, now) != []
    forget(warehouse.url, published=app.to, today=date(2026, 2, 1))
    assert app.rows(other, now) == [] and app.rows(LISTENERS[3], now) != []


def test_old_publications_expire_but_the_one_before(warehouse: Warehouse, tmp_path: Path) -> None:
    app = JsonApp(tmp_path)
    for n in range(4):
        day = NIGHT + timedelta(3 * n)
        made(warehouse, f"n{n}", day)
        publish(warehouse, app, day, keep_days=4)
    now = app.pointer()
    assert now is not None and now.before is not None
    assert app.target.store.folders("") == sorted(folder(one.stamp) for one in (now.before, now.now))


def test_cells_expire_by_a_rule_of_the_table(emulator: str, tmp_path: Path) -> None:
    place = BigtableApp(tmp_path).place
    for days in (7, 3):
        place.prepare(days)
        rule = place.open(admin=True).list_column_families()[bigtable.ROWS].gc_rule
        assert {type(one).__name__ for one in rule.rules} == {"MaxAgeGCRule", "MaxVersionsGCRule"}
        assert rule.rules[0].max_age == timedelta(days=days)


def test_a_groups_shelf_is_served_beside_ones_own(warehouse: Warehouse, app: App) -> None:
    manifest = made(warehouse, "one")
    row = shelves_of().row(0, named=True)
    group = {
        **row,
        "version": manifest.version,
        "surface": "blend",
        "shelf_id": "blend-g",
        "blend_id": "g",
        "members": 2,
    }
    put(warehouse, "blend_shelves", NIGHT, frame("blend_shelves", [group]))
    publish(warehouse, app)
    pointer = app.pointer()
    assert pointer is not None
    assert "blend-g" in {one["shelf_id"] for one in app.rows(row["listener_id"], pointer)}


def test_a_wrong_target_is_said(warehouse: Warehouse) -> None:
    made(warehouse, "one")
    for wrong in ("redis:x", "jsonl:", "bigtable:p/i"):
        with pytest.raises(UserError, match="expected"):
            export(warehouse.url, NIGHT, wrong, settings=SETTINGS)
