"""`forget` in an emulated BigQuery: every run table loses the listener, the view's rows are the warehouse's, ids stay out
of statements."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.forget import forget
from pipelines.publish import publish
from tests.emulators import PROJECT, Emulator, Wire
from tests.pipelines.tiny import LISTENERS, NIGHT, build, frame, put
from transforms.common.errors import UserError
from transforms.formats.base import hashed
from transforms.privacy.forget import prints
from transforms.tables.warehouse import Warehouse

TODAY = date(2026, 2, 1)


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return build(tmp_path)


def listeners_of(emulator: Emulator, table: str) -> set[str]:
    asked = f"SELECT DISTINCT listener_id FROM `{PROJECT}.{table}`"
    return {row["listener_id"] for row in emulator.client().query(asked).result()}


def test_every_published_run_loses_the_listener(emulator: Emulator, warehouse: Warehouse) -> None:
    dataset, who = emulator.dataset(), LISTENERS[3]
    to = f"bigquery:{PROJECT}.{dataset}"
    (shown,) = publish(warehouse.url, NIGHT, to, client=emulator.client())
    publish(warehouse.url, NIGHT, to, ["candidates", "tracks"], client=emulator.client())
    wire = Wire()
    done = forget(warehouse.url, [who], published=to, client=emulator.client(wire), today=TODAY)
    assert (done.published, done.published_rows) == (2, 1 + 8)
    assert listeners_of(emulator, f"{dataset}.shelves") == set(LISTENERS) - {who}
    assert listeners_of(emulator, f"{dataset}.candidates") == set(LISTENERS) - {who}
    queries = [r.body for r in wire.sent if "query" in json.dumps(r.body)]
    texts = [b.get("configuration", b).get("query", {}) for b in queries]
    assert not any(who in json.dumps(t.get("query", t) if isinstance(t, dict) else t) for t in texts)

    # the table is the redacted run, so publishing again loads nothing
    again = Wire()
    assert [str(p) for p in publish(warehouse.url, NIGHT, to, client=emulator.client(again))] == [
        f"shelves already reads {shown.run_table}, 11 rows"
    ]
    assert not [r for r in again.sent if "upload" in r.path]
    done = forget(warehouse.url, [who], published=to, client=emulator.client(), today=TODAY)
    assert (done.rows, done.published) == (0, 0)


def test_with_nobody_named_everybody_on_the_list_is_looked_for(emulator: Emulator, warehouse: Warehouse) -> None:
    dataset = emulator.dataset()
    to = f"bigquery:{PROJECT}.{dataset}"
    publish(warehouse.url, NIGHT, to, client=emulator.client())
    forget(warehouse.url, LISTENERS[:2], today=TODAY)
    assert len(listeners_of(emulator, f"{dataset}.shelves")) == len(LISTENERS)
    done = forget(warehouse.url, published=to, client=emulator.client(), today=TODAY)
    assert (done.published, done.published_rows) == (1, 2)
    assert listeners_of(emulator, f"{dataset}.shelves") == set(LISTENERS[2:])


def refused(who: str) -> pl.DataFrame:
    """Lines of one listener, found by their print, their text or their file's name; and lines of other people."""
    (mine,), (other,) = prints([who]), prints([LISTENERS[0]])
    lines = [
        ("a.csv", "sha256:a1", mine),
        ("a.csv", None, mine),
        ("a.csv", f",t1,the plays of {who}", None),
        ("a.csv", f",t1,{who.encode().hex()}", None),
        ("a.csv", hashed(who), None),
        (f"exports/{who}.csv", "sha256:a2", None),
        ("a.csv", "sha256:b1", other),
        ("a.csv", f",t1,{who}1 is somebody else", None),
        ("a.csv", None, None),
        ("a.csv", f",t1,é{LISTENERS[5]}", None),
    ]
    rows = [
        {"batch": "b", "file": file, "line": n, "reason": "bad_time", "raw": raw, "listener_print": found}
        for n, (file, raw, found) in enumerate(lines, 1)
    ]
    return frame("rejects", rows)


def lines_of(emulator: Emulator, dataset: str) -> list[tuple[Any, ...]]:
    asked = f"SELECT file, raw, listener_print FROM `{PROJECT}.{dataset}.rejects` ORDER BY line"
    return [tuple(row.values()) for row in emulator.client().query(asked).result()]


def test_published_lines_lose_what_gives_the_listener_away_and_are_loaded_again(
    emulator: Emulator, warehouse: Warehouse
) -> None:
    dataset, who = emulator.dataset(), LISTENERS[3]
    to = f"bigquery:{PROJECT}.{dataset}"
    put(warehouse, "rejects", NIGHT, refused(who))
    publish(warehouse.url, NIGHT, to, ["rejects"], client=emulator.client())
    before = lines_of(emulator, dataset)
    wire = Wire()
    done = forget(warehouse.url, [who], published=to, client=emulator.client(wire), today=TODAY)
    assert (done.published, done.published_rows) == (1, 6)
    nothing = ("a.csv", None, None)
    assert lines_of(emulator, dataset) == [*[nothing] * 5, ("(forgotten)", "sha256:a2", None), *before[6:]]
    (sent,) = [r.body["configuration"]["query"] for r in wire.sent if "UPDATE" in json.dumps(r.body)]
    assert who not in sent["query"]
    assert {p["name"] for p in sent["queryParameters"]} == {"traces", "word", "prints"}
    assert forget(warehouse.url, [who], published=to, client=emulator.client(), today=TODAY).published == 0

    # the warehouse keeps the rest of a file's name, so publishing again loads its lines
    publish(warehouse.url, NIGHT, to, ["rejects"], client=emulator.client())
    kept = warehouse.read("rejects", NIGHT).sort("line").select("file", "raw", "listener_print").rows()
    assert lines_of(emulator, dataset) == kept
    assert kept[5] == ("exports/(forgotten).csv", "sha256:a2", None)

    # what only the service took for a trace comes back, though the files it is loaded from are the same
    assert (
        forget(warehouse.url, [LISTENERS[5]], published=to, client=emulator.client(), today=TODAY).published_rows == 1
    )
    assert lines_of(emulator, dataset)[9] == ("a.csv", None, None)
    publish(warehouse.url, NIGHT, to, ["rejects"], client=emulator.client())
    assert lines_of(emulator, dataset) == kept


def test_with_nobody_named_lines_are_found_by_print_and_members_by_name(
    emulator: Emulator, warehouse: Warehouse
) -> None:
    dataset, who = emulator.dataset(), LISTENERS[3]
    to = f"bigquery:{PROJECT}.{dataset}"
    put(warehouse, "rejects", NIGHT, refused(who))
    at = datetime(2026, 1, 5, tzinfo=UTC)
    joined = [{"listener_id": LISTENERS[n], "blend_id": "b", "at": at} for n in (1, 2, 3)]
    put(warehouse, "blends", NIGHT, frame("blends", joined))
    publish(warehouse.url, NIGHT, to, ["rejects", "blends"], client=emulator.client())
    before = lines_of(emulator, dataset)
    forget(warehouse.url, [who], today=TODAY)
    assert lines_of(emulator, dataset) == before
    done = forget(warehouse.url, published=to, client=emulator.client(), today=TODAY)
    assert (done.published, done.published_rows) == (2, 2 + 1)
    assert lines_of(emulator, dataset) == [*[("a.csv", None, None)] * 2, *before[2:]]
    left = emulator.client().query(f"SELECT listener_id FROM `{PROJECT}.{dataset}.blends`").result()
    assert sorted(row["listener_id"] for row in left) == [LISTENERS[1], LISTENERS[2]]


def test_a_dataset_that_is_not_there_is_said_and_nobody_is_named(emulator: Emulator, warehouse: Warehouse) -> None:
    with pytest.raises(UserError, match="expected a dataset that exists") as raised:
        forget(
            warehouse.url,
            [LISTENERS[0]],
            published=f"bigquery:{PROJECT}.nowhere",
            client=emulator.client(),
            today=TODAY,
        )
    assert LISTENERS[0] not in str(raised.value)
