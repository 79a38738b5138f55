"""Now Playing goes on with sessions: of anonymous listeners too, with what was learned on an earlier fit date."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from models.vocabulary import Vocabulary
from pipelines.cli.main import cli
from pipelines.forget import forget
from pipelines.ingest import ingest
from pipelines.nightly import night
from pipelines.recommender.artefacts import fetch
from pipelines.recommender.fitting import Fitted
from pipelines.runtime.config import Settings
from tests.models.rankers.test_session import albums
from transforms.candidates.next_in_session import NextInSession
from transforms.next_in_session.sample import as_log, in_time
from transforms.next_in_session.sessions import SessionLog
from transforms.next_in_session.shortlist import continuation
from transforms.tables.warehouse import Warehouse

END = date(2026, 1, 31)
FIT = END - timedelta(10)
SETTINGS = Settings.model_validate(
    {
        "shards": 2,
        "models": {
            "als": {"factors": 8, "iterations": 2},
            "use_two_tower": False,
            "use_sequence": False,
            "next_in_session": {"prefixes": 200},
        },
        "candidates": {"per_source": 20},
        "bootstrap": {"nights": 1},
        "ranker": {"kind": "linear"},
    }
)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """240 anonymous sessions over 60 days that run through albums; the night scored with a fit ten days before."""
    folder = tmp_path_factory.mktemp("anonymous")
    log = albums(240)
    lines = ["anyone," + ",".join(f"t{i}" for i in s) for s in np.split(log.items, log.starts[1:-1])]
    (folder / "log.csv").write_text("\n".join(lines) + "\n")
    url = str(folder / "warehouse")
    ingest(url, "sessions", [str(folder / "log.csv")], end_date=END, anonymous=True, settings=SETTINGS)
    night(url, END, SETTINGS, fit_date=FIT, greedy=True)
    return Warehouse(url)


def now_playing(warehouse: Warehouse) -> pl.DataFrame:
    return warehouse.read("shelves", END).filter(pl.col("shelf_id") == "now-playing")


def expected(warehouse: Warehouse, n: int = 20) -> dict[str, list[str]]:
    """By listener, `continuation()` of their only session by the model of the fit date, best first."""
    models = warehouse.need("models", FIT)
    fitted = Fitted.load(fetch(warehouse.url, models, END), SETTINGS.models)
    vocabulary: Vocabulary = fitted.vocabulary
    model = fitted["next_in_session"]
    log = as_log(in_time(warehouse.read("session_sample", FIT)), vocabulary.rows)
    since = END - timedelta(SETTINGS.candidates.session_days - 1)
    dates = [d for d in warehouse.dates("sessions") if d >= since]
    sessions = pl.concat([warehouse.read("sessions", d) for d in dates]).sort("listener_id", "open")
    sessions = sessions.unique("listener_id", keep="first", maintain_order=True)
    tracks = [[play["track_id"] for play in row] for row in sessions["tracks"].to_list()]
    ends = SessionLog.from_lists([vocabulary.rows(row).tolist() for row in tracks]).open_ends()
    items, _ = continuation(model.sources(log), model.order, ends, n)
    after = sessions.filter(pl.col("started_at").dt.date() > FIT)["listener_id"].to_list()
    found = dict(zip(sessions["listener_id"], items, strict=True))
    return {who: vocabulary.ids.gather(found[who][found[who] > 0]).to_list() for who in after}


def test_every_anonymous_session_has_a_row_and_the_late_ones_go_on_as_the_model_says(warehouse: Warehouse) -> None:
    shelves = now_playing(warehouse)
    everyone = warehouse.read("library", END)["listener_id"].unique()
    assert shelves.height == shelves["listener_id"].n_unique() >= everyone.len() > 0
    wanted = expected(warehouse)
    assert len(wanted) > 30
    items = dict(shelves.select("listener_id", "items").iter_rows())
    for who, tracks in wanted.items():
        assert [item["track_id"] for item in items[who]][: len(tracks)] == tracks
    # Albums are played in order: the track after the last one stands first nearly always.
    following = [tracks[0] for tracks in wanted.values()]
    assert len(set(following)) > 10


def test_the_sample_holds_sessions_up_to_the_fit_date_alone(warehouse: Warehouse) -> None:
    sample = warehouse.read("session_sample", FIT)
    assert sample.height > 100
    assert sample["started_at"].dt.date().max() <= FIT
    assert warehouse.current("session_sample", END) is None
    assert f"session_sample@{FIT}" in warehouse.need("shelves", END).inputs
    assert sorted(f.shard for f in warehouse.need("session_sample", FIT).files) == [0, 1]


def test_why_names_the_source_and_its_rank(warehouse: Warehouse) -> None:
    who = sorted(expected(warehouse))[0]
    done = CliRunner().invoke(cli, ["show", who, "--shelf", "now-playing", "--why", "--warehouse", warehouse.url])
    assert done.exit_code == 0, done.output
    assert f"{NextInSession.name} #1" in " ".join(done.output.split())
    assert "often follows" in " ".join(done.output.split())


def test_repeats_are_a_rule_that_can_be_switched_off(warehouse: Warehouse, tmp_path: Path) -> None:
    copy = Warehouse(shutil.copytree(warehouse.url, tmp_path / "copy").as_posix())
    without = SETTINGS.model_dump()
    without["candidates"]["continuation"]["repeats"] = False
    night(copy.url, END, Settings.model_validate(without), fit_date=FIT, greedy=True)
    played = pl.concat([copy.read("sessions", d) for d in copy.dates("sessions")]).explode("tracks")
    played = played.select("listener_id", pl.col("tracks").struct.field("track_id"))
    counts = []
    for made in (warehouse, copy):
        shown = now_playing(made).filter(pl.col("listener_id").is_in(sorted(expected(warehouse))))
        shown = shown.select("listener_id", "items").explode("items")
        shown = shown.select("listener_id", pl.col("items").struct.field("track_id"))
        counts.append(shown.join(played, on=["listener_id", "track_id"], how="semi").height)
    assert counts[0] > 0 == counts[1]


def test_a_setting_that_scoring_reads_makes_the_night_again_though_its_models_stay(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    copy = Warehouse(shutil.copytree(warehouse.url, tmp_path / "copy").as_posix())
    without = SETTINGS.model_dump()
    without["models"]["use_next_in_session"] = False
    night(copy.url, END, Settings.model_validate(without), fit_date=FIT, greedy=True)
    assert copy.need("models", FIT).version == warehouse.need("models", FIT).version
    assert f"rank_{NextInSession.name}" in warehouse.read("candidates", END).columns
    assert f"rank_{NextInSession.name}" not in copy.read("candidates", END).columns
    assert copy.need("shelves", END).version != warehouse.need("shelves", END).version


def test_whoever_is_forgotten_is_nobodys_neighbour_any_more(warehouse: Warehouse, tmp_path: Path) -> None:
    copy = Warehouse(shutil.copytree(warehouse.url, tmp_path / "copy").as_posix())
    before = copy.read("session_sample", FIT)
    who = before["listener_id"][0]
    forget(copy.url, [who])
    after = copy.read("session_sample", FIT)
    assert after.height == before.height - before.filter(pl.col("listener_id") == who).height
    assert who not in after["listener_id"].to_list()
