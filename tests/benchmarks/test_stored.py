"""What an ablation takes away: a source's features, and the candidates that only it had found."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tests.benchmarks.ablation import ablate, blend
from tests.benchmarks.sources import lines
from tests.benchmarks.stored import Stored
from transforms.candidates.features import RANK_WEIGHT, standardise


def night(scores: dict[str, list[float]], found: dict[str, list[int]]) -> pl.DataFrame:
    """Four candidates of each of two listeners, as features would make them."""
    groups = np.repeat([0, 1], 4)
    columns: dict[str, object] = {
        "listener_id": ["ann"] * 4 + ["bob"] * 4,
        "item": list("abcd") * 2,
        "group": groups,
        "listened": [True, False, False, False] * 2,
    }
    for name, values in scores.items():
        columns[f"f_z_{name}"] = standardise(np.float32(values * 2), groups)
        columns[f"f_r_{name}"] = np.float32(found[name] * 2)
    frame = pl.DataFrame(columns)
    return frame.with_columns(
        f_blend=pl.sum_horizontal(pl.col(f"f_z_{n}") + RANK_WEIGHT * pl.col(f"f_r_{n}") for n in scores),
        f_agree=pl.sum_horizontal(pl.col(f"f_r_{n}") > 0 for n in scores).cast(pl.Float32),
    )


NIGHT = night({"good": [3, 2, 1, 0], "bad": [0, 5, 5, 9]}, {"good": [1, 1, 1, 0], "bad": [0, 0, 1, 1]})
WANTED = pl.DataFrame({"listener_id": ["ann", "bob"], "item": ["a", "a"]})
SPLIT = Stored("one", NIGHT, NIGHT, WANTED, tuple(n for n in NIGHT.columns if n.startswith("f_")))


def test_without_a_source_its_own_finds_are_gone_and_the_rest_is_counted_anew() -> None:
    left = SPLIT.without_sources(["bad"])
    assert left.test["item"].to_list() == list("abc") * 2  # only bad had found d
    assert not [n for n in left.names if n.endswith("_bad")] and left.sources() == ["good"]
    assert left.test["f_agree"].to_list() == [1.0] * 6
    expected = standardise(np.float32([3, 2, 1]), np.zeros(3, int)) + RANK_WEIGHT
    np.testing.assert_allclose(left.test["f_blend"].to_numpy()[:3], expected, atol=1e-6)


def test_removing_what_misleads_is_a_gain_and_what_helps_a_loss() -> None:
    rows = ablate([SPLIT], blend, lambda _: None, features=False)
    assert [row[0] for row in rows] == ["(nothing)", "source bad", "source good"]
    whole, without_bad, without_good = (float(row[1]) for row in rows)
    assert without_bad == 1.0 and without_good < whole < without_bad
    assert rows[1][2].startswith("+")


def test_a_split_is_measured_over_all_that_was_wanted() -> None:
    more = Stored("two", NIGHT, NIGHT, pl.concat([WANTED, WANTED.with_columns(item=pl.lit("missed"))]), SPLIT.names)
    best = NIGHT["listened"].cast(pl.Float64).to_numpy()
    assert more.measure(best)["ndcg@50"].to_list() == pytest.approx([1 / (1 + 1 / np.log2(3))] * 2)


def test_a_source_is_worth_what_only_it_finds() -> None:
    found = {row[0]: row[1:] for row in lines(SPLIT)}
    # good lists a, b and c of each listener, a first, bad c and d; a is what both went on to hear
    assert found["good"] == ["1.0000", "3", "1.0000", "2.0", "1.0000", "0.5000"]
    assert found["bad"] == ["0.0000", "2", "0.0000", "1.0", "0.0000", "0.0000"]
    assert found["all"][1:3] == ["4", "1.0000"]


def test_what_nobody_has_played_is_still_carried_by_the_sources_that_can_know_it() -> None:
    made = night(
        {"artists": [3, 2, 1, 0], "als": [3, 0, 0, 1], "bad": [0, 1, 0, 0]},
        {"artists": [1, 1, 1, 0], "als": [1, 0, 0, 1], "bad": [0, 1, 0, 0]},
    ).with_columns(f_t_listeners=pl.Series([1, 1, 0, 1] * 2, dtype=pl.Float32))
    split = Stored("one", made, made, WANTED, tuple(n for n in made.columns if n.startswith("f_")))
    blend = split.without_sources(["bad"]).test["f_blend"].to_list()
    artists, als = (made[f"f_z_{name}"].to_numpy()[:4] for name in ("artists", "als"))
    assert blend[1] == pytest.approx(
        2 * (artists[1] + RANK_WEIGHT) + als[1], abs=1e-5
    )  # found by one, and the other is heard
    assert blend[2] == pytest.approx(2.5 * (artists[2] + RANK_WEIGHT), abs=1e-5)  # by one, and the other cannot know it
