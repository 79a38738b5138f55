"""Mutated catalogs, listeners, feedback and impressions: rows in = rows + rejects."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq

from tests.fuzzing import cases, mutate
from transforms.common.errors import UserError
from transforms.formats import formats
from transforms.formats.files import InputFile
from transforms.formats.tables import rows_of

ROLES: dict[str, dict[str, str]] = {
    "tracks": {"track_id": "t1", "title": "Monkey", "artist_ids": "a;b", "recording_id": "r", "duration_ms": "210000",
               "explicit": "true", "released_on": "2020-01-31", "tags": "a;b", "markets": "SE", "isrc": "x"},
    "listeners": {"listener_id": cases.CANARY, "market": "SE", "time_zone": "Europe/Stockholm", "explicit_ok": "true",
                  "joined_on": "2020-01-31"},
    "feedback": {"listener_id": cases.CANARY, "kind": "save", "target": "t1", "at": "2026-01-05T10:00:00Z"},
    "impressions": {"listener_id": cases.CANARY, "surface": "home", "shelf_id": "s", "version": "v", "track_id": "t1",
                    "position": "1", "item_or_spare": "item", "shown_at": "2026-01-05T10:00:00Z"},
    "blends": {"listener_id": cases.CANARY, "blend_id": "b", "at": "2026-01-05T10:00:00Z", "left": "false"},
}  # fmt: skip


def make(role: str, rng: Random) -> cases.Case:
    """A mutated file of a table, CSV or Parquet."""
    columns = list(ROLES[role])
    if rng.random() < 0.4:
        return _parquet(role, rng)

    def record(rng: Random, n: int) -> tuple[str, list[str]]:
        return "", list(ROLES[role].values())

    case = cases._text_file(rng, record, ",", ",".join(columns))
    return cases._whole(rng, case, header=True)


def _parquet(role: str, rng: Random) -> cases.Case:
    n = cases.RECORDS
    columns: dict[str, pa.Array] = {name: pa.array([value] * n) for name, value in ROLES[role].items()}
    for name in rng.sample(sorted(columns), rng.randrange(1, 3)):
        columns[name] = cases._values(rng, rng.choice(cases._ODD), n)
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    if rng.random() < 0.3:
        return cases.Case(mutate.bytes_of(rng, out.getvalue(), rng.randrange(1, 8)), 1)
    return cases.Case(out.getvalue(), n, n)


def read(kind: str, case: cases.Case, folder: Path, tally: Callable[..., None]) -> None:
    """Read it as ingest does; every row is a row or a reject."""
    role = kind.removeprefix("table ")
    path = folder / "mutated"
    path.write_bytes(case.data)
    file = InputFile(str(path), "mutated", "0" * 64, len(case.data), role)
    kept = refused = 0
    try:
        for piece in formats.pieces("csv", [file]):
            for frame, first, broken in formats.read_table(piece):
                found = rows_of(role, frame, first, None)
                rows, rejects = found.kept, found.rejects
                assert rows.height + rejects.height == frame.height, "a row went missing"
                kept, refused = kept + rows.height, refused + rejects.height + broken.height
    except UserError as error:
        assert cases.CANARY not in str(error), f"a listener's id stands in a message: {error}"
        tally(kind, inputs=case.inputs, files=1, refused=1)
        return
    assert case.rows is None or kept + refused == case.rows, f"{case.rows} rows in, {kept + refused} accounted for"
    tally(kind, inputs=case.inputs, files=1, rows=kept + refused, plays=kept, rejects=refused)
