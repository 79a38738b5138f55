"""The attributed head: learned from shown rows alone, freed of where they stood, in nobody else's way."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from models.rankers.examples import Examples
from models.rankers.kinds import fit
from models.rankers.ranker import Ranker
from models.settings import CrossSettings, RankerSettings

NAMES = ["f_0", "f_1"]
SETTINGS = RankerSettings(
    kind="cross", cross=CrossSettings(epochs=12, steps=1, hidden=(16,), learning_rate=5e-3, dropout=0, heads_weight=1.0)
)


def rows(groups: int = 150, size: int = 30) -> pl.DataFrame:
    """Listens follow f_0. Ten of a group were shown: plays from the shelf follow f_1 and, strongly, a high position.

    Tracks of small f_1 were given the high positions, so that who forgets positions learns f_1 the wrong way round.
    """
    rng = np.random.default_rng(3)
    n = groups * size
    x = rng.standard_normal((n, 2)).astype(np.float32)
    listened = rng.random(n) < 1 / (1 + np.exp(-(2 * x[:, 0] - 2)))
    frame = pl.DataFrame(x, schema=NAMES).with_columns(
        group=np.repeat(np.arange(groups), size),
        listened=pl.Series(listened),
        shown=np.tile(np.arange(size) < 10, groups),
    )
    place = pl.col("f_1").rank("ordinal").over("group", "shown").cast(pl.Int32)
    frame = frame.with_columns(position=pl.when("shown").then(place).otherwise(0))
    logit = 1.0 * frame["f_1"] + 3.0 * (frame["position"] <= 3).cast(pl.Float64) - 2.0
    played = pl.Series(rng.random(n) < 1 / (1 + np.exp(-logit.to_numpy())))
    return frame.with_columns(attributed=pl.when("shown").then(played), attributed_weight=pl.lit(2.0)).drop("shown")


@pytest.fixture(scope="module")
def fitted() -> Ranker:
    return fit(rows(), NAMES, SETTINGS, seed=1)


def slope(ranker: Ranker, feature: int) -> float:
    """How the attributed head's answer moves with a feature."""
    x = np.zeros((2, 2), np.float32)
    x[1, feature] = 1.0
    low, high = ranker.heads(x)["p_attributed"]
    return float(high - low)


def test_it_learns_from_what_was_shown_and_not_from_where_it_stood(fitted: Ranker) -> None:
    assert slope(fitted, 1) > 0.02
    blind = fit(rows().with_columns(position=pl.lit(0)), NAMES, SETTINGS, seed=1)
    assert slope(blind, 1) < slope(fitted, 1), "without positions the head takes the shelf's order for taste"
    assert abs(slope(fitted, 0)) < slope(fitted, 1), "what listens follow is another head's"


def test_without_attributed_rows_nothing_changes() -> None:
    plain = rows().drop("attributed", "attributed_weight", "position")
    unknown = rows().with_columns(attributed=pl.lit(None, dtype=pl.Boolean))
    one, other = (fit(f, NAMES, SETTINGS, seed=1) for f in (plain, unknown))
    x = rows(5).select(NAMES).to_numpy()
    assert np.array_equal(one.score(x), other.score(x))
    assert set(one.heads(x)) == set(other.heads(x)) == {"p_listened"}


def test_a_rare_draw_counts_twenty_times_at_most() -> None:
    frame = rows(2).with_columns(attributed_weight=pl.Series([1 / p for p in (0.5, 0.001) for _ in range(30)]))
    data = Examples.read(frame, NAMES)
    assert sorted(set(data.head_weight("attributed").tolist())) == [2.0, 20.0]
    assert set(data.head_weight("listened").tolist()) == {1.0}, "in no other head's loss"
