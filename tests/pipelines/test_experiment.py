"""Experiments end to end: two arms with two artist caps make two kinds of shelves, and a readout that says which is better."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from pipelines.cli.main import cli
from pipelines.experiments import experiments
from pipelines.recommender.arms import by_arm, with_overrides
from pipelines.runtime.config import Settings
from pipelines.runtime.settings_file import to_yaml
from tests.pipelines.tiny import frame, put
from tests.transforms.shelves import worlds
from transforms.common.errors import UserError
from transforms.experiments.assignment import assign
from transforms.experiments.planned import planned
from transforms.experiments.settings import SurrogateSettings
from transforms.reporting.readouts import readout_lines
from transforms.shelves.output import Assembled
from transforms.shelves.settings import ShelvesSettings
from transforms.tables.warehouse import Warehouse

START = date(2026, 1, 10)
PEOPLE = [f"listener-{n:03d}" for n in range(300)]


def settings(**more: Any) -> Settings:
    one = {
        "name": "cap",
        "starts": START,
        "look": "once",
        "arms": {
            "control": {
                "weight": 1,
                "overrides": {"shelves": {"discover-weekly": {"rules": {"artist_cap": {"most": 3}}}}},
            },
            "one": {"weight": 1, "overrides": {"shelves": {"discover-weekly": {"rules": {"artist_cap": {"most": 1}}}}}},
        },
        "guardrails": {"active_days": 0.1},
        **more,
    }
    return Settings.model_validate({"shards": 2, "experiments": {"experiments": [one]}})


def cap(of: ShelvesSettings) -> Any:
    return of.shelf("discover-weekly").cap("artist_cap")


def test_each_listener_gets_the_shelves_of_their_arm_and_the_rows_say_so() -> None:
    given = settings()
    asked: list[tuple[int, Any]] = []

    def make(roster: pl.DataFrame, of: ShelvesSettings) -> Assembled:
        asked.append((roster.height, cap(of)))
        ids = roster["listener_id"]
        rows = pl.DataFrame({"listener_id": ids, "shelf_id": "discover-weekly", "experiment": None, "arm": None})
        none = pl.DataFrame({"listener_id": ids[:0], "shelf_id": ids[:0], "slot": [], "track_id": [], "rule": []})
        return Assembled(rows, none, none, none)

    roster = pl.DataFrame({"listener_id": PEOPLE})
    made = by_arm(roster, given.experiments, given.shelves, START, make)
    assert made.shelves["listener_id"].to_list() == PEOPLE
    dealt = assign(PEOPLE, given.experiments, START)
    assert made.shelves.select("listener_id", "experiment", "arm").equals(dealt)
    assert {n for n, _ in asked} == set(dealt.group_by("arm").len()["len"])
    assert {c for _, c in asked} == {1, 3}, "two caps"
    asked.clear()
    before = by_arm(roster, given.experiments, given.shelves, START - timedelta(1), make)
    assert asked == [(300, cap(given.shelves))] and before.shelves["arm"].null_count() == 300


def test_two_arms_with_caps_of_one_and_three_tracks_of_an_artist_give_such_shelves() -> None:
    given = settings()
    people = PEOPLE[:40]
    tracks = [
        worlds.candidate(f"t{n}", 10.0 - n, listener_id=who, artist_ids=["same" if n < 5 else f"by-{n}"])
        for who in people
        for n in range(12)
    ]
    block = worlds.frame(*tracks)

    def make(roster: pl.DataFrame, of: ShelvesSettings) -> Assembled:
        return worlds.make(block, roster=roster, settings=of)

    made = by_arm(worlds.roster(*people), given.experiments, given.shelves, START, make).shelves
    items = made.filter(shelf_id="discover-weekly").drop("title").explode("items").unnest("items")
    of_one = items.filter(pl.col("artist_ids").list.contains("same")).group_by("listener_id", "arm").len()
    assert dict(of_one.group_by("arm").agg(pl.col("len").max()).iter_rows()) == {"control": 3, "one": 1}
    assert set(items["arm"]) == {"control", "one"}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"ranker": {"kind": "blend"}}, "section shelves only, found ranker"),
        ({"shelves": {"discover-weekly": {"size": -1}}}, "greater than or equal to 1"),
        ({"shelves": {"on-repeat": False}}, "neither adds one nor takes one out"),
        ({"shelves": {"on-repeat": {"order": {"score_alss": 1.0}}}}, "score_alss"),
    ],
)
def test_overrides_that_are_no_settings_are_refused_when_the_settings_are_read(overrides: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=f"experiment cap, arm one: .*(\n.*)*{message}"):
        settings(arms={"control": 1, "one": {"weight": 1, "overrides": overrides}})


def test_exploration_may_be_an_arms_own_and_the_base_stays_as_it_was() -> None:
    base = Settings().shelves
    warm = with_overrides(
        base, [{"shelves": {"exploration": {"epsilon": 0.5}}}, {"shelves": {"on-repeat": {"size": 7}}}]
    )
    assert (warm.exploration.epsilon, warm.shelf("on-repeat").size) == (0.5, 7)
    assert (base.exploration.epsilon, base.shelf("on-repeat").size) == (0.1, 20)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    return planted(tmp_path_factory.mktemp("experiment"))


def planted(folder: Path) -> Warehouse:
    """Twenty days before and ten after the start; the arm `one` plays two more tracks a day from shelves."""
    warehouse = Warehouse(str(folder / "warehouse"))
    arm = dict(assign(PEOPLE, settings().experiments, START).select("listener_id", "arm").iter_rows())
    put(warehouse, "shelves", START, frame("shelves", []), shards=2)
    version = warehouse.need("shelves", START).version
    for n in range(-19, 11):
        day = START + timedelta(n)
        listens, shown = [], []
        for k, who in enumerate(PEOPLE):
            own, from_shelf = 1 + k % 3, (1 + k % 2 + (2 if arm[who] == "one" else 0)) if n > 0 else 1
            for j in range(own + from_shelf):
                at = datetime(day.year, day.month, day.day, 8, j, tzinfo=UTC)
                row = {
                    "listener_id": who,
                    "track_id": f"t{j}",
                    "started_at": at,
                    "ms_played": 200_000,
                    "ingested_at": at,
                }
                shelf = "discover-weekly" if j >= own else None
                listens.append({**row, "late": False, "listen_id": f"{who}{at}", "skipped": False, "shelf_id": shelf})
            if n > 0 and k < 290:
                at = datetime(day.year, day.month, day.day, 7, tzinfo=UTC)
                shown.append({"listener_id": who, "surface": "home", "shelf_id": "discover-weekly", "version": version})
                shown[-1] |= {"track_id": "t1", "position": 1, "item_or_spare": "item", "shown_at": at}
        put(warehouse, "listens", day, frame("listens", listens), shards=2)
        put(warehouse, "impressions", day, frame("impressions", shown), shards=2)
    return warehouse


def test_a_planted_better_arm_is_shipped_and_the_readout_names_everything(warehouse: Warehouse) -> None:
    day = START + timedelta(10)
    rows = experiments(warehouse.url, day, settings=settings(least=50))
    by = {row["metric"]: row for row in rows.iter_rows(named=True)}
    assert by["plays_attributed"]["decision"] == "ship" and by["plays_attributed"]["verdict"] == "better"
    assert by["plays_attributed"]["difference"] == pytest.approx(20, abs=2.5)
    assert by["active_days"]["verdict"] == "non-inferior" and by["plays"]["role"] == "watched"
    exposed = warehouse.read("exposures", day)
    assert exposed.height == 290 and exposed["first_exposed_on"].unique().to_list() == [START + timedelta(1)]
    lines = readout_lines(rows, day)
    assert "SHIP: plays_attributed got better" in lines[0] and "290 exposed listeners" in lines[1]
    again = experiments(warehouse.url, day, settings=settings(least=50))
    assert again.equals(rows), "current: nothing is made again"


def _read(warehouse: Warehouse, folder: Path, name: str, day: date, of: Settings) -> str:
    (folder / "settings.yaml").write_text(to_yaml(of))
    given = ["--date", day.isoformat(), "--warehouse", warehouse.url, "--config", str(folder / "settings.yaml")]
    return CliRunner().invoke(cli, ["experiment", "read", name, *given], catch_exceptions=False).output


def test_experiments_of_one_date_are_read_together_and_each_says_what_it_says_alone(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    day, cap_alone = START + timedelta(9), settings(least=50)
    alone = experiments(warehouse.url, day, settings=cap_alone)
    (one,) = cap_alone.experiments.experiments
    second = {"name": "tau", "layer": "other", "starts": START, "arms": {"control": 1, "warm": 1}}
    later = {"name": "later", "layer": "third", "starts": day, "arms": {"control": 1, "x": 1}}
    every = [one.model_dump(mode="json"), {**second, "look": "once"}, later]
    both = Settings.model_validate({"shards": 2, "experiments": {"experiments": every}})
    found = experiments(warehouse.url, day, settings=both)
    assert found["experiment"].unique(maintain_order=True).to_list() == ["cap", "tau"], "the third has not started"
    assert found.filter(experiment="cap").equals(alone)
    exposed = warehouse.read("exposures", day).group_by("experiment").agg(pl.col("first_exposed_on").min(), pl.len())
    assert sorted(exposed.iter_rows()) == [("cap", START + timedelta(1), 290), ("tau", START + timedelta(1), 290)]
    assert "290 exposed listeners" in _read(warehouse, tmp_path, "tau", day, both)
    assert "SHIP" in _read(warehouse, tmp_path, "cap", day, both)


def test_a_plan_says_what_is_enough_and_mistakes_say_what_to_do(warehouse: Warehouse, tmp_path: Path) -> None:
    lines = list(planned(warehouse.url, "cap", START, 7, settings().experiments, 1))
    assert "2 arms, 300 listeners" in lines[0] and any("plays_attributed (success)" in line for line in lines)
    with pytest.raises(UserError, match="expected an experiment of the settings \\(cap\\), found 'tau'"):
        _read(warehouse, tmp_path, "tau", START, settings())
    with pytest.raises(UserError, match="read it from the day after on"):
        _read(warehouse, tmp_path, "cap", START, settings())
    with pytest.raises(UserError, match="choose fewer --days"):
        list(planned(warehouse.url, "cap", START, 28, settings().experiments, 1))


def test_early_days_imply_the_long_term_and_the_terminal_says_how_far_off_they_were(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    day, base = START + timedelta(8), settings(least=50)
    given = base.model_copy(
        update={"experiments": base.experiments.model_copy(update={"surrogate": SurrogateSettings(days=3, horizon=6)})}
    )
    rows = experiments(warehouse.url, day, settings=given)
    by = {row["metric"]: row for row in rows.iter_rows(named=True)}
    assert by["plays_6"]["role"] == "implied" and by["plays_6_seen"]["role"] == "seen"
    assert by["plays_6_seen"]["difference"] == pytest.approx(12, abs=1.5), "two more tracks a day"
    assert by["plays_6"]["difference"] == pytest.approx(by["plays_6_seen"]["difference"], abs=1.5)
    assert by["plays_6"]["why"].startswith("of 1 arm seen for 6 days the first 3 implied what was seen but for")
    said = _read(warehouse, tmp_path, "cap", day, given)
    assert "recordings heard in 6 days" in said and "of 1 arm seen for 6 days" in said
    early = experiments(warehouse.url, START + timedelta(4), settings=given)
    told = {row["metric"]: row["why"] for row in early.iter_rows(named=True)}
    assert "nobody knows" in told["plays_6"] and "plays_6_seen" not in told
