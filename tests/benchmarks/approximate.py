"""What approximate search costs and overlooks beside exact search, by size of the catalog.

    python -m tests.benchmarks.approximate [--items 50000 200000] [--dims 64] [--listeners 512] [--k 300]

Tracks' vectors are the iALS item factors of an invented log: listeners play mostly within a few of many groups of tracks, by
Zipf within a group, twenty plays a track on average. Listeners' vectors are folded in from histories of the same kind that the
fit has not seen. One thread each. Prints a JSON line a size: processor milliseconds a listener of both, recall at k, processor
seconds and bytes of the index.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
from scipy.sparse import csr_matrix

import models  # noqa: F401  (sets the Keras version before TensorFlow is imported)
from models.settings import AlsSettings, ApproximateSettings

GROUP, MINE, PLAYS = 200, 12, 120


def histories(listeners: int, items: int, rng: np.random.Generator) -> csr_matrix:
    """float32 [listeners, 1 + items]: plays, most of them in each one's few groups of tracks."""
    groups = max(items // GROUP, 1)
    taste = rng.integers(0, groups, (listeners, MINE))
    chosen = np.take_along_axis(taste, rng.integers(0, MINE, (listeners, PLAYS)), axis=1)
    within = np.minimum(rng.zipf(1.3, (listeners, PLAYS)) - 1, GROUP - 1)
    tracks = np.where(
        rng.random((listeners, PLAYS)) < 0.1, rng.integers(0, items, (listeners, PLAYS)), chosen * GROUP + within
    )
    rows = np.repeat(np.arange(listeners), PLAYS)
    plays = csr_matrix((np.ones(rows.size, np.float32), (rows, 1 + tracks.ravel())), (listeners, 1 + items))
    plays.sum_duplicates()
    return plays


def cost(search: object, queries: np.ndarray, k: int) -> float:
    """Processor milliseconds a listener, the better of two."""
    best = np.inf
    for _ in range(2):
        started = time.process_time()
        search(queries, None, k)  # type: ignore[operator]
        best = min(best, time.process_time() - started)
    return round(1000 * best / len(queries), 3)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[50_000, 200_000])
    for name, default in (("dims", 64), ("listeners", 512), ("k", 300)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()

    from models.als import Als
    from models.approximate import Approximate, recall
    from models.threads import compute_with
    from models.topk import over_known

    compute_with(1)
    for items in args.items:
        rng = np.random.default_rng(items)
        plays = histories(items * 20 // PLAYS, items, rng).tocoo()
        settings = AlsSettings(factors=args.dims, iterations=3)
        model = Als.fit(plays.row, plays.col, plays.data, *plays.shape, settings, seed=1)
        queries = model.fold_in(histories(args.listeners, items, rng))
        whole = over_known(model.item_factors)
        started = time.process_time()
        index = Approximate.build(model.item_factors, ApproximateSettings(tracks=1), seed=1)
        line = {
            **vars(args),
            "items": items,
            "recall": round(recall(whole, index, queries, args.k), 4),
            "index_cpu_s": round(time.process_time() - started, 1),
            "index_mb": round(len(index.index.as_bytes()) / 1e6, 1),
            "exact_cpu_ms": cost(whole, queries, args.k),
            "approximate_cpu_ms": cost(index, queries, args.k),
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
