"""The parts of assembly one by one: gathering, judging, carrying, fallback and explaining of a block worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.transforms.shelves.worlds import (
    MONDAY,
    TUESDAY,
    blocks,
    candidate,
    catalog_of,
    days_ago,
    frame,
    make,
    one_shelf,
    popular,
    roster,
)
from transforms.shelves.carry import repair
from transforms.shelves.explaining import texts_of_shown
from transforms.shelves.facts import TrackFacts
from transforms.shelves.fallback import NO_HISTORY, NOTHING_LEFT, fill_fallback, in_order_of_fallback
from transforms.shelves.filling import EMPTY, FALLBACK, PERSONAL, Board
from transforms.shelves.gathering import CANDIDATE, CARRIED, POPULAR, Inputs, Rows, gather
from transforms.shelves.judging import KEPT_OFF, NO_EVIDENCE, Judge
from transforms.shelves.known import Known, known_of
from transforms.shelves.pools import pool
from transforms.shelves.popularity import Popular
from transforms.shelves.rules.registry import RULES, Parameters, Rule, add
from transforms.shelves.settings import NightContext, ShelvesSettings
from transforms.shelves.tracks import Tracks

WANTED = ["heard_before", "plays", "saved", "listeners", "ranker_score", "score_next_tracks"]


class Block:
    """The parts of a block, made one after the other."""

    def __init__(
        self,
        candidates: pl.DataFrame,
        settings: ShelvesSettings | None = None,
        night: NightContext | None = None,
        pops: pl.DataFrame | None = None,
        listeners: pl.DataFrame | None = None,
        **inputs: Any,
    ) -> None:
        self.settings, self.night = settings or one_shelf(), night or NightContext(MONDAY)
        tracks = Tracks.build(catalog_of(candidates, pops), candidates["track_id"])
        given = {"blocks": None, "previous": None, "library": None, **inputs}
        self.inputs = Inputs.of_the_roster(
            candidates, roster("ann") if listeners is None else listeners, tracks, Popular.of(pops, tracks), **given
        )
        self.rows: Rows = gather(
            self.inputs, self.settings.shelves, self.night, WANTED, np.zeros(len(self.inputs.roster), np.int64)
        )
        self.known: Known = known_of(self.inputs, self.rows)
        self.judge = Judge(TrackFacts(self.inputs, self.rows, self.known, self.night))
        self.board = Board(self.rows, self.judge, self.settings, self.night)

    def ids(self, rows: np.ndarray) -> list[str]:
        return self.rows.tracks.ids.gather(self.rows.track[rows]).to_list()

    def fates(self) -> dict[str, str]:
        """By track of a candidate the rule that removes it, "" for none."""
        fates = self.judge.fates(self.settings.shelves[0])
        here = np.arange(self.rows.section[CANDIDATE, -1])
        return {track: self.judge.names[fates[row]] for track, row in zip(self.ids(here), here, strict=True)}


def test_gathering_lays_three_sections_end_to_end_each_by_listener() -> None:
    weekly = one_shelf(size=2, refresh="monday")
    monday = make(frame(candidate("a", 2), candidate("b", 1)), settings=weekly).shelves
    block = Block(
        frame(candidate("b", 1), candidate("a", 2), candidate("x", 1, listener_id="bob")),
        weekly,
        NightContext(TUESDAY),
        popular("p", "a"),
        roster("bob", "ann"),
        previous=monday,
    )
    rows = block.rows
    assert rows.listener_ids == ["ann", "bob"]
    sections = {o: np.arange(rows.within(o).start, rows.within(o).stop) for o in (CANDIDATE, POPULAR, CARRIED)}
    assert {o: rows.listener[at].tolist() for o, at in sections.items()} == {0: [0, 0, 1], 1: [0, 0, 1, 1], 2: [0, 0]}
    assert {o: sorted(block.ids(at)) for o, at in sections.items()} == {
        0: ["a", "b", "x"],
        1: ["a", "a", "p", "p"],
        2: ["a", "b"],
    }
    assert np.isnan(rows.column("ranker_score")[sections[POPULAR]]).all()
    assert sorted(rows.column("score_popular")[sections[POPULAR]].tolist()) == [1, 1, 2, 2]
    of_a = [row for row in range(len(rows)) if rows.listener[row] == 0 and block.ids(np.array([row])) == ["a"]]
    assert len(of_a) == 3 and len(set(rows.piece[of_a].tolist())) == 1, "one recording of one listener is one piece"


def test_texts_come_back_in_the_order_asked() -> None:
    block = Block(frame(candidate("a", 2, source="als"), candidate("b", 1, source="ease")), pops=popular("p"))
    by_track = {track: row for row, track in enumerate(block.ids(np.arange(len(block.rows))))}
    texts = block.rows.texts_of(np.array([by_track["p"], by_track["b"], by_track["a"]]))
    assert texts["source"].to_list() == ["popular", "ease", "als"]
    assert texts["reason_ref"].to_list() == ["DE", None, None]


def test_judging_names_the_first_rule_that_removes_a_row() -> None:
    block = Block(
        frame(
            candidate("fine", 1),
            candidate("heard", 1, heard_before=True),
            candidate("blocked-and-heard", 1, heard_before=True),
            candidate("guest", 1, artist_ids=["x", "nina"]),
            candidate("abroad", 1, markets=["FR"]),
            candidate("rude", 1, explicit=True),
            candidate("sampled", 1, sampled_at=days_ago(3)),
        ).with_columns(pl.col("explicit").fill_null(False)),
        blocks=blocks(("block_track", "blocked-and-heard"), ("block_artist", "nina")),
        listeners=roster("ann", explicit_ok=False),
    )
    assert block.fates() == {
        "fine": "",
        "heard": "unheard",
        "blocked-and-heard": "blocked_track",
        "guest": "blocked_artist",
        "abroad": "market",
        "rude": "explicit",
        "sampled": "unheard",
    }


def test_judging_asks_for_evidence_and_keeps_off_what_is_spoken_against() -> None:
    follows = [
        candidate("yes", 1, score_next_tracks=0.5),
        candidate("no", 1),
        candidate("off", 1, score_next_tracks=-1.0),
    ]
    block = Block(frame(*follows), one_shelf(requires=("score_next_tracks",)))
    assert block.fates() == {"yes": "", "no": NO_EVIDENCE, "off": NO_EVIDENCE}
    assert Block(frame(*follows), one_shelf(preferred="score_next_tracks")).fates()["off"] == KEPT_OFF


RULED = {
    "owned": ({}, {"o"}),
    "saved": ({"keep": "these"}, {"o", "long", "short", "old", "artist", "known"}),
    "duration": ({"least": 30, "most": 600}, {"long", "short"}),
    "released_within": ({"days": 30}, {"o", "s", "long", "short", "old", "artist", "known"}),
    "unheard_artist": ({}, {"artist", "known", "o"}),  # what is owned counts as heard
    "few_listeners": ({"most": 5}, {"old"}),
}


@pytest.mark.parametrize("name", sorted(RULED))
def test_each_rule_of_choice_removes_what_it_says(name: str) -> None:
    parameters, removed = RULED[name]
    rows = frame(
        candidate("o", 1),
        candidate("s", 1),
        candidate("long", 1),
        candidate("short", 1),
        candidate("old", 1, released_on=MONDAY.replace(year=2020)),
        candidate("new", 1, released_on=MONDAY),
        candidate("artist", 1, artist_ids=["guest", "nina"]),
        candidate("known", 1, artist_ids=["nina"], heard_before=True),
    ).with_columns(
        duration_ms=pl.col("track_id").replace_strict({"long": 700_000, "short": 9_000}, default=200_000),
        saved=pl.col("track_id").is_in(["s", "new"]),
        listeners=pl.when(pl.col("track_id") == "old").then(9.0).otherwise(5.0),
    )
    block = Block(rows, one_shelf(pool="any", rules={name: parameters}), blocks=blocks(("own", "o")))
    assert {track for track, fate in block.fates().items() if fate == name} == removed


def test_only_rules_that_may_change_their_mind_are_judged_again_on_what_is_carried() -> None:
    again = {name for name, one in RULES.items() if one.again or one.always}
    assert again == {
        *("blocked_track", "disliked", "blocked_artist", "gone", "market", "explicit", "unreleased"),
        *("unheard", "unheard_artist", "owned", "duration"),
    }


def test_two_rules_cannot_have_one_name() -> None:
    with pytest.raises(ValueError, match="two rules named 'market'"):
        add(Rule("market", "", Parameters))


def test_repairing_a_carried_shelf_puts_the_next_spare_in_the_place_of_what_is_removed() -> None:
    """Items 0 1 2, spares 3 4; 1 is removed, and 3 has the recording of 0."""
    keeps, piece = np.array([True, False, True, True, True]), np.array([0, 1, 2, 0, 4])
    taken = np.zeros(5, np.bool_)
    now, rest = repair(np.array([0, 1, 2]), np.array([3, 4]), keeps, piece, taken)
    assert (now.tolist(), rest.tolist()) == ([0, 4, 2], [])
    assert taken.tolist() == [True, False, True, False, True]


def test_a_fallback_fills_what_is_open_and_says_why() -> None:
    block = Block(
        frame(candidate("a", 1), candidate("h", 1, listener_id="cy", heard_before=True)),
        pops=popular("p", "q"),
        listeners=roster("ann", "bob", "cy"),
    )
    made = block.board.put_up(0, block.settings.shelves[0])
    ready = np.flatnonzero(block.known.has_history)
    assert ready.tolist() == [0, 2]
    block.board.fill(made, pool(block.rows, made.shelf, made.fates), ready, PERSONAL, drawing=True)
    fill_fallback(block.board, made, block.known.has_history)
    assert made.status.tolist() == [PERSONAL, FALLBACK, FALLBACK]
    assert made.why == [None, NO_HISTORY, "no unheard candidate passes the rules"]
    assert block.ids(made.items[1][:2]) == ["p", "q"]


def test_a_fallback_with_nothing_left_stays_empty_and_says_so() -> None:
    block = Block(frame(), pops=popular("p"), blocks=blocks(("dislike", "p")))
    made = block.board.put_up(0, block.settings.shelves[0])
    fill_fallback(block.board, made, block.known.has_history)
    assert (made.status.tolist(), made.why) == ([EMPTY], [NO_HISTORY + NOTHING_LEFT])


def test_shelves_that_only_stand_in_choose_last_among_what_is_popular() -> None:
    order = [shelf.shelf_id for shelf in in_order_of_fallback(ShelvesSettings().shelves)]
    means_it = ["discover-weekly", "popular-now", "now-playing"]
    assert order[:3] == means_it
    assert order[3:] == [s.shelf_id for s in ShelvesSettings().shelves if s.shelf_id not in means_it]


def test_explaining_asks_of_what_is_shown_and_leaves_popular_tracks_alone() -> None:
    block = Block(
        frame(candidate("a", 2, source=None), candidate("b", 1, source=None)), one_shelf(size=1), pops=popular("p")
    )
    made = block.board.put_up(0, block.settings.shelves[0])
    block.board.fill(made, pool(block.rows, made.shelf, made.fates), np.array([0]), PERSONAL, drawing=False)
    asked: list[Any] = []

    def explain(pairs: pl.DataFrame) -> pl.DataFrame:
        asked.extend(pairs.rows())
        return pairs.with_columns(source=pl.lit("als"), reason=pl.lit(None, pl.String), reason_ref=pl.lit("h"))

    shown, texts = texts_of_shown(block.rows, [made], explain)
    assert asked == [("ann", "a", False, 0)] and block.ids(shown) == ["a"]
    assert texts.row(0) == ("als", "because_you_played", "h")


def test_a_shelf_falls_back_step_by_step() -> None:
    """Nothing has evidence: `unrestricted` lets the shelf's own pool stand in, then what is popular for who has nothing."""
    rows = frame(candidate("a", 1), candidate("h", 1, listener_id="cy", heard_before=True))
    people = roster("ann", "bob", "cy")
    for steps, expected in (
        (("unrestricted", "popular"), {"ann": ["a"], "bob": ["p"], "cy": ["p"]}),
        (("popular-without-history",), {"ann": [], "bob": ["p"], "cy": []}),
        ((), {"ann": [], "bob": [], "cy": []}),
    ):
        settings = one_shelf(requires=("score_next_tracks",), fallback=steps)
        made = make(rows, settings=settings, roster=people, popular=popular("p"))
        found = {
            who: [i["track_id"] for i in items]
            for who, items in made.shelves.select("listener_id", "items").iter_rows()
        }
        assert found == expected, steps
        assert set(made.shelves["status"]) <= {"fallback", "empty"}
