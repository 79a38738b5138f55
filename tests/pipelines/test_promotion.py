"""A ranker is used only where it beats the blend on nights it has not seen: nights by hand, some of them misleading."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from models.rankers.kinds import load
from models.registry import read_entry
from pipelines.cli.report import report
from pipelines.recommender.artefacts import fetch
from pipelines.recommender.promotion import decide, sentence
from pipelines.recommender.ranker_choice import LEAST, verdict
from pipelines.recommender.ranker_examples import pairs_of
from pipelines.runtime.config import Settings
from pipelines.train_ranker import train_ranker
from tests.pipelines.tiny import put
from transforms.tables.as_of import as_of
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse

NIGHTS = [date(2026, 1, 5), date(2026, 1, 12), date(2026, 1, 19), date(2026, 1, 26)]
SETTINGS = Settings.model_validate(
    {"shards": 1, "ranker": {"kind": "linear", "linear": {"l2": 1.0}}, "bootstrap": {"ranker_nights": 2}}
)


def store(
    warehouse: Warehouse, night: date, sign: float, source: float = 0.0, name: str = "f_a", blend: float = 0.0
) -> None:
    """Sixty listeners, thirty candidates each; listens follow `sign` times the feature.

    Args:
        source, blend: how well a source and the blend know what will be heard, 0 = not at all, 1 = all of it.
    """
    rng = np.random.default_rng(night.toordinal())
    n = 60 * 30
    taste = rng.standard_normal(n)
    likes = sign * taste + 0.5 * rng.standard_normal(n)
    known = source * likes + (1 - source) * rng.standard_normal(n)
    ids = {"listener_id": [f"u{i // 30}" for i in range(n)], "track_id": [f"t{i % 30}" for i in range(n)]}
    summed = blend * likes + (1 - blend) * rng.standard_normal(n) * (blend > 0)
    frame = pl.DataFrame({**ids, name: taste.astype(np.float32), "f_blend": summed.astype(np.float32), "_known": known})
    place_of = pl.col("_known").rank("ordinal").over("listener_id") / 30
    frame = frame.with_columns(f_r_src=place_of.cast(pl.Float32), heard_before=False, stage=pl.lit("candidate"))
    frame = frame.with_columns(inclusion=pl.lit(1.0, dtype=pl.Float32)).drop("_known")
    put(warehouse, "candidates", night, frame, shards=1)
    outcome = frame.select("listener_id", "track_id", "stage", "inclusion", "heard_before").with_columns(
        night=night, horizon=7, listened=pl.Series(likes > 1.2)
    )
    absent = [pl.lit(None, dtype=t).alias(c) for c, t in TABLES["outcomes"].polars.items() if c not in outcome.columns]
    put(warehouse, "outcomes", night + timedelta(7), outcome.with_columns(absent), shards=1)


def fitted(warehouse: Warehouse, night: date) -> dict:
    """Train as of the day on which a night closes; what the manifest then says."""
    day = night + timedelta(7)
    train_ranker(warehouse.url, day, settings=SETTINGS)
    manifest = warehouse.need("rankers", day)
    return {**manifest.extra, "fit_date": read_entry(fetch(warehouse.url, manifest, day)).fit_date}


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(str(tmp_path / "warehouse"))


def test_a_ranker_that_learned_from_a_misleading_night_does_not_replace_a_better_one(
    warehouse: Warehouse, capsys: pytest.CaptureFixture
) -> None:
    for night in NIGHTS[:2]:
        store(warehouse, night, 1.0)
    first = fitted(warehouse, NIGHTS[1])
    assert first["chosen_linear"] == 1 and first["gain_low_ppm"] > 0 and "kept" not in first
    store(
        warehouse, NIGHTS[2], -1.0
    )  # of the two newest nights the new ranker is fitted on this one, measured on the next
    store(warehouse, NIGHTS[3], 1.0)
    got = fitted(warehouse, NIGHTS[3])
    assert got["kept"] == 1 and got["fit_date"] == NIGHTS[1] + timedelta(7)
    assert got["ndcg50_ppm_replaced"] > got["ndcg50_ppm_blend"] > got["ndcg50_ppm_linear"]
    printed = capsys.readouterr().err
    assert "WARN ranker 2026-02-02" in printed and "fitted as of 2026-01-19 was kept" in printed
    put(warehouse, "candidates", NIGHTS[3] + timedelta(7), warehouse.read("candidates", NIGHTS[3]), shards=1)
    assert "was kept" in Path(report(warehouse.url, NIGHTS[3] + timedelta(7))).read_text()


def test_a_ranker_as_good_as_the_one_before_takes_over(warehouse: Warehouse, capsys: pytest.CaptureFixture) -> None:
    for night in NIGHTS[:3]:
        store(warehouse, night, 1.0)
    fitted(warehouse, NIGHTS[1])
    got = fitted(warehouse, NIGHTS[2])
    assert "kept" not in got and got["fit_date"] == NIGHTS[2] + timedelta(7) and got["ndcg50_ppm_replaced"] > 0
    assert got["chosen_linear"] == 1 and "WARN" not in capsys.readouterr().err


def test_in_place_of_a_ranker_that_learned_the_wrong_way_round_the_blend_stands_and_all_say_so(
    warehouse: Warehouse, capsys: pytest.CaptureFixture
) -> None:
    store(warehouse, NIGHTS[0], -1.0, blend=0.3)
    store(warehouse, NIGHTS[1], 1.0, source=0.9, blend=0.3)
    got = fitted(warehouse, NIGHTS[1])
    assert got["chosen_blend"] == got["tried_linear"] == 1 and "kept" not in got
    assert got["gain_high_ppm"] < 0 and got["ndcg50_ppm_source:src"] > 1.05 * got["ndcg50_ppm_blend"]
    day = NIGHTS[1] + timedelta(7)
    ranker = load(fetch(warehouse.url, warehouse.need("rankers", day), day))
    features = np.random.default_rng(1).standard_normal((30, len(ranker.names))).astype(np.float32)
    assert (np.argsort(ranker.score(features)) == np.argsort(features[:, ranker.names.index("f_blend")])).all()
    printed = capsys.readouterr().err
    assert "the untrained blend stands in for the ranker: on 1 stored night it had not seen" in printed
    assert "source src alone" in printed
    counted = json.loads(warehouse.store.read(f"runs/{warehouse.need('rankers', day).run_id}.json"))["counters"]
    assert counted["ranker.chosen_blend"] == 1 and counted["ranker.gain_high_ppm"] == got["gain_high_ppm"]
    put(warehouse, "candidates", day, warehouse.read("candidates", NIGHTS[1]), shards=1)
    head = Path(report(warehouse.url, day)).read_text().partition("</header>")[0]
    assert "the untrained blend stands in for the ranker" in head


def test_with_no_night_left_to_compare_on_the_blend_stands_in(warehouse: Warehouse) -> None:
    store(warehouse, NIGHTS[0], 1.0)
    got = fitted(warehouse, NIGHTS[0])
    assert got["chosen_blend"] == 1 and got["unseen_nights"] == 0
    assert "no stored night is left" in str(sentence(got))


def test_every_night_but_the_first_is_one_to_be_compared_on(warehouse: Warehouse) -> None:
    for night in NIGHTS:
        store(warehouse, night, 1.0, blend=0.3)
    bootstrap = SETTINGS.bootstrap.model_copy(update={"ranker_nights": 4})
    settings = SETTINGS.model_copy(update={"bootstrap": bootstrap})
    day = NIGHTS[3] + timedelta(7)
    train_ranker(warehouse.url, day, settings=settings)
    got = warehouse.need("rankers", day).extra
    assert got["unseen_nights"] == 3 and got["chosen_linear"] == 1 and got["gain_ppm"] > got["gain_low_ppm"] > 0


def test_an_old_ranker_that_reads_what_is_no_longer_made_is_replaced(warehouse: Warehouse) -> None:
    store(warehouse, NIGHTS[0], 1.0, name="f_gone")
    fitted(warehouse, NIGHTS[0])
    for night in NIGHTS[1:3]:
        store(warehouse, night, 1.0)
    got = fitted(warehouse, NIGHTS[2])
    assert "ndcg50_ppm_replaced" not in got and got["fit_date"] == NIGHTS[2] + timedelta(7)


def test_the_decision_by_hand() -> None:
    assert decide(0.095, True, 0.1, True, {}, 0.05) == "new", "within what is allowed"
    assert decide(0.094, True, 0.1, True, {}, 0.05) == "old"
    assert decide(0.09, True, 0.08, True, {"als": 0.1}, 0.05) == "new", "the old one did worse still"
    assert decide(None, True, None, False, {"als": 0.1}, 0.0) == "new", "the old one has seen the night"
    assert decide(0.1, False, 0.09, True, {}, 0.05) == "old", "only one of them was shown to beat the blend"
    assert decide(0.1, False, 0.2, False, {}, 0.05) == "blend"
    assert sentence({"rows": 5}) is None


def by_listener(*values: float) -> pl.DataFrame:
    return pl.DataFrame({"listener_id": np.arange(len(values)), "ndcg@50": values})


def test_what_is_not_told_apart_takes_the_blend_and_the_best_of_those_that_are() -> None:
    rng = np.random.default_rng(0)
    blend, noise = rng.random(200), rng.standard_normal(200)
    measured = {
        "blend": [by_listener(*blend)],
        "linear": [by_listener(*(blend + 0.05 + 0.1 * noise))],
        "cross": [by_listener(*(blend + 0.06 + 2.0 * noise))],
    }
    got = verdict(measured, ("linear", "cross"), 1)
    assert got.used == "linear" and got.gain is not None and got.gain.low > 0
    assert verdict(measured, ("cross",), 1).used == "blend"
    few = {name: [frame.head(LEAST - 1) for frame in frames] for name, frames in measured.items()}
    assert verdict(few, ("linear",), 1).used == "blend", "of a handful of listeners an interval says nothing"
    assert verdict({}, ("linear",), 0).used == "blend"


def test_what_is_compared_is_the_whole_ranking_however_few_examples_are_learned_from(tmp_path: Path) -> None:
    figures = []
    for examples in (10**6, 1500):
        warehouse = Warehouse(str(tmp_path / str(examples)))
        for night in NIGHTS[:2]:
            store(warehouse, night, 1.0, source=0.5)
        ranker = SETTINGS.ranker.model_copy(update={"examples": examples})
        train_ranker(warehouse.url, NIGHTS[1] + timedelta(7), settings=SETTINGS.model_copy(update={"ranker": ranker}))
        figures.append(warehouse.need("rankers", NIGHTS[1] + timedelta(7)).extra)
    assert figures[0]["rows"] > 1.5 * figures[1]["rows"], "negatives were thinned"
    assert figures[0]["ndcg50_ppm_source:src"] == figures[1]["ndcg50_ppm_source:src"]


def test_what_was_heard_and_was_no_candidate_counts_against_everyone(warehouse: Warehouse) -> None:
    for night in NIGHTS[:2]:
        store(warehouse, night, 1.0, source=0.9)
    printed = fitted(warehouse, NIGHTS[1])
    day = NIGHTS[1] + timedelta(7)
    seen = warehouse.read("outcomes", day)
    missed = seen.filter("listened").with_columns(track_id="missed " + pl.col("track_id"), stage=pl.lit("missed"))
    warehouse.store.delete(f"outcomes/date={day}")
    put(warehouse, "outcomes", day, pl.concat([seen, missed]), shards=1)
    warehouse.store.delete(f"rankers/date={day}")
    assert fitted(warehouse, NIGHTS[1])["ndcg50_ppm_source:src"] < 0.9 * printed["ndcg50_ppm_source:src"]


def test_the_nights_learned_from_and_the_one_measured_share_no_day(warehouse: Warehouse) -> None:
    for day in (12, 17, 18, 19):
        store(warehouse, date(2026, 1, day), 1.0)
    past = as_of(warehouse.url, date(2026, 1, 26))
    assert [made.date.day for made, _ in pairs_of(past, 7, 6)] == [12, 19]
    assert [made.date.day for made, _ in pairs_of(past, 7, 1)] == [19]


def test_halfway_to_the_blend_is_used_where_only_that_is_shown_to_be_better() -> None:
    blend, noise = 0.4 + 0.2 * np.random.default_rng(0).random(200), np.resize([1.0, -1.0], 200)
    measured = {
        "blend": [by_listener(*blend)],
        "linear": [by_listener(*(blend + 0.042 + 0.35 * noise))],
        "halfway": [by_listener(*(blend + 0.038 + 0.1 * noise))],
    }
    got = verdict(measured, ("linear",), 1)
    assert got.used == got.tried == "halfway" and got.gain is not None and got.gain.low > 0
    assert got.figures["linear"] > got.figures["halfway"], "the mean alone shows nothing"
    measured["linear"] = [by_listener(*(blend + 0.02 + 0.05 * noise))]
    assert verdict(measured, ("linear",), 1).used == "linear", "what was asked for comes first"
    measured["linear"] = measured["halfway"] = [by_listener(*(blend + 0.38 * noise))]
    got = verdict(measured, ("linear",), 1)
    assert (got.used, got.tried) == ("blend", "linear")
