"""One ranker for discoveries, one for repeats, behind the one interface."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from models.rankers.heard import ByHeard
from models.rankers.kinds import fit, load
from models.rankers.ranker import Ranker
from models.settings import Kind, RankerSettings

NAMES = ["f_heard", "f_blend", "f_a", "f_own"]


def nights(groups: int = 60, seed: int = 0) -> pl.DataFrame:
    """Each listener's two lists of 30: discoveries follow f_a, repeats go against it and follow f_own."""
    rng = np.random.default_rng(seed)
    parts = []
    for group in range(2 * groups):
        heard = group % 2
        x = rng.standard_normal((30, 4)).astype(np.float32)
        x[:, 0] = heard
        x[:, 3] *= heard
        taste = 3 * x[:, 2] if not heard else 3 * x[:, 3] - 2 * x[:, 2]
        listened = rng.random(30) < 1 / (1 + np.exp(4 - taste - x[:, 1]))
        parts.append(pl.DataFrame(x, schema=NAMES).with_columns(group=pl.lit(group), listened=pl.Series(listened)))
    return pl.concat(parts)


def asked(kind: Kind) -> RankerSettings:
    return RankerSettings.model_validate({"kind": kind, "linear": {"l2": 10}, "cross": {"epochs": 1, "steps": 1}})


def rows(*values: list[float]) -> np.ndarray:
    return np.float32(values)


@pytest.fixture(scope="module")
def fitted() -> Ranker:
    return fit(nights(), NAMES, asked("linear"), seed=1)


def test_discoveries_and_repeats_are_ordered_by_what_each_follow(fitted: Ranker) -> None:
    new = fitted.score(rows([0, 0, 1, 0], [0, 0, -1, 0]))
    again = fitted.score(rows([1, 0, 1, 0], [1, 0, -1, 0], [1, 0, 0, 2]))
    assert new[0] > new[1] and again[0] < again[1] < again[2]


def test_rows_of_both_lists_mix_in_any_order(fitted: Ranker) -> None:
    frame = nights(5, seed=3).sample(fraction=1.0, shuffle=True, seed=1)
    matrix = frame.select(NAMES).to_numpy()
    together = (fitted.score(matrix), fitted.heads(matrix)["p_listened"], fitted.contributions(matrix))
    for row in range(0, len(matrix), 17):
        one = matrix[row : row + 1]
        alone = (fitted.score(one), fitted.heads(one)["p_listened"], fitted.contributions(one))
        for all_rows, single in zip(together, alone, strict=True):
            np.testing.assert_allclose(all_rows[row], single[0], rtol=1e-5)


def test_each_lists_probability_is_calibrated(fitted: Ranker) -> None:
    later = nights(200, seed=9)
    p = fitted.heads(later.select(NAMES).to_numpy())["p_listened"]
    for heard in (0, 1):
        part = (later["f_heard"] == heard).to_numpy()
        assert abs(p[part].mean() - later["listened"].to_numpy()[part].mean()) < 0.03


def test_an_unknown_flag_is_a_discovery(fitted: Ranker) -> None:
    assert fitted.score(rows([np.nan, 0.3, 1, 0])) == fitted.score(rows([0, 0.3, 1, 0]))


def test_a_list_without_an_outcome_keeps_the_blend() -> None:
    frame = nights().with_columns(listened=pl.col("listened") & (pl.col("f_heard") == 0))
    ranker = fit(frame, NAMES, asked("linear"), seed=1)
    assert isinstance(ranker, ByHeard) and [part.kind for part in ranker.parts] == ["linear", "blend"]
    assert ranker.heads(rows([1, 5, 5, 5]))["p_listened"].tolist() == [0.0]


def test_examples_of_one_list_alone_make_one_ranker() -> None:
    assert not isinstance(fit(nights().filter(pl.col("f_heard") == 0), NAMES, asked("linear")), ByHeard)


@pytest.mark.parametrize("kind", ["linear", "average"])
def test_saved_and_loaded_it_scores_the_same(kind: Kind, tmp_path: Path) -> None:
    ranker = fit(nights(20), NAMES, asked(kind), seed=1)
    matrix = nights(3, seed=5).select(NAMES).to_numpy()
    ranker.save(tmp_path)
    again = load(tmp_path)
    assert isinstance(again, ByHeard) and again.kind == ranker.kind == kind
    assert np.array_equal(again.score(matrix), ranker.score(matrix))
    assert np.array_equal(again.contributions(matrix), ranker.contributions(matrix))
    assert again.heads(matrix)["p_listened"].tolist() == ranker.heads(matrix)["p_listened"].tolist()


def test_nothing_to_score_is_no_error(fitted: Ranker) -> None:
    nothing = np.zeros((0, 4), np.float32)
    assert fitted.score(nothing).shape == (0,) and fitted.contributions(nothing).shape == (0, 4)
    assert {name: p.shape for name, p in fitted.heads(nothing).items()} == {"p_listened": (0,)}
