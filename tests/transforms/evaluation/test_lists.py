"""Lists measured in one compiled walk are measured as by the frames that define the metrics, to the last bit."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from transforms.evaluation.coding import Codes
from transforms.evaluation.facts import MeasureFacts
from transforms.evaluation.lists import BEYOND, METRICS, TOP, Judge
from transforms.metrics import beyond
from transforms.metrics.ranking import score_lists

PEOPLE, ITEMS = [f"u{n:02}" for n in range(40)], [f"i{n:03}" for n in range(120)]


def pairs(draw: np.random.Generator, people: list[str], items: list[str], count: int) -> pl.DataFrame:
    return pl.DataFrame({"listener_id": draw.choice(people, count), "item": draw.choice(items, count)}).unique()


@pytest.fixture(scope="module")
def world() -> tuple[MeasureFacts, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Facts of most items, lists (some shorter, some longer than TOP, items twice), targets, what was heard."""
    draw = np.random.default_rng(3)
    items = ITEMS[:100]
    artists = [f"a{n}" for n in range(30)]
    credits = pl.DataFrame({"item": draw.choice(items[:90], 150), "artist_id": draw.choice(artists, 150)}).unique()
    popularity = pl.DataFrame({"item": items[:80], "listeners": draw.integers(1, 40, 80)})
    recordings = pl.DataFrame({"track_id": items, "recording_id": items})
    lists = pl.concat(
        pl.DataFrame({"listener_id": who, "item": draw.choice(ITEMS, length), "rank": np.arange(1, length + 1)})
        for who, length in ((who, int(draw.integers(1, TOP + 15))) for who in PEOPLE[:35])
    )
    return (
        MeasureFacts(recordings, popularity, credits, 40),
        lists.sample(fraction=1.0, shuffle=True, seed=1),
        pairs(draw, PEOPLE[2:], ITEMS, 400),
        pairs(draw, PEOPLE, ITEMS, 300),
    )


def by_frames(facts: MeasureFacts, lists: pl.DataFrame, targets: pl.DataFrame, heard: pl.DataFrame) -> pl.DataFrame:
    """The same by the functions that define the metrics."""
    mine = lists.join(targets, on="listener_id", how="semi")
    first = beyond.first_places(mine, TOP)
    novelty = beyond.novelty(first, facts.popularity, facts.listeners, TOP)
    new = beyond.new_artist_share(first, facts.credits, beyond.played_artists(heard, facts.credits), TOP)
    scored = score_lists(mine, targets).drop("relevant")
    return scored.join(novelty, on="listener_id", how="left").join(new, on="listener_id", how="left")


def test_one_walk_measures_what_the_frames_define(
    world: tuple[MeasureFacts, pl.DataFrame, pl.DataFrame, pl.DataFrame],
) -> None:
    facts, lists, targets, heard = world
    codes = Codes.of(targets["listener_id"], facts, items=[f["item"] for f in (lists, targets, heard)])
    judge = Judge.of(codes, targets, heard, facts, {"all": lambda rows: rows})
    values, exposures = judge.measured(codes.coded(lists), "all")
    asked = judge.asked("all")
    found = pl.DataFrame(values[asked], schema=list(METRICS)).with_columns(pl.col(m).fill_nan(None) for m in BEYOND)
    found = found.select(codes.listeners["listener_id"].gather(asked), *METRICS)
    wanted = by_frames(facts, lists, targets, heard)
    assert wanted["novelty@50"].null_count() and wanted["recall@50"].max() > 0, (
        "some listeners without a list, some hits"
    )
    assert_frame_equal(found, wanted, check_exact=True)
    shown = beyond.exposures(beyond.first_places(lists.join(targets, on="listener_id", how="semi"), TOP))
    at = np.flatnonzero(exposures)
    counted = pl.DataFrame({"item": codes.items["item"].gather(at), "exposures": exposures[at]}).sort("item")
    assert_frame_equal(counted, shown)


def test_numbers_alone_are_judged_by_relevance() -> None:
    wanted = pl.DataFrame({"row": [0, 0, 2], "column": [1, 4, 3]})
    judge = Judge.of_relevance({"all": wanted}, (3, 5))
    listed = pl.DataFrame({"listener_id": [0, 0, 1, 2], "item": [1, 2, 1, 0], "rank": [1, 2, 1, 1]})
    values, _ = judge.measured(listed, "all")
    assert judge.asked("all").tolist() == [0, 2]
    assert values[:, METRICS.index("recall@50")].tolist()[::2] == [0.5, 0.0]
    assert np.isnan(values[1]).all(), "nothing to find"
