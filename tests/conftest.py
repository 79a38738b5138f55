"""What tests of more than one folder share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.emulators import Emulator, bigquery_emulator

# How long one example takes says something about the machine, nothing about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# What takes longest begins first, so that no process is left alone with a long file at the end. The first of them are given to
# one process each: one makes the world with every model meanwhile, and the others need none.
LONGEST = (
    "pipelines/test_odd_logs.py",
    "pipelines/test_night_threads.py",
    "dataflow_templates/test_dataflow.py",
    "pipelines/test_trouble.py",
    "pipelines/test_portable.py",
    "pipelines/test_determinism.py",
    "pipelines/test_night.py",
    "pipelines/test_kill.py",
    "dataflow_templates/test_launch.py",
    "pipelines/test_forget.py",
    "pipelines/test_signals.py",
    "transforms/reporting/test_gallery_page.py",
    "pipelines/test_plugin.py",
    "pipelines/test_live.py",
    "pipelines/test_backfill.py",
    "pipelines/test_logs.py",
    "models/generative/test_decoder.py",
    "pipelines/test_why_not.py",
    "pipelines/test_carried.py",
    "pipelines/test_ingest_among_others.py",
    "pipelines/test_attributed.py",
    "pipelines/test_ingest.py",
    "pipelines/test_ended_by_the_machine.py",
    "benchmarks/test_survival.py",
    "pipelines/test_refused_by_the_machine.py",
    "pipelines/test_compare.py",
    "pipelines/test_indexes.py",
    "pipelines/test_signals_off.py",
    "pipelines/test_now_playing.py",
    "pipelines/test_preview.py",
    "pipelines/test_next_session.py",
    "pipelines/test_gates.py",
    "pipelines/test_checkpoints.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first and leave the others in their order."""
    here = Path(__file__).parent
    places = {here / name: n for n, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(LONGEST)))


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """BigQuery, emulated, for as long as the tests run."""
    with bigquery_emulator(tmp_path_factory.mktemp("bigquery")) as running:
        yield running
