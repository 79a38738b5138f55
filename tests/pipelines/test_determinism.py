"""Equal inputs and settings make equal files; and what happens after a night changes none of its rows."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipelines.nightly import night
from pipelines.runtime import processes as rule
from tests.pipelines.world import END, NIGHT, SETTINGS, hashes, ingested, manifests
from transforms.common import processes as at_once
from transforms.common.processes import processes
from transforms.tables import map_shards
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse

MIDNIGHT = datetime.combine(NIGHT + timedelta(1), datetime.min.time(), UTC)
# Named after what a row was made from, or when it came in: these may move with the log.
NAMES = ("version", "model_version", "ingested_at")
# made by jobs of their own, or only where somebody asks for it
NO_PART_OF_A_NIGHT = {"evaluation", "shelf_changes", "prompts", "intents", "playlists", "exposures", "readouts"}
NO_PART_OF_A_NIGHT |= {"signal_values", "track_values"}  # of tables that a log brings, which this one does not
NO_PART_OF_A_NIGHT |= {"model_trials"}  # which begin with a second fit


@pytest.fixture(scope="module")
def altered(world, tmp_path_factory) -> Warehouse:
    """The night over a log in which everything after it is another."""
    folder = tmp_path_factory.mktemp("altered")
    log = folder / "world"
    shutil.copytree(world.log, log)
    for path in sorted((log / "listens").glob("*.csv")):
        path.write_text(another_future(path.read_text()))
    with open(log / "listens" / path.name, "a") as more:  # somebody and something nobody had heard of
        more.write(
            f"u-new,t-new,{int(MIDNIGHT.timestamp() * 1000) + 5},200000,trackdone,false,true,album,,d,false,ios,SE\n"
        )
    for name, at, moved in (("feedback", "at", "target"), ("impressions", "shown_at", "track_id")):
        rows = pl.read_parquet(log / f"{name}.parquet")
        later = pl.col(at).dt.replace_time_zone("UTC") if rows.schema[at].time_zone is None else pl.col(at)
        after = rows.filter(later >= MIDNIGHT)
        assert after.height > 10
        after = after.with_columns(pl.col(moved).reverse())
        pl.concat([rows.filter(later < MIDNIGHT), after]).write_parquet(log / f"{name}.parquet")
    # and so many join that shares of all listeners ever known would be others
    people = pl.read_parquet(log / "listeners.parquet")
    crowd = people.sample(500, with_replacement=True, seed=1).with_columns(
        listener_id=pl.format("u-late-{}", pl.int_range(500)), joined_on=pl.lit(NIGHT + timedelta(1))
    )
    pl.concat([people, crowd]).write_parquet(log / "listeners.parquet")
    warehouse = ingested(log, folder / "warehouse")
    night(warehouse.url, NIGHT, SETTINGS)
    return warehouse


def another_future(text: str) -> str:
    """A log whose lines after the night have other tracks, in another order, some gone."""
    head, *lines = text.splitlines()
    columns = [line.split(",") for line in lines]
    limit = int(MIDNIGHT.timestamp() * 1000)
    # broken lines stay as they are
    later = [n for n, c in enumerate(columns) if len(c) == 13 and c[2].isdigit() and int(c[2]) >= limit]
    assert len(later) > 100
    tracks = [columns[n][1] for n in later]
    for n, track in zip(later, reversed(tracks), strict=True):
        columns[n][1] = track
    gone = set(later[::7])
    kept = [",".join(c) for n, c in enumerate(columns) if n not in gone and n not in later]
    moved = [",".join(columns[n]) for n in reversed(later) if n not in gone]
    return "\n".join([head, *moved, *kept]) + "\n"


def test_two_fresh_warehouses_have_equal_files(world, tmp_path, monkeypatch):
    """Every table of every date, the models' files among them; one night is made by one process, the other by two."""
    asked = []

    def seen(count, *shared, **more):
        asked.append(count)
        return processes(count, *shared, **more)

    for module in (at_once, map_shards):
        monkeypatch.setattr(module, "processes", seen)
    monkeypatch.setattr(rule, "PLAYS", 1)
    warehouse = ingested(world.log, tmp_path / "second")
    night(warehouse.url, NIGHT, SETTINGS.model_copy(update={"processes": 2}))
    # the earlier nights beside each other, the nights' outcomes, the ranker, the shelves
    assert len(asked) >= 4 and set(asked) == {1, 2}
    one, other = hashes(world.warehouse), hashes(warehouse)
    assert one.keys() == other.keys()
    assert {key.split("@")[0] for key in one} == {*TABLES, "models", "rankers"} - NO_PART_OF_A_NIGHT
    assert [key for key in one if one[key] != other[key]] == []
    assert {k: m.version for k, m in manifests(world.warehouse).items()} == {
        k: m.version for k, m in manifests(warehouse).items()
    }


def test_what_happens_after_a_night_changes_none_of_its_rows(world, altered):
    warehouse = world.warehouse
    assert warehouse.need("listens", END).rows != altered.need("listens", END).rows
    assert altered.need("shelves", NIGHT).version != warehouse.need("shelves", NIGHT).version
    made = {"sessions", "library", "track_stats", "co_listens", "outcomes", "candidates", "draws", "shelves"}
    made |= {"listener_embeddings", "track_embeddings", "semantic_ids", "session_sample"}
    limits = SETTINGS.bootstrap.listeners, SETTINGS.candidates.keep_all_below, SETTINGS.models.sample_listeners
    assert (
        warehouse.read_newest("listeners", NIGHT).height < min(limits) < altered.read_newest("listeners", NIGHT).height
    )
    compared = set()
    for manifest in manifests(warehouse).values():
        if manifest.table in made and manifest.date <= NIGHT:
            theirs = altered.need(manifest.table, manifest.date)
            assert_frame_equal(rows(warehouse.read_manifest(manifest)), rows(altered.read_manifest(theirs)))
            compared.add(manifest.table)
    assert compared == made


def test_what_is_learned_as_of_a_night_keeps_its_bytes(world, altered):
    """Models and rankers file by file; an entry names its inputs' versions and so differs."""
    for table in ("models", "rankers"):
        one, other = (
            {name: sha for name, sha in hashes(w)[f"{table}@{NIGHT}"] if not name.endswith("entry.json")}
            for w in (world.warehouse, altered)
        )
        assert len(one) > 1
        assert one == other


def rows(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.drop(NAMES, strict=False)
