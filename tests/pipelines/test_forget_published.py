"""`forget` in an emulated BigQuery: every run table loses the listener, the view's rows are the warehouse's, ids stay out
of statements."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from pipelines.forget import forget
from pipelines.publish import publish
from tests.emulators import PROJECT, Emulator, Wire
from tests.pipelines.tiny import LISTENERS, NIGHT, build
from transforms.errors import UserError
from transforms.tables.warehouse import Warehouse

TODAY = date(2026, 2, 1)


@pytest.fixture
def place(tmp_path: Path) -> Warehouse:
    return build(tmp_path)


def listeners_of(emulator: Emulator, table: str) -> set[str]:
    asked = f"SELECT DISTINCT listener_id FROM `{PROJECT}.{table}`"
    return {row["listener_id"] for row in emulator.client().query(asked).result()}


def test_every_published_run_loses_the_listener(emulator: Emulator, place: Warehouse) -> None:
    dataset, who = emulator.dataset(), LISTENERS[3]
    to = f"bigquery:{PROJECT}.{dataset}"
    (shown,) = publish(place.url, NIGHT, to, client=emulator.client())
    publish(place.url, NIGHT, to, ["candidates", "tracks"], client=emulator.client())
    wire = Wire()
    done = forget(place.url, [who], published=to, client=emulator.client(wire), today=TODAY)
    assert (done.published, done.published_rows) == (2, 1 + 8)
    assert listeners_of(emulator, f"{dataset}.shelves") == set(LISTENERS) - {who}
    assert listeners_of(emulator, f"{dataset}.candidates") == set(LISTENERS) - {who}
    queries = [r.body for r in wire.sent if "query" in json.dumps(r.body)]
    texts = [b.get("configuration", b).get("query", {}) for b in queries]
    assert not any(who in json.dumps(t.get("query", t) if isinstance(t, dict) else t) for t in texts)

    # the table is the redacted run, so publishing again loads nothing
    again = Wire()
    assert [str(p) for p in publish(place.url, NIGHT, to, client=emulator.client(again))] == [
        f"shelves already reads {shown.run_table}, 11 rows"
    ]
    assert not [r for r in again.sent if "upload" in r.path]
    done = forget(place.url, [who], published=to, client=emulator.client(), today=TODAY)
    assert (done.rows, done.published) == (0, 0)


def test_with_nobody_named_everybody_on_the_list_is_looked_for(emulator: Emulator, place: Warehouse) -> None:
    dataset = emulator.dataset()
    to = f"bigquery:{PROJECT}.{dataset}"
    publish(place.url, NIGHT, to, client=emulator.client())
    forget(place.url, LISTENERS[:2], today=TODAY)
    assert len(listeners_of(emulator, f"{dataset}.shelves")) == len(LISTENERS)
    done = forget(place.url, published=to, client=emulator.client(), today=TODAY)
    assert (done.published, done.published_rows) == (1, 2)
    assert listeners_of(emulator, f"{dataset}.shelves") == set(LISTENERS[2:])


def test_a_dataset_that_is_not_there_is_said_and_nobody_is_named(emulator: Emulator, place: Warehouse) -> None:
    with pytest.raises(UserError, match="expected a dataset that exists") as told:
        forget(
            place.url, [LISTENERS[0]], published=f"bigquery:{PROJECT}.nowhere", client=emulator.client(), today=TODAY
        )
    assert LISTENERS[0] not in str(told.value)
