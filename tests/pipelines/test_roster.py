"""A night's listeners are counted as of the night: its library, and who had joined."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.pipelines.tiny import LISTENERS, NIGHT, build, frame, put
from transforms.common.errors import UserError
from transforms.tables.as_of import as_of
from transforms.tables.roster import roster_size
from transforms.tables.specs import FEW
from transforms.tables.warehouse import Warehouse

OPEN = Warehouse.open_parquet


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Twelve listeners have played; of those listed, one of them, one silent since long ago, and five join later."""
    made = build(tmp_path_factory.mktemp("roster"))
    people = [{"listener_id": LISTENERS[0]}, {"listener_id": "silent", "joined_on": NIGHT}]
    people += [{"listener_id": f"later-{n}", "joined_on": NIGHT + timedelta(1)} for n in range(5)]
    put(made, "listeners", NIGHT, frame("listeners", people), shards=2)  # as the library, in other shards
    return made


def test_who_joins_later_does_not_count(warehouse: Warehouse) -> None:
    library, listeners = as_of(warehouse.url, NIGHT).library(), warehouse.need("listeners", NIGHT)
    assert roster_size(warehouse, library, listeners, NIGHT, enough=5) == len(LISTENERS) + 1
    assert roster_size(warehouse, library, listeners, NIGHT + timedelta(1), enough=5) == len(LISTENERS) + 6
    assert roster_size(warehouse, library, None, NIGHT, enough=5) == len(LISTENERS)


def test_tables_that_cannot_hold_enough_are_not_read(warehouse: Warehouse) -> None:
    library = as_of(warehouse.url, NIGHT).library()
    rows = sum(m.rows for m in library)
    gone = [m.model_copy(update={"run_id": "gone"}) for m in library]
    assert roster_size(warehouse, gone, None, NIGHT, enough=rows) == rows
    with pytest.raises(UserError, match="library of .* was replaced"):
        roster_size(warehouse, gone, None, NIGHT, enough=rows - 1)
    assert roster_size(warehouse, [], None, NIGHT, enough=0) == 0


def test_of_many_shards_a_few_tell_how_many_all_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, people = Warehouse(str(tmp_path)), [{"listener_id": f"n{n}"} for n in range(4000)]
    put(made, "listeners", NIGHT, frame("listeners", people), shards=64)
    opened: list[str] = []
    monkeypatch.setattr(Warehouse, "open_parquet", lambda self, path: opened.append(path) or OPEN(self, path))
    counted = roster_size(made, [], made.need("listeners", NIGHT), NIGHT, enough=100)
    assert counted == pytest.approx(4000, rel=0.1)  # 1,000 of 4,000 by hash: a standard deviation of 3%
    assert len(opened) == FEW
