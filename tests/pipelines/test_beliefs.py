"""The job `beliefs` over a small warehouse: any split of days and shards gives the same discoveries and beliefs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.beliefs import beliefs
from pipelines.runtime.config import Settings
from tests.pipelines import tiny
from transforms.listening.library import day_library
from transforms.outcomes.beliefs import Prior, TraceSums, entries, entries_known, entry_weights
from transforms.outcomes.discoveries import traces
from transforms.reporting.loop import believed as of_report
from transforms.tables.warehouse import Warehouse

LAST = tiny.NIGHT + timedelta(7)


def believed(folder: Path, shards: int, by_day: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    warehouse = tiny.build(folder)
    settings = Settings.model_validate({"shards": shards, "rewards": {"warm_up_days": 3}})
    for n in range(8) if by_day else (7,):
        day = tiny.NIGHT + timedelta(n)
        if by_day and n:
            past = pl.concat([tiny.listens_of(day - timedelta(k)) for k in range(10 + n)])
            tiny.put(warehouse, "library", day, day_library(past))
        beliefs(warehouse.url, day, settings=settings)
    found = Warehouse(warehouse.url)
    return tuple(found.read(t, LAST) for t in ("discoveries", "beliefs"))  # type: ignore[return-value]


def test_any_split_of_days_and_shards_gives_the_same_belief(tmp_path: Path) -> None:
    at_once, told = believed(tmp_path / "a", 4, by_day=False)
    for name, shards, by_day in (("b", 1, False), ("c", 2, True)):
        found, beliefs_too = believed(tmp_path / name, shards, by_day)
        assert found.sort("listener_id", "recording_id").equals(at_once.sort("listener_id", "recording_id"))
        assert beliefs_too.sort("track_id", "shelf_id").equals(told.sort("track_id", "shelf_id")), "to the last bit"


def test_a_belief_is_what_the_traces_say(tmp_path: Path) -> None:
    """The rows against the posterior of the traces, computed in memory."""
    found, told = believed(tmp_path, 4, by_day=False)
    days = int(told["days"][0])
    assert days == 2 * 13 // 3 and told.filter(pl.col("track_id") == "").height == 1
    known = np.minimum([(LAST - d).days for d in found["discovered_on"]], days)
    arms = {}
    for track in found["track_id"].unique().sort():
        here = (found["track_id"] == track).to_numpy()
        rows = entries(traces(found["days_heard"].to_numpy()[here], days))
        arms[track] = TraceSums.of(rows, entries_known(known[here]))
    prior = Prior.fit(arms.values(), entry_weights(np.ones(days)))
    for row in told.filter(pl.col("track_id") != "").iter_rows(named=True):
        want = prior.posterior(arms[row["track_id"]])
        assert (row["mean"], row["variance"]) == (pytest.approx(want.mean), pytest.approx(want.variance))
        assert row["traces"] == want.traces and row["complete"] == arms[row["track_id"]].counts[entries_known(days)]


def test_without_a_long_term_reward_nothing_is_folded(tmp_path: Path) -> None:
    warehouse = tiny.build(tmp_path)
    rewards = {"rewards": {"finished": {"term": "immediate", "label": "completed"}}}
    beliefs(warehouse.url, LAST, settings=Settings.model_validate({"rewards": rewards}))
    assert not warehouse.dates("beliefs")


def test_a_report_tells_what_is_believed(tmp_path: Path) -> None:
    _, told = believed(tmp_path, 4, by_day=False)
    (folder,) = (p for p in tmp_path.iterdir() if (p / "beliefs").exists())
    found = of_report(Warehouse(str(folder)), LAST + timedelta(3))
    assert found is not None and (found.days, found.tracks) == (8, told.filter(pl.col("track_id") != "").height)
    assert found.best[0][1] == told.filter(pl.col("track_id") != "")["mean"].max()
    assert of_report(Warehouse(str(folder)), tiny.NIGHT) is None
