"""What tests of more than one folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.emulators import Emulator, bigquery_emulator

# How long one example takes says something about the machine, nothing about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """BigQuery, emulated, for as long as the tests run."""
    with bigquery_emulator(tmp_path_factory.mktemp("bigquery")) as running:
        yield running
