"""A night as drift sees it, read from manifests: its counts, numbers that are watched, and what its models were fitted of.

Levels: listens of the date, listeners who played, candidates a listener, the share of items that stood on their shelf the night
before, the share of personal rows, listens of new tracks over those that the ranker expected (of the night whose seven days
close), and the processor seconds of scoring, once they are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from transforms.common.typed_names import NewListens, ShelfStatus
from transforms.gates.drift import Observed
from transforms.gates.measure import Counts
from transforms.gates.moving import EXPECTED
from transforms.tables.manifest import Manifest
from transforms.tables.records import read_record
from transforms.tables.warehouse import Warehouse

HORIZON = 7  # days of the outcomes that chances are held against


def observed(
    warehouse: Warehouse, day: date, inputs: Mapping[str, str], counts: Counts, logged: Counts, run_id: str | None
) -> Observed:
    """One night.

    Args:
        inputs: of its shelves' manifest.
        counts: what the gates measured.
        logged: what was counted of the date's listens.
        run_id: of its shelves, for what the job took; None = not known yet.
    """
    models = ",".join(sorted(f"{k}={v}" for k, v in inputs.items() if k.partition("@")[0] in ("models", "rankers")))
    return Observed({**logged, **counts}, _levels(warehouse, day, counts, logged, run_id), models)


def _levels(warehouse: Warehouse, day: date, counts: Counts, logged: Counts, run_id: str | None) -> dict[str, float]:
    out: dict[str, float] = {}
    roster = counts.get("roster", 0)
    states = ShelfStatus.among(counts)
    personal = sum(n for one, n in states.items() if one.state == "personal")
    ratios = (
        ("listens of the date", logged.get("rows", 0), 1),
        ("listeners who played", counts.get("active", 0), 1),
        ("candidates a listener", counts.get("scores", 0), roster),
        ("share of items that stood there before", counts.get("same chosen items", 0), counts.get("chosen items", 0)),
        ("share of rows that are personal", personal, sum(states.values())),
    )
    out |= {name: number / of for name, number, of in ratios if number and of}
    then = warehouse.current("shelves", day - timedelta(HORIZON))
    closed = warehouse.current("outcomes", day)
    if then is not None and closed is not None:
        chances = then.extra.get("measured", {}).get("counts", {}).get(EXPECTED, 0)
        heard = closed.extra.get(str(NewListens(HORIZON)), 0)
        if chances and heard:
            out["calibration: listens of new tracks over those expected"] = heard * 1e6 / chances
    record = read_record(warehouse, f"runs/{run_id}.json") if run_id else None
    if record and record.get("cpu_seconds"):
        out["processor seconds of scoring"] = float(record["cpu_seconds"])
    return out


def of_manifest(warehouse: Warehouse, manifest: Manifest) -> Observed | None:
    """A stored night; None where nobody counted."""
    raw = manifest.extra.get("measured")
    if not isinstance(raw, dict) or "counts" not in raw:
        return None
    listens = warehouse.current("listens", manifest.date)
    logged = dict(listens.extra.get("measured", {})) if listens else {}
    return observed(warehouse, manifest.date, manifest.inputs, dict(raw["counts"]), logged, manifest.run_id)
