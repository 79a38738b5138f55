"""Preference tuning in the models' fit: what it reads, what it must not know, and that a refusal is said wherever one looks."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from models.settings import PreferenceSettings
from pipelines.cli.summary import night_lines
from pipelines.features import features
from pipelines.ingest import ingest
from pipelines.recommender.evidence import Evidence
from pipelines.recommender.parts.generative import GenerativePart
from pipelines.recommender.parts.sequence import listens_in_order
from pipelines.recommender.preference import closed, counts, lists_of, note_of, preferred, sentence
from pipelines.recommender.settings import ModelSettings
from pipelines.recommender.training import plan_training
from pipelines.runtime.config import Settings
from pipelines.train import STEP, train
from tests.benchmarks.cheap_log import cheap_log
from tests.pipelines.tiny import frame, put
from tests.pipelines.world import SETTINGS
from transforms.common.hashing import stable_hash
from transforms.tables.as_of import as_of
from transforms.tables.warehouse import Warehouse

END = date(2026, 1, 31)
EVE = END - timedelta(1)
LIGHT = {"use_two_tower": False, "use_sequence": False, "use_next_in_session": False, "use_adjacent_artists": False}
TUNED = Settings.model_validate(
    {
        **SETTINGS.model_dump(),
        "models": {**SETTINGS.models.model_dump(), **LIGHT, "use_preference": True, "preference": {"epochs": 1}},
        "outcomes": {"horizons": [1]},
    }
)
PLAYED = {"listened": True, "origin": "attributed", "completed": True, "skipped": False}


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """A folded log of 50 listeners, whose shelves of the eve were shown on the last day; the models are still to be fitted."""
    folder = tmp_path_factory.mktemp("preference")
    warehouse, log = Warehouse(str(folder / "w")), cheap_log(folder / "world", 50, 300, 3, 4.0, 7, END)
    ingest(warehouse.url, "parquet", **log, end_date=END, settings=TUNED, accept_gates=True)
    features(warehouse.url, END - timedelta(2), END, TUNED)
    heard = warehouse.read("listens", END)
    people, tracks = (heard[name].unique().sort() for name in ("listener_id", "track_id"))
    morning = datetime(2026, 1, 31, tzinfo=UTC)
    shelves, impressions, outcomes = [], [], []
    for n, who in enumerate(people):
        four = [tracks[(n + k) % len(tracks)] for k in range(4)]
        items = [{"position": k + 1, "track_id": t} for k, t in enumerate(four)]
        own = {"listener_id": who, "surface": "home", "shelf_id": "radio", "version": "v"}
        shelves.append({**own, "run_date": EVE, "items": items, "spares": [], "title": "Radio", "status": "personal"})
        shelves[-1] |= {"refresh_date": EVE, "valid_from": morning, "valid_until": morning + timedelta(1)}
        shelves[-1] |= {"data_cutoff": morning, "model_version": "m"}
        for k, t in enumerate(four):
            impressions.append({**own, "track_id": t, "position": k + 1, "item_or_spare": "item", "shown_at": morning})
            row = {"night": EVE, "listener_id": who, "track_id": t, "horizon": 1, "shelf_id": "radio", "rank": k + 1}
            row |= {"stage": "shown", "inclusion": 1.0, "listened": False, "heard_before": False}
            outcomes.append({**row, **(PLAYED if k == 2 else {"skipped": k == 3})})
    for table, day, rows in (("shelves", EVE, shelves), ("impressions", END, impressions), ("outcomes", END, outcomes)):
        if warehouse.current(table, day) is None:
            put(warehouse, table, day, frame(table, rows))
    return warehouse


def test_a_fit_learns_from_closed_nights_and_says_why_the_supervised_decoder_ships(
    logged: Warehouse, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_training(as_of(logged.url, END), TUNED, STEP)
    assert plan is not None and plan.models.inputs[f"outcomes@{END}"] == logged.need("outcomes", END).version
    with caplog.at_level(logging.WARNING):
        train(logged.url, END, settings=TUNED)
    models = logged.need("models", END)
    assert models.extra["preference_lists"] >= 20 and models.extra["preference_pairs"] > 0
    assert models.extra["preference_ships"] == 0, "fewer listeners are held out than an interval needs"
    why = sentence(models.extra)
    assert why is not None and "the supervised one ships" in why
    assert "margin-weighted share of pairs in the preferred order is known of" in why and "20 are needed" in why
    assert f"WARN models {END}: {why}" in caplog.text + capsys.readouterr().err
    path = next(file.path for file in models.files if file.path.endswith("/entry.json"))
    noted = json.loads(logged.store.read(path))["metrics"]
    assert noted["preference_ships"] == 0 and noted["preference_accuracy_failed"] == 1
    assert any(file.path.endswith("/generative/items.npy") for file in models.files)
    night = SimpleNamespace(inputs={f"models@{END}": models.version})
    assert note_of(logged, night) == why  # type: ignore[arg-type]
    lines = night_lines({"night": END, "listeners": 1, "took": "1 s", "shelves": {}, "decoder": why}, "./warehouse")
    assert f"decoder  {why}" in [line.strip() for line in lines]
    assert plan_training(as_of(logged.url, END), TUNED, STEP) is None, "what is current is not fitted again"


def test_nothing_of_it_is_read_where_it_is_off(logged: Warehouse) -> None:
    off = TUNED.model_copy(update={"models": TUNED.models.model_copy(update={"use_preference": False})})
    plan = plan_training(as_of(logged.url, END), off, STEP)
    assert plan is not None and not any(key.startswith("outcomes@") for key in plan.models.inputs)
    assert plan.sampling.preferences is None and "rewards" not in plan.models.settings
    assert all("outcomes" not in spec.parts or not spec.parts["outcomes"] for spec in plan.specs)


def test_only_nights_whose_shelves_were_shown_count(logged: Warehouse) -> None:
    own = PreferenceSettings()
    assert [m.date for m in closed(as_of(logged.url, END), own)] == [END]
    assert closed(as_of(logged.url, EVE), own) == [], "nothing of it is known a day before"
    assert closed(as_of(logged.url, END), PreferenceSettings(horizon=2)) == [], "that night has no shelves"


def by_hand() -> Evidence:
    """Two listeners; ann was shown tracks on two nights, and heard something after the first."""
    ann, bob = stable_hash(["ann", "bob"]).tolist()
    plays = [(ann, 1, f"t{n}", datetime(2026, 1, n, 12, tzinfo=UTC)) for n in range(1, 7)]
    plays += [(bob, 1, "t1", datetime(2026, 1, 1, tzinfo=UTC)), (bob, 1, "t2", datetime(2026, 1, 1, 1, tzinfo=UTC))]
    told = [(ann, date(2026, 1, 3), t, False, reward, reward > 0, True) for t, reward in (("t8", 1.0), ("t9", 0.0))]
    told += [(ann, date(2026, 1, 5), t, False, 0.0, False, True) for t in ("t8", "unheard-of")]
    told += [(ann, date(2026, 1, 5), t, True, 1.0, True, True) for t in ("t1", "t2", "t3")]
    told += [(stable_hash(["eve"])[0], date(2026, 1, 5), t, False, 0.0, False, True) for t in ("t1", "t2")]
    names = ["listener", "session", "track_id", "started_at"]
    listened = pl.DataFrame(plays, schema=names, orient="row").with_columns(pl.col("listener").cast(pl.UInt64))
    said = pl.DataFrame(
        told,
        schema={
            **{"listener": pl.UInt64, "night": pl.Date, "track_id": pl.String, "heard_before": pl.Boolean},
            **{"reward": pl.Float32, "played": pl.Boolean, "looked_at": pl.Boolean},
        },
        orient="row",
    )
    library = listened.select("listener", "track_id", value=pl.lit(1))
    tracks = pl.DataFrame({"track_id": [f"t{n}" for n in range(1, 10)]})
    nothing = pl.DataFrame()
    return Evidence(library, listened.sort("listener"), tracks, nothing, nothing, nothing, shown=said)


def test_a_list_knows_its_listener_as_of_its_night_and_nothing_later() -> None:
    evidence = by_hand()
    listens = listens_in_order(evidence)
    assert listens is not None
    shown, ids = lists_of(evidence, listens, 4), evidence.ids
    assert shown is not None and len(shown) == 2, (
        "nobody's list of one known track, nor a list of somebody without listens"
    )
    history = [[ids[row] for row in rows if row] for rows in shown.items.tolist()]
    assert history == [["t1", "t2", "t3"], ["t2", "t3", "t4", "t5"]]
    assert {ids[i] for i in shown.item[: shown.starts[1]]} == {"t8", "t9"}
    assert dict(zip([ids[i] for i in shown.item], shown.reward.tolist(), strict=True))["t8"] == 1.0
    assert lists_of(replace(evidence, shown=None), listens, 4) is None
    untimed = replace(evidence, plays=evidence.plays.drop("started_at"))
    assert lists_of(untimed, listens, 4) is None


def test_every_track_of_a_pair_was_shown_to_its_listener() -> None:
    evidence = by_hand()
    listens = listens_in_order(evidence)
    assert listens is not None and evidence.shown is not None
    shown = lists_of(evidence, listens, 4)
    assert shown is not None
    told = set(evidence.shown.select("listener", "track_id").iter_rows())
    owner = shown.owner[shown.list_of].tolist()
    assert all((who, evidence.ids[item]) in told for who, item in zip(owner, shown.item.tolist(), strict=True))


def test_without_anything_shown_the_reference_ships_and_that_is_said() -> None:
    class Reference:
        settings = SETTINGS.models.decoder

    evidence = replace(by_hand(), shown=by_hand().shown.clear())  # type: ignore[union-attr]
    listens = listens_in_order(evidence)
    assert listens is not None
    model, said = preferred(Reference(), evidence, listens, np.zeros((10, 2)), PreferenceSettings(), 1)  # type: ignore[arg-type]
    assert isinstance(model, Reference)
    assert "no night whose outcomes have closed" in str(sentence(counts(said)))
    assert "in none of 3 lists" in str(sentence({**counts(said), "preference_lists": 3}))
    assert sentence({**counts(said), "preference_ships": 1}) is None
    figures = {
        "reference": 0.6,
        "tuned": 0.5,
        "difference": -0.1,
        "low": -0.2,
        "high": -0.05,
        "listeners": 40,
        "failed": 1,
    }
    worse = {**said, "preference_lists": 3, "preference_pairs": 9} | {
        f"preference_ndcg_{k}": v for k, v in figures.items()
    }
    assert "NDCG of next listens 0.5000 against 0.6000 (-0.1000, 95% interval -0.2000 to -0.0500, 40 listeners)" in str(
        sentence(counts(worse))
    )


def test_tuning_needs_a_decoder() -> None:
    with pytest.raises(ValidationError, match="needs use_generative"):
        ModelSettings(use_preference=True)


def test_what_passes_the_gate_is_what_is_saved(tmp_path: Path) -> None:
    """Everybody finishes the track that the decoder scores lower of two; the gate is asked for little else here."""
    rng = np.random.default_rng(0)
    people = stable_hash([f"listener-{n}" for n in range(60)])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    plays = pl.DataFrame(
        [
            (who, 1, f"t{(n + k) % 20}", start + timedelta(minutes=4 * k))
            for n, who in enumerate(people.tolist())
            for k in range(20)
        ],
        schema={
            "listener": pl.UInt64,
            "session": pl.Int64,
            "track_id": pl.String,
            "started_at": pl.Datetime("us", "UTC"),
        },
        orient="row",
    ).sort("listener", maintain_order=True)
    library = plays.group_by("listener", "track_id").agg(value=pl.len()).sort("listener", "track_id")
    tracks = pl.DataFrame({"track_id": [f"t{n}" for n in range(20)], "tags": [[f"g{n % 3}"] for n in range(20)]})
    nothing = pl.DataFrame()
    evidence = Evidence(library, plays, tracks, nothing, nothing, nothing)
    gate = {"epochs": 6, "learning_rate": 0.02, "least": 5, "tolerance": 5.0, "held": 0.5, "next": 3, "best": 10}
    settings = SETTINGS.models.model_copy(update={"use_preference": True, "preference": PreferenceSettings(**gate)})
    company = type("Als", (), {"item_factors": rng.standard_normal((len(evidence.vocabulary), 8)).astype(np.float32)})
    plain = GenerativePart(settings.model_copy(update={"use_preference": False})).fit(evidence, {"als": company}, 1)
    assert plain is not None
    order = np.argsort(-plain.items[1:, -1]) + 1
    told = [
        (who, date(2026, 1, 2), evidence.ids[row], False, reward, reward > 0, True)
        for who in people.tolist()
        for row, reward in ((int(order[0]), 0.0), (int(order[-1]), 1.0))
    ]
    schema = {"listener": pl.UInt64, "night": pl.Date, "track_id": pl.String, "heard_before": pl.Boolean}
    schema |= {"reward": pl.Float32, "played": pl.Boolean, "looked_at": pl.Boolean}
    asked = replace(evidence, shown=pl.DataFrame(told, schema=schema, orient="row"))
    part = GenerativePart(settings)
    made = part.fit(asked, {"als": company}, 1)
    assert made is not None and part.metrics(made)["preference_ships"] == 1, part.metrics(made)
    assert not np.array_equal(made.items, plain.items) and sentence(counts(part.metrics(made))) is None
    part.save(made, tmp_path)
    loaded = part.load(tmp_path)
    assert loaded is not None and np.array_equal(loaded.items, made.items)
    strict = settings.model_copy(update={"preference": PreferenceSettings(**{**gate, "least": 1000})})
    refused = GenerativePart(strict).fit(asked, {"als": company}, 1)
    assert refused is not None and np.array_equal(refused.items, plain.items), "the reference, bit for bit"
