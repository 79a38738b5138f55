"""What each source finds of a night's unheard targets, alone and beside the others.

    python -m tests.benchmarks.sources --warehouse W --date D [--horizon 7] [--ahead N]
    python -m tests.benchmarks.sources --kept DIR [--cut .6 .8]

Reads stored nights (see stored.py). A line a source: its own order's NDCG@50, the tracks a listener that it retrieves, the
share of targets among them; then the tracks and the share that no other source retrieves, and of these tracks the share
that are targets: what a row that only this source brings is worth. A listener is one with targets. Prints markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import polars as pl

import models  # noqa: F401  (sets the Keras version before TensorFlow is imported)
from tests.benchmarks.real_tables import table
from tests.benchmarks.stored import Stored, add_arguments, read
from transforms.metrics.ranking import score_lists

HEADER = ("NDCG@50", "tracks a listener", "found", "tracks by it alone", "found by it alone", "of these targets")


def lines(split: Stored) -> list[list[str]]:
    """A row a source, and one for all of them together."""
    keys = ["listener_id", "item"]
    test = split.test.join(split.wanted.select("listener_id").unique(), on="listener_id", how="semi")
    test = test.join(split.wanted.unique().with_columns(hit=pl.lit(True)), on=keys, how="left")
    hit = test["hit"].fill_null(False).to_numpy()
    people, targets = test["listener_id"].n_unique(), len(split.wanted.unique())
    there = {name: test[f"f_r_{name}"].to_numpy() > 0 for name in split.sources()}
    finders = np.sum(list(there.values()), axis=0)
    out = []
    for name, mine in there.items():
        ranks = split.test[f"f_r_{name}"].to_numpy()
        alone = mine & (finders == 1)
        ndcg = _first(split, np.where(ranks > 0, ranks, -1.0))
        out.append(
            [
                name,
                f"{ndcg:.4f}",
                f"{mine.sum() / people:.0f}",
                f"{(mine & hit).sum() / targets:.4f}",
                f"{alone.sum() / people:.1f}",
                f"{(alone & hit).sum() / targets:.4f}",
                f"{(alone & hit).sum() / max(alone.sum(), 1):.4f}",
            ]
        )
    out.sort(key=lambda row: row[1], reverse=True)
    found = finders > 0
    return [*out, ["all", "", f"{found.sum() / people:.0f}", f"{(found & hit).sum() / targets:.4f}", "", "", ""]]


def _first(split: Stored, scores: np.ndarray) -> float:
    """Mean NDCG@50 of an order, of what it lists only."""
    listed = split.test.select("listener_id", "item").with_columns(score=pl.Series(scores)).filter(pl.col("score") >= 0)
    ranked = listed.with_columns(rank=pl.col("score").rank("ordinal", descending=True).over("listener_id"))
    return float(score_lists(ranked.drop("score"), split.wanted, (50,))["ndcg@50"].mean() or 0.0)  # type: ignore[arg-type]


def main(argv: Sequence[str] | None = None) -> None:
    """Parse, count, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    for split in read(parser.parse_args(argv)):
        print(f"{split.name}: {len(split.wanted)} targets\n\n{table(('source', *HEADER), lines(split))}\n")


if __name__ == "__main__":
    main()
