"""What goes wrong around a night: each time an error that says what to do, nothing lost, nothing doubled, readers at ease."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from pipelines.backfill import backfill
from pipelines.cli.main import cli
from pipelines.cli.upkeep import repair
from pipelines.features import features
from pipelines.nightly import night
from pipelines.recommender import artefacts
from pipelines.runtime.settings_file import to_yaml
from tests.pipelines.test_kill import assert_equal, assert_readable
from tests.pipelines.tiny import put
from tests.pipelines.world import LIGHT, NIGHT, World, hashes, manifests
from transforms.common.errors import LostRace, UserError
from transforms.listening.fold import OUTPUTS
from transforms.signals.fold import LISTENER, TRACK
from transforms.tables.repair import FOLDED, faults, is_marked
from transforms.tables.warehouse import Warehouse

SCORED = ("candidates", "draws", "listener_embeddings", "removed", "carried", "shelves")


@pytest.fixture
def warehouse(light: World, tmp_path: Path) -> Warehouse:
    """The night is made."""
    return World.copy(light.made, tmp_path / "w")


@pytest.fixture
def unscored(warehouse: Warehouse) -> Warehouse:
    """All of the night but its scores is made."""
    for table in SCORED:
        warehouse.store.delete(f"{table}/date={NIGHT}")
    return warehouse


@pytest.fixture
def settings(tmp_path: Path) -> str:
    path = tmp_path / "settings.yaml"
    path.write_text(to_yaml(LIGHT))
    return str(path)


def troubled(what: str, warehouse: Warehouse, settings: str, how: str) -> list[str]:
    return [sys.executable, "-m", "tests.pipelines.troubled", what, warehouse.url, settings, how]


class Reader:
    """Reads the shelves over and over while a run is at work; `whole` counts what it read."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._place, self._over = warehouse, threading.Event()
        self._thread = threading.Thread(target=self._poll)
        self.whole, self.wrong = 0, list[Exception]()

    def _poll(self) -> None:
        while not self._over.wait(0.02):
            try:
                manifest = self._place.newest("shelves", NIGHT)
                if manifest is not None:
                    assert self._place.read_manifest(manifest, ["listener_id", "items"]).height == manifest.rows
                    self.whole += 1
            except Exception as error:
                self.wrong.append(error)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def test_a_disk_that_is_full_says_so_and_with_room_the_night_goes_on(
    unscored: Warehouse, light: World, settings: str
) -> None:
    before = manifests(unscored)
    done = subprocess.run(troubled("full", unscored, settings, "20000"), capture_output=True, text=True)
    assert done.returncode == 2, done.stderr[-2000:]
    assert "make room" in done.stderr and "same command again" in done.stderr and "Traceback" not in done.stderr
    assert manifests(unscored) == before
    assert_readable(unscored)
    night(unscored.url, NIGHT, LIGHT)
    assert_equal(unscored, light.warehouse)


def test_a_clock_that_jumps_changes_nothing(unscored: Warehouse, light: World, settings: str) -> None:
    done = subprocess.run(troubled("clock", unscored, settings, "86400"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert_equal(unscored, light.warehouse)


def test_of_two_runs_at_once_one_wins_and_the_other_says_so(unscored: Warehouse, light: World, settings: str) -> None:
    with subprocess.Popen(
        troubled("wait", unscored, settings, "shelves/*.parquet"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as late:
        assert late.stdout is not None
        assert late.stdout.readline() == "reached\n"
        with Reader(unscored) as reader:
            night(unscored.url, NIGHT, LIGHT)
            winner = unscored.need("shelves", NIGHT)
            _, said = late.communicate("go on\n")
        assert late.returncode == LostRace.exit_code, said[-2000:]
    assert f"was committed by run {unscored.need('candidates', NIGHT).run_id}" in said and "Traceback" not in said
    assert unscored.need("shelves", NIGHT) == winner
    assert reader.whole and not reader.wrong
    assert_equal(unscored, light.warehouse)
    night(unscored.url, NIGHT, LIGHT)  # the loser's command again: there is nothing left to do
    assert unscored.need("shelves", NIGHT) == winner


def flip(path: Path) -> None:
    """Damage some bytes in the middle."""
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 3, len(data) // 3 + 8):
        data[at] ^= 0xFF
    path.write_bytes(data)


def cut(path: Path) -> None:
    """Lose the second half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
def test_damage_is_never_read_as_data(warehouse: Warehouse, damage: Callable[[Path], None]) -> None:
    for table in ("shelves", "library", "listens"):
        entry = warehouse.need(table, NIGHT).files[0]
        damage(Path(warehouse.url) / entry.path)
        with pytest.raises(UserError, match=rf"{entry.path} is missing or damaged.*nightshelf repair --date {NIGHT}"):
            warehouse.read(table, NIGHT)
        assert [f.table for f in faults(warehouse, NIGHT) if entry.path in f.words[0]] == [table]


def test_a_damaged_shard_is_named_and_made_again(unscored: Warehouse, light: World) -> None:
    entry = unscored.need("sessions", NIGHT).files[0]
    flip(Path(unscored.url) / entry.path)
    with pytest.raises(UserError, match=rf"{entry.path} is missing or damaged.*nightshelf repair --date {NIGHT}"):
        night(unscored.url, NIGHT, LIGHT)
    lines = list(repair(unscored.url, NIGHT))
    assert entry.path in lines[0] and f"features --from {NIGHT} --to {NIGHT}" in lines[-1]
    assert is_marked(unscored.need("sessions", NIGHT))
    night(unscored.url, NIGHT, LIGHT)
    assert_equal(unscored, light.warehouse)
    assert list(repair(unscored.url)) == ["nothing is damaged"]


def test_repair_knows_what_the_fold_makes() -> None:
    assert {*OUTPUTS, LISTENER, TRACK} == FOLDED


def test_a_damaged_library_is_made_again_with_those_that_build_on_it(warehouse: Warehouse, light: World) -> None:
    first = warehouse.dates("library")[0]
    flip(Path(warehouse.url) / warehouse.need("library", first).files[0].path)
    list(repair(warehouse.url))
    marked = {d for d in warehouse.dates("library") if is_marked(warehouse.need("library", d))}
    chains = {
        d: [part["date"] for part in warehouse.need("library", d).extra["chain"]] for d in warehouse.dates("library")
    }
    chained = {d for d, dates in chains.items() if str(first) in dates}
    assert marked == chained and first in marked
    features(warehouse.url, first, NIGHT, settings=LIGHT)
    assert hashes(warehouse) == hashes(light.warehouse) and not list(faults(warehouse))


@pytest.mark.parametrize("how", ["features", "run", "backfill of the damaged date alone"])
def test_a_night_on_top_of_a_damaged_library_is_made_once_it_was_marked(warehouse: Warehouse, how: str) -> None:
    """Damage in a library that a later one builds on, found by the night after both; then its night, and no damage left."""
    first, last = warehouse.dates("library")[-2:]
    catalog = warehouse.read("tracks", warehouse.dates("tracks")[-1])
    put(
        warehouse,
        "tracks",
        NIGHT + timedelta(1),
        catalog.with_columns(duration_ms=pl.col("duration_ms") + 60_000),
        shards=2,
    )
    whole = hashes(warehouse)
    flip(Path(warehouse.url) / warehouse.need("library", first).files[0].path)
    after = NIGHT + timedelta(1)
    with pytest.raises(
        UserError, match=rf"library/date={first}.* is missing or damaged.*nightshelf repair --date {first}"
    ):
        night(warehouse.url, after, LIGHT, fit_date=NIGHT)
    said = list(repair(warehouse.url, first))
    assert f"library of {first} is marked to be made again, and so are those built on it: {last}, {after}" in said[1]
    named = f"library of {first}, {last}, {after}; make it with `nightshelf features --from {first} --to {after}`"
    assert named in said[-1] and named in list(repair(warehouse.url, dry_run=True))[-1]
    status = CliRunner().invoke(cli, ["status", "--warehouse", warehouse.url]).output
    assert named in status and "waiting to be made" in status

    if how.startswith("backfill"):
        backfill(warehouse.url, first, first, LIGHT)
        left = f"library of {last}, {after}; make it with `nightshelf features --from {last} --to {after}`"
        assert left in list(repair(warehouse.url, dry_run=True))[-1], "the later ones still build on what was damaged"
    if how == "features":
        command = re.search(r"`nightshelf (features .*)`", said[-1])
        assert command is not None
        path = Path(warehouse.url).parent / "settings.yaml"
        path.write_text(to_yaml(LIGHT))
        done = CliRunner().invoke(cli, [*command[1].split(), "--warehouse", warehouse.url, "--config", str(path)])
        assert done.exception is None
        assert list(repair(warehouse.url, dry_run=True)) == ["nothing is damaged"]
    night(warehouse.url, after, LIGHT, fit_date=NIGHT)
    assert list(repair(warehouse.url, dry_run=True)) == ["nothing is damaged"]
    assert {k: v for k, v in hashes(warehouse).items() if k in whole} == whole, "also with a catalog that came since"
    assert warehouse.read("shelves", after).height


def test_what_was_ingested_cannot_be_made_again_and_is_asked_for_by_its_hash(warehouse: Warehouse) -> None:
    entry = warehouse.need("listens", NIGHT).files[0]
    data = (Path(warehouse.url) / entry.path).read_bytes()
    cut(Path(warehouse.url) / entry.path)
    said = list(repair(warehouse.url, NIGHT))
    assert f"bring back {entry.path} (sha256 {entry.sha256}) from a copy" in said[1]
    (Path(warehouse.url) / entry.path).write_bytes(data)
    assert list(repair(warehouse.url, NIGHT)) == ["nothing is damaged"]


def test_a_model_that_is_not_what_was_committed_is_not_loaded(unscored: Warehouse, light: World) -> None:
    entry = next(f for f in unscored.need("models", NIGHT).files if f.path.endswith(".npy"))
    file = Path(unscored.url) / entry.path
    data = file.read_bytes()
    file.unlink()
    artefacts._fetch.cache_clear()
    with pytest.raises(UserError, match=rf"model file {entry.path} is missing.*nightshelf repair --date {NIGHT}"):
        artefacts.fetch(unscored.url, unscored.need("models", NIGHT), NIGHT)
    file.write_bytes(data)
    flip(file)
    with pytest.raises(UserError, match=rf"model file {entry.path} is not what was.*nightshelf repair --date {NIGHT}"):
        night(unscored.url, NIGHT, LIGHT)
    assert unscored.current("shelves", NIGHT) is None
    list(repair(unscored.url))
    backfill(unscored.url, NIGHT, NIGHT, LIGHT)
    assert_equal(unscored, light.warehouse)


@pytest.mark.parametrize("table", ["shelves", "listens"])
def test_half_a_manifest_is_named_and_put_back(warehouse: Warehouse, light: World, table: str) -> None:
    path, whole = f"{table}/date={NIGHT}/_current.json", warehouse.need(table, NIGHT)
    cut(Path(warehouse.url) / path)
    with pytest.raises(UserError, match=rf"{path} is not a manifest.*nightshelf repair --date {NIGHT}"):
        warehouse.read(table, NIGHT)
    said = list(repair(warehouse.url, NIGHT))
    assert path in said[0]
    if table == "listens":
        assert warehouse.need(table, NIGHT) == whole
        return
    assert warehouse.read(table, NIGHT).height == whole.rows, "readers have it again before it is made again"
    backfill(warehouse.url, NIGHT, NIGHT, LIGHT)
    assert_equal(warehouse, light.warehouse)


def test_a_date_of_listens_that_is_missing_is_made_when_it_comes(warehouse: Warehouse, tmp_path: Path) -> None:
    day = NIGHT + timedelta(1)
    folder, whole = Path(warehouse.url) / f"listens/date={day}", Warehouse(str(tmp_path / "whole"))
    shutil.copytree(warehouse.url, whole.url)
    folder.rename(tmp_path / "kept")
    before = manifests(warehouse)
    with pytest.raises(UserError, match="freshness.*ingest what is missing and run again"):
        night(warehouse.url, day, LIGHT, fit_date=NIGHT)
    assert manifests(warehouse) == before
    (tmp_path / "kept").rename(folder)
    for one in (warehouse, whole):
        night(one.url, day, LIGHT, fit_date=NIGHT)
    assert_equal(warehouse, whole)
