"""What the cut before the ranker costs in quality: rankers learn from and order cut candidates, beside whole ones.

    python -m tests.benchmarks.cut --warehouse W --date D [--best 200 300 400] [--of-each 50] [--share .25]

W holds nights that were stored uncut (`candidates.cut: null`), D is the last of them whose outcomes are there. For each size
the linear ranker is fitted twice, on all candidates of the earlier nights and on those the cut leaves, and each orders its own
kind of candidates of D. A listed track that the cut took counts as missed. `--share` takes a hashed share of the listeners.
Prints one JSON line a size: NDCG@50 of unheard tracks, whole and cut, candidates a listener, and the relative difference with
its 95% interval (paired bootstrap over listeners).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import numpy as np
import polars as pl

import models  # noqa: F401  (sets the Keras version before TensorFlow is imported)
from models.rankers.kinds import fit
from models.settings import RankerSettings
from tests.benchmarks import stored
from tests.benchmarks.stored import Stored
from transforms.candidates.cut import cut
from transforms.candidates.settings import CutSettings
from transforms.common.hashing import uniform
from transforms.metrics.intervals import paired_ratio

K = 300


def kept(frame: pl.DataFrame, settings: CutSettings) -> np.ndarray:
    """bool [m], which of stored unheard candidates the cut leaves; ranks are read off the features `f_r_*`.

    What no ranked source had found stands there for a source that no ranker weighs, and stays.
    """
    best = frame.select(pl.max_horizontal(pl.col("^f_r_.*$"))).to_series().to_numpy()
    rank = np.rint(np.exp((1 - best) * np.log(1 + K))).astype(np.int32)
    found = frame.select(
        row=pl.col("group").rank("dense").cast(pl.Int32) - 1,
        heard_before=pl.lit(False),
        rank_ranked=pl.when(pl.Series(best > 0)).then(pl.Series(rank)),
        rank_apart=pl.when(pl.Series(best <= 0)).then(1),
    )
    order = np.argsort(found["row"].to_numpy(), kind="stable")
    mask = np.zeros(len(frame), bool)
    mask[order] = cut(found[order], frame["f_blend"].to_numpy()[order], [_Ranked, _Apart], settings)  # type: ignore[list-item]
    return mask


class _Ranked:
    name, ranked = "ranked", True


class _Apart:
    name, ranked = "apart", False


def sampled(split: Stored, share: float, seed: int) -> Stored:
    """A hashed share of the listeners of the test night, and of the groups that are learned from."""
    who = pl.Series(uniform(seed, "cut", split.test["listener_id"]) < share)
    groups = pl.Series(uniform(seed, "cut groups", split.train["group"]) < share)
    test = split.test.filter(who)
    wanted = split.wanted.join(test.select("listener_id").unique(), on="listener_id", how="semi")
    return replace(split, train=split.train.filter(groups), test=test, wanted=wanted)


def ordered(split: Stored, seed: int) -> pl.DataFrame:
    """NDCG@50 a listener of the linear ranker fitted on the split's own examples."""
    ranker = fit(split.train, list(split.names), RankerSettings(kind="linear"), seed)
    return split.measure(ranker.score(split.test.select(split.names).to_numpy().astype(np.float32)))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    stored.add_arguments(parser)
    parser.add_argument("--best", type=int, nargs="+", default=[200, 300, 400])
    parser.add_argument("--of-each", type=int, default=CutSettings().of_each)
    parser.add_argument("--share", type=float, default=1.0)
    args = parser.parse_args()
    for split in stored.read(args):
        whole = sampled(split, args.share, args.seed)
        before = ordered(whole, args.seed).rename({"ndcg@50": "whole"})
        for best in args.best:
            settings = CutSettings(best=best, of_each=args.of_each)
            part = replace(
                whole,
                train=whole.train.filter(pl.Series(kept(whole.train, settings))),
                test=whole.test.filter(pl.Series(kept(whole.test, settings))),
            )
            both = before.join(ordered(part, args.seed), on="listener_id").sort("listener_id")
            ratio = paired_ratio(both["listener_id"], both["ndcg@50"].to_numpy(), both["whole"].to_numpy())
            line = {
                "split": split.name,
                "best": best,
                "of_each": args.of_each,
                "listeners": both.height,
                "whole": round(float(both["whole"].mean()), 4),  # type: ignore[arg-type]
                "cut": round(float(both["ndcg@50"].mean()), 4),  # type: ignore[arg-type]
                "candidates_whole": round(whole.test.height / whole.test["listener_id"].n_unique(), 1),
                "candidates_cut": round(part.test.height / whole.test["listener_id"].n_unique(), 1),
                "ratio": [round(x, 4) for x in (ratio.value, ratio.low, ratio.high)],
            }
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
