"""A sick night is held back: what was current stays current, the exit code says so, and the files stay to be looked at."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from pipelines.backfill import backfill
from pipelines.cli.main import cli
from pipelines.cli.report import report
from pipelines.nightly import night
from pipelines.publish import publish
from pipelines.recommender.scoring import Scorer
from pipelines.runtime import check
from tests.pipelines.test_ingest import MAPPING, log, run
from tests.pipelines.world import LIGHT, NIGHT, World, manifests
from transforms.common.errors import GateFailed
from transforms.gates import measure
from transforms.gates.check import failed
from transforms.gates.history import MEASURED
from transforms.gates.settings import GateSettings
from transforms.tables.chunks import split
from transforms.tables.runs import Written, finish, plan, with_extra
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse
from transforms.tables.writing import write_frame

NEXT = NIGHT + timedelta(1)
STRICT = LIGHT.model_copy(update={"gates": GateSettings(min_rows=100)})
MADE = ("candidates", "draws", "listener_embeddings", "removed", "carried", "shelves")


def relisten(warehouse: Warehouse, rows: pl.DataFrame) -> None:
    """Put other listens in the place of the next date's."""
    planned = plan(warehouse, "listens", NEXT, shards=2, inputs={}, settings={}, step_version="sick")
    assert planned is not None
    counted = with_extra(planned, **{MEASURED: measure.listens(rows)})
    parts = split(rows, 2)
    finish(counted, [Written("listens", NEXT.isoformat(), write_frame(counted, s, part)) for s, part in parts])


def tonight(warehouse: Warehouse, **more: object) -> None:
    """The next night with the models of the one before, which takes seconds."""
    night(warehouse.url, NEXT, STRICT, fit_date=NIGHT, **more)  # type: ignore[arg-type]


@pytest.fixture
def warehouse(light: World, tmp_path: Path) -> Warehouse:
    return World.copy(light.made, tmp_path / "w")


def test_a_night_without_half_of_its_listens_is_not_begun_until_somebody_accepts_it(warehouse: Warehouse) -> None:
    relisten(warehouse, warehouse.read("listens", NEXT).gather_every(3))
    before = manifests(warehouse)
    with pytest.raises(GateFailed, match="volume: 0.3") as held:
        tonight(warehouse)
    assert held.value.exit_code == 3
    assert "nothing was begun" in str(held.value) and f"run --date {NEXT} --accept-gates" in str(held.value)
    assert manifests(warehouse) == before, "a date that was folded would be closed to the listens that are missing"
    assert "FAIL volume" in checked(warehouse)

    tonight(warehouse, accept_gates=True)
    assert warehouse.need("shelves", NEXT).extra["accepted"] == ["volume"]
    page = Path(report(warehouse.url, NEXT)).read_text()
    assert "somebody accepted: volume" in page
    made = warehouse.need("shelves", NEXT)
    tonight(warehouse)
    assert warehouse.need("shelves", NEXT) == made, "what was accepted is not asked again"


def checked(warehouse: Warehouse) -> str:
    """What `nightshelf check` says of a night that fails."""
    path = Path(warehouse.url).parent / "strict.yaml"
    path.write_text("gates:\n  min_rows: 100\n")
    said = CliRunner().invoke(cli, ["check", "--date", str(NEXT), "--warehouse", warehouse.url, "--config", str(path)])
    assert isinstance(said.exception, GateFailed)
    return said.output


def test_a_column_that_lost_its_values_is_found(warehouse: Warehouse) -> None:
    days = [NIGHT - timedelta(n) for n in range(7)]
    assert all(MEASURED in warehouse.need("listens", d).extra for d in days), "ingest counts nulls of every date"
    relisten(warehouse, warehouse.read("listens", NEXT).with_columns(ms_played=pl.lit(None, dtype=pl.Int32)))
    with pytest.raises(GateFailed, match="more nulls in ms_played than usual"):
        tonight(warehouse)


def test_scores_that_are_no_numbers_are_found(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    rank = Scorer.rank

    def sick(self: Scorer, candidates: pl.DataFrame) -> pl.DataFrame:
        lost = pl.when(pl.col("row") == 0).then(float("nan")).otherwise("ranker_score")
        return rank(self, candidates).with_columns(ranker_score=lost)

    monkeypatch.setattr(Scorer, "rank", sick)
    before = {k: m for k, m in manifests(warehouse).items() if m.table in MADE}
    with pytest.raises(GateFailed, match=r"scores are not finite.*e\.g\. track .*nothing was committed"):
        tonight(warehouse)
    assert {k: m for k, m in manifests(warehouse).items() if m.table in MADE} == before
    kept = check.held_back(warehouse, NEXT)
    assert kept is not None and warehouse.read_manifest(kept).height == kept.rows > 0
    said = checked(warehouse)
    assert "held back, not current" in said and "FAIL finite scores" in said


def test_a_missing_date_of_listens_is_found(warehouse: Warehouse) -> None:
    warehouse.store.delete(f"listens/date={NEXT}")
    with pytest.raises(GateFailed, match=rf"freshness: 1 days between the newest listens \({NIGHT}\) and the night"):
        tonight(warehouse)
    tonight(warehouse, accept_gates=True)
    assert warehouse.need("shelves", NEXT).extra["accepted"] == ["volume", "freshness"]


def test_a_night_long_after_the_log_ended_is_refused_before_anything_is_folded(warehouse: Warehouse) -> None:
    later = warehouse.dates("listens")[-1] + timedelta(1400)
    before = manifests(warehouse)
    with pytest.raises(GateFailed, match=r"freshness: 1,400 days between the newest listens .* nothing was begun"):
        night(warehouse.url, later, STRICT)
    with pytest.raises(GateFailed, match="freshness"):
        backfill(warehouse.url, later, later + timedelta(1), STRICT)
    fold = ["features", "--from", str(NEXT), "--to", str(later), "--warehouse", warehouse.url]
    refused = CliRunner().invoke(cli, fold).exception
    assert isinstance(refused, GateFailed) and f"features --from {NEXT} --to {later} --accept-gates" in str(refused)
    with pytest.raises(GateFailed, match="freshness: 1,400 days"):
        check.require_listens(warehouse, later, STRICT.gates)  # what the workflow asks before it folds
    checked = CliRunner().invoke(cli, ["check", "--date", str(later), "--warehouse", warehouse.url])
    assert "FAIL freshness: 1,400 days" in checked.output and isinstance(checked.exception, GateFailed)
    assert manifests(warehouse) == before


def test_a_log_that_fails_proposes_the_newest_date_that_would_pass(warehouse: Warehouse) -> None:
    newest = warehouse.dates("listens")[-1]
    later = newest + timedelta(1400)
    with pytest.raises(GateFailed, match=f"take {newest}, the newest date that would pass, or take the date as it is"):
        check.require_listens(warehouse, later, STRICT.gates)
    assert check.newest_passing(warehouse, later, STRICT.gates) == newest
    assert not failed(check.of_listens(warehouse, newest, STRICT.gates))
    asked = ["check", "--date", str(later), "--warehouse", warehouse.url]
    assert f"the newest date that would pass: {newest}" in CliRunner().invoke(cli, asked).output
    told = CliRunner().invoke(cli, [*asked, "--json"])
    found = json.loads(told.output)
    assert found["newest_date_that_would_pass"] == str(newest) and isinstance(told.exception, GateFailed)
    assert {c["name"]: c["state"] for c in found["checks"]}["freshness"] == "FAIL"


def test_a_nights_checks_are_told_as_json(warehouse: Warehouse) -> None:
    told = CliRunner().invoke(cli, ["check", "--date", str(NIGHT), "--warehouse", warehouse.url, "--json"])
    found = json.loads(told.output)
    assert found["current"] is True and found["night"] == str(NIGHT) and found["newest_date_that_would_pass"] is None
    assert {c["state"] for c in found["checks"]} <= {"PASS", "SKIP"} and len(found["checks"]) == 19
    assert found["removed"], "what rules kept off"


def test_a_date_before_any_listens_is_told_in_words(warehouse: Warehouse) -> None:
    checked = CliRunner().invoke(cli, ["check", "--date", "2020-01-01", "--warehouse", warehouse.url])
    assert (
        "FAIL freshness: no listens up to 2020-01-01, expected some" in checked.output and "nan" not in checked.output
    )
    assert "nan" not in str(checked.exception)


def test_gates_that_are_not_enforced_are_recorded(warehouse: Warehouse) -> None:
    warehouse.store.delete(f"listens/date={NEXT}")
    gates = GateSettings(min_rows=100, enforce=False)
    night(warehouse.url, NEXT, LIGHT.model_copy(update={"gates": gates}), fit_date=NIGHT)
    assert warehouse.need("shelves", NEXT).extra["accepted"] == ["volume", "freshness"]


def test_a_night_that_fails_is_not_published(warehouse: Warehouse) -> None:
    stricter = GateSettings(min_rows=100, night={"empty": 0.0})  # type: ignore[arg-type]
    with pytest.raises(GateFailed, match="no view was replaced") as held:
        publish(warehouse.url, NIGHT, "bigquery:project.dataset", gates=stricter)
    assert "empty shelves" in str(held.value)
    check.require(warehouse, [warehouse.need("shelves", NIGHT)], stricter, accept=True)


def test_a_file_of_another_schema_is_not_published(warehouse: Warehouse) -> None:
    manifest = warehouse.need("sessions", NIGHT)
    other = warehouse.open_parquet(manifest.files[0].path).read().drop_columns(["plays"])
    pq.write_table(other, Path(warehouse.url) / manifest.files[0].path)
    with pytest.raises(GateFailed, match=r"schema: 1 files of another schema.*'plays'\] are missing"):
        check.require(warehouse, [manifest], GateSettings())


def test_a_night_of_before_a_column_was_declared_passes(warehouse: Warehouse) -> None:
    """Columns are only ever added, and those that were may be null: nights that stand are still read, checked and published."""
    manifest = warehouse.need("library", NIGHT)
    path = Path(warehouse.url) / manifest.files[0].path
    whole = path.read_bytes()
    nullable = next(c.name for c in TABLES["library"].columns if c.nullable)
    pq.write_table(warehouse.open_parquet(manifest.files[0].path).read().drop_columns([nullable]), path)
    try:
        check.require(warehouse, [manifest], GateSettings())
    finally:
        path.write_bytes(whole)


def test_a_sick_batch_is_not_ingested_until_somebody_accepts_it(tmp_path: Path) -> None:
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    strict = LIGHT.model_copy(update={"gates": GateSettings(min_rows=5)})
    sick = log(tmp_path / "a.csv", *[("ann", f"t{n}", n) for n in range(6)], broken=4)
    with pytest.raises(GateFailed, match="rejects: 40.0% of 10 lines were refused") as held:
        run(tmp_path, sick, settings=strict)
    assert "nothing was committed" in str(held.value) and "ingest --accept-gates" in str(held.value)
    warehouse = Warehouse(str(tmp_path / "w"))
    assert not any(warehouse.dates(table) for table in TABLES)
    done = run(tmp_path, sick, settings=strict, accept_gates=True)
    assert done.listens == 6
    account = next(iter(warehouse.need("rejects", warehouse.dates("rejects")[0]).extra["batches"].values()))
    assert account["accepted"] == ["rejects"]
