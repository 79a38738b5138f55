"""What an ingest tells: wrong options, a wrong unit of time, late listens, a file of two roles, a file without lines."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipelines.ingest import ingest
from tests.pipelines.test_ingest import END, close, log, run, world  # noqa: F401  (a fixture)
from transforms.common.errors import UserError
from transforms.ingest import commit as ingest_commit
from transforms.ingest.batch import account
from transforms.ingest.result import Ingested
from transforms.tables.warehouse import Warehouse

ROW = ("ann", "t1", 1)


@pytest.mark.parametrize(
    ("says", "at"),
    [("unix_s", "1767607200000"), ("iso", "1767607200000"), ("unix_ms", "1767607200"), ("unix_us", "1767607200000")],
)
def test_a_wrong_unit_of_time_is_named_with_the_others(world: Path, says: str, at: str) -> None:  # noqa: F811
    (world / "ms.csv").write_text("u,t,at\n" + f"ann,t1,{at}\n" * 3)
    (world / "m.yaml").write_text(f"columns: {{listener_id: u, track_id: t, started_at: at}}\ntime: {says}\n")
    said = f"the mapping says time: {says}; try iso, unix_s, unix_ms or unix_us"
    with pytest.raises(UserError, match=f"none of the first 3 lines can be taken .*; {said}"):
        run(world, str(world / "ms.csv"), mapping=str(world / "m.yaml"))


def test_other_refusals_say_nothing_of_time(world: Path) -> None:  # noqa: F811
    with pytest.raises(UserError, match=r"broken_line\)\.$"):
        run(world, log(world / "a.csv", broken=3))


def test_what_could_not_be_read_and_kinds_that_nobody_knows_are_told(
    world: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    (world / "f.csv").write_text(
        "listener_id,kind,target,at\nann,ban_artist,low,2026-01-05\nann, Block_Artist ,low,2026-01-05\n"
    )
    (world / "t.csv").write_text("track_id,released_on\nt1,2020\nt2,05/01/2025\n")
    (world / "p.csv").write_text("listener_id,time_zone,explicit_ok\nann,localtime,perhaps\n")
    files = {"feedback": "f.csv", "tracks": "t.csv", "listeners_file": "p.csv"}
    found = run(world, log(world / "a.csv", ROW), **{option: str(world / name) for option, name in files.items()})
    told = "\n".join((str(found), *capsys.readouterr()))
    assert "unknown_kind 1" in told and "known kinds of feedback: save, like, dislike, block_track" in told
    assert "tracks: cells that could not be read count as unknown (released_on 1)" in told
    assert "listeners: cells that could not be read count as unknown" in told and "time_zone 1" in told
    assert "explicit_ok 1" in told
    warehouse = Warehouse(str(world / "w"))
    (acts,) = (warehouse.read("feedback", day) for day in warehouse.dates("feedback"))
    assert acts.select("kind", "target").rows() == [("block_artist", "low")]


def test_a_file_of_two_roles_is_read_in_both_and_known_in_both(world: Path) -> None:  # noqa: F811
    both = world / "oneplay.csv"
    both.write_text("listener_id,track_id,started_at,title\nann,t1,2026-01-05T10:00:00Z,Roads\n")

    def again(**roles: str) -> Ingested:
        return ingest(str(world / "w"), "csv", [str(both)], end_date=END, **roles)  # type: ignore[arg-type]

    done = again(tracks=str(both))
    assert (done.listens, done.known) == (1, ()) and done.tables["tracks"]["listens"] == 1
    warehouse = Warehouse(str(world / "w"))
    assert warehouse.read("tracks", date(2026, 1, 5))["title"].to_list() == ["Roads"]
    assert again(tracks=str(both)).known == ("oneplay.csv", "oneplay.csv")
    later = again(listeners_file=str(both))
    assert later.known == ("oneplay.csv",) and later.tables["listeners"]["listens"] == 1, "a new role of a known file"


def test_a_ledger_without_roles_knows_its_files_in_every_role(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    made = account

    def without_roles(*args: Any) -> dict[str, Any]:
        return {k: v for k, v in made(*args).items() if k != "roles"}

    monkeypatch.setattr(ingest_commit, "account", without_roles)
    run(world, log(world / "a.csv", ROW))
    assert run(world, str(world / "a.csv"), tracks=str(world / "a.csv")).known == ("a.csv", "a.csv")


def test_listens_that_are_filed_late_are_counted_by_the_date_they_stand_under(
    world: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(world, log(world / "a.csv", ROW)).late == {}
    assert "late" not in capsys.readouterr().out
    close(world, date(2026, 1, 6))
    done = run(world, log(world / "b.csv", ("ann", "t2", 2), ("bob", "t2", 3), ("cyd", "t1", 30), ("cyd", "t1", 50)))
    assert (done.listens, done.late) == (4, {"2026-01-07": 3})
    assert "3 of them late, filed under 2026-01-07" in capsys.readouterr().out
    assert done.late == Warehouse(str(world / "w")).need("rejects", END).extra["batches"][done.batch or ""]["late"]


def test_a_file_without_lines_is_named(world: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    for name in ("empty.csv", "catalog.csv"):
        (world / name).write_bytes(b"")
    done = run(world, str(world / "empty.csv"), log(world / "a.csv", ROW), log(world / "header.csv"))
    assert (done.rows, done.empty) == (1, ("empty.csv", "header.csv"))
    printed = capsys.readouterr().out
    assert (
        "no lines in empty.csv" in printed
        and "no lines in header.csv" in printed
        and "no lines in a.csv" not in printed
    )
    done = run(world, log(world / "b.csv", ("ann", "t2", 2)), tracks=str(world / "catalog.csv"))
    assert done.empty == ("catalog.csv",)
    (world / "later.csv").write_bytes(b"")
    done = run(world, str(world / "later.csv"))
    assert (done.empty, done.known) == (("later.csv",), ()), "the next empty file is no file that is known"


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({"format": "mp3"}, "--format: expected one of csv, .* found 'mp3'"),
        ({"inputs": ["nowhere/*.csv"]}, "expected a file or a pattern that matches files, found none"),
        ({"mapping": "nowhere.yaml"}, "--mapping nowhere.yaml: expected a readable YAML file"),
        ({"format": "lastfm-1k"}, "--mapping: expected one of the formats csv, parquet, bigquery, found 'lastfm-1k'"),
        ({"anonymous": True}, "--anonymous: expected a format without times"),
        ({"format": "sessions", "mapping": None, "end_date": None}, "--end-date: expected"),
        ({"beam_args": ["--direct_running_mode=multi_threading"]}, "loses records"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(world: Path, over: dict[str, Any], message: str) -> None:  # noqa: F811
    good = {
        "format": "csv",
        "inputs": [log(world / "a.csv", ROW)],
        "mapping": str(world / "mapping.yaml"),
        "end_date": END,
    }
    with pytest.raises(UserError, match=message):
        ingest(str(world / "w"), **{**good, **over})
    assert not Warehouse(str(world / "w")).dates("listens")
