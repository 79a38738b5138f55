"""A small world whose night the workflow makes, with launchers that run on this machine; and storage, emulated."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from dataflow_templates.launch import main
from pipelines.runtime.config import Settings
from pipelines.runtime.settings_file import to_yaml
from tests.dataflow_templates.interpreter import Workflow
from tests.dataflow_templates.service import Service
from tests.emulators import PROJECT, Emulator
from tests.pipelines.world import END, simulated
from tests.storage_emulator import Storage, storage_emulator

WORKFLOW = Path(__file__).parent.parent.parent / "dataflow_templates" / "night" / "workflow.yaml"
NIGHT = END
PAST = [END - timedelta(7)]
SETTINGS = Settings.model_validate(
    {
        "shards": 2,
        "models": {"als": {"factors": 8, "iterations": 2}, "use_two_tower": False, "use_sequence": False},
        "candidates": {"per_source": 20},
        "bootstrap": {"nights": 1, "days_apart": 7, "share": 0.3},
        "outcomes": {"horizons": [7]},
        "evaluation": {"draws": 100},
        "ranker": {"kind": "linear"},
        "gates": {"ingest": {"rejects": 0.5}},  # the log's one listener that is a machine weighs more among thirty
    }
)


@dataclass(frozen=True)
class Made:
    """Folders of the log, of a warehouse with the log ingested, and of one with the night that the workflow made."""

    log: Path
    ingested: Path
    warehouse: Path
    config: Path
    dataset: str
    service: Service


def launched(template: str, parameters: Mapping[str, str]) -> None:
    """What a launcher does, on this machine: strings in; the job is run to its end."""
    assert main([template, *(f"--{name}={value}" for name, value in parameters.items())]) == 0, template


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, emulator: Emulator) -> Made:
    """The workflow of a first night, walked from its file, every job launched from strings on this machine."""
    folder = tmp_path_factory.mktemp("workflow")
    log = simulated(folder / "log", listeners=30, tracks=200, days=24)
    config = folder / "settings.yaml"
    config.write_text(to_yaml(SETTINGS))
    warehouse, ingested, dataset = folder / "warehouse", folder / "ingested", emulator.dataset()

    def run(template: str, parameters: Mapping[str, str]) -> bool:
        launched(template, parameters)
        if template == "ingest":
            shutil.copytree(warehouse, ingested)
        return False

    service = Service(run=run)
    argument = {
        "location": "europe-west1",
        "templates": "gs://nights/templates",
        "warehouse": str(warehouse),
        "config": str(config),
        "date": NIGHT.isoformat(),
        "bootstrap_dates": [day.isoformat() for day in PAST],
        "ingest": {
            "format": "csv",
            "input": f"{log}/listens/*.csv",
            "mapping": f"{log}/mapping.yaml",
            "tracks": f"{log}/tracks.parquet",
            "listeners_file": f"{log}/listeners.parquet",
            "feedback": f"{log}/feedback.parquet",
            "blends": f"{log}/blends.parquet",
        },
        "publish_to": f"bigquery:{PROJECT}.{dataset}",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIGQUERY_EMULATOR_HOST", emulator.url)
        Workflow(yaml.safe_load(WORKFLOW.read_text()), service.calls, datetime.now(UTC), "music").run(argument)
    return Made(log, ingested, warehouse, config, dataset, service)


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    """Storage, emulated, reached with anonymous credentials by every client of this process."""
    import google.auth
    from google.auth.credentials import AnonymousCredentials

    with (
        storage_emulator(tmp_path_factory.mktemp("storage")) as running,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in running.environment.items():
            patch.setenv(name, value)
        # There are no credentials here to find, and looking for them waits for a machine's metadata service.
        patch.setattr(google.auth, "default", lambda *_, **__: (AnonymousCredentials(), "nightshelf-test"))
        yield running
