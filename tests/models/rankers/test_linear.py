"""The linear ranker's loss and what it is pulled to."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from models.rankers.examples import Examples
from models.rankers.linear import fit_linear
from models.settings import LinearSettings, RankerSettings

NAMES = ["f_blend", "f_good", "f_noise"]


def examples(groups: int, seed: int = 0, astray: int = 0) -> Examples:
    """Lists of 60 in which f_good, and f_blend a little, find two positives; `astray` more lie anywhere."""
    rng = np.random.default_rng(seed)
    parts = []
    for group in range(groups):
        x = rng.standard_normal((60, 3)).astype(np.float32)
        listened = np.zeros(60, bool)
        listened[np.argsort(-x[:, 1] - 0.3 * x[:, 0])[:2]] = True
        listened[rng.choice(60, astray, replace=False)] = True
        parts.append(pl.DataFrame(x, schema=NAMES).with_columns(group=pl.lit(group), listened=pl.Series(listened)))
    return Examples.read(pl.concat(parts), NAMES)


def weights(data: Examples, blend: list[float] | None = None, **settings: object) -> np.ndarray:
    asked = RankerSettings(linear=LinearSettings.model_validate(settings))
    return fit_linear(data, asked, None if blend is None else np.float32(blend))


def test_a_single_group_leaves_the_blend_nearly_as_it_is() -> None:
    few = weights(examples(1), [1, 0, 0])
    assert few[0] > 0 and np.abs(few[1:]).max() < 0.1 * few[0]


def test_many_groups_may_say_anything() -> None:
    many = weights(examples(300), [1, 0, 0], l2=10)
    assert many[1] > 2 * many[0] > 0


def test_a_strong_pull_is_to_the_blend_or_to_zero() -> None:
    data = examples(50)
    blend, zero = (weights(data, [1, 0, 0], l2=1e9, towards=towards) for towards in ("blend", "zero"))
    assert blend[0] > 0.05 and np.abs(blend[1:]).max() < 1e-4
    assert np.abs(zero).max() < 1e-4


def test_a_blend_that_points_the_wrong_way_is_not_followed() -> None:
    assert np.abs(weights(examples(50), [0, -1, 0], l2=1e9)).max() < 1e-4


def test_with_one_positive_a_group_both_losses_are_the_same() -> None:
    data = examples(80)
    one = data.take(~(data.positives("listened") & (np.arange(len(data.weight)) % 2 == 0)))
    lone = one.take((one.sum(one.positives("listened").astype(int)) == 1)[one.group_of])
    assert len(lone.starts) > 10
    assert weights(lone, loss="any") == pytest.approx(weights(lone, loss="each"), abs=1e-3)


def test_any_is_not_held_back_by_positives_that_no_weights_can_find() -> None:
    data = examples(200, astray=6)
    top, every = (weights(data, l2=10, loss=loss) for loss in ("any", "each"))
    assert top[1] > 1.5 * every[1] > 0


def test_a_positive_that_stands_for_several_counts_so_often() -> None:
    data = examples(40)
    heavy = examples(40)
    heavy.weight = np.where(heavy.group_of < 20, 3.0, 1.0).astype(np.float32)
    assert not np.allclose(weights(data), weights(heavy), atol=1e-3)
    heavy.weight[:] = 3.0
    assert weights(heavy, l2=1500) == pytest.approx(weights(data, l2=500), abs=1e-3)
