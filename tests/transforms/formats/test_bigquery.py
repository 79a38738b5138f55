"""BigQuery as a source, against the emulator: a table becomes Parquet for as long as an ingest takes."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from google.cloud import bigquery

from pipelines.ingest import ingest
from tests.emulators import PROJECT, Emulator
from transforms.common.errors import UserError
from transforms.formats import bigquery as source
from transforms.formats.mapping import load_mapping
from transforms.tables.warehouse import Warehouse

MAPPING = "columns: {listener_id: user, track_id: song, started_at: at, ms_played: ms}"
FIRST = datetime(2026, 1, 5, 9, tzinfo=UTC)
END = date(2026, 1, 31)


def plays(n: int) -> pl.DataFrame:
    rows = [
        {"user": f"u{k % 3}", "song": f"s{k}", "at": FIRST + timedelta(hours=k), "ms": 60_000, "secret": "x"}
        for k in range(n)
    ]
    return pl.DataFrame(rows).with_columns(pl.col("at").cast(pl.Datetime("us", "UTC")))


def put(emulator: Emulator, table: str, frame: pl.DataFrame) -> None:
    client, data = emulator.client(), io.BytesIO()
    frame.write_parquet(data)
    schema = frame.to_arrow(compat_level=pl.CompatLevel.oldest()).schema
    types = {"large_string": "STRING", "int64": "INTEGER", "timestamp[us, tz=UTC]": "TIMESTAMP"}
    fields = [bigquery.SchemaField(f.name, types[str(f.type)]) for f in schema]
    client.create_table(bigquery.Table(table, schema=fields))
    config = bigquery.LoadJobConfig(source_format="PARQUET")
    client.load_table_from_file(data, table, rewind=True, job_config=config).result()


@pytest.fixture
def table(emulator: Emulator) -> str:
    name = f"{PROJECT}.{emulator.dataset()}.plays"
    put(emulator, name, plays(10).vstack(plays(1).with_columns(user=pl.lit(""))))
    return name


def test_a_table_is_ingested_counted_known_again_and_leaves_no_copy(
    emulator: Emulator, table: str, tmp_path: Path
) -> None:
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(MAPPING)
    warehouse = Warehouse(str(tmp_path / "warehouse"))
    client = emulator.client()
    catalog = f"{table}_catalog"
    put(emulator, catalog, pl.DataFrame({"track_id": ["s0", "s1"], "title": ["One", "Two"]}))
    done = ingest(
        warehouse.url,
        "bigquery",
        [table],
        mapping=str(mapping),
        tracks=f"bigquery:{catalog}",
        end_date=END,
        client=client,
    )
    assert (done.rows, done.listens, done.rejects, done.reasons) == (11, 10, 1, {"empty_listener": 1})
    stored = warehouse.read("listens", FIRST.date()).sort("started_at")
    assert stored["started_at"].to_list() == plays(10)["at"].to_list() and stored["ms_played"].unique().to_list() == [
        60_000
    ]
    titles = warehouse.read_newest("tracks", END).filter(pl.col("title").is_not_null())
    assert dict(titles.select("track_id", "title").iter_rows()) == {"s0": "One", "s1": "Two"}
    assert warehouse.store.paths(source.FOLDER) == []
    again = ingest(
        warehouse.url,
        "bigquery",
        [table],
        mapping=str(mapping),
        tracks=f"bigquery:{catalog}",
        end_date=END,
        client=client,
    )
    assert again.batch is None and set(again.known) == {table, catalog}


def test_a_table_of_two_roles_is_read_in_both(emulator: Emulator, tmp_path: Path) -> None:
    name = f"{PROJECT}.{emulator.dataset()}.both"
    put(emulator, name, plays(3).rename({"song": "track_id"}).with_columns(title=pl.lit("One")))
    (tmp_path / "mapping.yaml").write_text(MAPPING.replace("song", "track_id"))
    warehouse = Warehouse(str(tmp_path / "warehouse"))
    given = {"mapping": str(tmp_path / "mapping.yaml"), "tracks": f"bigquery:{name}", "end_date": END}
    done = ingest(warehouse.url, "bigquery", [name], client=emulator.client(), **given)  # type: ignore[arg-type]
    assert done.listens == 3 and done.tables["tracks"]["rows"] == 3 and warehouse.store.paths(source.FOLDER) == []
    again = ingest(warehouse.url, "bigquery", [name], client=emulator.client(), **given)  # type: ignore[arg-type]
    assert again.batch is None and again.known == (name, name)


def test_only_mapped_columns_leave_bigquery(emulator: Emulator, table: str, tmp_path: Path) -> None:
    client, store = emulator.client(), Warehouse(str(tmp_path)).store
    wanted = source.describe(client, table, "log", load_mapping(MAPPING, "mapping"))
    (file,) = source.export(client, wanted, store)
    assert set(pl.read_parquet_schema(file.path)) == {"user", "song", "at", "ms"}
    assert (file.sha256, file.name) == (wanted.identity, table)
    source.remove([wanted], store)
    assert not Path(file.path).exists()


def test_signals_come_from_tables_and_only_what_is_declared_leaves(
    emulator: Emulator, table: str, tmp_path: Path
) -> None:
    mapping, people = tmp_path / "mapping.yaml", f"{table}_people"
    mapping.write_text(f"""{MAPPING}
signals:
  plan: {{column: tier, kind: category, of: listener}}
  loudness: {{column: ms, kind: number, of: listen}}
""")
    rows = {"listener_id": ["u0", "u1"], "tier": ["free", "paid"], "secret": ["x", "y"]}
    put(emulator, people, pl.DataFrame(rows))
    found = source.describe(
        emulator.client(), f"bigquery:{people}", "signals", load_mapping(mapping.read_text(), "mapping.yaml")
    )
    assert found.columns == ("listener_id", "tier")
    warehouse = Warehouse(str(tmp_path / "warehouse"))
    given = {"mapping": str(mapping), "signals": f"bigquery:{people}", "end_date": END, "client": emulator.client()}
    ingest(warehouse.url, "bigquery", [table], **given)
    said = warehouse.read("signal_values", END)
    assert sorted(said.select("listener_id", "signal", "text").iter_rows()) == [
        ("u0", "plan", "free"),
        ("u1", "plan", "paid"),
    ]
    assert warehouse.read("listens", FIRST.date())["signal_number_loudness"].unique().to_list() == [60_000.0]
    assert warehouse.store.paths(source.FOLDER) == []


def test_what_cannot_be_read_is_said_before_anything_is(emulator: Emulator, table: str) -> None:
    client = emulator.client()
    mapping = load_mapping(MAPPING.replace("user", "person"), "mapping")
    with pytest.raises(UserError, match="expected a column 'person'"):
        source.describe(client, table, "log", mapping)
    with pytest.raises(UserError, match="expected a BigQuery table that can be read, found none"):
        source.describe(client, f"{table}_gone", "log", None)
    client.query(f"CREATE VIEW `{table}_view` AS SELECT * FROM `{table}`").result()
    with pytest.raises(UserError, match="found a view"):
        source.describe(client, f"{table}_view", "log", None)
    with pytest.raises(UserError, match="project.dataset.table"):
        source.describe(client, "plays.csv", "log", None)


def test_a_bucket_is_exported_to_by_the_service() -> None:
    wanted = source.Export("music-prod.logs.plays", "log", ("user",), "ab" * 32, 5)
    table, uri, config = source.extract_request(wanted, "gs://bucket/w")
    assert (table, uri) == ("music-prod.logs.plays", "gs://bucket/w/imports/music-prod.logs.plays/part-*.parquet")
    assert config.to_api_repr()["extract"] == {"destinationFormat": "PARQUET", "compression": "SNAPPY"}
