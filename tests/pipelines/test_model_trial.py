"""Newly fitted models are tried against earlier ones on a closed night: verdicts by hand, and a spoiled fit of a small world."""

from __future__ import annotations

import json
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from models.vocabulary import Vocabulary
from pipelines.cli.report import gather
from pipelines.cli.summary import night_lines, of_night
from pipelines.night.steps import try_fits
from pipelines.nightly import NIGHT as STEPS
from pipelines.outcomes import outcomes
from pipelines.recommender.artefacts import fetch, store_folder
from pipelines.recommender.champion import (
    champion_of,
    held_back_by,
    made_with,
    models_date,
    note_of,
    recipe,
    sentence,
    whole_fits,
)
from pipelines.recommender.fitting import VOCABULARY
from pipelines.recommender.model_trial import BLEND, Due, closed_night, compared, counts, due_by, kept, plan_trial
from pipelines.recommender.night import Asked, plan_scoring
from pipelines.recommender.prompt_plan import prompting
from pipelines.recommender.ranker_choice import LEAST
from pipelines.recommender.settings import TrialSettings
from pipelines.runtime.config import Settings
from pipelines.runtime.night_ahead import stages_ahead
from pipelines.runtime.schedule import Night, Step
from pipelines.try_models import try_models
from tests.pipelines.tiny import put
from tests.pipelines.world import END, NIGHT, SETTINGS, World
from transforms.common.errors import UserError
from transforms.metrics.intervals import Interval
from transforms.tables.as_of import as_of
from transforms.tables.manifest import Manifest
from transforms.tables.runs import Written, finish, plan
from transforms.tables.upkeep import RetentionSettings, inputs_of, removable
from transforms.tables.warehouse import Warehouse

HORIZON = 3
TRIED = TrialSettings()
DAYS = [date(2026, 1, d) for d in range(1, 10)]


def commit(
    warehouse: Warehouse,
    table: str,
    day: date,
    settings: dict[str, Any] | None = None,
    inputs: dict[str, str] | None = None,
    extra: dict[str, int] | None = None,
    folder: Path | None = None,
) -> Manifest:
    """A manifest as a job would leave it, with a model's files or with none."""
    run = plan(
        warehouse,
        table,
        day,
        shards=1,
        inputs=inputs or {},
        settings=settings or {},
        step_version=str(folder),
        extra=extra,
    )
    assert run is not None
    return finish(
        run, [Written(table, day.isoformat(), file) for file in (store_folder(run, folder) if folder else ())]
    )


def judged(warehouse: Warehouse, day: date, champion: Manifest, challenger: Manifest, gain: Interval) -> Manifest:
    """A trial with this verdict."""
    due = Due(champion, champion, champion, challenger)
    extra = counts(due, gain, 0.1, 0.2)
    return commit(
        warehouse, "model_trials", day, {"recipe": recipe(challenger)}, inputs_of(champion, challenger), extra=extra
    )


WORSE, LEVEL, BETTER = (Interval(v, v - 0.01, v + 0.01, 300) for v in (-0.03, -0.005, 0.03))


def test_the_verdict_by_hand() -> None:
    assert [kept(gain) for gain in (WORSE, LEVEL, BETTER)] == [True, False, False], "not told apart takes the newer"


def by_listener(*values: float) -> pl.DataFrame:
    return pl.DataFrame({"listener_id": np.arange(len(values)), "ndcg@50": values})


def test_a_difference_is_paired_by_listener_and_of_a_handful_says_nothing() -> None:
    easy = np.random.default_rng(0).random(200)
    theirs, ours = {BLEND: by_listener(*(easy + 0.02)), "als": by_listener(*easy)}, {BLEND: by_listener(*easy)}
    rows, gain = compared(ours, theirs)
    found = {row["model"]: row for row in rows.iter_rows(named=True)}
    assert gain.value == pytest.approx(-0.02) and gain.high < 0 and kept(gain)
    assert found["blend"]["difference"] == gain.value and found["blend"]["listeners"] == 200
    assert found["als"]["challenger"] == 0 and found["als"]["champion"] == pytest.approx(easy.mean()), (
        "it lacks the source"
    )
    few = LEAST - 1
    rows, gain = compared({BLEND: by_listener(*easy[:few])}, {BLEND: by_listener(*(easy[:few] + 0.5))})
    assert not kept(gain) and (gain.low, gain.high, gain.n) == (-1, 1, few)


@pytest.fixture
def bare(tmp_path: Path) -> Warehouse:
    """Five fits of one recipe, on the 1st to the 5th, and nothing else."""
    warehouse = Warehouse(str(tmp_path / "bare"))
    for day in DAYS[:5]:
        commit(warehouse, "models", day, {"factors": 8})
    return warehouse


def test_without_a_trial_or_where_the_newer_fit_won_each_date_has_its_own_models(bare: Warehouse) -> None:
    past = as_of(bare.url, DAYS[8])
    assert models_date(past, DAYS[4], TRIED) == DAYS[4]
    judged(bare, DAYS[3], bare.need("models", DAYS[0]), bare.need("models", DAYS[1]), LEVEL)
    assert models_date(past, DAYS[4], TRIED) == DAYS[4]


def test_a_champion_that_was_kept_stands_for_later_fits_of_the_recipe_and_for_no_earlier_date(bare: Warehouse) -> None:
    past, first, second = as_of(bare.url, DAYS[8]), bare.need("models", DAYS[0]), bare.need("models", DAYS[1])
    judged(bare, DAYS[3], first, second, WORSE)
    assert [models_date(past, day, TRIED) for day in DAYS[:5]] == [*DAYS[:3], DAYS[0], DAYS[0]]
    assert models_date(past, DAYS[4], TrialSettings(listeners=0)) == DAYS[4], "switched off"
    commit(bare, "models", DAYS[5], {"factors": 16})
    assert models_date(past, DAYS[5], TRIED) == DAYS[5], "other settings are used at once"
    judged(bare, DAYS[6], first, bare.need("models", DAYS[2]), LEVEL)
    commit(bare, "models", DAYS[6], {"factors": 8})
    assert models_date(past, DAYS[6], TRIED) == DAYS[6], "a later night has lifted it"
    assert models_date(past, DAYS[4], TRIED) == DAYS[0], "as of the date before it had not"


def test_a_verdict_is_void_once_the_champion_is_fitted_again(bare: Warehouse) -> None:
    past = as_of(bare.url, DAYS[8])
    judged(bare, DAYS[3], bare.need("models", DAYS[0]), bare.need("models", DAYS[1]), WORSE)
    assert held_back_by(past, DAYS[4], TRIED) is not None
    commit(bare, "models", DAYS[0], {"factors": 9})
    assert held_back_by(past, DAYS[4], TRIED) is None


def test_what_a_trial_says_names_dates_figures_and_interval() -> None:
    found = {"kept": 1, "night": 20260119, "champion_fit_date": 20260112, "challenger_fit_date": 20260119}
    figures = {"challenger": 100_000, "champion": 120_000, "difference": -20_000, "low": -30_000, "high": -10_000}
    said = sentence({**found, "listeners": 1234, **{f"{k}_ppm": v for k, v in figures.items()}})
    assert said is not None and said.startswith(
        "the models fitted as of 2026-01-12 are kept: on the stored night of 2026-01-19"
    )
    assert (
        "0.1000 with the models of 2026-01-19, 0.1200 with those kept (-0.0200, 95% interval -0.0300 to -0.0100" in said
    )
    assert said.endswith("1,234 listeners)")
    assert sentence({**found, "kept": 0}) is None and sentence({}) is None


def test_a_night_that_names_no_models_is_refused_with_what_to_do(bare: Warehouse) -> None:
    named = commit(bare, "shelves", DAYS[4], inputs=inputs_of(bare.need("models", DAYS[2])))
    assert made_with(named) == DAYS[2]
    with pytest.raises(UserError, match="make that night again with `nightshelf run --date 2026-01-06`"):
        made_with(commit(bare, "shelves", DAYS[5]))


@pytest.fixture
def two_fits(world: World, tmp_path: Path) -> Warehouse:
    """The small world, in which the earlier nights count as whole ones: each has its own fit, and the oldest two have closed."""
    warehouse = World.copy(world.made, tmp_path / "w")
    for day in _days():
        found = warehouse.read("candidates", day)
        warehouse.store.delete(f"candidates/date={day}")
        put(warehouse, "candidates", day, found, shards=SETTINGS.shards)
    return warehouse


def _days() -> list[date]:
    """Of the oldest fit, the one tried against it, and the night's."""
    return [NIGHT - timedelta(2 * HORIZON), NIGHT - timedelta(HORIZON)]


def refit(warehouse: Warehouse, day: date, scratch: Path, spoiled: bool) -> Manifest:
    """The models of a date by the settings of the oldest fit; spoiled: each row of every model belongs to another track."""
    folder = scratch / f"{day}-{spoiled}"
    shutil.copytree(fetch(warehouse.url, warehouse.need("models", day), day), folder)
    if spoiled:
        ids = Vocabulary.load(folder / VOCABULARY).ids
        Vocabulary(pl.concat([ids[:1], ids[1:].sample(fraction=1, shuffle=True, seed=1)])).save(folder / VOCABULARY)
    settings = warehouse.need("models", _days()[0]).settings
    warehouse.store.delete(f"models/date={day}")
    return commit(warehouse, "models", day, settings, folder=folder)


def test_a_spoiled_fit_is_returned_from_until_a_later_closed_night_lifts_it(
    two_fits: Warehouse, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = _days()
    refit(two_fits, new, tmp_path, spoiled=True)
    refit(two_fits, NIGHT, tmp_path, spoiled=False)
    past = as_of(two_fits.url, NIGHT)
    before = plan_scoring(past, SETTINGS, Asked(), "test")
    assert before is not None and f"models@{NIGHT}" in before.runs[-1].inputs
    try_models(two_fits.url, NIGHT, settings=SETTINGS, horizon=HORIZON)
    assert "WARN models 2026-01-28: the models fitted as of 2026-01-22 are kept" in capsys.readouterr().err
    trial = two_fits.need("model_trials", NIGHT)
    rows = {row["model"]: row for row in two_fits.read("model_trials", NIGHT).iter_rows(named=True)}
    assert rows["blend"]["high"] < 0 and trial.extra["kept"] == 1 and champion_of(trial) == old
    assert (rows["blend"]["night"], rows["blend"]["challenger_fit"]) == (new, new) and {"als", "popular"} <= set(rows)
    assert rows["als"]["champion"] > rows["als"]["challenger"]
    reads = next(step.reads for step in STEPS if step.job == "try_models")
    assert {key.split("@")[0] for key in trial.inputs} <= set(reads)
    record = json.loads(two_fits.store.read(f"runs/{trial.run_id}.json"))
    assert record["counters"]["models.kept"] == 1

    made = plan_scoring(past, SETTINGS, Asked(), "test")
    assert made is not None and made.work.models.date == old
    assert made.work.sample is not None and made.work.sample.date == old
    named = {key for key in made.runs[-1].inputs if key.startswith(("models@", "model_trials@", "session_sample@"))}
    assert named == {f"models@{old}", f"session_sample@{old}", f"model_trials@{NIGHT}"}
    assert made.runs[-1].settings == before.runs[-1].settings, "only inputs tell"
    assert prompting(past, SETTINGS, "test").models.date == old
    exactly = plan_scoring(past, SETTINGS, Asked(models_of=NIGHT), "test")
    assert exactly is not None and exactly.work.models.date == NIGHT

    assert due_by(past, SETTINGS, HORIZON) is not None, "it is planned on what came before it"
    assert plan_trial(past, SETTINGS, HORIZON, "1") is None, "and it is current"
    assert due_by(as_of(two_fits.url, NIGHT + timedelta(1)), SETTINGS, HORIZON) is None, (
        "the same again says nothing new"
    )
    gone = set(removable(two_fits, RetentionSettings(previous_runs=0)))
    assert not any(path.startswith(f"models/date={old}") for path in gone), "what is kept is not deleted"

    outcomes(two_fits.url, END, settings=SETTINGS, horizons=[HORIZON])
    try_models(two_fits.url, END, settings=SETTINGS, horizon=HORIZON)
    lifted = two_fits.need("model_trials", END)
    assert champion_of(lifted) == old and lifted.extra["challenger_fit_date"] == 20260128 and not lifted.extra["kept"]
    assert models_date(as_of(two_fits.url, END), END, SETTINGS.trial) == END
    assert "WARN" not in capsys.readouterr().err


def test_a_good_fit_is_used_and_equal_trials_have_equal_bytes(two_fits: Warehouse, tmp_path: Path) -> None:
    other = World.copy(Path(two_fits.url), tmp_path / "other")
    files = []
    for warehouse in (two_fits, other):
        try_models(warehouse.url, NIGHT, settings=SETTINGS, horizon=HORIZON)
        trial = warehouse.need("model_trials", NIGHT)
        assert trial.extra["kept"] == 0 and (trial.extra["champion_fit_date"], trial.extra["night"]) == (
            20260122,
            20260125,
        )
        assert sentence(trial.extra) is None and trial.extra["listeners"] >= LEAST
        files.append([file.sha256 for file in trial.files])
    assert files[0] == files[1] and files[0]
    past = as_of(two_fits.url, NIGHT)
    assert models_date(past, NIGHT, SETTINGS.trial) == NIGHT
    planned = plan_scoring(past, SETTINGS, Asked(), "test")
    assert planned is not None and not [key for key in planned.runs[-1].inputs if key.startswith("model_trials@")]


def test_at_most_so_many_listeners_are_tried_on_and_only_their_shards_are_read(
    two_fits: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.recommender import model_trial

    few = SETTINGS.model_copy(update={"trial": TrialSettings(listeners=20)})
    planned = plan_trial(as_of(two_fits.url, NIGHT), few, HORIZON, "test")
    assert planned is not None
    heard, read = planned.work._heard(), []
    whole = plan_trial(as_of(two_fits.url, NIGHT), SETTINGS, HORIZON, "test")
    assert whole is not None and 0 < heard["listener_id"].n_unique() <= 40
    assert set(heard["listener_id"]) < set(whole.work._heard()["listener_id"])
    reading = model_trial.read_chunks
    monkeypatch.setattr(model_trial, "read_chunks", lambda spec: read.append(spec.shard) or reading(spec))
    found = planned.work.champion.candidates(heard["listener_id"].unique().sort())
    assert read == [0], "of two shards"
    assert set(found["listener_id"]) <= set(heard["listener_id"])


def test_first_nights_make_no_trial(world: World) -> None:
    """Their fits are those of nights for the first ranker, which lack what a whole night needs."""
    past = as_of(world.warehouse.url, NIGHT)
    assert [models.date for models in whole_fits(past, NIGHT)] == [NIGHT]
    assert closed_night(past, HORIZON) is None and due_by(past, SETTINGS, HORIZON) is None
    assert world.warehouse.current("model_trials", NIGHT) is None
    assert note_of(world.warehouse, world.warehouse.need("shelves", NIGHT)) is None


def test_nothing_is_tried_where_it_is_switched_off_or_the_horizon_is_another(two_fits: Warehouse) -> None:
    past, off = as_of(two_fits.url, NIGHT), SETTINGS.model_copy(update={"trial": TrialSettings(listeners=0)})
    assert due_by(past, SETTINGS, HORIZON) is not None
    assert due_by(past, off, HORIZON) is None and due_by(past, SETTINGS, HORIZON + 1) is None
    step = Step("try_models", (), (), lambda night: None)
    on, none = (stages_ahead([(Night(two_fits.url, END, END, s, HORIZON), step)]) for s in (SETTINGS, off))
    assert [stage.name for stage in on[0]] == [f"trial {END}"] and none == [[]]


def test_a_damaged_model_is_told_with_its_remedy_and_holds_no_night_back(
    two_fits: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    models = two_fits.need("models", _days()[0])
    two_fits.store.write(next(f.path for f in models.files if f.path.endswith(VOCABULARY)), b"nothing")
    with pytest.raises(UserError, match=r"is not what was committed; `nightshelf repair --date 2026-01-22`"):
        try_models(two_fits.url, NIGHT, settings=SETTINGS, horizon=HORIZON)
    try_fits(Night(two_fits.url, NIGHT, NIGHT, SETTINGS, HORIZON))
    assert two_fits.current("model_trials", NIGHT) is None
    assert "WARN models 2026-01-28: they were not tried: model file models/date=2026-01-22" in capsys.readouterr().err


def test_a_night_with_models_that_were_kept_says_so_at_its_end_and_in_its_report(world: World, tmp_path: Path) -> None:
    warehouse = World.copy(world.made, tmp_path / "w")
    fits = [warehouse.need("models", day) for day in (*_days()[:1], NIGHT)]
    judged(warehouse, NIGHT, *fits, WORSE)
    shelves, token = warehouse.current_with_token("shelves", NIGHT)
    assert shelves is not None
    trial = inputs_of(warehouse.need("model_trials", NIGHT))
    warehouse.commit(shelves.model_copy(update={"inputs": {**shelves.inputs, **trial}}), token)
    made = of_night(warehouse, NIGHT, "1 s")
    assert made["models"].startswith("the models fitted as of 2026-01-22 are kept")
    assert f"models  {made['models']}" in night_lines(made, warehouse.url)
    assert made["models"] in gather(warehouse, NIGHT).remarks


def test_settings_refuse_a_negative_number() -> None:
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        Settings.model_validate({"trial": {"listeners": -1}})
