"""What `forget` says of ids that no table held: how many, and never which."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from pipelines.forget import forget
from tests.pipelines.tiny import LISTENERS, build
from transforms.tables.warehouse import Warehouse

TODAY = date(2026, 2, 1)


@pytest.fixture
def tiny(tmp_path: Path) -> Warehouse:
    return build(tmp_path)


def test_an_id_that_never_was_is_counted_and_not_named(tiny: Warehouse) -> None:
    done = forget(tiny.url, ["nobody-at-all"], today=TODAY)
    assert (done.rows, done.nowhere) == (0, 1)
    assert "1 id was found in no table; check it" in str(done) and "nobody-at-all" not in str(done)
    done = forget(tiny.url, [LISTENERS[0], "mistyped-1", "mistyped-2"], today=TODAY)
    assert done.rows and done.nowhere == 2 and "2 ids were found in no table; check them" in str(done)


def test_who_was_there_or_was_forgotten_before_is_no_mistake(tiny: Warehouse) -> None:
    for _ in range(2):
        done = forget(tiny.url, [LISTENERS[0]], today=TODAY)
        assert done.nowhere == 0 and "no table" not in str(done)
    assert forget(tiny.url, today=TODAY).nowhere == 0, "nobody named: the list is gone over"
