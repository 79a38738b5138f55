"""`nightshelf why-not`: the answer for any track of the catalog is what the stored night says of it."""

from __future__ import annotations

import re
from datetime import timedelta

import polars as pl
import pytest
from click.testing import CliRunner

from pipelines.cli.main import cli
from pipelines.cli.why_not import answer
from pipelines.recommender.night import Asked, plan_scoring
from pipelines.recommender.why_not import WhyNot, _fates, _on_shelf, said, why_not
from pipelines.runtime.config import Settings
from tests.pipelines.world import LIGHT, NIGHT, SETTINGS, World
from transforms.common.errors import UserError
from transforms.shelves.judging import SAYS
from transforms.shelves.rules.registry import every_rule
from transforms.tables.as_of import as_of
from transforms.tables.chunks import Chunk
from transforms.tables.schema import TABLES

REMOVED = pl.DataFrame({"listener_id": ["ann"], "shelf_id": ["discover-weekly"], "removed": [1], "tracks": [["t1"]]})


def asked(world: World, listener: str, track: str, settings: Settings = SETTINGS) -> WhyNot:
    plan = plan_scoring(as_of(world.warehouse.url, NIGHT), settings, Asked(only=(listener,)), "why-not")
    assert plan is not None
    found = why_not(plan, listener, track)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def row(world: World) -> dict:
    """A personal Discover Weekly."""
    shelves = world.warehouse.read("shelves", NIGHT)
    personal = (pl.col("shelf_id") == "discover-weekly") & (pl.col("status") == "personal")
    return shelves.filter(personal).row(0, named=True)


def test_a_track_that_stands_there_is_said_to_and_its_sources_are_ranked(world: World, row: dict) -> None:
    track = row["items"][0]["track_id"]
    found = asked(world, row["listener_id"], track)
    fates = {one.shelf_id: one.fate for one in found.shelves}
    assert fates["discover-weekly"] == "placed" and list(fates) == [s.shelf_id for s in SETTINGS.shelves.shelves]
    stored = (
        world.warehouse.read("candidates", NIGHT)
        .filter(listener_id=row["listener_id"], track_id=track)
        .row(0, named=True)
    )
    assert found.rank == stored["ranker_rank"] and not found.heard_before
    for one in found.sources:
        assert one.retrieved == (stored[f"rank_{one.source}"] is not None), one
        if one.retrieved:
            assert one.rank == stored[f"rank_{one.source}"], one
    assert f"ranked {found.rank}" in said(found)[0]


def test_a_rule_that_removed_a_track_is_named_as_in_the_stored_table(world: World) -> None:
    removed = world.warehouse.read("removed", NIGHT).filter(pl.col("tracks").list.len() > 0)
    for rule in ("unheard", "market"):
        one = removed.filter(rule=rule, shelf_id="discover-weekly").row(0, named=True)
        found = asked(world, one["listener_id"], one["tracks"][0])
        assert {f.shelf_id: f.fate for f in found.shelves}["discover-weekly"] == rule
        assert f"discover-weekly: removed by {rule}: " in "\n".join(said(found))


def test_every_rule_that_removed_anything_answers_for_a_track_that_it_removed(light: World) -> None:
    """Each rule of the stored night once, on the shelf where it stands; the answers of one listener come of one scoring."""
    stored = light.warehouse.read("removed", NIGHT).filter(pl.col("tracks").list.len() > 0)
    one_each = stored.sort("listener_id", "shelf_id").unique("rule", keep="first", maintain_order=True)
    assert {"unheard", "heard", "market", "explicit", "artist_cap", "on_surface"} <= set(one_each["rule"])
    for row in one_each.iter_rows(named=True):
        found = asked(light, row["listener_id"], row["tracks"][0], LIGHT)
        assert {one.shelf_id: one.fate for one in found.shelves}[row["shelf_id"]] == row["rule"], row["rule"]


@pytest.mark.parametrize("name", [*every_rule(), *SAYS])
def test_whatever_removes_a_track_has_its_words(name: str) -> None:
    made = Chunk(0, {"removed": REMOVED.with_columns(rule=pl.lit(name)), "shelves": TABLES["shelves"].empty()})
    (fate,) = _fates(made, "t1").values()
    told = _on_shelf("discover-weekly", fate, 7)
    assert told.fate == name and re.fullmatch(rf"removed by {name}: \w.+", told.says)
    assert _fates(made, "t2") == {} and _on_shelf("discover-weekly", None, 7).fate == "ranked"


def test_what_no_source_found_is_not_retrieved_and_every_source_says_how_far_it_was(world: World, row: dict) -> None:
    mine = world.warehouse.read("candidates", NIGHT).filter(listener_id=row["listener_id"])["track_id"]
    every = world.warehouse.read_newest("tracks", NIGHT)["track_id"]
    track = every.filter(~every.is_in(mine.implode())).sort()[0]
    found = asked(world, row["listener_id"], track)
    assert found.rank is None and not any(one.retrieved for one in found.sources)
    assert {one.fate for one in found.shelves} <= {"not retrieved", "placed", "spare"}
    ranks = {one.source: one.rank for one in found.sources}
    for source in ("als", "co_sessions", "popular"):
        assert ranks[source] is None or ranks[source] > SETTINGS.candidates.per_source, source


def test_the_command_answers_and_refuses_what_it_cannot_know(world: World, row: dict) -> None:
    track = row["items"][0]["track_id"]
    lines = answer(world.warehouse.url, row["listener_id"], track, NIGHT, SETTINGS)
    assert lines[0] == f"night of {NIGHT}" and "discover-weekly: stands on it" in lines
    with pytest.raises(UserError, match="no such listener"):
        answer(world.warehouse.url, "nobody", track, NIGHT, SETTINGS)
    with pytest.raises(UserError, match="no shelves of"):
        answer(world.warehouse.url, row["listener_id"], track, NIGHT + timedelta(300), SETTINGS)
    shown = CliRunner().invoke(cli, ["why-not", "--help"])
    assert shown.exit_code == 0 and "LISTENER TRACK" in shown.output
