"""The ranker learns from a bounded number of lists, each whole, read shard by shard."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipelines.recommender.ranker_examples import Pair, examples, judged
from pipelines.recommender.ranker_lists import counted
from tests.pipelines.tiny import put
from transforms.common.hashing import stable_hash
from transforms.tables.schema import TABLES
from transforms.tables.specs import FEW
from transforms.tables.warehouse import Warehouse

NIGHTS, HORIZON, LONG = (date(2026, 1, 5), date(2026, 1, 12)), 7, 10
OPEN = Warehouse.open_parquet


def store(warehouse: Warehouse, night: date, shards: int, people: int = 200, whole: float = 1.0) -> Pair:
    """Ten candidates of everyone, of a share of them all and of the others what was placed; two of ten were heard."""
    draw = np.random.default_rng(night.toordinal())
    who = [f"u{n:04d}" for n in range(people) for _ in range(LONG)]
    kept = np.arange(people * LONG) // LONG < whole * people
    stage = np.where(np.arange(people * LONG) % LONG < 3, "placed", "candidate")
    rows = pl.DataFrame({"listener_id": who, "track_id": [f"t{n % LONG}" for n in range(len(who))], "stage": stage})
    rows = rows.with_columns(
        f_a=pl.Series(draw.random(len(who), np.float32)),
        heard_before=pl.Series(draw.random(len(who)) < 0.3),
        inclusion=pl.lit(1.0, dtype=pl.Float32),
    ).filter(pl.Series(kept) | (pl.col("stage") == "placed"))
    put(warehouse, "candidates", night, rows, shards=shards)
    outcome = rows.drop("f_a").with_columns(
        night=night, horizon=HORIZON, listened=pl.Series(draw.random(rows.height) < 0.2)
    )
    absent = [pl.lit(None, dtype=t).alias(c) for c, t in TABLES["outcomes"].polars.items() if c not in outcome.columns]
    put(warehouse, "outcomes", night + timedelta(HORIZON), outcome.with_columns(absent), shards=max(1, shards // 2))
    return warehouse.need("candidates", night), warehouse.need("outcomes", night + timedelta(HORIZON))


def owners(found: pl.DataFrame) -> dict[int, set[int]]:
    """Whose lists were learned from, by night."""
    return {n: set(found.filter(pl.col("night") == n)["owner"]) for n in found["night"].unique()}


def test_below_the_bound_every_list_is_learned_from_with_what_became_of_it(tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path))
    pairs = [store(warehouse, night, shards=8) for night in NIGHTS]
    found = examples(warehouse, pairs, HORIZON, 10**6, 1, lists=400)
    directly = []
    for number, (night, outcome) in enumerate(pairs):
        both = warehouse.read_manifest(night).join(
            warehouse.read_manifest(outcome).select("listener_id", "track_id", "listened"),
            on=["listener_id", "track_id"],
        )
        owner = pl.Series("owner", stable_hash(both["listener_id"])).reinterpret(signed=True)
        directly.append(
            both.with_columns(owner).select("f_a", "listened", "owner", night=pl.lit(number, dtype=pl.Int32))
        )
    by = ["night", "owner", "f_a"]
    assert found["weight"].unique().to_list() == [1.0]
    assert_frame_equal(found.select(directly[0].columns).sort(by), pl.concat(directly).sort(by))


def test_beyond_it_some_listeners_lists_are_learned_from_whole_and_the_rest_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = Warehouse(str(tmp_path))
    pairs = [store(warehouse, night, shards=8) for night in NIGHTS]
    opened: list[str] = []
    monkeypatch.setattr(Warehouse, "open_parquet", lambda self, path: opened.append(path) or OPEN(self, path))
    found = examples(warehouse, pairs, HORIZON, 10**6, 1, lists=80)  # of 400
    assert found.group_by("night", "owner").len()["len"].unique().to_list() == [LONG], "lists are whole"
    by_night = owners(found)
    assert by_night[0] == by_night[1], "the same listeners on every night"
    assert 20 <= len(by_night[0]) <= 60
    joined = {path for path in opened if path.startswith("outcomes/")}
    assert len(joined) == 2 * 2, "of four files of outcomes a night, those of the two shards that were taken"


def test_rows_of_lists_that_were_not_kept_whole_thin_nothing(tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path))
    pair = store(warehouse, NIGHTS[0], shards=4, whole=0.1)  # 20 whole lists of ten, 180 people with three rows
    assert counted(warehouse, pair[0]).lists == 20 and counted(warehouse, pair[0]).rows == 200
    found = examples(warehouse, [pair], HORIZON, 200, 1)
    assert found.height == 200 and found["weight"].unique().to_list() == [1.0]
    rows, heard = judged(warehouse, pair, HORIZON, 200, 1)
    assert rows.height == 200 and rows["list"].n_unique() == 20 and 0 < heard.height < 200


def test_of_many_shards_a_few_tell_how_many_lists_there_are(tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path))
    pair = store(warehouse, NIGHTS[0], shards=4 * FEW, people=3000)
    found = counted(warehouse, pair[0])
    assert found.lists == pytest.approx(3000, rel=0.12)  # 750 of 3,000 by hash: a standard deviation of 3%
    assert found.rows == LONG * found.lists
