"""Refused lines of a forgotten listener: what was kept of them goes, however it names them, and the account stays."""

from __future__ import annotations

import base64
import shutil
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from pipelines.forget import forget
from pipelines.ingest import ingest
from tests.pipelines.byte_search import found
from transforms.formats.base import hashed
from transforms.ingest.cleaning import IngestSettings
from transforms.tables.warehouse import Warehouse

WHO = "marie.curie@1867"
END = date(2026, 1, 8)
TODAY = date(2026, 2, 1)
WRAPPED = {
    "hex": WHO.encode().hex(),
    "base64": base64.b64encode(f"id={WHO};".encode()).decode(),
    "percent": "".join(f"%{b:02x}" for b in WHO.encode()),
    "utf-16 in hex": WHO.encode("utf-16-le").hex(),
    "plain": f"the plays of {WHO}",
}


def lines() -> dict[str, list[str]]:
    """Lines that are refused, by whose they are."""
    return {
        WHO: [f"{WHO},t1,never,1000", f"{WHO},,2026-01-05T11:00:00Z,1000", f"{WHO},t1,2031-01-05T10:00:00Z,1000"],
        "bob": ["bob,t1,never,1000", "bob,,2026-01-05T11:00:00Z,1000"],
        "": [f",t1,{text},1000" for text in (*WRAPPED.values(), "nothing")],
        "?": [f'{WHO},t1,2026-01-05T10:00:00Z,1000,"x", one column too many, so nobody knows whose it is'],
    }


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """A warehouse with everything refused that can be, of two listeners."""
    log, likes = tmp_path / "log.csv", tmp_path / "feedback.csv"
    capped = [f"{who},t{n},2026-01-05T12:0{n}:00Z,1000" for who in (WHO, "bob") for n in range(4)]
    every = [*(line for part in lines().values() for line in part), *capped]
    log.write_text("\n".join(["listener_id,track_id,started_at,ms_played", *every]) + "\n")
    likes.write_text(
        "listener_id,kind,target,at\n" + "".join(f"{w},like,t1,2031-01-05T10:00:00Z\n" for w in (WHO, "bob"))
    )
    from pipelines.runtime.config import Settings

    settings = Settings.model_validate(
        {"shards": 2, "ingest": IngestSettings(day_cap=2).model_dump(), "gates": {"enforce": False}}
    )
    made = Warehouse(str(tmp_path / "w"))
    ingest(made.url, "csv", [str(log)], feedback=str(likes), end_date=END, settings=settings)
    return made


def kept(warehouse: Warehouse) -> pl.DataFrame:
    return warehouse.read("rejects", END).select("file", "line", "reason", "raw", "listener_print").sort("file", "line")


def test_what_was_kept_of_their_lines_goes_and_every_other_line_is_as_it_was(warehouse: Warehouse) -> None:
    before = kept(warehouse)
    theirs, others = ([hashed(line) for line in lines()[who]] for who in (WHO, "bob"))
    assert set(theirs + others) <= set(before["raw"])
    assert set(before["reason"]) == {
        "bad_time",
        "empty_track",
        "future",
        "over_daily_cap",
        "empty_listener",
        "broken_line",
    }
    forget(warehouse.url, [WHO], today=TODAY)
    after = kept(warehouse)
    assert after.select("file", "line", "reason").equals(before.select("file", "line", "reason")), (
        "every line is accounted for"
    )
    assert not set(theirs) & set(after["raw"]) and set(others) <= set(after["raw"])
    gone = before.filter(after["raw"].is_null())
    # three lines of the log, two beyond the day's cap, one of feedback, and six that name them in a column of their own
    assert gone["reason"].value_counts().sort("reason").rows() == [
        ("bad_time", 1),
        ("empty_listener", len(WRAPPED)),
        ("empty_track", 1),
        ("future", 2),
        ("over_daily_cap", 2),
    ]
    assert after.filter(pl.col("raw").is_null())["listener_print"].null_count() == gone.height
    same = after["raw"].is_not_null()
    assert after.filter(same).equals(before.filter(same))
    assert found(Path(warehouse.url), [WHO]) == []


def test_of_a_line_that_cannot_be_read_a_hash_of_the_whole_line_stays(warehouse: Warehouse) -> None:
    forget(warehouse.url, [WHO], today=TODAY)
    (left,) = kept(warehouse).filter(reason="broken_line").select("raw", "listener_print").rows()
    assert left == (hashed(lines()["?"][0]), None)


def test_a_backup_that_is_put_back_is_cleared_without_naming_anybody_again(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    shutil.copytree(Path(warehouse.url) / "rejects", tmp_path / "backup")
    forget(warehouse.url, [WHO], today=TODAY)
    cleared = kept(warehouse)
    shutil.rmtree(Path(warehouse.url) / "rejects")
    shutil.copytree(tmp_path / "backup", Path(warehouse.url) / "rejects")
    forget(warehouse.url, today=TODAY)
    again = kept(warehouse).filter(pl.col("reason") != "empty_listener")
    assert again.equals(cleared.filter(pl.col("reason") != "empty_listener")), "texts are found by the name alone"


def test_nothing_is_kept_of_a_line_that_comes_after(warehouse: Warehouse, tmp_path: Path) -> None:
    forget(warehouse.url, [WHO], today=TODAY)
    later = tmp_path / "later.csv"
    later.write_text(
        "listener_id,track_id,started_at,ms_played\n"
        + "\n".join([*lines()[WHO], *lines()["bob"], "bob,t9,2026-01-06T10:00:00Z,1"])
        + "\n"
    )
    ingest(warehouse.url, "csv", [str(later)], end_date=END)
    new = kept(warehouse).filter(file="later.csv")
    assert new["reason"].to_list() == ["bad_time", "empty_track", "future", "bad_time", "empty_track"]
    assert new["raw"].is_null().to_list() == new["listener_print"].is_null().to_list() == [True] * 3 + [False] * 2
