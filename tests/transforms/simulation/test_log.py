"""The simulated log: as dirty as stated, no dirtier, and the same bytes whoever writes it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import yaml

from transforms.simulation.catalog_build import build_catalog
from transforms.simulation.files import block_files, mapping_yaml, merge_parquet, parquet_bytes, read_counts
from transforms.simulation.raw_log import COLUMNS, csv_lines
from transforms.simulation.settings import Dirt, SimulationSettings
from transforms.tables.schema import TABLES

DIRT = Dirt(duplicates=0.02, near_duplicates=0.02, broken=0.01, future=0.005, late_sessions=0.05, bot_every=50)
SETTINGS = SimulationSettings(listeners=100, tracks=600, days=14, seed=5, dirt=DIRT)


@pytest.fixture(scope="module")
def csv_world() -> dict[str, bytes]:
    catalog = build_catalog(SETTINGS)
    files: dict[str, bytes] = {}
    for number in range(SETTINGS.blocks):
        files |= block_files(SETTINGS, catalog, number, "csv")
    return files


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    """The log as parquet: everything but the broken lines."""
    catalog = build_catalog(SETTINGS)
    parts = []
    for number in range(SETTINGS.blocks):
        files = block_files(SETTINGS, catalog, number, "parquet")
        parts += [pl.read_parquet(c).with_columns(late=pl.lit("late" in n)) for n, c in files.items() if "listens" in n]
    return pl.concat(parts)


@pytest.fixture(scope="module")
def counts(csv_world: dict[str, bytes]) -> dict[str, int]:
    return read_counts(merge_parquet([c for n, c in sorted(csv_world.items()) if "truth/dirt" in n]))


def _lines(world: dict[str, bytes], folder: str) -> list[str]:
    return [
        line for n, c in sorted(world.items()) if n.startswith(folder + "/") for line in c.decode().split("\n")[1:-1]
    ]


def test_each_kind_of_dirt_is_present_in_its_stated_share(counts: dict[str, int]) -> None:
    base = counts["clean"] + counts["bot"]
    for kind, share in (
        ("duplicate", DIRT.duplicates),
        ("near_duplicate", DIRT.near_duplicates),
        ("future", DIRT.future),
        ("broken", DIRT.broken),
    ):
        spread = 5 * np.sqrt(base * share)
        assert abs(counts[kind] - base * share) < spread + 0.25 * base * share, kind
        assert counts[kind] > 0, kind
    assert counts["late"] > 0


def test_rows_are_the_sum_of_their_kinds(counts: dict[str, int], rows: pl.DataFrame) -> None:
    kinds = ("clean", "bot", "duplicate", "near_duplicate", "future")
    assert counts["rows"] + counts["rows_late"] == sum(counts[k] for k in kinds) == rows.height
    assert rows["late"].sum() == counts["late"] == counts["rows_late"]


def test_exact_duplicates_are_whole_rows(counts: dict[str, int], rows: pl.DataFrame) -> None:
    assert rows.height - rows.unique().height == counts["duplicate"]


def test_near_duplicates_follow_within_seconds(counts: dict[str, int], rows: pl.DataFrame) -> None:
    bots = rows.group_by("user", pl.col("ts") // 86_400_000).len().filter(pl.col("len") > 500)["user"].unique()
    gaps = (
        rows.filter(~pl.col("user").is_in(bots.implode()))
        .unique()
        .sort("user", "track", "ts")
        .with_columns(gap=pl.col("ts").diff().over("user", "track"))
        .filter(pl.col("gap").is_between(1, 4000))
    )
    assert gaps.height > 0.6 * counts["near_duplicate"]
    assert gaps.height <= counts["near_duplicate"]


def test_future_events_are_dated_after_the_end(counts: dict[str, int], rows: pl.DataFrame) -> None:
    assert (rows["ts"] >= SETTINGS.window_ms[1]).sum() == counts["future"]


def test_bots_play_more_than_a_day_holds(counts: dict[str, int], rows: pl.DataFrame) -> None:
    days = rows.unique().group_by("user", pl.col("ts") // 86_400_000).agg(pl.col("ms_played").cast(pl.Int64).sum())
    long = days.filter(pl.col("ms_played") > 86_400_000)
    assert long["user"].n_unique() == len([i for i in range(SETTINGS.listeners) if i % DIRT.bot_every == 7])
    assert counts["bot"] == long["user"].n_unique() * 3 * DIRT.bot_plays
    others = days.filter(~pl.col("user").is_in(long["user"].implode()))
    assert others["ms_played"].max() < 86_400_000


def test_late_events_are_of_days_before_the_last_two(rows: pl.DataFrame) -> None:
    end = SETTINGS.window_ms[1]
    late = rows.filter("late", pl.col("ts") < end)
    assert late["ts"].max() < end - 2 * 86_400_000


def test_csv_holds_the_rows_and_the_broken_lines(
    csv_world: dict[str, bytes], counts: dict[str, int], rows: pl.DataFrame
) -> None:
    for folder, late, broken in (("listens", False, "broken"), ("listens-late", True, "broken_late")):
        lines = _lines(csv_world, folder)
        assert len(lines) == rows.filter(pl.col("late") == late).height + counts[broken]
        sound = [line for line in lines if line.count(",") == len(COLUMNS) - 1 and all(line.split(",")[:3])]
        sound = [line for line in sound if line.split(",")[2].isdigit()]
        assert len(lines) - len(sound) == counts[broken]
    headers = {c.decode().split("\n", 1)[0] for n, c in csv_world.items() if n.endswith(".csv")}
    assert headers == {",".join(COLUMNS)}


def test_a_clean_line_is_the_row() -> None:
    settings = SimulationSettings(listeners=1, tracks=20, days=1, dirt=Dirt(broken=0.0))
    row = pl.DataFrame(
        [["u1", "t1", 1_000, None, None, None, True, "album", None, "u1-0", False, "ios", "SE"]],
        schema=COLUMNS,
        orient="row",
    ).with_columns(key=pl.lit(1, dtype=pl.UInt64))
    content, broken = csv_lines(settings, row, late=False)
    assert broken == 0
    assert content.decode().split("\n")[1] == "u1,t1,1000,,,,true,album,,u1-0,false,ios,SE"


def test_a_log_is_in_order_of_time(rows: pl.DataFrame) -> None:
    catalog = build_catalog(SETTINGS)
    files = block_files(SETTINGS, catalog, 1, "parquet")
    log = next(pl.read_parquet(c) for n, c in files.items() if n.startswith("listens/"))
    assert log["ts"].is_sorted()
    assert log["user"].n_unique() > 5


def test_some_clients_do_not_know_lengths(rows: pl.DataFrame) -> None:
    unknown = rows["ms_played"].is_null()
    assert 0 < unknown.mean() < 0.2
    assert rows.filter(unknown)["skipped"].is_null().all()


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_the_mapping_names_columns_that_exist(form: str) -> None:
    mapping = yaml.safe_load(mapping_yaml(form))
    assert mapping["time"] == "unix_ms"
    assert set(mapping["columns"].values()) <= set(COLUMNS)
    assert set(mapping["columns"]) <= set(TABLES["listens"].arrow.names)


def test_merged_parts_keep_their_order() -> None:
    parts = [parquet_bytes(pl.DataFrame({"block": [b], "rows": [b * 10]})) for b in (0, 1, 2)]
    assert pl.read_parquet(merge_parquet(parts))["rows"].to_list() == [0, 10, 20]
    assert read_counts(merge_parquet(parts)) == {"rows": 30}
