"""Stored nights as a benchmark reads them: what rankers learn from, one night to order, and what came after it.

From a warehouse: the nights whose outcomes had closed by the test night teach, the test night's unheard candidates are
ordered, and its own outcomes say what was heard (what no source had found counts as missed). From a folder that
`tests.benchmarks.offline --keep` wrote: the same three, of a cut.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import polars as pl

from pipelines.outcomes import outcomes
from pipelines.recommender.ranker_examples import examples
from pipelines.recommender.registry import sources as every_source
from pipelines.runtime.config import Settings
from transforms.candidates.features import RANK_WEIGHT, of_unplayed, standardise
from transforms.common.errors import UserError
from transforms.metrics.ranking import score_lists
from transforms.tables.warehouse import Warehouse

NIGHTS = 6


@dataclass(frozen=True)
class Stored:
    """One split.

    Attributes:
        name: of the split.
        train: candidates of earlier nights: `group`, `listened`, `weight` where known, features.
        test: unheard candidates of the test night: `listener_id`, `item` (a track id), features, and `group`.
        wanted: `listener_id`, `item` of the unheard tracks that were heard after it.
        names: the features.
    """

    name: str
    train: pl.DataFrame
    test: pl.DataFrame
    wanted: pl.DataFrame
    names: tuple[str, ...]

    def sources(self) -> list[str]:
        """Sources with a column of ranks, but those of repeats, which find nothing unheard."""
        repeats = {kind.name for kind in every_source() if kind.retrieves == "heard"}
        found = [n.removeprefix("f_r_") for n in self.names if n.startswith("f_r_")]
        return [name for name in found if name not in repeats]

    def measure(self, scores: np.ndarray) -> pl.DataFrame:
        """`listener_id`, `ndcg@50` of the order by score, equals in the order given."""
        ranked = self.test.select("listener_id", "item").with_columns(
            rank=pl.Series(scores).rank("ordinal", descending=True)
        )
        return score_lists(ranked, self.wanted, (50,)).select("listener_id", "ndcg@50")

    def without_features(self, dropped: Sequence[str]) -> Stored:
        """The same with fewer features."""
        return replace(self, names=tuple(n for n in self.names if n not in dropped))

    def without_sources(self, dropped: Sequence[str]) -> Stored:
        """As if these sources had never been: without their features and the candidates that only they had found.

        What remains is standardised anew, agreement is counted and the blend summed anew. Features that read a source's
        artefacts for another purpose stay.
        """
        gone = {f"f_{kind}_{name}" for name in dropped for kind in "zsr"}
        names = tuple(n for n in self.names if n not in gone)
        parts = [_without(frame, names) for frame in (self.train, self.test)]
        return replace(self, train=parts[0], test=parts[1], names=names)


def _without(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    ranks = [n for n in names if n.startswith("f_r_")]
    left = frame.filter(pl.any_horizontal(pl.col(n) > 0 for n in ranks))
    groups = left["group"].rank("dense").to_numpy().astype(np.int64)
    scores = [n for n in names if n.startswith(("f_z_", "f_s_"))]
    left = left.with_columns(pl.Series(n, standardise(left[n].to_numpy(), groups)) for n in scores)
    values = {n.removeprefix("f_z_"): left[n].to_numpy().copy() for n in scores if n.startswith("f_z_")}
    counted = {name: left[f"f_r_{name}"].to_numpy() for name in values}
    blended = [kind for kind in every_source() if kind.name in values]
    weights = {kind.name: np.float32(kind.blend_weight) for kind in blended}
    if "f_t_listeners" in left.columns:
        counted = of_unplayed(values, counted, left["f_t_listeners"].to_numpy() <= 0, blended)
    blend = np.zeros(len(left), np.float32)
    for name, value in values.items():
        blend += weights.get(name, np.float32(1)) * (value + RANK_WEIGHT * counted[name])
    return left.with_columns(
        *(pl.Series(f"f_z_{name}", column) for name, column in values.items()),
        pl.Series("f_blend", blend, pl.Float32),
        f_agree=pl.sum_horizontal(pl.col(n) > 0 for n in ranks).cast(pl.Float32),
    )


def from_warehouse(path: str, night: date, horizon: int = 7, ahead: int | None = None) -> Stored:
    """Everything stored of a night and of those before it.

    Args:
        horizon: days of listening behind the labels of the nights to learn from.
        ahead: days of listening that the night is measured by; default: the horizon. Its outcomes are joined if need be.

    Raises:
        UserError: the night's candidates or outcomes are missing, or no earlier night is there to learn from.
    """
    warehouse, ahead = Warehouse(path), ahead or horizon
    closed = night + timedelta(ahead)
    if warehouse.current("outcomes", closed) is None:
        outcomes(path, closed, settings=Settings(), horizons=[ahead])
    test_pair = (warehouse.need("candidates", night), warehouse.need("outcomes", closed))
    earlier = [
        (warehouse.need("candidates", d), outcome)
        for d in warehouse.dates("candidates")
        if d + timedelta(horizon) <= night and (outcome := warehouse.current("outcomes", d + timedelta(horizon)))
    ][-NIGHTS:]
    if not earlier:
        raise UserError(f"no stored night had outcomes by {night}; expected the nights a ranker learns from")
    train = examples(warehouse, earlier, horizon, 10**9, 0).filter(~pl.col("heard_before"))
    test = warehouse.read_manifest(test_pair[0]).filter(~pl.col("heard_before")).rename({"track_id": "item"})
    after = warehouse.read_manifest(test_pair[1]).filter(
        pl.col("night") == night, pl.col("horizon") == ahead, pl.col("listened"), ~pl.col("heard_before")
    )
    return _aligned(str(night), train, test, after.select("listener_id", item="track_id"))


def from_folder(folder: str, a: float, b: float) -> Stored:
    """What `tests.benchmarks.offline --keep` wrote of one cut."""
    train, test, wanted = (
        pl.read_parquet(f"{folder}/{part}-{a}-{b}.parquet") for part in ("examples", "candidates", "wanted")
    )
    unheard = ~pl.col("heard_before")
    test = test.filter(unheard).drop("item").rename({"track_id": "item"})
    return _aligned(f"{a}-{b}", train.filter(unheard), test, wanted.select("listener_id", item="track_id"))


def _aligned(name: str, train: pl.DataFrame, test: pl.DataFrame, wanted: pl.DataFrame) -> Stored:
    names = tuple(n for n in train.columns if n.startswith("f_") and n in test.columns)
    kept = [c for c in ("group", "listened", "weight") if c in train.columns]
    test = test.select("listener_id", "item", *names).sort("listener_id", maintain_order=True)
    return Stored(
        name,
        train.select(*kept, *names).with_columns(pl.col("listened").fill_null(False)),
        test.with_columns(group=pl.col("listener_id").rank("dense").cast(pl.Int64)),
        wanted,
        names,
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that say which stored nights."""
    parser.add_argument("--warehouse", help="a warehouse with a night and its outcomes")
    parser.add_argument("--date", type=date.fromisoformat, help="the test night of the warehouse")
    parser.add_argument("--horizon", type=int, default=7, help="days of the outcomes that rankers learn from")
    parser.add_argument("--ahead", type=int, help="days of listening the night is measured by; default: --horizon")
    parser.add_argument("--kept", help="folder that tests.benchmarks.offline --keep wrote")
    parser.add_argument("--cut", nargs=2, type=float, action="append", help="cuts of the folder")
    parser.add_argument("--seed", type=int, default=0)


def read(args: argparse.Namespace) -> list[Stored]:
    """The splits that the options name.

    Raises:
        UserError: neither a warehouse and a date nor a folder was given.
    """
    if args.warehouse and args.date:
        return [from_warehouse(args.warehouse, args.date, args.horizon, args.ahead)]
    if args.kept:
        return [from_folder(args.kept, a, b) for a, b in args.cut or [(0.6, 0.8)]]
    raise UserError("expected --warehouse with --date, or --kept; found neither")


def pooled(measured: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """`listener_id`, `ndcg@50`: a listener's mean over splits, so that a bootstrap draw takes their splits together."""
    return pl.concat(measured).group_by("listener_id").agg(pl.col("ndcg@50").mean()).sort("listener_id")
