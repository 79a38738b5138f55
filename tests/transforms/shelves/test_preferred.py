"""A shelf that prefers one column: its candidates first, then the usual order; a negative value keeps a candidate off."""

from __future__ import annotations

from typing import Any

from tests.transforms.shelves.worlds import candidate, frame, make, one_shelf, roster, tracks

SETTINGS = one_shelf(
    pool="any", preferred="score_next_tracks", order={"ranker_score": 1.0, "activation": 1.0}, artist_cap=None
)


def row(track: str, score: float, following: float | None, listener: str = "ann", **facts: Any) -> dict[str, Any]:
    return candidate(track, score, score_next_tracks=following, activation=score, listener_id=listener, **facts)


def test_what_is_preferred_comes_first_in_its_own_order_and_the_others_follow() -> None:
    made = make(
        frame(row("b", 0.9, None), row("c", 0.7, 0.0), row("second", 0.1, 0.2), row("first", 0.3, 1.5)),
        settings=SETTINGS,
    )
    assert tracks(made) == ["first", "second", "b", "c"]
    scores = [item["score"] for item in made.shelves["items"][0].to_list()]
    assert scores == sorted(scores, reverse=True)


def test_a_negative_value_keeps_a_candidate_off() -> None:
    made = make(frame(row("no", 0.9, -1.0), row("b", 0.7, None), row("first", 0.3, 1.5)), settings=SETTINGS)
    assert tracks(made) == ["first", "b"]


def test_a_listener_without_any_gets_the_usual_order_and_a_column_nobody_has_changes_nothing() -> None:
    rows = frame(
        row("x", 0.2, None, "bob"), row("y", 0.9, None, "bob"), row("first", 0.1, 1.0), row("later", 0.9, None)
    )
    made = make(rows, settings=SETTINGS, roster=roster("ann", "bob"))
    assert (tracks(made), tracks(made, listener="bob")) == (["first", "later"], ["y", "x"])
    assert [item["score"] > -50 for item in made.shelves["items"][1].to_list()] == [True, True]
    made = make(rows.drop("score_next_tracks"), settings=SETTINGS, roster=roster("ann", "bob"))
    assert (tracks(made), tracks(made, listener="bob")) == (["later", "first"], ["y", "x"])


def test_however_far_a_track_stands_out_otherwise_what_is_preferred_comes_first() -> None:
    heavy = one_shelf(
        pool="any", preferred="score_next_tracks", order={"ranker_score": 20.0, "activation": 20.0}, artist_cap=None
    )
    rows = [row(f"x{n}", 0.0, None) for n in range(40)]
    made = make(frame(*rows, row("far", 9.0, None), row("first", 0.0, 0.1)), settings=heavy)
    assert tracks(made)[:2] == ["first", "far"]
