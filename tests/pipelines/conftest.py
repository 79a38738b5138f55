"""One small world and its night for every test of a whole night."""

from __future__ import annotations

import pytest

from tests.pipelines.world import World, build


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The log, its warehouse and the night, made once; to be copied, not changed."""
    return build(tmp_path_factory.mktemp("world"))
