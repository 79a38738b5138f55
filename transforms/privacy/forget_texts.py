"""What beside rows may name a listener: a ledger's file names, records of runs, report pages.

Manifests and records are JSON, and what names somebody in them is replaced; a report shows some
listeners' shelves, and a gallery beside it everybody's: they are deleted whole, since `nightshelf report` writes them again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date

from transforms.common.errors import LostRace
from transforms.privacy.forget import change_manifests, clear_rejects, swap
from transforms.privacy.traces import Traces
from transforms.tables.manifest import Manifest
from transforms.tables.schema import TABLES
from transforms.tables.upkeep import CHECKPOINTS, EXAMPLES
from transforms.tables.warehouse import Warehouse, folder

ATTEMPTS = 5
GALLERY = "/gallery/"
OVERTAKEN = (
    "other jobs kept replacing files that hold the listeners; what was found is removed, what they wrote is not looked into: "
    "run the same command again when they have ended"
)


def clear_texts(warehouse: Warehouse, traces: Traces) -> int:
    """Clear ledgers and manifests of ingest, records of runs, and report pages. Returns how many files were changed.

    Raises:
        UserError: a manifest cannot be read.
    """

    def cleared(manifest: Manifest) -> Manifest:
        return manifest.model_copy(
            update={"settings": traces.replaced(manifest.settings), "extra": traces.replaced(manifest.extra)}
        )

    count = 0
    for table in (t.name for t in TABLES.values() if t.made_by == "ingest"):
        for day in warehouse.begun(table):
            count += change_manifests(warehouse, folder(table, day), cleared)
    for path in warehouse.store.paths("runs"):
        if not path.endswith(".json"):
            continue
        text = warehouse.store.read(path)
        try:
            body = json.loads(text)
        except ValueError:  # no record any more: nothing is lost with it
            if traces.within(text.decode("utf-8", "replace")):
                warehouse.store.delete(path)
                count += 1
            continue
        after = traces.replaced(body)
        if after != body:
            warehouse.store.write(path, json.dumps(after, indent=1, sort_keys=True).encode())
            count += 1
    for night in warehouse.store.folders("reports"):
        paths = warehouse.store.paths(f"reports/{night}")
        # a gallery shows everybody, however short their ids are, and keeps their shelves in files that name nobody
        whole = any(GALLERY in path for path in paths)
        if whole or any(traces.within(warehouse.store.read(path).decode("utf-8", "replace")) for path in paths):
            warehouse.store.delete(f"reports/{night}")
            count += len(paths)
    return count


def clear_others(warehouse: Warehouse, traces: Traces, of: Sequence[int], today: date) -> int:
    """Everything that is no listener's row: refused lines, ledgers, records, reports, leftovers of killed jobs.

    Returns:
        how many files were changed or deleted.

    Raises:
        LostRace: other jobs kept replacing refused lines.
    """
    cleared = 0
    for _ in range(ATTEMPTS):
        done = [r for p in _rejects(warehouse) if (r := clear_rejects(warehouse, p, traces, of)) is not None]
        cleared += len(done)
        if not swap(warehouse, done, today)[1]:
            break
    else:
        raise LostRace(OVERTAKEN)
    with warehouse.store.turn("forget"):
        count = clear_texts(warehouse, traces)
    examples = [
        path for path in warehouse.store.paths(CHECKPOINTS) if f"/{EXAMPLES}/" in path
    ]  # of fits that were killed
    for path in [*warehouse.store.paths("imports"), *warehouse.store.leftovers(), *examples]:
        warehouse.store.delete(path)
        count += 1
    return cleared + count


def _rejects(warehouse: Warehouse) -> Iterator[str]:
    return (p for p in warehouse.store.paths("rejects") if p.endswith(".parquet"))
