"""Our rankers beside boosted trees on the same features and the same stored nights.

    python -m tests.benchmarks.trees --warehouse W --date D [--horizon 7]
    python -m tests.benchmarks.trees --kept DIR [--cut .4 .6] [--cut .6 .8]

Trees are LightGBM's LambdaMART (NDCG truncated at 50), its rounds chosen by early stopping on a hashed 15% of the
training groups, which our rankers learn from too. With several splits their settings are those of GRID that do best on
the test candidates of the first, which favours them there. Prints one JSON line a setting and a ranker: NDCG@50 of the
test night's unheard candidates, and the difference from the trees, paired by listener, with 95% bootstrap intervals.
`average` is the mean of the linear ranker's and the trees' scores, standardised within a listener.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence

import numpy as np

import models  # noqa: F401  (sets the Keras version before TensorFlow is imported)
from tests.benchmarks.ablation import blend, ranker
from tests.benchmarks.stored import Stored, add_arguments, pooled, read
from transforms.candidates.features import standardise
from transforms.common.hashing import uniform
from transforms.metrics.intervals import interval, paired_difference

HELD = 0.15
PARAMETERS = {
    "objective": "lambdarank",
    "metric": "ndcg",
    "ndcg_eval_at": [50],
    "lambdarank_truncation_level": 50,
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 200,
    "feature_fraction": 0.7,
    "lambda_l2": 10.0,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 2,
    "verbosity": -1,
}

GRID: dict[str, dict[str, object]] = {
    "15 leaves": {},
    "7 leaves": {"num_leaves": 7},
    "31 leaves, slow": {"num_leaves": 31, "learning_rate": 0.03},
    "15 leaves, 1000 a leaf": {"min_data_in_leaf": 1000, "lambda_l2": 100.0},
    "stumps": {"num_leaves": 2, "learning_rate": 0.1},
    "15 leaves, listwise softmax": {"objective": "rank_xendcg"},
}


def trees(split: Stored, seed: int, changed: Mapping[str, object] | None = None, rounds: int = 400) -> np.ndarray:
    """Scores of the test candidates by LambdaMART, groups without a positive left out."""
    import lightgbm
    import polars as pl

    data = split.train.filter(pl.col("listened").any().over("group")).sort("group", maintain_order=True)
    held = pl.Series(uniform(seed, "trees", data["group"]) < HELD)
    sets = []
    for part in (data.filter(~held), data.filter(held)):
        matrix = part.select(split.names).to_numpy().astype(np.float32)
        sizes = part.group_by("group", maintain_order=True).len()["len"].to_numpy()
        labels = part["listened"].cast(pl.Int32).to_numpy()
        sets.append(lightgbm.Dataset(matrix, labels, group=sizes, feature_name=list(split.names), free_raw_data=False))
    stop = [lightgbm.early_stopping(40, verbose=False)]
    settings = {**PARAMETERS, **(changed or {}), "seed": seed}
    booster = lightgbm.train(settings, sets[0], rounds, valid_sets=[sets[1]], callbacks=stop)
    return np.asarray(booster.predict(split.test.select(split.names).to_numpy().astype(np.float32)), np.float64)


def chosen(split: Stored, seed: int) -> str:
    """The setting of GRID with the best NDCG@50 on a split, the first among equals."""
    found = {}
    for name, changed in GRID.items():
        found[name] = float(split.measure(trees(split, seed, changed))["ndcg@50"].mean())  # type: ignore[arg-type]
        print(json.dumps({"trees": name, "split": split.name, "ndcg@50": round(found[name], 4)}), flush=True)
    return max(found, key=lambda name: found[name])


def main(argv: Sequence[str] | None = None) -> None:
    """Parse, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--rankers", nargs="*", default=["linear", "cross", "average"], help="ours")
    args = parser.parse_args(argv)
    splits = read(args)
    best = chosen(splits[0], args.seed) if len(splits) > 1 else "15 leaves"
    scores = {"trees": [trees(s, args.seed, GRID[best]) for s in splits], "blend": [blend(s) for s in splits]}
    for kind in args.rankers:
        scores[f"ranker {kind}"] = [ranker(kind, args.seed)(s) for s in splits]
    if "ranker linear" in scores:
        scores["linear and trees"] = [
            _standard(s, a) + _standard(s, b)
            for s, a, b in zip(splits, scores["ranker linear"], scores["trees"], strict=True)
        ]
    measured = {
        name: pooled([s.measure(x) for s, x in zip(splits, found, strict=True)]) for name, found in scores.items()
    }
    for name, values in measured.items():
        own = interval(values["listener_id"], values["ndcg@50"].to_numpy())
        both = values.join(measured["trees"], on="listener_id", suffix="_trees")
        gap = paired_difference(both["listener_id"], both["ndcg@50"].to_numpy(), both["ndcg@50_trees"].to_numpy())
        line = {"ranker": name, "listeners": own.n, "ndcg@50": round(own.value, 4)}
        if name != "trees":
            line["minus_trees"] = [round(v, 4) for v in (gap.value, gap.low, gap.high)]  # type: ignore[assignment]
        print(json.dumps(line), flush=True)


def _standard(split: Stored, scores: np.ndarray) -> np.ndarray:
    return standardise(scores, split.test["group"].to_numpy())


if __name__ == "__main__":
    main()
