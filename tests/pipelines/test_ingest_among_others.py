"""An ingest that was cut short, or that others commit beside: every play stands once, and is folded or late."""

from __future__ import annotations

import os
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.features import features
from pipelines.runtime.config import Settings
from tests.pipelines.held import before, full
from tests.pipelines.test_ingest import END, START, log, plays, run, world
from tests.pipelines.test_kill import assert_readable
from transforms.common.errors import Moved, UserError
from transforms.tables import turns
from transforms.tables.as_of import as_of
from transforms.tables.warehouse import Warehouse

__all__ = ["world"]

MONDAY, TUESDAY, WEDNESDAY, THURSDAY = (date(2026, 1, 5) + timedelta(n) for n in range(4))
WEEK = [(who, f"t{n}", 24 * n + k) for n in range(4) for k, who in enumerate(("ann", "bob", "cyd"), 1)]


def fold(world: Path, day: date, to: str = "w") -> None:
    features(str(world / to), day, day, Settings(shards=2))


def library(world: Path, day: date, to: str = "w") -> int:
    """Plays that the library of a date has counted."""
    warehouse = Warehouse(str(world / to))
    return sum(warehouse.read_manifest(m, ["plays"])["plays"].sum() for m in as_of(warehouse.url, day).library(day))


def assert_each_once(world: Path, expected: list[tuple[str, str, float]], to: str = "w") -> None:
    assert Counter(plays(world, to)) == Counter(expected)
    assert_readable(Warehouse(str(world / to)))


@pytest.mark.parametrize(
    ("pattern", "n"),
    [("listens/*/_current.json", n) for n in (1, 2, 3, 4)]
    + [("tracks/*/_current.json", 1), ("listeners/*/_current.json", 1), ("rejects/*/_current.json", 1)],
)
def test_cut_in_its_commit_with_a_night_before_it_is_run_again(
    world: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, n: int
) -> None:
    """The night closes dates of which the ingest had committed some: those rows stay, the others are filed as late."""
    week = log(world / "week.csv", *WEEK)
    with monkeypatch.context() as patch:
        before(patch, world / "w", pattern, full, n)
        with pytest.raises(UserError, match="make room"):
            run(world, week)
    warehouse = Warehouse(str(world / "w"))
    there = warehouse.dates("listens")
    if there:
        fold(world, WEDNESDAY)
    done = run(world, week)
    assert (done.rows, done.listens, done.duplicates) == (12, 12, 0)
    assert_each_once(world, WEEK)
    late = {d for d in (MONDAY, TUESDAY, WEDNESDAY) if there and d not in there}
    assert sum(done.late.values()) == 3 * len(late)
    fold(world, THURSDAY)
    assert library(world, THURSDAY) == len(WEEK), "what came after the night is late, and folded the next day"
    assert run(world, week).batch is None


def test_feedback_cut_in_its_commit_stands_once(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    acts = world / "acts.csv"
    lines = [f"{who},like,t{n},{(START + timedelta(days=n)).isoformat()}" for n in range(3) for who in ("ann", "bob")]
    acts.write_text("\n".join(["listener_id,kind,target,at", *lines]) + "\n")
    week = log(world / "week.csv", *WEEK)
    with monkeypatch.context() as patch:
        before(patch, world / "w", "feedback/*/_current.json", full, 2)
        with pytest.raises(UserError, match="make room"):
            run(world, week, feedback=str(acts))
    fold(world, THURSDAY)
    run(world, week, feedback=str(acts))
    warehouse = Warehouse(str(world / "w"))
    assert sum(warehouse.need("feedback", d).rows for d in warehouse.dates("feedback")) == len(lines)
    assert_each_once(world, WEEK)


def test_two_of_different_dates_at_once_lose_nothing_of_each_other(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second reads while the first commits; the catalog and the listeners of both are in what stands in the end."""
    one = log(world / "one.csv", ("ann", "t1", 1), ("bob", "t2", 2))
    two = log(world / "two.csv", ("cyd", "t3", 30), ("ann", "t4", 31))
    run(world, one, to="whole")
    run(world, two, to="whole")
    held = before(monkeypatch, world / "w", "listens/*.parquet", lambda: run(world, one))
    done = run(world, two)
    assert held and done.listens == 2
    here, whole = (Warehouse(str(world / to)) for to in ("w", "whole"))
    for table in ("tracks", "listeners"):
        newest = [warehouse.newest(table, END) for warehouse in (here, whole)]
        assert newest[0] is not None and newest[1] is not None
        assert newest[0].version == newest[1].version
        assert here.read_manifest(newest[0]).equals(whole.read_manifest(newest[1]))
    assert_each_once(world, [("ann", "t1", 1), ("bob", "t2", 2), ("cyd", "t3", 30), ("ann", "t4", 31)])


def test_the_version_of_a_catalog_tells_on_what_it_was_built(world: Path) -> None:
    """Two warehouses: the same batch onto different catalogs. Equal versions would say that they are equal."""
    last = log(world / "last.csv", ("dan", "t9", 60))
    for to, first in (("w", ("ann", "t1", 1)), ("x", ("bob", "t2", 2))):
        run(world, log(world / to / "first.csv", first), to=to)
        run(world, last, to=to)
    for table in ("tracks", "listeners"):
        versions = {Warehouse(str(world / to)).need(table, WEDNESDAY).version for to in ("w", "x")}
        assert len(versions) == 2


def test_the_same_file_twice_at_once_is_ingested_once(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    week = log(world / "week.csv", *WEEK)
    before(monkeypatch, world / "w", "listens/*.parquet", lambda: run(world, week))
    assert run(world, week).known == ("week.csv",)
    assert_each_once(world, WEEK)


def test_into_a_date_that_is_being_folded(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fold notices at its commit that there are more listens than it has read, and begins anew."""
    run(world, log(world / "week.csv", *WEEK))
    more = log(world / "more.csv", ("dan", "t7", 25), ("dan", "t8", 26))
    held = before(monkeypatch, world / "w", "sessions/*.parquet", lambda: run(world, more))
    fold(world, TUESDAY)
    assert held and library(world, TUESDAY) == 8


def test_of_a_date_that_a_night_closes_meanwhile(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ingest notices at its commit that the date is closed, and files its plays as late."""
    run(world, log(world / "week.csv", *WEEK))
    more = log(world / "more.csv", ("dan", "t7", 25), ("dan", "t8", 26))
    held = before(monkeypatch, world / "w", "listens/*.parquet", lambda: fold(world, TUESDAY))
    done = run(world, more)
    assert held and done.late == {WEDNESDAY.isoformat(): 2}
    fold(world, THURSDAY)
    assert library(world, THURSDAY) == len(WEEK) + 2
    assert_each_once(world, [*WEEK, ("dan", "t7", 25), ("dan", "t8", 26)])


def test_one_that_is_always_overtaken_gives_up_and_says_so(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = iter(range(10))
    rename = os.replace
    inside = list[bool]()

    def rival(source: Any, target: Any, **more: Any) -> None:
        if "/listens/" in str(target) and str(target).endswith(".parquet") and not inside:
            inside.append(True)
            n = next(count)
            run(world, log(world / f"rival-{n}.csv", ("eve", f"t{n}", n)))
            inside.clear()
        rename(source, target, **more)

    monkeypatch.setattr(os, "replace", rival)
    with pytest.raises(Moved, match="was committed while batch .* nothing of the batch was committed: run the same"):
        run(world, log(world / "mine.csv", ("ann", "t1", 1)), shards=1)
    assert {who for who, _, _ in plays(world)} == {"eve"}


def test_while_a_commit_gets_no_further(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TRIES", 2)
    (world / "w").mkdir()
    week = log(world / "week.csv", *WEEK)
    with (
        turns.local_turn(world / "w", "a stopped job"),
        pytest.raises(UserError, match="a stopped job.*same command again"),
    ):
        run(world, week)
    run(world, week)
    assert_each_once(world, WEEK)


@pytest.mark.parametrize("how", ["cut", "longer", "another"])
def test_a_file_that_is_not_what_it_was_when_it_was_hashed(
    world: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A rotation copies a log and cuts it: what was parsed is of another content than the hash that would be remembered."""
    path = Path(log(world / "live.csv", *WEEK))
    whole = path.read_bytes()

    def changed() -> None:
        if how == "another":
            (world / "new.csv").write_bytes(whole.replace(b"ann", b"eve"))
            os.rename(world / "new.csv", path)
        else:
            path.write_bytes(whole[: len(whole) // 2] if how == "cut" else whole + whole[-40:])

    held = before(monkeypatch, world / "w", "listens/*.parquet", changed)
    with pytest.raises(
        UserError, match="live.csv was written to, cut or replaced while it was read; nothing was committed"
    ):
        run(world, str(path))
    assert held and not Warehouse(str(world / "w")).dates("listens")
    copy = world / "live.csv.1"
    copy.write_bytes(whole)
    assert run(world, str(copy)).listens == len(WEEK)
    assert_each_once(world, WEEK)


def test_a_file_that_was_only_touched_is_what_it_was(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(log(world / "live.csv", *WEEK))
    held = before(monkeypatch, world / "w", "listens/*.parquet", lambda: os.utime(path, (1, 1)))
    assert run(world, str(path)).listens == len(WEEK) and held


@pytest.mark.parametrize("name", [b"J\xf6rg.csv", b"a\x1b[2Jb.csv", b"two\nlines.csv"])
def test_a_file_whose_name_is_no_text(world: Path, name: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    path = os.fsdecode(os.fsencode(world) + b"/" + name)
    Path(log(world / "plain.csv", *WEEK)).rename(path)
    run(world, path)
    assert run(world, path).batch is None, "the ledger can be read"
    (known,) = Warehouse(str(world / "w")).need("rejects", END).extra["batches"].values()
    (shown,) = known["files"].values()
    assert shown.isprintable() and shown.endswith(".csv")
    said = capsys.readouterr().out
    assert f"already ingested, left out: {shown}\n" in said and "\x1b" not in said
