"""One small world and its nights for every test of a whole night, in whatever process it runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.once import once, shared
from tests.pipelines.world import LIGHT, SETTINGS, World, begun, make
from tests.quick_beam import keep

keep()


@pytest.fixture(scope="session")
def unmade(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The log and its warehouse, without a night; to be copied, not changed."""
    folder = once(shared(tmp_path_factory) / "world", begun)
    return World(folder / "world", folder / "ingested", folder / "made")


@pytest.fixture(scope="session")
def world(unmade: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The log, its warehouse and the night with every model; to be copied, not changed."""
    return replace(
        unmade, made=once(shared(tmp_path_factory) / "night", lambda to: make(unmade.ingested, to, SETTINGS))
    )


@pytest.fixture(scope="session")
def light(unmade: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The log, its warehouse and the night of LIGHT; to be copied, not changed."""
    return replace(unmade, made=once(shared(tmp_path_factory) / "light", lambda to: make(unmade.ingested, to, LIGHT)))
