"""Traits decide what union, features and reasons do with a source; its name decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from pipelines.recommender.registry import sources as every_source
from tests.transforms.candidates.worlds import NIGHT, blocks_of, catalog_of, learned_from, listens
from transforms.candidates.base import Source, SourceInputs, SparseScores, made_of
from transforms.candidates.blocks import Block
from transforms.candidates.features import RANK_WEIGHT, features, of_unplayed
from transforms.candidates.reasons import explain
from transforms.candidates.union import popular_alone, retrieve_block
from transforms.shelves.reasons import sentence

SOURCES = every_source()

PLAYS = listens()
CATALOG = catalog_of(PLAYS)
(BLOCK,) = blocks_of(PLAYS, CATALOG)
LEARNED = learned_from(PLAYS, CATALOG)


@dataclass(frozen=True)
class Everything(Source):
    """Scores every track for everyone, by its row of the catalog."""

    name = "moon"
    reason = "lunar_phase"

    def score(self, block: Block) -> SparseScores:
        table = np.tile(np.arange(block.n_items, dtype=np.float32), (len(block), 1))
        return SparseScores(sparse.csr_matrix(table))

    def explain(self, block: Block, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        return np.zeros(len(rows), np.int32)


def with_traits(**traits: Any) -> Source:
    return type("Other", (Everything,), traits)()


def found(*sources: Source, k: int = 10) -> pl.DataFrame:
    return retrieve_block(BLOCK, CATALOG, sources, k)


def of_ann(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(pl.col("listener_id") == "ann")


def test_what_it_retrieves_is_what_its_trait_says() -> None:
    assert not of_ann(found(with_traits(retrieves="unheard")))["heard_before"].any()
    both = of_ann(found(with_traits(retrieves="both")))["heard_before"]
    assert both.any() and not both.all()


@pytest.mark.parametrize("blended", [True, False])
def test_the_blend_sums_what_is_blended(blended: bool) -> None:
    source = with_traits(blended=blended)
    made = features(BLOCK, CATALOG, found(source), LEARNED, [source], as_of=NIGHT, k=10)
    assert ("f_z_moon" in made.columns) == blended != ("f_s_moon" in made.columns)
    expected = made["f_z_moon"] + RANK_WEIGHT * made["f_r_moon"] if blended else 0 * made["f_r_moon"]
    np.testing.assert_allclose(made["f_blend"], expected, rtol=1e-5)
    thrice = with_traits(blended=blended, blend_weight=3.0)
    again = features(BLOCK, CATALOG, found(thrice), LEARNED, [thrice], as_of=NIGHT, k=10)
    np.testing.assert_allclose(again["f_blend"], 3 * expected, rtol=1e-5)


def test_what_is_not_ranked_or_not_personal_is_no_evidence_to_rank_by() -> None:
    for traits in ({"ranked": False}, {"personal": False}):
        source = with_traits(**traits)
        assert popular_alone(found(source), [source]).all(), traits
    source = with_traits()
    assert not popular_alone(found(source), [source]).any()
    for ranked in (True, False):
        source = with_traits(ranked=ranked)
        made = features(BLOCK, CATALOG, found(source), LEARNED, [source], as_of=NIGHT, k=10)
        assert ("f_r_moon" in made.columns) == ranked
        assert "score_moon" in made.columns


def test_a_reason_of_rest_is_given_where_tracks_rest_and_where_nothing_else_found_it() -> None:
    resting, other = with_traits(rests=True, precedence=1), with_traits(name="sun", reason="sunny", precedence=2)
    shown = of_ann(found(resting, other)).head(2).with_columns(rests=pl.Series([True, False]))
    assert explain(BLOCK, CATALOG, [resting, other], shown)["reason"].to_list() == ["lunar_phase", "sunny"]
    assert explain(BLOCK, CATALOG, [resting], shown)["reason"].to_list() == ["lunar_phase"] * 2


def test_silence_is_no_evidence_but_from_a_source_that_can_know_the_track() -> None:
    """Nobody played the one track: a source that knows it and finds it lends the silent ones half its word."""

    def said(**traits: Any) -> tuple[float, float]:
        knowing, silent = with_traits(name="knows", knows_unplayed=True), with_traits(name="silent", **traits)
        scores = {"knows": np.float32([2.0]), "silent": np.float32([-1.0])}
        ranks = {"knows": np.float32([0.6]), "silent": np.float32([0.0])}
        counted = of_unplayed(scores, ranks, np.array([True]), [knowing, silent])
        return float(scores["silent"][0]), float(counted["silent"][0])

    assert said() == pytest.approx((1.0, 0.3))
    assert said(knows_unplayed=True) == (-1.0, 0.0) == said(retrieves="heard")


def test_sources_stand_in_order_of_precedence_whatever_the_order_of_the_list() -> None:
    inputs = SourceInputs(CATALOG, NIGHT, LEARNED.parts())
    names = [source.name for source in made_of(SOURCES, inputs)]
    assert names == [source.name for source in made_of(SOURCES[::-1], inputs)]
    assert names[-2:] == ["popular", "library"], "what is true of everyone, or of the track itself, explains last"


def test_every_source_is_listed_once_and_its_reason_can_be_said() -> None:
    names = [kind.name for kind in SOURCES]
    assert len(set(names)) == len(names)
    assert len({kind.precedence for kind in SOURCES}) == len(names), "ties of attribution are settled"
    for kind in SOURCES:
        assert sentence(kind.reason, None) != kind.reason.replace("_", " "), kind.name
