"""The source `next_in_session`: the continuation of the last session as scores over the catalog."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from models.rankers.session import fit_model
from tests.transforms.candidates.worlds import NIGHT, ROSTER, blocks_of, catalog_of, item, learned_from, listens
from transforms.candidates.blocks import Block, Catalog
from transforms.candidates.features import features
from transforms.candidates.next_in_session import NextInSession
from transforms.candidates.reasons import explain
from transforms.candidates.settings import ContinueSettings
from transforms.candidates.union import retrieve_block
from transforms.next_in_session.sample import as_log, in_time
from transforms.next_in_session.shortlist import continuation
from transforms.next_in_session.sources import NextSettings
from transforms.tables.schema import TABLES

OTHERS = pl.format("another of {} on {}", "listener_id", "date")
ANN, EVE = ROSTER.index("ann"), ROSTER.index("eve")


def sample_of(plays: pl.DataFrame, session_id: pl.Expr = OTHERS) -> pl.DataFrame:
    """Table `session_sample` of every session (one a listener and date)."""
    return (
        plays.sort("listener_id", "started_at")
        .group_by("listener_id", "date", maintain_order=True)
        .agg(started_at=pl.col("started_at").first(), tracks="track_id")
        .with_columns(session_id=session_id)
        .select(TABLES["session_sample"].polars.keys())
    )


def source_of(catalog: Catalog, sample: pl.DataFrame, **settings: object) -> NextInSession:
    rows = {t: n for n, t in enumerate(catalog.track_ids.tolist())}
    log = as_log(in_time(sample), lambda ids: np.array([rows.get(t, 0) for t in ids], np.int32))
    model = fit_model(log, len(catalog), NextSettings(prefixes=50))
    return NextInSession.made(model, sample, catalog, ContinueSettings(**settings))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def world() -> tuple[Block, Catalog, pl.DataFrame]:
    plays = listens()
    catalog = catalog_of(plays)
    return blocks_of(plays, catalog)[0], catalog, sample_of(plays)


def test_its_order_is_the_continuation_of_the_last_session(world) -> None:
    block, catalog, sample = world
    source = source_of(catalog, sample)
    scores = source.score(block)
    rows, prefixes = source.prefixes(block)
    assert rows.tolist() == [ROSTER.index(who) for who in ("ann", "bob", "cat", "dan")]
    assert [catalog.track_ids[i] for i in prefixes.log.items[: prefixes.end[0]]] == ["a", "b"]
    items, _ = continuation(source.sources, source.order, prefixes, 60)
    found = scores.top(60, None)
    for place, row in enumerate(rows.tolist()):
        assert found.items[found.rows == row].tolist() == items[place][items[place] > 0].tolist()
    assert not (found.rows == EVE).any(), "who never played has nothing to go on with"
    assert np.exp(found.scores[found.rows == ANN]).sum() == pytest.approx(1e4 + (found.rows == ANN).sum(), rel=1e-4)


def test_a_track_heard_before_may_come_next_and_the_ranker_does_not_weigh_it(world) -> None:
    block, catalog, sample = world
    found = retrieve_block(block, catalog, [source_of(catalog, sample)])
    mine = found.filter(pl.col("listener_id") == "ann")
    assert mine.filter("heard_before")["track_id"].sort().to_list() == ["a", "b", "c"]
    made = features(block, catalog, found, learned_from(listens(), catalog), [source_of(catalog, sample)], as_of=NIGHT)
    assert not [c for c in made.columns if c.startswith("f_") and "next_in_session" in c]
    explained = explain(block, catalog, [source_of(catalog, sample)], mine.filter(pl.col("track_id") == "c"))
    assert (explained["reason"][0], explained["reason_ref"][0]) == ("follows", "b")


def test_without_repeats_no_version_of_a_track_of_the_session_comes_next() -> None:
    plays = listens()
    tracks = pl.DataFrame({"track_id": list("abcdefgh"), "recording_id": list("rbrdefgh")})
    catalog = catalog_of(plays, tracks)
    block, sample = blocks_of(plays, catalog)[0], sample_of(plays)
    scores = source_of(catalog, sample, repeats=False).score(block)
    of = scores.of(np.full(4, ANN), np.array([item(catalog, t) for t in "abcd"]))
    assert of[:3].tolist() == [-1, -1, -1]
    assert of[3] > 0
    found = scores.top(60, None)
    assert not set(found.items[found.rows == ANN].tolist()) & {item(catalog, t) for t in "abc"}


def test_a_session_simply_goes_on_while_it_is_open_or_all_that_is_known_or_if_the_settings_say_so(world) -> None:
    block, catalog, sample = world
    assert source_of(catalog, sample).goes_on(block).tolist() == [False, False, True, True, False]  # cat, dan have one
    opened = replace(block, activity=block.activity.with_columns(last_open=pl.col("row") == ANN))
    assert source_of(catalog, sample).goes_on(opened).tolist() == [True, False, True, True, False]
    assert source_of(catalog, sample, session="last").goes_on(block).all()


def test_a_block_of_listeners_without_a_session_gets_nothing(world) -> None:
    _, catalog, sample = world
    nobody = blocks_of(listens().head(0), catalog)[0]
    source = source_of(catalog, sample)
    assert len(source.score(nobody).top(60, None).items) == 0
    assert source.explain(nobody, np.zeros(0, np.int32), np.zeros(0, np.int32)).tolist() == []


def test_a_session_in_the_sample_is_not_compared_with_itself(world) -> None:
    block, catalog, _ = world
    names = pl.Series([f"last of {who}" for who in ROSTER])
    named = replace(block, activity=block.activity.with_columns(last_session=names))
    last = pl.col("date") == pl.col("date").max().over("listener_id")
    ids = pl.when(last).then(pl.format("last of {}", "listener_id")).otherwise(pl.format("older of {}", "listener_id"))
    source = source_of(catalog, sample_of(listens(), ids))
    _, prefixes = source.prefixes(named)
    assert prefixes.own is not None
    assert (prefixes.own >= 0).all()
    found = source.sources.index.neighbours(prefixes)
    assert not (found.sessions == prefixes.own[found.rows]).any()
