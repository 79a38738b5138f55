"""What each source and each group of features brings: the order without it, paired by listener.

    python -m tests.benchmarks.ablation --kept DIR [--cut .4 .6] [--cut .6 .8] [--kind linear]
    python -m tests.benchmarks.ablation --warehouse W --date D [--horizon 7] [--source two_tower]

Rankers are fitted anew on the stored nights each time, and order the test night's unheard candidates (see stored.py).
Differences are NDCG@50 without the part minus with it, with 95% bootstrap intervals over listeners; several cuts are
pooled by listener. Prints a markdown table. A part whose removal costs nothing is one to take out.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence

import numpy as np

import models  # noqa: F401  (sets the Keras version before TensorFlow is imported)
from models.rankers.kinds import fit
from models.settings import RankerSettings
from tests.benchmarks.stored import Stored, add_arguments, pooled, read
from transforms.metrics.intervals import interval, paired_difference

GROUPS = {
    "ranks": r"^f_r_",
    "standardised scores": r"^f_[zs]_",
    "agreement and blend": r"^f_(agree|blend)$",
    "listener": r"^f_l_",
    "track": r"^f_t_",
    "company": r"^f_company",
    "closest link": r"^f_link_",
    "recent and last plays": r"^f_(co|next)_",
    "likeness to the last sessions": r"^f_like_",
    "clusters of listeners alike": r"^f_alike_",
    "own plays": r"^f_o_",
    "artists": r"^f_artist_",
    "albums": r"^f_album_",
}
Order = Callable[[Stored], np.ndarray]


def blend(split: Stored) -> np.ndarray:
    """The untrained order."""
    return split.test["f_blend"].to_numpy()


def ranker(kind: str, seed: int) -> Order:
    """The order by a ranker fitted on the split's earlier nights."""

    def order(split: Stored) -> np.ndarray:
        fitted = fit(split.train, split.names, RankerSettings.model_validate({"kind": kind}), seed)
        return fitted.score(split.test.select(split.names).to_numpy().astype(np.float32))

    return order


def ablate(
    splits: Sequence[Stored],
    order: Order,
    log: Callable[[str], None],
    features: bool,
    only: Sequence[str] | None = None,
) -> list[list[str]]:
    """Rows of the table: part, NDCG@50 without it, difference and interval; `only` names sources to take out, else all."""
    whole = pooled([s.measure(order(s)) for s in splits])
    value = interval(whole["listener_id"], whole["ndcg@50"].to_numpy())
    rows = [["(nothing)", f"{value.value:.4f}", ""]]
    cuts: dict[str, Callable[[Stored], Stored]] = {}
    every = {n for s in splits for n in s.sources()}
    for name in sorted(every & set(only) if only else every):
        cuts[f"source {name}"] = lambda s, n=name: s.without_sources([n])  # type: ignore[misc]
    for name, pattern in GROUPS.items() if features and not only else ():
        if any(re.search(pattern, n) for s in splits for n in s.names):
            cuts[f"features: {name}"] = lambda s, p=pattern: s.without_features(  # type: ignore[misc]
                [n for n in s.names if re.search(p, n)]
            )
    for name, cut in cuts.items():
        log(name)
        left = pooled([smaller.measure(order(smaller)) for s in splits for smaller in (cut(s),)])
        both = whole.join(left, on="listener_id", suffix="_left")
        gap = paired_difference(both["listener_id"], both["ndcg@50_left"].to_numpy(), both["ndcg@50"].to_numpy())
        mean = float(np.mean(left["ndcg@50"].to_numpy()))
        rows.append([name, f"{mean:.4f}", f"{gap.value:+.4f} ({gap.low:+.4f} to {gap.high:+.4f})"])
    return rows


def table(title: str, rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [f"| {title} without | NDCG@50 | difference |", "| --- | --- | --- |"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def main(argv: Sequence[str] | None = None) -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--kind", default="linear", help="kind of ranker")
    parser.add_argument("--source", action="append", help="take out only these sources; default: each source and group")
    args = parser.parse_args(argv)
    splits = read(args)

    def log(name: str) -> None:
        print(name, file=sys.stderr, flush=True)

    print(table("blend", ablate(splits, blend, log, False, args.source)), "\n")
    print(table(args.kind, ablate(splits, ranker(args.kind, args.seed), log, True, args.source)))


if __name__ == "__main__":
    main()
