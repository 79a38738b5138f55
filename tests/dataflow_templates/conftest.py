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
from pipelines.ingest import ingest
from pipelines.nightly import night
from pipelines.runtime.config import Settings
from pipelines.runtime.settings_file import to_yaml
from tests.dataflow_templates.interpreter import Workflow
from tests.dataflow_templates.service import Service
from tests.emulators import PROJECT, Emulator
from tests.once import once, shared
from tests.pipelines.world import END, World, simulated
from tests.quick_beam import keep
from tests.storage_emulator import Storage, storage_emulator
from transforms.simulation.files import log_of

keep()

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
class Commanded:
    """Folders of the log, of a warehouse with the log ingested, and of one with the night made by one command."""

    log: Path
    ingested: Path
    warehouse: Path
    config: Path


@dataclass(frozen=True)
class Made:
    """Folders of a warehouse with the log ingested by the workflow, and of one with the night that it made."""

    ingested: Path
    warehouse: Path
    config: Path
    dataset: str


def launched(template: str, parameters: Mapping[str, str]) -> None:
    """What a launcher does, on this machine: strings in; the job is run to its end."""
    assert main([template, *(f"--{name}={value}" for name, value in parameters.items())]) == 0, template


def command(folder: Path) -> None:
    """The log of a small world, ingested, and its night."""
    log = simulated(folder / "log", listeners=30, tracks=200, days=24)
    ingest(str(folder / "ingested"), "csv", **log_of(log), end_date=NIGHT, settings=SETTINGS)
    night(World.copy(folder / "ingested", folder / "warehouse").url, NIGHT, SETTINGS)
    (folder / "settings.yaml").write_text(to_yaml(SETTINGS))


@pytest.fixture(scope="session")
def commanded(tmp_path_factory: pytest.TempPathFactory) -> Commanded:
    """What one command makes of the log, made once for every process that tests; to be copied, not changed."""
    folder = once(shared(tmp_path_factory) / "commanded", command)
    return Commanded(*(folder / name for name in ("log", "ingested", "warehouse", "settings.yaml")))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, emulator: Emulator, commanded: Commanded) -> Made:
    """The workflow of a first night, walked from its file, every job launched from strings on this machine."""
    folder = tmp_path_factory.mktemp("workflow")
    log, config = commanded.log, commanded.config
    warehouse, copied, dataset = folder / "warehouse", folder / "ingested", emulator.dataset()

    def run(template: str, parameters: Mapping[str, str]) -> bool:
        launched(template, parameters)
        if template == "ingest":
            shutil.copytree(warehouse, copied)
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
    return Made(copied, warehouse, config, dataset)


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    """Storage, emulated, reached with anonymous credentials by every client of this process."""
    import google.auth
    import requests
    from google.auth.credentials import AnonymousCredentials

    with (
        storage_emulator(tmp_path_factory.mktemp("storage")) as running,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in running.environment.items():
            patch.setenv(name, value)
        # There are no credentials here to find, and looking for them waits for a machine's metadata service.
        patch.setattr(google.auth, "default", lambda *_, **__: (AnonymousCredentials(), "nightshelf-test"))
        # Nor is there a proxy, for which each of thousands of requests would go through the environment anew.
        patch.setattr(requests.sessions, "get_environ_proxies", lambda *_, **__: {})
        yield running
