"""Exact top-500 of 200,000 x 64 with exclusions: listeners a second, ours beside implicit's `recommend`.

    python -m tests.benchmarks.top_k [--listeners 4096] [--items 200000] [--dims 64] [--k 500] [--heard 100]

Prints one JSON line. Both see the same vectors and the same heard tracks; they agree when every score list is equal
within 1e-4 and every track that one has and the other has not scores within 1e-4 of the last place.
"""

from __future__ import annotations

import argparse
import json
import os
import time

# As implicit advises: its own threads, one for BLAS. Ours multiplies in TensorFlow and is not touched by it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from scipy.sparse import csr_matrix

import models  # noqa: F401  (sets the Keras version before TensorFlow is imported)


def main() -> None:
    """Run both, alternating, and print the best time of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("listeners", 4096), ("items", 200_000), ("dims", 64), ("k", 500), ("heard", 100)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--repeats", type=int, default=3)
    a = parser.parse_args()

    from implicit.als import AlternatingLeastSquares

    from models.topk import TopK

    rng = np.random.default_rng(0)
    items = rng.standard_normal((a.items, a.dims)).astype(np.float32)
    queries = rng.standard_normal((a.listeners, a.dims)).astype(np.float32)
    heard = np.sort(np.argpartition(rng.random((a.listeners, a.heard * 8)), a.heard, axis=1)[:, : a.heard])
    heard = heard * (a.items // (a.heard * 8)) if a.heard else heard
    exclude = csr_matrix(
        (np.ones(heard.size, np.float32), heard.ravel(), np.arange(0, heard.size + 1, a.heard or 1)[: a.listeners + 1]),
        shape=(a.listeners, a.items),
    )
    peer = AlternatingLeastSquares(factors=a.dims, use_gpu=False)
    peer.item_factors, peer.user_factors = items, queries
    ours = TopK(items)
    ours(queries[:256], exclude[:256], a.k)

    best = {"ours": np.inf, "implicit": np.inf}
    for _ in range(a.repeats):
        started = time.perf_counter()
        ids, scores = ours(queries, exclude, a.k)
        best["ours"] = min(best["ours"], time.perf_counter() - started)
        started = time.perf_counter()
        their_ids, their_scores = peer.recommend(
            np.arange(a.listeners), exclude, N=a.k, filter_already_liked_items=True
        )
        best["implicit"] = min(best["implicit"], time.perf_counter() - started)

    same_scores = bool(np.allclose(scores, their_scores, atol=1e-4))
    within_ties = all(
        all(abs(float(queries[i] @ items[t]) - float(scores[i, -1])) < 1e-4 for t in set(x) ^ set(y))
        for i, (x, y) in enumerate(zip(ids.tolist(), their_ids.tolist(), strict=True))
    )
    speed = {name: round(a.listeners / seconds, 1) for name, seconds in best.items()}
    print(
        json.dumps(
            {
                **vars(a),
                "listeners_per_second": speed,
                "ratio": round(speed["ours"] / speed["implicit"], 3),
                "same_scores": same_scores,
                "same_ids_within_ties": within_ties,
            }
        )
    )


if __name__ == "__main__":
    main()
