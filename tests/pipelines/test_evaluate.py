"""The jobs `outcomes` and `evaluate` on a tiny warehouse, against the same answers computed directly."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from pipelines.cli.main import cli
from pipelines.cli.report import gather, report
from pipelines.evaluate import evaluate
from pipelines.outcomes import outcomes
from tests.pipelines.tiny import NIGHT, SETTINGS, TRACKS, build, candidates_of, listens_of, put, shelves_of
from transforms.common.errors import UserError
from transforms.listening.library import day_library
from transforms.outcomes.join import join_outcomes
from transforms.tables.as_of import days_logged_after
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return build(tmp_path)


def test_outcomes_equal_the_direct_join_of_everything_at_once(warehouse: Warehouse) -> None:
    closes = NIGHT + timedelta(7)
    outcomes(warehouse.url, closes, settings=SETTINGS)  # type: ignore[arg-type]
    got = warehouse.read("outcomes", closes).sort(TABLES["outcomes"].key)
    heard = pl.concat([listens_of(NIGHT - timedelta(n)) for n in range(10)])
    expected = join_outcomes(
        NIGHT,
        7,
        candidates_of(),
        pl.concat([listens_of(NIGHT + timedelta(n)) for n in range(1, 8)]),
        pl.DataFrame({"track_id": TRACKS, "recording_id": TRACKS}),
        shelves=shelves_of(),
        heard=heard.select("listener_id", recording_id="track_id").unique(),
    )
    assert got.equals(expected)
    assert len(warehouse.need("outcomes", closes).files) > 1, "one shard alone would prove little"
    assert set(got["stage"]) == {"candidate", "placed", "missed"}
    assert got["saved"].null_count() == got.height and got["skipped"].null_count() == got.height
    assert got["completed"].null_count() == 0 and got["listened"].any()


def test_outcomes_of_a_night_without_shelves_and_of_no_night(warehouse: Warehouse) -> None:
    bare = NIGHT + timedelta(3)
    put(warehouse, "candidates", bare, candidates_of().with_columns(ranker_score=None, stage=pl.lit("candidate")))
    put(warehouse, "library", bare, day_library(listens_of(bare)))
    outcomes(warehouse.url, bare + timedelta(1), settings=SETTINGS)  # type: ignore[arg-type]
    got = warehouse.read("outcomes", bare + timedelta(1))
    assert set(got["night"]) == {bare} and set(got["horizon"]) == {1} and "placed" not in set(got["stage"])
    with pytest.raises(UserError, match="no stored night closes"):
        outcomes(warehouse.url, NIGHT + timedelta(2), settings=SETTINGS)  # type: ignore[arg-type]


def test_evaluate_measures_the_night_its_sources_and_the_baselines(warehouse: Warehouse) -> None:
    evaluate(warehouse.url, NIGHT, 7, settings=SETTINGS)  # type: ignore[arg-type]
    got = warehouse.read("evaluation", NIGHT)
    baselines = {"most-popular", "recent-popular", "own-top", "item-knn", "last-tracks"}
    assert set(got["model"]) >= {"ranker", "blend", "source:als", "shelf:discover-weekly", "targets", *baselines}
    assert set(got["target"]) == {"unheard", "repeat", "all"}

    def value(model: str, metric: str) -> float:
        rows = got.filter(pl.col("versus").is_null(), model=model, metric=metric, target="unheard", segment="all")
        return rows["value"].item()

    # each listener goes on to nine tracks of which the last seven are new (offsets 3 to 9 from the night's first); the
    # ranker offers offsets 3 to 8, all of them hits
    assert value("ranker", "recall@50") == pytest.approx(6 / 7)
    assert value("ranker", "mrr@10") == value("source:als", "mrr@10") == 1.0
    assert value("shelf:discover-weekly", "recall@50") == pytest.approx(1 / 7)
    assert value("targets", "targets") == 7.0
    assert (
        got.filter(model="ranker", metric="ndcg@50", target="unheard").filter(pl.col("versus").is_not_null()).height > 3
    )
    record = json.loads(warehouse.store.read(f"runs/{warehouse.need('evaluation', NIGHT).run_id}.json"))
    assert record["job"] == "evaluate"


def test_evaluating_again_does_nothing_and_a_night_without_a_morning_is_refused(warehouse: Warehouse) -> None:
    evaluate(warehouse.url, NIGHT, 2, settings=SETTINGS)  # type: ignore[arg-type]
    first = warehouse.need("evaluation", NIGHT)
    evaluate(warehouse.url, NIGHT, 2, settings=SETTINGS)  # type: ignore[arg-type]
    assert warehouse.need("evaluation", NIGHT) == first
    put(warehouse, "candidates", NIGHT + timedelta(7), candidates_of())
    with pytest.raises(UserError, match="no listens from"):
        evaluate(warehouse.url, NIGHT + timedelta(7), 7, settings=SETTINGS)  # type: ignore[arg-type]


def test_more_days_than_the_log_holds_are_measured_over_what_it_holds_and_it_says_so(
    warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    held = days_logged_after(warehouse.url, NIGHT)
    assert held > 0
    evaluate(warehouse.url, NIGHT, held, settings=SETTINGS)  # type: ignore[arg-type]
    exact = warehouse.need("evaluation", NIGHT)
    assert "the log holds" not in capsys.readouterr().err
    evaluate(warehouse.url, NIGHT, 100, settings=SETTINGS)  # type: ignore[arg-type]
    assert f"the log holds {held} days after {NIGHT}, not 100: measured over these" in capsys.readouterr().err
    assert warehouse.need("evaluation", NIGHT) == exact and exact.settings["days"] == held
    assert gather(warehouse, NIGHT).evaluated_days == held
    page = Path(report(warehouse.url, NIGHT)).read_text()
    assert f"in the {held} days after the night" in " ".join(page.split()) and "100 days" not in page


@pytest.mark.parametrize("days", ["0", "-7", "10000", "many"])
def test_days_are_a_number_of_at_least_one(days: str) -> None:
    done = CliRunner().invoke(cli, ["evaluate", "--date", str(NIGHT), "--days", days])
    assert done.exit_code == 2 and "--days" in done.output
