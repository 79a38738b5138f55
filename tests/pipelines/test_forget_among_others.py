"""`forget` where a walk over folders would not look, and beside other jobs: nobody stays because something else was there too."""

from __future__ import annotations

import errno
import os
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.forget import forget
from tests.pipelines.byte_search import found
from tests.pipelines.held import before
from tests.pipelines.test_forget import TODAY, rows_of, tiny
from tests.pipelines.tiny import LISTENERS, listens_of, put
from tests.pipelines.tiny import NIGHT as TINY_NIGHT
from transforms.common.errors import LostRace, UserError
from transforms.tables.runs import Written, finish, plan
from transforms.tables.warehouse import Warehouse
from transforms.tables.writing import write_frame

__all__ = ["tiny"]

ANN, BOB = LISTENERS[4], LISTENERS[8]


@pytest.mark.parametrize("what", ["a date", "a table", "a run"])
def test_behind_a_link(tiny: Warehouse, tmp_path: Path, what: str) -> None:
    """Somebody moved a folder to a larger disk and left a link."""
    folder = Path(tiny.url) / "listens"
    if what != "a table":
        folder = folder / f"date={TINY_NIGHT}"
    if what == "a run":
        folder = next(p for p in folder.iterdir() if p.is_dir())
    elsewhere = tmp_path / "larger disk"
    shutil.move(folder, elsewhere)
    folder.symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(tiny.url)  # a link to a folder above is no endless way
    expected = rows_of(tiny, without=(ANN,))
    done = forget(tiny.url, [ANN], today=TODAY)
    assert done.rows and found(Path(tiny.url), [ANN]) == []
    (elsewhere / "back").unlink()
    assert found(elsewhere, [ANN]) == [] and rows_of(tiny) == expected
    assert folder.is_symlink(), "the link is somebody's, and stays"


def test_a_folder_that_may_not_be_listed_is_no_empty_one(tiny: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    look = os.scandir
    closed = next(p for p in (Path(tiny.url) / f"listens/date={TINY_NIGHT}").iterdir() if p.is_dir())

    def denied(path: Any = ".") -> Any:
        if Path(path) == closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return look(path)

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(
        UserError, match=rf"listens/date={TINY_NIGHT}/run=.* cannot be looked into \(Permission denied\)"
    ):
        forget(tiny.url, [ANN], today=TODAY)
    monkeypatch.undo()
    forget(tiny.url, [ANN], today=TODAY)
    assert found(Path(tiny.url), [ANN]) == []


@pytest.mark.parametrize(
    "pattern", ["shelves/*.parquet", "listens/*.parquet", "listens/*/_manifest.json", "library/*/_manifest.json"]
)
def test_two_at_once_forget_both(tiny: Warehouse, monkeypatch: pytest.MonkeyPatch, pattern: str) -> None:
    """The second is held at its first rewrite, or in its swap, while the first goes all the way."""
    expected = rows_of(tiny, without=(ANN, BOB))
    if "_manifest" in pattern:  # within the swap, the other one waits for its turn, and gives up
        monkeypatch.setattr("transforms.tables.turns.TRIES", 2)
        refused = list[LostRace]()

        def other() -> None:
            try:
                forget(tiny.url, [ANN], today=TODAY)
            except LostRace as error:
                refused.append(error)

        held = before(monkeypatch, Path(tiny.url), pattern, other)
        forget(tiny.url, [BOB], today=TODAY)
        assert held and "another job (forget, process" in str(refused[0])
        forget(tiny.url, [ANN], today=TODAY)
    else:
        held = before(monkeypatch, Path(tiny.url), pattern, lambda: forget(tiny.url, [ANN], today=TODAY))
        forget(tiny.url, [BOB], today=TODAY)
        assert held
    assert found(Path(tiny.url), [ANN, BOB]) == []
    assert rows_of(tiny) == expected


def test_beside_a_job_that_has_read_them_already(tiny: Warehouse) -> None:
    """What it wrote is thrown away when it comes to its commit, and it is told to begin again."""
    day = TINY_NIGHT + timedelta(8)
    run = plan(tiny, "listens", day, shards=1, inputs={}, settings={}, step_version="test")
    assert run is not None
    forget(tiny.url, [ANN], today=TODAY)
    entry = write_frame(run, 0, listens_of(day))  # written after `forget` looked
    with pytest.raises(LostRace, match="a listener was forgotten while run .* was at work.*same command again"):
        finish(run, [Written("listens", day.isoformat(), entry)])
    assert found(Path(tiny.url), [ANN]) == []
    put(tiny, "listens", day, listens_of(day).filter(listens_of(day)["listener_id"] != ANN), shards=1)
    assert found(Path(tiny.url), [ANN]) == []
