"""The closed loop: nights whose shelves a simulated world answers, better than luck and worse than the truth would do."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from pipelines.live import END, Plan, live
from tests.pipelines.world import LIGHT
from transforms.common.errors import UserError
from transforms.tables.warehouse import Warehouse, days

PLAN = Plan(listeners=80, tracks=600, days=3, history=21, fit_every=7, seed=3)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pl.DataFrame]:
    out = tmp_path_factory.mktemp("live") / "world"
    return out, live(PLAN, str(out), settings=LIGHT)


def test_ours_please_more_than_luck_and_less_than_the_truth_would(
    ours: tuple[Path, pl.DataFrame], tmp_path: Path
) -> None:
    from dataclasses import replace

    finished = {}
    for shows in ("random", "oracle"):
        outcome = live(replace(PLAN, shows=shows), str(tmp_path / shows), settings=LIGHT)  # type: ignore[arg-type]
        finished[shows] = outcome["finished"].sum() / outcome["sessions"].sum()
    mine = ours[1]["finished"].sum() / ours[1]["sessions"].sum()
    assert finished["random"] < mine < finished["oracle"]


def test_what_the_world_answered_is_in_the_warehouse_and_names_the_shelves_of_the_eve(
    ours: tuple[Path, pl.DataFrame],
) -> None:
    out, outcome = ours
    warehouse = Warehouse(str(out / "warehouse"))
    lived = days(outcome["date"][0], END)
    assert outcome["date"].to_list() == lived
    for day, eve in zip(lived[1:], lived, strict=False):
        shown = warehouse.read("impressions", day)
        version = warehouse.need("shelves", eve).version
        assert shown["version"].unique().to_list() == [version]
        stood = warehouse.read("shelves", eve, ["listener_id", "shelf_id", "items"]).explode("items", keep_nulls=False)
        stood = stood.select("listener_id", "shelf_id", track_id=pl.col("items").struct.field("track_id"))
        assert shown.join(stood, on=stood.columns, how="anti").is_empty()
        logged = pl.read_parquet(out / "log" / f"date={day}" / "listens.parquet")
        stored = warehouse.read("listens", day)
        assert stored.height == logged.height
        assert stored["shelf_id"].null_count() == logged["shelf"].null_count() < logged.height
        assert warehouse.read("rejects", day).is_empty() if warehouse.current("rejects", day) else True


def test_the_same_command_again_goes_on_and_another_world_is_refused(
    ours: tuple[Path, pl.DataFrame], tmp_path: Path
) -> None:
    from dataclasses import replace

    out, outcome = ours
    luck = replace(PLAN, shows="random")
    first = live(luck, str(tmp_path / "w"), settings=LIGHT)
    (tmp_path / "w" / "state" / f"date={END}.npz").unlink()  # as if it had been killed on the last day
    assert live(luck, str(tmp_path / "w"), settings=LIGHT).equals(first)
    with pytest.raises(UserError, match="different: seed"):
        live(replace(luck, seed=4), str(tmp_path / "w"), settings=LIGHT)
    assert live(PLAN, str(out), settings=LIGHT).equals(outcome), "every day was lived"
