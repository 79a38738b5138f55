"""Looking after a warehouse: what is out of date, going back to an earlier run, deleting what nobody needs.

Every manifest names its inputs as `table@date` with the version it read. A table is out of date when one of them has
another version now; nothing is remade for that reason alone, it is only said.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from pydantic import BaseModel, ConfigDict, Field

from transforms.common.errors import UserError
from transforms.tables.manifest import Heading, Manifest
from transforms.tables.runs import CLAIM, RUN_MANIFEST, run_of
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import CURRENT, Warehouse, folder

CHECKPOINTS = "checkpoints"  # of fits that were killed: not a table, no reader looks there
EXAMPLES = "examples"  # beside them, what a fit learns from
_RUN_FOLDER = re.compile(r"(?P<table>\w+)/date=(?P<day>[\d-]{10})/run=(?P<run>[^/]+)")
OF_A_NIGHT = tuple(table.name for table in TABLES.values() if table.of_a_night)


class RetentionSettings(BaseModel):
    """What `nightshelf clean` may delete."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    previous_runs: int = Field(1, ge=0, description="runs kept behind the current one of each date, for rollback")
    outcome_days: int = Field(
        28, ge=28, description="days back in which an outcome window still needs a night as shown"
    )


@dataclass(frozen=True)
class State:
    """One table of one date: its manifest and which inputs have moved since."""

    manifest: Manifest
    moved: tuple[str, ...]


def input_key(manifest: Heading) -> str:
    """How a manifest stands among another's inputs: `table@date`."""
    return f"{manifest.table}@{manifest.date.isoformat()}"


def inputs_of(*manifests: Heading | None) -> dict[str, str]:
    """The inputs a run records: `{table@date: version}` of each manifest given (None is passed over)."""
    return {input_key(m): m.version for m in manifests if m is not None}


def tables(warehouse: Warehouse) -> list[str]:
    """Folders of the warehouse that hold dates."""
    return [t for t in warehouse.store.folders("") if any(n.startswith("date=") for n in warehouse.store.folders(t))]


def states(warehouse: Warehouse) -> list[State]:
    """Every current manifest, by table and date, with the inputs that have moved."""
    current = {input_key(m): m for t in tables(warehouse) for d in warehouse.dates(t) if (m := warehouse.current(t, d))}
    return [
        State(m, tuple(sorted(k for k, v in m.inputs.items() if k in current and current[k].version != v)))
        for m in current.values()
    ]


def rollback(warehouse: Warehouse, table: str, day: date) -> Manifest:
    """Point a date at the run before its current one, and pin it there.

    Raises:
        UserError: there is no such table, or no earlier run.
        LostRace: a run committed meanwhile.
    """
    _known(warehouse, table)
    current, token = warehouse.current_with_token(table, day)
    earlier = _run_manifest(warehouse, table, day, current.previous_run) if current and current.previous_run else None
    if current is None or earlier is None:
        raise UserError(f"{table} of {day} has no earlier run to go back to")
    back = earlier.model_copy(update={"pinned": True})
    warehouse.commit(back, token)
    return back


def _known(warehouse: Warehouse, table: str) -> None:
    known = tables(warehouse)
    if table not in known:
        raise UserError(f"unknown table, expected one of {', '.join(sorted(known)) or 'none: the warehouse is empty'}")


def unpin(warehouse: Warehouse, table: str, day: date) -> Manifest:
    """Release a pin: the next run whose version differs replaces it.

    Raises:
        UserError: there is no such table, or nothing on that date.
    """
    _known(warehouse, table)
    current, token = warehouse.current_with_token(table, day)
    if current is None:
        raise UserError(f"{table} has nothing on {day}")
    free = current.model_copy(update={"pinned": False})
    warehouse.commit(free, token)
    return free


def _run_manifest(warehouse: Warehouse, table: str, day: date, run_id: str) -> Manifest | None:
    try:
        return Manifest.from_json(warehouse.store.read(f"{folder(table, day)}/run={run_id}/{RUN_MANIFEST}"))
    except FileNotFoundError:
        return None


def removable(warehouse: Warehouse, settings: RetentionSettings, abandoned: bool = False) -> Iterator[str]:
    """Run folders that may go: not current, not among the last `previous_runs`, not needed by an outcome window.

    Nor may a run that somebody works on. One that is finished, and nothing was committed over since it was planned, may be
    about to be committed; it counts as one that never was.

    Args:
        abandoned: also runs that never were committed and whose job has ended, and checkpoints of fits.
    """
    chained = {part["run_id"] for d in warehouse.dates("library") for part in _chain(warehouse.current("library", d))}
    newest = max((d for t in OF_A_NIGHT for d in warehouse.dates(t)), default=None)
    needed = _shown_versions(warehouse, newest, settings) if newest else set()
    unfinished: list[str] = []
    for table in tables(warehouse):
        for day in warehouse.begun(table):
            current = warehouse.current(table, day)
            keep = _kept(warehouse, table, day, current, settings)
            for name in warehouse.store.folders(folder(table, day)):
                run_id, path = name.removeprefix("run="), f"{folder(table, day)}/{name}"
                if (
                    run_id in keep
                    or (table == "library" and run_id in chained)
                    or (table == "shelves" and run_id.rsplit("-", 1)[0] in needed)
                ):
                    continue
                made = _run_manifest(warehouse, table, day, run_id)
                if made is None or (current is not None and made.previous_run == current.run_id):
                    unfinished.append(path)
                elif current is not None:
                    yield path  # (of a date without a current run, a finished one may be what `repair` puts back)
    if abandoned:
        yield from _abandoned(warehouse, unfinished)


def _kept(
    warehouse: Warehouse, table: str, day: date, current: Manifest | None, settings: RetentionSettings
) -> set[str]:
    """Runs of a date that are current or may be gone back to, and those whose files they name."""
    keep: set[str] = set()
    back = current
    for _ in range(settings.previous_runs + 1):
        if back is None:
            break
        keep |= {back.run_id, *map(run_of, back.files)}
        back = _run_manifest(warehouse, table, day, back.previous_run) if back.previous_run else None
    return keep


def _abandoned(warehouse: Warehouse, unfinished: Sequence[str]) -> Iterator[str]:
    """Of runs without a manifest and of checkpoints, those whose jobs have ended."""
    busy: set[str] = set()
    for path in unfinished:
        claim = warehouse.store.read_with_token(f"{path}/{CLAIM}")[0]
        if warehouse.store.is_at_work((claim or b"").decode("ascii", "replace").removeprefix("claimed").strip(), path):
            busy.add(path.rpartition("run=")[2])  # an ingest claims one folder and writes into many, all of its id
    yield from (path for path in unfinished if path.rpartition("run=")[2] not in busy)
    versions = {run_id.rpartition("-")[0] for run_id in busy}
    yield from (f"{CHECKPOINTS}/{v}" for v in warehouse.store.folders(CHECKPOINTS) if v not in versions)


def remove(warehouse: Warehouse, path: str) -> bool:
    """Delete a run's folder that `removable` named, unless it became current meanwhile; whether it is gone."""
    found = _RUN_FOLDER.fullmatch(path)
    if found is not None:
        current = warehouse.current(found["table"], date.fromisoformat(found["day"]))
        if current is not None and found["run"] in {current.run_id, *map(run_of, current.files)}:
            return False
    warehouse.store.delete(path)
    return True


def _chain(manifest: Manifest | None) -> list[dict[str, str]]:
    """The base and the deltas a library builds on."""
    return list(manifest.extra.get("chain", ())) if manifest else []


def _shown_versions(warehouse: Warehouse, newest: date, settings: RetentionSettings) -> set[str]:
    since = newest - timedelta(settings.outcome_days)
    shown: set[str] = set()
    for day in warehouse.dates("impressions"):
        if day >= since:
            shown |= set(warehouse.read("impressions", day, ["version"])["version"].drop_nulls().unique())
    return shown


def rows_of(data: bytes) -> int:
    """Rows of a Parquet file, as its footer says."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    return int(pq.read_metadata(pa.BufferReader(data)).num_rows)


def check_table(warehouse: Warehouse, manifest: Manifest) -> list[str]:
    """What of a manifest's files is missing or of another content, and whether its counts are theirs; empty if all is well.

    Raises:
        UserError: a file may not be opened by this user, which says nothing of what is in it.
    """
    from hashlib import sha256

    wrong = []
    if manifest.rows != sum(f.rows for f in manifest.files):
        wrong.append(
            f"{folder(manifest.table, manifest.date)}/{CURRENT} says {manifest.rows:,} rows, and its files "
            f"{sum(f.rows for f in manifest.files):,}"
        )
    for entry in manifest.files:
        try:
            data = warehouse.store.read(entry.path)
        except FileNotFoundError:
            wrong.append(f"{entry.path} is missing")
            continue
        except PermissionError as error:
            raise UserError(
                f"{entry.path} cannot be opened ({os.strerror(error.errno or 0)}), so nobody knows whether it is damaged: mend "
                "the rights on it, then run the same command again"
            ) from error
        except OSError as error:
            wrong.append(f"{entry.path} cannot be read ({os.strerror(error.errno or 0)})")
            continue
        if sha256(data).hexdigest() != entry.sha256:
            wrong.append(f"{entry.path} has another content than was committed")
        elif manifest.table in TABLES and entry.path.endswith(".parquet") and (rows := rows_of(data)) != entry.rows:
            wrong.append(f"{entry.path} holds {rows:,} rows, and its manifest says {entry.rows:,}")
    return wrong
