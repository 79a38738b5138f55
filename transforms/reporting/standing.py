"""What stands on a night's shelves, for the report, however large the audience.

Up to WHOLE rows of `shelves` their keys are read. Of a larger night only whole shards are, the first that hold as many rows:
a shard is a hash of listener ids, so its listeners are a sample. How many listeners and shelves there are is then told by
the counts that the night was gated on and keeps in its manifest.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from transforms.common.typed_names import ShelfStatus
from transforms.gates.history import measured_in
from transforms.listening.suspects import STATUS
from transforms.reporting.verdict import EmptyShelf
from transforms.shelves.fallback import NO_HISTORY
from transforms.tables.manifest import FileEntry, Manifest
from transforms.tables.warehouse import Warehouse

WHOLE = 1_000_000
MACHINE = STATUS.partition("{")[0]
KEYS = ("listener_id", "shelf_id", "title", "status", "status_reason")


@dataclass(frozen=True)
class Standing:
    """Shelves by status.

    Attributes:
        rows: KEYS of every row that was read.
        files: where they stand.
        statuses: shelf -> status -> rows, of the whole night, or of the sample where nobody counted the night.
        listeners: of the whole night.
        note: what was read, "" where it was everything.
        empty: by shelf, for how many listeners with a history it is empty, of those who were read.
    """

    rows: pl.DataFrame
    files: tuple[FileEntry, ...]
    statuses: dict[str, dict[str, int]]
    listeners: int
    note: str = ""
    empty: tuple[EmptyShelf, ...] = ()


def standing(warehouse: Warehouse, shelves: Manifest | None, whole: int = WHOLE) -> Standing:
    """What the report tells of `shelves` (None: nothing); see the module.

    Args:
        whole: rows up to which all are read.
    """
    nothing = pl.DataFrame(schema=dict.fromkeys(KEYS, pl.String))
    if shelves is None or not shelves.rows:
        return Standing(nothing, (), {}, 0)
    files = _first_shards(shelves, whole)
    rows = pl.concat([nothing, *warehouse.read_files(files, KEYS)])
    statuses, listeners, empty = _statuses(rows), rows["listener_id"].n_unique(), empty_shelves(rows)
    if rows.height == shelves.rows:
        return Standing(rows, files, statuses, listeners, empty=empty)
    counted = measured_in(shelves)
    shards = len({f.shard for f in files})
    note = f"read of {listeners:,} listeners, those of {shards} of {shelves.shards} shards"
    if counted is None:
        return Standing(rows, files, statuses, round(listeners * shelves.rows / rows.height), note, empty)
    return Standing(rows, files, statuses_of(counted.counts), counted.counts.get("listeners", 0), note, empty)


def empty_shelves(rows: pl.DataFrame) -> tuple[EmptyShelf, ...]:
    """Every shelf with the number of listeners with a history for whom it is empty, and their commonest reason.

    Who has no history, or is answered as if there were none (a machine by its behaviour), is told so by their own rows.

    Args:
        rows: KEYS of table `shelves`.
    """
    none = pl.col("status_reason").str.starts_with(NO_HISTORY) | pl.col("status_reason").str.starts_with(MACHINE)
    without = rows.filter(none).select("listener_id").unique()
    known = rows.join(without, on="listener_id", how="anti")
    empty = pl.col("status") == "empty"
    by = known.group_by("shelf_id").agg(
        pl.col("title").first(),
        listeners=pl.col("listener_id").n_unique(),
        empty=empty.sum(),
        reason=pl.col("status_reason").filter(empty).drop_nulls().sort().mode(maintain_order=True).first(),
    )
    return tuple(
        EmptyShelf(*row) for row in by.sort("shelf_id").with_columns(pl.col("reason").fill_null("")).iter_rows()
    )


def _first_shards(shelves: Manifest, most: int) -> tuple[FileEntry, ...]:
    """Files of the first shards that hold `most` rows together."""
    out: list[FileEntry] = []
    last, held = -1, 0
    for file in sorted(shelves.files, key=lambda f: (f.shard, f.path)):
        if held >= most and file.shard != last:
            break
        out.append(file)
        last, held = file.shard, held + file.rows
    return tuple(out)


def _statuses(rows: pl.DataFrame) -> dict[str, dict[str, int]]:
    counts = rows.group_by("shelf_id", "status").agg(pl.len()).sort("shelf_id", "status")
    out: dict[str, dict[str, int]] = {}
    for shelf, status, n in counts.iter_rows():
        out.setdefault(shelf, {})[status] = n
    return out


def statuses_of(counts: dict[str, int]) -> dict[str, dict[str, int]]:
    """From the gate's counts, `status <shelf> <status>` -> rows."""
    out: dict[str, dict[str, int]] = {}
    for found, n in ShelfStatus.among(dict(sorted(counts.items()))).items():
        out.setdefault(found.shelf, {})[found.state] = n
    return out
