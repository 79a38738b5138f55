"""Experiments in the live world: a planted better arm is shipped, a planted worse one is not, and an A/A decides nothing."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from pipelines.experiments import experiments
from pipelines.ingest import ingest
from pipelines.runtime.config import Settings
from tests.pipelines.tiny import frame, put
from transforms.experiments.assignment import assign
from transforms.simulation.live import LiveWorld
from transforms.simulation.live_files import Folder
from transforms.simulation.live_policies import Policy, policy_shelves
from transforms.simulation.live_settings import LiveSettings
from transforms.simulation.settings import Dirt, SimulationSettings
from transforms.tables.warehouse import Warehouse

DAYS = 12
CLEAN = Dirt(duplicates=0, near_duplicates=0, broken=0, future=0, late_sessions=0, bot_every=1 << 30)
SIZE = SimulationSettings(listeners=420, tracks=500, days=34, seed=11, dirt=CLEAN)
SHOWN: dict[str, dict[str, Policy]] = {  # experiment -> arm -> what its listeners are shown
    "better": {"control": "random", "treatment": "oracle"},
    "worse": {"control": "oracle", "treatment": "random"},
    "same": {"control": "random", "treatment": "random"},
}


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """Table `readouts` of the last lived day: three experiments of one layer, each with a third of the listeners."""
    root = tmp_path_factory.mktemp("live_experiments")
    world = LiveWorld.build(SIZE, LiveSettings(), DAYS)
    first, folder, warehouse = (
        world.first_live - timedelta(1),
        Folder(root / "world"),
        Warehouse(str(root / "warehouse")),
    )
    declared = [
        {"name": name, "starts": first, "share": 0.33, "look": "once", "least": 50, "guardrails": {"active_days": 0.2}}
        for name in SHOWN
    ]
    settings = Settings.model_validate({"shards": 2, "experiments": {"experiments": declared}})
    folder.begin(world, {}, DAYS)
    history = folder.delivered(first)
    ingest(warehouse.url, "parquet", settings=settings, **folder.world_tables(), **history)
    dealt = assign(world.listeners()["listener_id"].sort(), settings.experiments, first)
    of_arm = {who: SHOWN[experiment][arm] for who, experiment, arm in dealt.drop_nulls().iter_rows()}
    state, logged = world.morning(), []
    for n in range(DAYS):
        day, eve = world.first_live + timedelta(n), first + timedelta(n)
        put(warehouse, "shelves", eve, frame("shelves", []), shards=2)
        both = pl.concat([policy_shelves(world, state, day, policy) for policy in ("random", "oracle")])
        policy = pl.col("listener_id").replace_strict(of_arm, default="random", return_dtype=pl.String)
        shown = both.filter(pl.col("version") == policy)
        state, answered, _ = world.day(
            state, day, shown.with_columns(version=pl.lit(warehouse.need("shelves", eve).version))
        )
        logged.append(answered)
    last, told = world.first_live + timedelta(DAYS - 1), {}
    for name in ("listens", "impressions", "feedback"):
        told[name] = root / f"{name}.parquet"
        pl.concat([getattr(one, name) for one in logged]).write_parquet(told[name])
    ingest(
        warehouse.url,
        "parquet",
        [str(told["listens"])],
        mapping=history["mapping"],
        end_date=last,
        impressions=str(told["impressions"]),
        feedback=str(told["feedback"]),
        settings=settings,
    )
    return experiments(warehouse.url, last, settings=settings)


def decisions(read: pl.DataFrame) -> dict[str, str]:
    return dict(read.select("experiment", "decision").unique().iter_rows())


def test_each_ends_with_the_right_decision(read: pl.DataFrame) -> None:
    assert decisions(read) == {"better": "ship", "worse": "do not ship", "same": "not yet"}, (
        read["why"].unique().to_list()
    )


def test_nobody_is_in_two_and_listeners_were_dealt_as_planned(read: pl.DataFrame) -> None:
    n = dict(read.filter(pl.col("metric") == "plays").select("experiment", "n").iter_rows())
    assert all(100 <= count <= 160 for count in n.values()), n
    assert read["sample_ratio_p"].min() > 0.001  # type: ignore[operator]


def test_what_pleases_brings_listeners_back(read: pl.DataFrame) -> None:
    days = {row["experiment"]: row for row in read.filter(pl.col("metric") == "active_days").iter_rows(named=True)}
    assert days["better"]["difference"] > 0 > days["worse"]["difference"]
    assert days["same"]["low"] < 0 < days["same"]["high"]
