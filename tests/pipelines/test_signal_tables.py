"""Tables of signals brought in: pseudonyms, who was forgotten, what is there already, and logs of any format."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from pipelines.features import features
from pipelines.forget import forget
from pipelines.ingest import ingest
from pipelines.runtime.config import Settings
from tests.pipelines.byte_search import found
from transforms.common.errors import UserError
from transforms.tables.warehouse import Warehouse

END = date(2026, 1, 8)
WHO = ("magdalena.k@example.org", "tom/7 & co")
ONLY = (
    "signals:\n  plan: {column: plan, kind: category, of: listener}\n  tempo: {column: bpm, kind: number, of: track}\n"
)
COLUMNS = "columns: {listener_id: listener_id, track_id: track_id, started_at: started_at}\n"


def files(folder: Path, mapping: str = COLUMNS + ONLY) -> dict[str, str]:
    """A log, a table of listeners' plans, and the mapping; by argument of `ingest`."""
    (folder / "log.csv").write_text(
        "listener_id,track_id,started_at\n" + "".join(f"{who},t1,2026-01-05T10:00:00Z\n" for who in WHO)
    )
    (folder / "plans.csv").write_text(
        "listener_id,plan,at\n" + "".join(f"{who},paid,2026-01-04T00:00:00Z\n" for who in WHO)
    )
    (folder / "mapping.yaml").write_text(mapping)
    return {"mapping": str(folder / "mapping.yaml"), "signals": str(folder / "plans.csv")}


def test_with_a_key_no_id_that_came_is_written(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("correct horse battery staple\n")
    key.chmod(0o600)
    more = files(tmp_path)
    warehouse = Warehouse(str(tmp_path / "w"))
    ingest(warehouse.url, "csv", [str(tmp_path / "log.csv")], **more, end_date=END, pseudonym_key_file=str(key))
    (day,) = warehouse.dates("signal_values")
    assert set(warehouse.read("signal_values", day)["listener_id"]) == set(
        warehouse.read("listens", date(2026, 1, 5))["listener_id"]
    )
    assert not found(tmp_path / "w", WHO)


def test_what_is_there_already_and_who_was_forgotten(tmp_path: Path) -> None:
    warehouse, more = Warehouse(str(tmp_path / "w")), files(tmp_path)
    ingest(warehouse.url, "csv", [str(tmp_path / "log.csv")], **more, end_date=END)
    before = warehouse.read("signal_values", date(2026, 1, 4))
    again = tmp_path / "again.csv"
    again.write_text((tmp_path / "plans.csv").read_text() + f"{WHO[0]},free,2026-01-06T00:00:00Z\n")
    second = ingest(warehouse.url, "csv", [str(tmp_path / "log.csv")], **{**more, "signals": str(again)}, end_date=END)
    assert (second.tables["signals"]["listens"], second.tables["signals"]["duplicates"]) == (1, 2)
    assert warehouse.read("signal_values", date(2026, 1, 4)).equals(before)
    assert warehouse.read("signal_values", date(2026, 1, 6))["text"].to_list() == ["free"]

    forget(warehouse.url, [WHO[0]], today=END)
    late = tmp_path / "late.csv"
    late.write_text("listener_id,plan\n" + "".join(f"{who},free\n" for who in WHO))
    third = ingest(warehouse.url, "csv", [str(tmp_path / "log.csv")], **{**more, "signals": str(late)}, end_date=END)
    assert third.tables["signals"]["reasons"] == {"forgotten": 1} and third.tables["signals"]["listens"] == 1
    held = pl.concat([warehouse.read("signal_values", d) for d in warehouse.dates("signal_values")])
    assert set(held["listener_id"]) == {WHO[1]}


def test_a_log_whose_columns_are_known_takes_a_mapping_of_signals_alone(tmp_path: Path) -> None:
    more = files(tmp_path, ONLY)
    tracks = tmp_path / "tempos.parquet"
    pl.DataFrame({"track_id": ["m1", "m2"], "bpm": [120, 90]}).write_parquet(tracks)
    log = tmp_path / "log.tsv"
    log.write_text("ann\t2026-01-05T10:00:00Z\ta1\tPortishead\tm1\tRoads\n")
    warehouse = Warehouse(str(tmp_path / "w"))
    ingest(warehouse.url, "lastfm-1k", [str(log)], **{**more, "signals": str(tracks)}, end_date=END)
    rows = warehouse.read("track_values", END)
    assert dict(rows.select("track_id", "number").iter_rows()) == {"m1": 120.0, "m2": 90.0}
    assert set(warehouse.need("track_values", END).extra["signals"]) == {"tempo"}
    (tmp_path / "mapping.yaml").write_text(COLUMNS + ONLY)
    with pytest.raises(UserError, match="the columns of lastfm-1k are known"):
        ingest(warehouse.url, "lastfm-1k", [str(log)], **more, end_date=END)
    (tmp_path / "mapping.yaml").write_text(ONLY)
    with pytest.raises(UserError, match="expected the columns of the log, found none; csv needs them"):
        ingest(warehouse.url, "csv", [str(tmp_path / "log.csv")], **more, end_date=END)


def test_signals_of_dates_that_are_folded_are_made_alone(tmp_path: Path) -> None:
    warehouse, day = Warehouse(str(tmp_path / "w")), date(2026, 1, 5)
    ingest(warehouse.url, "csv", [str(tmp_path / "log.csv")], **files(tmp_path), end_date=END)
    none = Settings.model_validate({"signals": {"stored": [], "ignored": ["plan", "tempo"]}})
    features(warehouse.url, day, day, none)
    assert not warehouse.dates("track_signals")
    before = {t: warehouse.need(t, day).run_id for t in ("library", "sessions", "track_stats", "co_listens")}
    features(warehouse.url, day, day)
    assert warehouse.read("track_signals", day).select("track_id", "signal", "value", "n").rows() == [
        ("t1", "plan", "paid", 2)
    ]
    assert before == {t: warehouse.need(t, day).run_id for t in before}
    first = warehouse.need("track_signals", day).version
    features(warehouse.url, day, day)
    assert warehouse.need("track_signals", day).version == first
