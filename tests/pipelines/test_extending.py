"""The table and the signals of docs/extending.md, of the page's own blocks: their rows, and a listener forgotten in them."""

from __future__ import annotations

import importlib
import re
import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import pipelines
import transforms.listening
from pipelines.features import features
from pipelines.forget import forget
from pipelines.ingest import ingest
from pipelines.recommender.signal_trial import known_signals
from pipelines.recommender.signal_values_at import SignalAt
from tests.pipelines.test_plugin import PAGE, code
from tests.pipelines.tiny import LISTENERS, SETTINGS, listens_of, put
from transforms.listening.library import LibrarySettings
from transforms.signals.features import names_of
from transforms.signals.settings import SignalSettings
from transforms.tables import bigquery, docs, schema_made
from transforms.tables.as_of import as_of
from transforms.tables.schema import TABLES, Table
from transforms.tables.warehouse import Warehouse

DAY = date(2026, 1, 20)
ROOMS = {"transforms.listening": transforms.listening, "pipelines": pipelines}


@pytest.fixture
def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    """The page's declaration among the others, and its two files where they can be imported."""
    (block,) = code("python", "# transforms/tables/schema_made.py")
    table: Table = eval(block, dict(vars(schema_made)))
    monkeypatch.setitem(TABLES, table.name, table)
    for name, room in ROOMS.items():
        path = f"{name.replace('.', '/')}/{table.name}.py"
        (block,) = code("python", f"# {path}")
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(block)
        monkeypatch.setattr(room, "__path__", [*room.__path__, str((tmp_path / path).parent)])
        monkeypatch.delitem(sys.modules, f"{name}.{table.name}", raising=False)
    return table


def test_a_table_follows_from_its_declaration_its_step_and_its_job(declared: Table, tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path / "w"))
    for ago in range(3):
        put(warehouse, "listens", DAY - timedelta(ago), listens_of(DAY - timedelta(ago)))
    job = importlib.import_module("pipelines.track_days")
    try:
        job.track_days(warehouse.url, DAY, settings=SETTINGS)
        made = warehouse.read("track_days", DAY)
        played = pl.concat(listens_of(DAY - timedelta(ago)).with_columns(ago=ago) for ago in range(3))
        expected = played.group_by("listener_id", "track_id").agg(days=pl.col("ago").n_unique().cast(pl.Int32))
        assert made.sort(declared.key).equals(expected.sort(declared.key)) and made["days"].max() == 3
        version = warehouse.need("track_days", DAY).version

        job.track_days(warehouse.url, DAY, settings=SETTINGS)
        assert warehouse.need("track_days", DAY).version == version, "nothing moved, so nothing is made again"

        assert "\n## track_days\n" in docs.page()
        assert [f.name for f in bigquery.fields(declared)] == ["listener_id", "track_id", "days"]

        forget(warehouse.url, [LISTENERS[0]], today=DAY)
        left = warehouse.read("track_days", DAY)
        assert LISTENERS[0] not in set(left["listener_id"]) and left["listener_id"].n_unique() == len(LISTENERS) - 1
    finally:
        for name in ROOMS:
            sys.modules.pop(f"{name}.track_days", None)


def test_a_signal_follows_from_its_line_in_the_mapping(tmp_path: Path) -> None:
    (mapping,) = code("yaml", "# mapping.yaml")
    (tmp_path / "mapping.yaml").write_text(mapping)
    plays = [f"{who},t{(n + k) % 5},{DAY}T0{k}:00:00Z,{-10 - n}" for n, who in enumerate(LISTENERS) for k in range(4)]
    (tmp_path / "plays.csv").write_text("\n".join(["user,track,ts,dB", *plays]) + "\n")
    plans = [f"{who},{'paid' if n % 2 else 'free'},{DAY - timedelta(9)}" for n, who in enumerate(LISTENERS)]
    (tmp_path / "plans.csv").write_text("\n".join(["listener_id,plan,at", *plans]) + "\n")
    warehouse = Warehouse(str(tmp_path / "w"))
    files = {"mapping": str(tmp_path / "mapping.yaml"), "signals": str(tmp_path / "plans.csv")}
    ingest(warehouse.url, "csv", [str(tmp_path / "plays.csv")], **files, end_date=DAY)
    features(warehouse.url, DAY, DAY)

    loud = warehouse.read("listener_signals", DAY).filter(pl.col("signal") == "loudness").sort("listener_id")
    assert dict(loud.select("listener_id", pl.col("total") / 2**20 / pl.col("n")).iter_rows()) == {
        who: -10 - n for n, who in enumerate(LISTENERS)
    }
    paid = warehouse.read("track_signals", DAY).filter(pl.col("signal") == "plan")
    assert paid["n"].sum() == len(plays) and set(paid["value"]) == {"free", "paid"}

    known = known_signals(as_of(warehouse.url, DAY))
    promised = set(
        re.findall(r"`(f_signal_[a-z_]+)`", " ".join(PAGE.split("## A signal")[1].split("## A table")[0].split()))
    )
    assert {name for one in ("loudness", "plan") for name in names_of(one, known[one])} == promised
    rows = pl.DataFrame({"listener_id": LISTENERS, "track_id": "t1"})
    for one in ("loudness", "plan"):
        at = SignalAt(warehouse.url, one, known[one], SignalSettings(), LibrarySettings(), DAY)
        for name, values in at.columns(rows, DAY, DAY).items():
            assert np.isfinite(values).all(), name

    forget(warehouse.url, [LISTENERS[0]], today=DAY)
    for table in ("listens", "listener_signals", "signal_values"):
        held = {who for d in warehouse.dates(table) for who in warehouse.read(table, d)["listener_id"]}
        assert held == set(LISTENERS[1:]), table
