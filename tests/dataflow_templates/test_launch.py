"""Every template launched as its launcher does it, strings in, small data, on this machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from dataflow_templates import launch
from dataflow_templates.launch import defaults, main
from dataflow_templates.templates import TEMPLATES
from pipelines.cli.report import gather
from tests.dataflow_templates.conftest import NIGHT, WORKFLOW, Commanded, Made
from tests.dataflow_templates.interpreter import Raised, Workflow
from tests.dataflow_templates.service import Service
from tests.emulators import Emulator
from tests.pipelines.world import World, hashes
from transforms.tables.warehouse import Warehouse


def test_a_night_made_by_the_workflow_is_the_night_made_by_one_command(made: Made, commanded: Commanded) -> None:
    ours, theirs = (hashes(Warehouse(str(one.warehouse))) for one in (commanded, made))
    assert f"shelves@{NIGHT}" in ours and f"rankers@{NIGHT}" in ours
    # A model's folder holds the versions of its inputs, which hold for both; what the workflow evaluated is its own.
    assert {k: v for k, v in theirs.items() if not k.startswith("evaluation@")} == ours


def test_a_night_without_its_log_ends_before_the_fold_and_yesterday_stays_current(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warehouse = World.copy(made.warehouse, tmp_path / "warehouse")
    before = {path: path.read_bytes() for path in (tmp_path / "warehouse").rglob("*") if path.is_file()}

    def run(template: str, parameters: Mapping[str, str]) -> bool:
        return main([template, *(f"--{name}={value}" for name, value in parameters.items())]) != 0

    service, tomorrow = Service(run=run), NIGHT + timedelta(1)
    argument = {
        **{"location": "europe-west1", "templates": "gs://nights/templates"},
        **{"warehouse": warehouse.url, "config": str(made.config), "date": tomorrow.isoformat()},
    }
    with pytest.raises(Raised, match=f"nightshelf-check-{tomorrow} ended in JOB_STATE_FAILED"):
        Workflow(yaml.safe_load(WORKFLOW.read_text()), service.calls, datetime.now(UTC), "music").run(argument)
    assert [j["template"] for j in service.launched] == ["check"]
    assert "freshness" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (tmp_path / "warehouse").rglob("*") if path.is_file()} == before


def test_what_the_workflow_published_is_the_night(made: Made, emulator: Emulator) -> None:
    rows = emulator.client().query(f"SELECT COUNT(*) AS n FROM `{made.dataset}.shelves`").result()
    assert next(iter(rows)).n == Warehouse(str(made.warehouse)).need("shelves", NIGHT).rows > 0


def test_the_workflow_measured_the_night_of_a_week_ago(made: Made) -> None:
    assert Warehouse(str(made.warehouse)).dates("evaluation") == [NIGHT.replace(day=NIGHT.day - 7)]


def test_a_job_whose_tables_are_current_does_nothing_and_says_so(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    World.copy(made.warehouse, tmp_path / "warehouse")
    before = sorted(p for p in (tmp_path / "warehouse").rglob("*"))
    for template in ("features", "train", "train_ranker", "score"):
        capsys.readouterr()
        assert main([template, f"--warehouse={tmp_path}/warehouse", f"--config={made.config}", f"--date={NIGHT}"]) == 0
        assert f"{template}: nothing to do" in capsys.readouterr().out
    assert sorted(p for p in (tmp_path / "warehouse").rglob("*")) == before


def test_a_job_that_nobody_waits_for_records_itself_as_one_that_is_awaited_is_recorded(
    made: Made, tmp_path: Path
) -> None:
    def records(warehouse: Warehouse) -> dict[str, dict[str, Any]]:
        found = [json.loads(warehouse.store.read(path)) for path in warehouse.store.paths("runs")]
        return {f"{r['job']} {r['table']}@{r['date']}": r for r in found}

    warehouse = World.copy(made.warehouse, tmp_path / "warehouse")
    awaited = records(warehouse)
    ours = {
        k: r for k, r in awaited.items() if r["job"] in ("train", "train_ranker", "score") and r["date"] == str(NIGHT)
    }
    tables = sorted({table for r in ours.values() for table in r["tables"]})
    for folder in ("runs", *(f"{t}/date={NIGHT}" for t in tables)):
        shutil.rmtree(tmp_path / "warehouse" / folder)
    argv = [f"--warehouse={warehouse.url}", f"--config={made.config}", f"--date={NIGHT}"]
    for template in ("train", "train_ranker", "score"):
        # a service runs the graph after its launcher has gone; this runner runs it at once, and nobody waits
        assert main([template, *argv, f"--template_location={tmp_path}/job"]) == 0
    alone = records(warehouse)
    assert set(alone) == set(ours) and {"models", "rankers", "shelves"} <= set(tables)
    for name, record in alone.items():
        assert set(record) - {"workers", "machines"} == set(awaited[name]), name
        assert record["seconds"] > 0 and record["cpu_seconds"] > 0 and record["peak_mb"] > 0
        assert record["rows_in"] > 0 and record["bytes_out"] > 0
        assert record["run_ids"] and record["workers"] >= 1
    jobs = {job.name for job in gather(warehouse, NIGHT).jobs}
    assert {"train", "train_ranker", "score"} <= jobs, "the report finds them"


def test_forget_takes_a_listener_out(made: Made, tmp_path: Path) -> None:
    warehouse = World.copy(made.warehouse, tmp_path / "warehouse")
    gone = warehouse.read("shelves", NIGHT)["listener_id"][0]
    (tmp_path / "ids").write_text(f"{gone}\n")
    assert main(["forget", f"--warehouse={tmp_path}/warehouse", f"--listeners_file={tmp_path}/ids"]) == 0
    left = Warehouse(str(tmp_path / "warehouse")).read("shelves", NIGHT)["listener_id"]
    assert gone not in left and left.len() > 0


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["nothing", "--warehouse=w"], "expected one of the templates ingest, check, features"),
        (["train", "--warehouse=w", "--date=2026-02-31"], "--date: expected a day of the calendar"),
        (["train", "--warehouse=w", "--date=2026-01-31"], "library"),
        (["train", "--warehouse=w", "--date=2026-01-31", "--config=no.yaml"], "no.yaml"),
        (["train", "--warehouse=w", "--date=2026-01-31", "--runner=DataflowRunner"], "gs://bucket/prefix"),
        (["publish", "--warehouse=w", "--date=2026-01-31", "--to=bigquery:music.shelves"], "shelves"),
    ],
)
def test_what_a_user_can_mend_is_one_sentence_and_an_exit_code(
    argv: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    printed = capsys.readouterr().err
    assert says in printed and printed.count("\n") == 1


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["train", "--warehouse=w"], "required: --date"),
        (["train", "--warehouse=w", "--date=yesterday"], "expected a date as YYYY-MM-DD, found 'yesterday'"),
        (["score", "--warehouse=w", "--date=2026-01-31", "--greedy=perhaps"], "expected true or false"),
        (["ingest", "--warehouse=s3://b/w", "--format=csv", "--input=x"], "expected gs://bucket/prefix or a folder"),
    ],
)
def test_a_wrong_string_is_refused_by_the_option_that_it_was_given_to(
    argv: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_beams_own_options_are_left_to_beam() -> None:
    argv = ["--warehouse=w", "--date=2026-01-31", "--project=music", "--region=europe-west1", "--job_name=mine"]
    options = TEMPLATES["train"].options([*argv, *defaults("train", argv)])
    from apache_beam.options.pipeline_options import GoogleCloudOptions

    cloud = options.view_as(GoogleCloudOptions)
    assert (cloud.project, cloud.region, cloud.job_name) == ("music", "europe-west1", "mine")
    assert cloud.labels == ["nightshelf=train", "night=2026-01-31"]


def test_the_launchers_image_says_which_template_and_which_image_its_workers_run(
    made: Made, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(launch.TEMPLATE, "train")
    monkeypatch.setenv(launch.IMAGE, "europe-docker.pkg.dev/music/nightshelf/worker:1")
    assert main([f"--warehouse={made.warehouse}", f"--config={made.config}", f"--date={NIGHT}"]) == 0
    assert "train: nothing to do" in capsys.readouterr().out
    given = defaults("train", [])
    assert "--sdk_container_image=europe-docker.pkg.dev/music/nightshelf/worker:1" in given
    assert "--sdk_location=container" in given


def test_the_launching_program_runs_as_a_process_of_its_own(made: Made, tmp_path: Path) -> None:
    shutil.copytree(made.ingested, tmp_path / "warehouse")
    image = Path(launch.__file__).parent / "image" / "main.py"
    argv = [f"--warehouse={tmp_path}/warehouse", f"--config={made.config}", f"--date={NIGHT}"]
    environment = {
        "NIGHTSHELF_TEMPLATE": "features",
        "PYTHONPATH": str(image.parent.parent.parent),
        "PATH": "/bin:/usr/bin",
    }
    done = subprocess.run([sys.executable, image, *argv], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Warehouse(str(tmp_path / "warehouse")).current("library", NIGHT) is not None
