"""The night as a workflow: walked as it stands in its file, against a service that only takes notes."""

from __future__ import annotations

import ast
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.cloud.dataflow_v1beta3.types import LaunchFlexTemplateParameter

from dataflow_templates.metadata import actions
from dataflow_templates.schedule import body, main, schedule
from dataflow_templates.templates import TEMPLATES
from pipelines.nightly import NIGHT, WORKFLOW
from tests.dataflow_templates.interpreter import Raised, Workflow
from tests.dataflow_templates.service import Service
from transforms.common.errors import UserError

FOLDER = Path(__file__).parent.parent.parent / "dataflow_templates" / "night"
DECLARED = yaml.safe_load((FOLDER / "workflow.yaml").read_text())
MORNING = datetime(2026, 2, 1, 1, 30, tzinfo=UTC)
NAMES = {
    "PROJECT": "music",
    "REGION": "europe-west1",
    "BUCKET": "music-nights",
    "WAREHOUSE": "gs://music-nights/warehouse",
    "LOG": "gs://music-log/date={date}/*.parquet",
    "DATASET": "shelves",
    "SERVICE_ACCOUNT": "nights@music.iam.gserviceaccount.com",
}
SCHEDULED = schedule(NAMES)["argument"]


def walk(service: Service, argument: dict[str, Any]) -> Any:
    return Workflow(DECLARED, service.calls, MORNING, "music").run(argument)


def templates_of(service: Service) -> list[str]:
    return [launched["template"] for launched in service.launched]


def test_the_jobs_come_in_the_order_of_a_local_night() -> None:
    service = Service()
    walk(service, SCHEDULED)
    assert templates_of(service) == [step.job for step in WORKFLOW if step.job in TEMPLATES]
    assert [step.job for step in NIGHT] == [step.job for step in WORKFLOW if step.start]


def test_nights_to_learn_from_are_made_first_and_in_the_order_of_a_local_one() -> None:
    service = Service()
    walk(service, {**SCHEDULED, "bootstrap_dates": ["2026-01-10", "2026-01-17"]})
    earlier = [step.job for step in NIGHT if step.earlier]
    for past in ("2026-01-10", "2026-01-17"):
        made = [j for j in service.launched if j["parameters"].get("date") == past]
        assert [j["template"] for j in made if j["template"] != "outcomes"] == earlier
        assert made[-1]["parameters"]["candidates_only"] == "true"
    first = templates_of(service).index("train_ranker")
    assert templates_of(service)[:first].count("score") == 2, "a ranker learns from scored nights"


def test_every_launch_names_a_template_and_only_parameters_which_that_has() -> None:
    service = Service()
    everything = {**SCHEDULED, "config": "gs://b-1/settings.yaml", "bootstrap_dates": ["2026-01-24"]}
    walk(service, everything)
    assert {j["template"] for j in service.launched} == set(TEMPLATES) - {"forget", "file_prompts"}, "of a night"
    for job in service.launched:
        known = {a.dest: a for a in actions(TEMPLATES[job["template"]].options)}
        assert set(job["parameters"]) <= set(known)
        assert {n for n, a in known.items() if a.required} <= set(job["parameters"])
        for name, value in job["parameters"].items():
            known[name].type(value)  # type: ignore[operator, misc]
        assert job["parameters"]["config"] == "gs://b-1/settings.yaml"


def test_every_launch_is_a_request_that_the_service_can_parse() -> None:
    service = Service()
    walk(service, SCHEDULED)
    for job in service.launched:
        parsed = LaunchFlexTemplateParameter.from_json(json.dumps(job["request"]["launchParameter"]))
        assert parsed.container_spec_gcs_path == f"gs://music-nights/templates/{job['template']}.json"
        assert parsed.environment.service_account_email == NAMES["SERVICE_ACCOUNT"]
    machines = {
        j["template"]: j["request"]["launchParameter"]["environment"].get("machineType") for j in service.launched
    }
    assert machines["train"] == machines["train_ranker"] == "n2-highmem-8"
    assert machines["score"] is None


def test_the_night_is_yesterday_and_the_one_measured_a_week_older() -> None:
    service = Service()
    assert walk(service, SCHEDULED) == "2026-01-31"
    by_name = {j["template"]: j["parameters"] for j in service.launched}
    assert by_name["ingest"]["input"] == "gs://music-log/date=2026-01-31/*.parquet"
    assert by_name["ingest"]["end_date"] == by_name["score"]["date"] == by_name["publish"]["date"] == "2026-01-31"
    assert by_name["export"]["date"] == "2026-01-31" and by_name["export"]["to"] == "jsonl:gs://music-nights/shelves"
    assert by_name["evaluate"]["date"] == "2026-01-24"


def test_each_days_impressions_and_feedback_are_ingested_with_its_log() -> None:
    service = Service()
    also = {name: f"gs://music-{name}/date={{date}}.parquet" for name in ("impressions", "feedback")}
    walk(service, {**SCHEDULED, "ingest": {**SCHEDULED["ingest"], **also}})
    given = next(j for j in service.launched if j["template"] == "ingest")["parameters"]
    assert given["impressions"] == "gs://music-impressions/date=2026-01-31.parquet"
    assert given["feedback"] == "gs://music-feedback/date=2026-01-31.parquet" and given["end_date"] == "2026-01-31"


def test_with_earlier_models_nothing_is_fitted() -> None:
    service = Service()
    walk(service, {**SCHEDULED, "date": "2026-01-31", "fit_date": "2026-01-25"})
    assert not {"train", "train_ranker", "try_models"} & set(templates_of(service))
    assert next(j for j in service.launched if j["template"] == "score")["parameters"]["fit_date"] == "2026-01-25"


def test_without_a_log_or_a_target_nothing_is_ingested_published_or_exported() -> None:
    service = Service()
    walk(service, {k: v for k, v in SCHEDULED.items() if k not in ("ingest", "publish_to", "export_to")})
    assert not {"ingest", "publish", "export"} & set(templates_of(service))


def test_a_job_that_failed_is_started_once_more() -> None:
    service = Service(fails={"score": 1})
    walk(service, SCHEDULED)
    assert templates_of(service).count("score") == 2
    assert templates_of(service)[-2:] == ["publish", "export"]


def test_a_job_that_fails_again_ends_the_night_before_anything_is_published() -> None:
    service = Service(fails={"score": 2})
    with pytest.raises(Raised, match="nightshelf-score-2026-01-31 ended in JOB_STATE_FAILED"):
        walk(service, SCHEDULED)
    assert not {"publish", "export"} & set(templates_of(service))


def test_a_log_that_fails_its_checks_ends_the_night_before_anything_is_folded() -> None:
    service = Service(fails={"check": 1})
    with pytest.raises(Raised, match="nightshelf-check-2026-01-31 ended in JOB_STATE_FAILED"):
        walk(service, {**SCHEDULED, "bootstrap_dates": ["2026-01-24"]})
    assert templates_of(service) == ["ingest", "check"], "the same log would fail again"


def test_a_night_is_taken_as_it_is_only_if_the_workflow_is_told_so() -> None:
    for given, passed in (({}, "false"), ({"accept_gates": "true"}, "true")):
        service = Service()
        walk(service, {**SCHEDULED, **given})
        gated = {j["template"]: j["parameters"].get("accept_gates") for j in service.launched}
        assert {t for t, accepted in gated.items() if accepted is not None} == {"check", "score", "publish", "export"}
        assert {gated[t] for t in ("check", "score", "publish", "export")} == {passed}


def test_a_cancelled_job_is_not_started_again() -> None:
    service = Service(cancelled={"features"})
    with pytest.raises(Raised, match="JOB_STATE_CANCELLED"):
        walk(service, SCHEDULED)
    assert templates_of(service)[-1] == "features"


def test_a_failed_measurement_is_noted_and_holds_nothing_back() -> None:
    service = Service(fails={"evaluate": 9})
    walk(service, SCHEDULED)
    assert templates_of(service)[-2:] == ["publish", "export"]
    assert templates_of(service).count("evaluate") == 1
    assert service.noted[0]["severity"] == "ERROR"


def test_a_failed_trial_of_models_is_noted_and_holds_nothing_back() -> None:
    service = Service(fails={"try_models": 9})
    walk(service, SCHEDULED)
    assert templates_of(service)[-2:] == ["publish", "export"]
    assert templates_of(service).count("try_models") == 1 and "train" in templates_of(service)
    assert service.noted[0]["severity"] == "ERROR"


def test_a_job_is_awaited_and_two_of_one_name_never_run_at_once() -> None:
    service = Service()
    walk(service, SCHEDULED)
    assert service.most_at_once == 1
    names = [j["request"]["launchParameter"]["jobName"] for j in service.launched]
    assert len(set(names)) == len(names)
    assert all(name == name.lower() and "_" not in name for name in names)


def test_the_airflow_graph_has_the_same_jobs_in_the_same_order() -> None:
    tree = ast.parse((FOLDER / "airflow_night.py").read_text())
    compile(tree, "airflow_night.py", "exec")
    value = next(n.value for n in tree.body if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == "JOBS")
    jobs = [(e.elts[0].value, {k.value for k in e.elts[1].keys}) for e in value.elts]  # type: ignore[attr-defined]
    service = Service()
    walk(service, SCHEDULED)
    assert [name for name, _ in jobs] == templates_of(service)
    for name, parameters in jobs:
        known = {a.dest: a for a in actions(TEMPLATES[name].options)}
        assert parameters <= set(known)
        assert {n for n, a in known.items() if a.required} <= parameters | {"warehouse"}


def test_a_schedule_says_when_and_starts_the_workflow_with_its_argument(capsys: pytest.CaptureFixture[str]) -> None:
    found = schedule(NAMES)
    assert len(found["schedule"].split()) == 5
    assert found["time_zone"] == "Etc/UTC", "a night is a date in UTC"
    assert json.loads(body(found["argument"])["argument"]) == found["argument"]
    assert "${" not in json.dumps(found)


def test_a_schedule_without_one_of_its_names_says_which(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="WAREHOUSE"):
        schedule({k: v for k, v in NAMES.items() if k != "WAREHOUSE"})
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    assert main(["name"]) == 2
    assert "not in the environment" in capsys.readouterr().err
