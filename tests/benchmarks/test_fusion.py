"""Sums that the untrained blend might be: what each weighs, and what takes whose place."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tests.benchmarks.crossfit import BLEND
from tests.benchmarks.fusion import ENTRANTS, compared, sums
from transforms.candidates.features import RANK_WEIGHT

CANDIDATES = pl.DataFrame(
    {
        "list": [7, 7, 7],
        "score_artists": [0.0, 1.0, 4.0],
        "rank_artists": [None, 2, 1],
        "score_als": [9.0, 0.0, 0.0],
        "rank_als": [1, None, None],
        "score_library": [1.0, 1.0, 1.0],
        "rank_library": [1, 2, 3],
        "score_two_tower": [1.0, 2.0, 3.0],
        "rank_two_tower": pl.Series([None] * 3, dtype=pl.Int32),
    }
)


def test_only_what_is_blended_and_found_something_new_is_summed() -> None:
    said = sums(CANDIDATES)
    assert sorted(said.scores) == ["als", "artists"]
    np.testing.assert_allclose(said.roots["artists"], (np.array([0, 1, 2]) - 1) / np.std([0, 1, 2]), rtol=1e-6)
    np.testing.assert_allclose(said.ranks["artists"], [0, 1 - np.log(2) / np.log(301), 1])
    assert said.agreement().tolist() == [1, 1, 1]
    np.testing.assert_allclose(said.reciprocal(60), [1 / 61, 1 / 62, 1 / 61])


def test_artists_twice_adds_what_artists_say_once_more() -> None:
    said = sums(CANDIDATES)
    more = ENTRANTS["artists twice"][0](said) - ENTRANTS[BLEND][0](said)
    np.testing.assert_allclose(more, said.scores["artists"] + RANK_WEIGHT * said.ranks["artists"], rtol=1e-6)


def test_each_is_compared_with_the_one_it_would_replace_and_every_log_counts_alike() -> None:
    def found(value: float, n: int) -> dict[str, pl.DataFrame]:
        gain = {name: value * (2.0 if name == "artists twice" else 1.0) for name in ENTRANTS}
        return {name: pl.DataFrame({"listener_id": np.arange(n), "ndcg@50": np.full(n, v)}) for name, v in gain.items()}

    lines = {str(line["entrant"]): line for line in compared({"small": [found(0.1, 30)], "large": [found(0.4, 300)]})}
    assert lines["artists twice"]["pooled"] == pytest.approx([1.0, 1.0, 1.0])
    assert lines["artists three times"]["than"] == "artists twice"
    assert lines["artists three times"]["pooled"] == pytest.approx([-1.0, -1.0, -1.0])
