"""What the cut keeps, and that nothing it keeps is computed otherwise than without it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.recommender.registry import sources as every_source
from tests.transforms.candidates.worlds import NIGHT, blocks_of, catalog_of, default_sources, learned_from, listens
from transforms.candidates.cut import cut
from transforms.candidates.features import features
from transforms.candidates.settings import CutSettings
from transforms.candidates.union import retrieve_block


class Sun:
    name: ClassVar[str] = "sun"
    ranked: ClassVar[bool] = True


class Apart:
    name: ClassVar[str] = "apart"
    ranked: ClassVar[bool] = False


def candidates(rows: list[tuple[int, bool, int | None, int | None]]) -> pl.DataFrame:
    """row, heard_before, rank of `sun`, rank of `apart`; items are numbered."""
    schema = {"row": pl.Int32, "heard_before": pl.Boolean, "rank_sun": pl.Int32, "rank_apart": pl.Int32}
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_the_best_by_the_blend_every_sources_best_and_what_no_ranker_weighs() -> None:
    found = candidates(
        [
            (0, False, 9, None),  # second best by the blend
            (0, False, 1, None),  # worst by the blend, but the source's best
            (0, False, 8, None),  # in no way good
            (0, False, None, 7),  # the ranker does not weigh who found it
            (0, False, 7, None),  # best by the blend
            (0, True, 5, None),  # the only heard ones: counted apart
            (0, True, 6, None),
            (1, False, 8, None),  # another listener
        ]
    )
    blend = np.float32([3, 0, 1, 0, 4, 0, 0, -1])
    kept = cut(found, blend, [Sun, Apart], CutSettings(best=2, of_each=1))  # type: ignore[list-item]
    assert kept.tolist() == [True, True, False, True, True, True, True, True]


def test_among_equals_of_the_blend_the_best_rank_decides_then_the_smaller_row() -> None:
    found = candidates([(0, False, 3, None), (0, False, 2, None), (0, False, 2, None), (0, False, 1, None)])
    kept = cut(found, np.zeros(4, np.float32), [Sun], CutSettings(best=2, of_each=0))  # type: ignore[list-item]
    assert kept.tolist() == [False, True, False, True]


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(0, 3))
def test_the_cut_is_what_a_sort_says(seed: int, best: int, of_each: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(0, 60))
    rows = np.sort(rng.integers(0, 4, size))
    rank = [int(r) if r else None for r in rng.integers(0, 9, size)]
    heard, blend = rng.random(size) < 0.3, rng.integers(0, 4, size).astype(np.float32)
    found = candidates([(int(r), bool(h), k, None) for r, h, k in zip(rows, heard, rank, strict=True)])
    kept = cut(found, blend, [Sun], CutSettings(best=best, of_each=of_each))  # type: ignore[list-item]
    wanted = set()
    for group in {(int(r), bool(h)) for r, h in zip(rows, heard, strict=True)}:
        mine = [n for n in range(size) if (rows[n], heard[n]) == group]
        wanted |= set(sorted(mine, key=lambda n: (-blend[n], rank[n] or 99, n))[:best])
    wanted |= {n for n in range(size) if rank[n] and rank[n] <= of_each}
    assert set(np.flatnonzero(kept).tolist()) == wanted


@pytest.mark.parametrize("best", [1, 2, 100])
def test_what_is_kept_has_the_features_of_the_whole_union(best: int) -> None:
    plays = listens()
    catalog = catalog_of(plays)
    block, learned = blocks_of(plays, catalog)[0], learned_from(plays, catalog)
    found = retrieve_block(block, catalog, default_sources(learned, catalog, NIGHT), 10)
    whole = features(block, catalog, found, learned, every_source(), as_of=NIGHT, k=10)
    keep = CutSettings(best=best, of_each=0)
    part = features(block, catalog, found, learned, every_source(), as_of=NIGHT, k=10, keep=keep)
    assert part.equals(whole.join(part.select("row", "item"), on=["row", "item"], how="semi", maintain_order="left"))
    assert (part.height < whole.height) == (best < 100)
    order = ["row", "heard_before", "f_blend"]
    top = whole.sort(order, descending=[False, False, True], maintain_order=True)
    first = top.group_by("row", "heard_before", maintain_order=True).head(best)
    assert first["f_blend"].equals(
        part.sort(order, descending=[False, False, True])
        .group_by("row", "heard_before", maintain_order=True)
        .head(best)["f_blend"]
    )
