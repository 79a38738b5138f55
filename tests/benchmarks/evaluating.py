"""What measuring a night costs, part by part, without Beam: processor seconds, and a digest of the rows.

    python -m tests.benchmarks.evaluating --warehouse W --date D [--days 7]

W holds the night D and the days after it. One process; set POLARS_MAX_THREADS=1 to leave out what waiting threads burn. Run it
twice: loops that are compiled are kept beside the code, and only a second run reads them. To compare with an older commit,
copy this file into its checkout and run it there; equal digests are equal rows. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Callable
from datetime import date, timedelta
from typing import TypeVar

from pipelines.recommender.registry import unranked_sources
from pipelines.runtime.config import Settings
from transforms.evaluation import stored
from transforms.evaluation.responses import responses_to
from transforms.tables.as_of import as_of
from transforms.tables.chunks import read_chunks
from transforms.tables.specs import Manifests, specs

T = TypeVar("T")


def measure(warehouse: str, day: date, days: int) -> dict[str, object]:
    """CPU seconds by part, rows and their digest."""
    settings, cost = Settings(), {}
    past = as_of(warehouse, day)
    future = past.following(day + timedelta(days))
    candidates, shelves, library = past.need("candidates"), past.need("shelves"), past.library()
    answers = {**responses_to(past, future), "library": library, "listens": future.every("listens")}
    columns = stored.columns_of(past.warehouse, candidates)
    made = {"candidates": [candidates], "shelves": [shelves], **answers}
    unranked = frozenset(unranked_sources())
    night = stored.StoredNight(warehouse, day, days, future.catalog(), settings.evaluation, settings.seed, unranked)

    def took(part: str, work: Callable[[], T]) -> T:
        start = time.process_time()
        out = work()
        cost[part] = round(time.process_time() - start, 2)
        return out

    everyone = specs(past.warehouse, settings.shards, {"library": library})
    known = [c for spec in everyone for c in read_chunks(spec, {"library": ("listener_id", "track_id")})]
    recordings = night.recordings()
    facts = took("facts", lambda: night.facts([stored.count_chunk(chunk, recordings) for chunk in known]))
    shards = specs(past.warehouse, settings.shards, made)
    chunks = took("reading", lambda: [chunk for spec in shards for chunk in read_chunks(spec, columns)])
    names = columns["candidates"]
    lists = took("lists", lambda: [stored.measure_chunk(night, chunk, names, facts) for chunk in chunks])
    listens = Manifests.of(past.warehouse, past.every("listens"))
    simple = took("baselines", lambda: stored.measure_baselines(night, listens, lists, facts))
    parts = [*lists, simple] if simple else lists
    found = took("means and intervals", lambda: stored.summary_of(night, parts, facts))
    rows = found["evaluation"] if found else None
    digest = hashlib.sha256(rows.write_csv().encode()).hexdigest()[:16] if rows is not None else ""
    whole = round(sum(cost.values()), 2)
    return {"cpu_s": cost, "all": whole, "rows": 0 if rows is None else rows.height, "digest": digest}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--warehouse", required=True)
    parser.add_argument("--date", type=date.fromisoformat, required=True)
    parser.add_argument("--days", type=int, default=7)
    args = parser.parse_args()
    print(json.dumps(measure(args.warehouse, args.date, args.days)))


if __name__ == "__main__":
    main()
