"""What each launcher hands to Dataflow: the whole job description, made here against emulated storage and no cloud."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from subprocess import check_output
from types import SimpleNamespace
from typing import Any

import pytest
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability import stager

from dataflow_templates.launch import IMAGE, main
from dataflow_templates.templates import TEMPLATES
from tests.dataflow_templates.conftest import NIGHT, Commanded
from tests.storage_emulator import Storage

WORKER = "europe-docker.pkg.dev/music/nightshelf/worker:1"
MEMORY = "beam:resources:min_ram_bytes:v1"
GB = 10**9
STEPS = {
    "ingest": {"Pieces", "Parse", "By shard", "Clean", "Write catalog", "Commit"},
    "check": {"Nothing to do"},  # the launcher judges: it needs no rows
    "features": {"Chunks", "Fold", "By track/Partials", "By track/Sum", "Write by listener", "Write by track", "Done"},
    "exclusions": {"Nothing to do"},  # nobody of this small world takes anything out of taste
    "outcomes": {"Outcomes shards", "Outcomes", "Outcomes tables", "Done"},
    "try_models": {"Nothing to do"},  # one night is no earlier one
    "beliefs": {"Plays", "Discoveries", "By arm", "Believe", "Files", "Done"},
    "train": {"Histories", "Examples", "One fit", "Fit", "Done"},
    "train_ranker": {"Ranker", "Fit", "Done"},
    "score": {"Score shards", "Score", "Score tables", "Done"},
    "blend": {"Members", "Offer", "By group", "Choose", "By listener", "Order", "Count", "Table", "All", "Done"},
    "file_prompts": {"File", "Prompts", "Table", "Done"},
    "prompt": {"Nothing to do"},  # nobody of this small world has asked for a playlist
    "export": {"Shelves", "Changes", "Count", "Lines", "Stands", "Table", "Done", "Night", "Switch"},
    "experiments": {"Nothing to do"},  # none is declared
    "evaluate": {
        "Library shards",
        "Library",
        "Add up",
        "Night shards",
        "Night",
        "Baselines",
        "Summarise",
        "Evaluation",
        "Done",
    },
    "publish": {"Night", "Publish"},
    "forget": {"Forget/Folders", "Forget/Files", "Forget/Redact", "Forget/Swap"},
}


@dataclass(frozen=True)
class Described:
    """A job as the service gets it: the request, and the graph that it points at."""

    request: dict[str, Any]
    request_bytes: int
    graph: beam_runner_api_pb2.Pipeline
    staged: set[str]

    @property
    def steps(self) -> set[str]:
        """Names of the outermost steps."""
        transforms = self.graph.components.transforms
        return {
            transforms[t].unique_name for root in self.graph.root_transform_ids for t in transforms[root].subtransforms
        }

    def memory(self, step: str) -> int:
        """Bytes of memory that a step's hint asks for; 0 without one."""
        environments = self.graph.components.environments
        found = [t.environment_id for t in self.graph.components.transforms.values() if t.unique_name.startswith(step)]
        return max(int(environments[e].resource_hints.get(MEMORY, b"0")) for e in found if e)


@pytest.fixture(scope="module")
def bucket(commanded: Commanded, storage: Storage) -> dict[str, str]:
    """URLs of what the launchers read: the log, and warehouses from which each job has something to make."""
    urls = {
        "log": storage.upload(commanded.log, "log"),
        "ingested": storage.upload(commanded.ingested, "ingested"),
        "made": storage.upload(commanded.warehouse, "made"),
    }
    client = storage.client().bucket(storage.bucket)
    client.blob("settings.yaml").upload_from_filename(commanded.config)
    client.blob("prompts.jsonl").upload_from_string('{"text": "rock"}')
    client.blob("forget.txt").upload_from_string("listener-that-wants-out\n")
    return urls


def night_of(template: str) -> date:
    """The night a template is launched for: one whose days after it are in the log, where those are asked for."""
    return NIGHT - timedelta(7) if template == "evaluate" else NIGHT


def _gone(bucket: Any, prefix: str) -> None:
    for blob in bucket.list_blobs(prefix=prefix):
        blob.delete()


def arguments(template: str, urls: dict[str, str]) -> list[str]:
    """A template's own parameters, with work left to do."""
    made = [f"--warehouse={urls['made']}", "--config=gs://nights/settings.yaml", f"--date={night_of(template)}"]
    log = urls["log"]
    return {
        "ingest": [
            "--warehouse=gs://nights/empty",
            "--config=gs://nights/settings.yaml",
            "--format=csv",
            f"--input={log}/listens/*.csv",
            f"--mapping={log}/mapping.yaml",
            f"--tracks={log}/tracks.parquet",
            f"--end_date={NIGHT}",
        ],
        "file_prompts": [*made, "--input=gs://nights/prompts.jsonl"],
        "features": [f"--warehouse={urls['ingested']}", f"--date={NIGHT}"],
        "publish": [*made, "--to=bigquery:music.shelves"],
        "export": [*made, "--to=jsonl:gs://nights/apps"],
        "forget": [f"--warehouse={urls['made']}", "--listeners_file=gs://nights/forget.txt"],
    }.get(template, made)


def described(template: str, argv: list[str], storage: Storage) -> Described:
    """Launch a template as the service's launcher does, and read what it left."""
    place = f"gs://nights/launched/{template}"
    cloud = [
        "--runner=DataflowRunner",
        "--project=nightshelf-test",
        "--region=europe-west1",
        f"--temp_location={place}/temp",
        f"--staging_location={place}/staging",
        f"--template_location={place}/job.json",
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(IMAGE, WORKER)
        assert main([template, *argv, *cloud]) == 0
    text = storage.read(f"{place}/job.json")
    request = json.loads(text)
    names = {b.name for b in storage.client().list_blobs("nights", prefix=f"launched/{template}/staging/")}
    (graph,) = (name for name in names if name.endswith("/pipeline.pb"))
    return Described(
        request,
        len(text),
        beam_runner_api_pb2.Pipeline.FromString(storage.read(f"gs://nights/{graph}")),
        {name.rpartition("/")[2] for name in names},
    )


@pytest.fixture(scope="module")
def jobs(bucket: dict[str, str], storage: Storage) -> dict[str, Described]:
    """Every template's job."""
    # What a job would find current is taken away just before it is launched; no job after it reads that.
    taken = {
        "ingest": (),
        "check": (),
        "features": (),
        "exclusions": (),
        "blend": ("blend_shelves",),
        "file_prompts": (),
        "prompt": (),
        "publish": (),
        "export": (),
        "evaluate": ("evaluation",),
        "experiments": (),
        "score": ("candidates", "draws", "listener_embeddings", "shelves"),
        "train_ranker": ("rankers",),
        "outcomes": ("outcomes",),
        "try_models": (),
        "beliefs": ("beliefs", "discoveries"),
        "train": ("models", "session_sample", "track_embeddings"),
        "forget": (),
    }
    found = {}
    client = storage.client().bucket(storage.bucket)
    installed = cache(lambda *command: check_output(command))  # what `pip freeze` says is the same for every job
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stager, "subprocess", SimpleNamespace(check_output=lambda command: installed(*command)))
        for template, tables in taken.items():
            for table in tables:
                _gone(client, f"made/{table}/date={night_of(template)}/")
            found[template] = described(template, arguments(template, bucket), storage)
    return found


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_a_job_has_its_steps_by_name(template: str, jobs: dict[str, Described]) -> None:
    inner = {t.unique_name for t in jobs[template].graph.components.transforms.values()}
    assert jobs[template].steps | inner >= STEPS[template]


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_a_description_is_small(template: str, jobs: dict[str, Described]) -> None:
    assert jobs[template].request_bytes < 1_000_000
    assert jobs[template].graph.ByteSize() < 1_000_000


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_a_job_runs_in_the_image_and_stages_no_code(template: str, jobs: dict[str, Described]) -> None:
    job = jobs[template]
    (pool,) = job.request["environment"]["workerPools"]
    assert {image["containerImage"] for image in pool["sdkHarnessContainerImages"]} == {WORKER}
    assert job.staged <= {"pipeline.pb", "submission_environment_dependencies.txt"}


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_a_job_says_what_it_is_and_of_which_night(template: str, jobs: dict[str, Described]) -> None:
    request = jobs[template].request
    assert request["labels"]["nightshelf"] == template
    assert request["name"].startswith(f"nightshelf-{template.replace('_', '-')}")
    if template != "forget":
        assert request["labels"]["night"] == night_of(template).isoformat()


@pytest.mark.parametrize(("template", "least"), [("train", 8 * GB), ("train_ranker", 16 * GB)])
def test_a_fit_asks_for_memory_and_has_a_worker_to_itself(
    template: str, least: int, jobs: dict[str, Described]
) -> None:
    assert jobs[template].memory("Fit") >= least
    assert "no_use_multiple_sdk_containers" in jobs[template].request["environment"]["experiments"]


def test_other_jobs_use_every_core(jobs: dict[str, Described]) -> None:
    assert jobs["score"].memory("Score") == 0
    assert "use_multiple_sdk_containers" in jobs["score"].request["environment"]["experiments"]


def test_a_job_with_nothing_to_do_is_a_graph_of_one_step(jobs: dict[str, Described]) -> None:
    assert jobs["exclusions"].steps == {"Nothing to do"}


def test_a_forgotten_listener_is_named_nowhere_in_the_job(jobs: dict[str, Described]) -> None:
    job = jobs["forget"]
    assert b"listener-that-wants-out" not in job.graph.SerializeToString() + json.dumps(job.request).encode()


def test_a_settings_file_that_is_not_in_the_bucket_is_named(
    bucket: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [f"--warehouse={bucket['made']}", "--config=gs://nights/none.yaml", f"--date={NIGHT}"]
    assert main(["train", *argv]) == 2
    assert "gs://nights/none.yaml" in capsys.readouterr().err


def test_every_template_is_described(jobs: dict[str, Described]) -> None:
    assert set(jobs) == set(TEMPLATES) == set(STEPS)
    assert not list(Path.cwd().glob("gs:*")), "nothing is written beside the bucket"
