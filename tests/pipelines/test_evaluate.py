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
def place(tmp_path: Path) -> Warehouse:
    return build(tmp_path)


def test_outcomes_equal_the_direct_join_of_everything_at_once(place: Warehouse) -> None:
    closes = NIGHT + timedelta(7)
    outcomes(place.url, closes, settings=SETTINGS)  # type: ignore[arg-type]
    got = place.read("outcomes", closes).sort(TABLES["outcomes"].key)
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
    assert len(place.need("outcomes", closes).files) > 1, "one shard alone would prove little"
    assert set(got["stage"]) == {"candidate", "placed", "missed"}
    assert got["saved"].null_count() == got.height and got["skipped"].null_count() == got.height
    assert got["completed"].null_count() == 0 and got["listened"].any()


def test_outcomes_of_a_night_without_shelves_and_of_no_night(place: Warehouse) -> None:
    bare = NIGHT + timedelta(3)
    put(place, "candidates", bare, candidates_of().with_columns(ranker_score=None, stage=pl.lit("candidate")))
    put(place, "library", bare, day_library(listens_of(bare)))
    outcomes(place.url, bare + timedelta(1), settings=SETTINGS)  # type: ignore[arg-type]
    got = place.read("outcomes", bare + timedelta(1))
    assert set(got["night"]) == {bare} and set(got["horizon"]) == {1} and "placed" not in set(got["stage"])
    with pytest.raises(UserError, match="no stored night closes"):
        outcomes(place.url, NIGHT + timedelta(2), settings=SETTINGS)  # type: ignore[arg-type]


def test_evaluate_measures_the_night_its_sources_and_the_baselines(place: Warehouse) -> None:
    evaluate(place.url, NIGHT, 7, settings=SETTINGS)  # type: ignore[arg-type]
    got = place.read("evaluation", NIGHT)
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
    record = json.loads(place.store.read(f"runs/{place.need('evaluation', NIGHT).run_id}.json"))
    assert record["job"] == "evaluate"


def test_evaluating_again_does_nothing_and_a_night_without_a_morning_is_refused(place: Warehouse) -> None:
    evaluate(place.url, NIGHT, 2, settings=SETTINGS)  # type: ignore[arg-type]
    first = place.need("evaluation", NIGHT)
    evaluate(place.url, NIGHT, 2, settings=SETTINGS)  # type: ignore[arg-type]
    assert place.need("evaluation", NIGHT) == first
    put(place, "candidates", NIGHT + timedelta(7), candidates_of())
    with pytest.raises(UserError, match="no listens from"):
        evaluate(place.url, NIGHT + timedelta(7), 7, settings=SETTINGS)  # type: ignore[arg-type]


def test_more_days_than_the_log_holds_are_measured_over_what_it_holds_and_it_says_so(
    place: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    held = days_logged_after(place.url, NIGHT)
    assert held > 0
    evaluate(place.url, NIGHT, held, settings=SETTINGS)  # type: ignore[arg-type]
    exact = place.need("evaluation", NIGHT)
    assert "the log holds" not in capsys.readouterr().err
    evaluate(place.url, NIGHT, 100, settings=SETTINGS)  # type: ignore[arg-type]
    assert f"the log holds {held} days after {NIGHT}, not 100: measured over these" in capsys.readouterr().err
    assert place.need("evaluation", NIGHT) == exact and exact.settings["days"] == held
    assert gather(place, NIGHT).evaluated_days == held
    page = Path(report(place.url, NIGHT)).read_text()
    assert f"in the {held} days after the night" in " ".join(page.split()) and "100 days" not in page


@pytest.mark.parametrize("days", ["0", "-7", "10000", "many"])
def test_days_are_a_number_of_at_least_one(days: str) -> None:
    done = CliRunner().invoke(cli, ["evaluate", "--date", str(NIGHT), "--days", days])
    assert done.exit_code == 2 and "--days" in done.output
