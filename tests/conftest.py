"""What tests of more than one folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.emulators import Emulator, bigquery_emulator


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """BigQuery, emulated, for as long as the tests run."""
    with bigquery_emulator(tmp_path_factory.mktemp("bigquery")) as running:
        yield running
