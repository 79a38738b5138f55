"""Rules between tracks and repeats within a session, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from transforms.next_in_session.repeats import Repeats, RepeatSettings
from transforms.next_in_session.rules import Rules, RuleSettings
from transforms.next_in_session.sessions import Prefixes, SessionLog


def log(*sessions: list[int]) -> SessionLog:
    return SessionLog.from_lists(sessions)


def whole(*session: int) -> Prefixes:
    return log(list(session)).open_ends()


def test_prefixes_are_every_beginning_with_a_next_play() -> None:
    prefixes = log([1, 2, 3], [], [4], [5, 6]).prefixes()
    assert prefixes.targets().tolist() == [2, 3, 6]
    assert prefixes.session.tolist() == [0, 0, 3]
    assert prefixes.length.tolist() == [1, 2, 1]
    assert prefixes.last.tolist() == [1, 2, 5]


def test_tracks_of_a_prefix_are_distinct_and_counted_to_their_latest_play() -> None:
    rows, items, ago = log([1, 2, 1, 0, 3, 1]).open_ends().tracks(50)
    assert (rows.tolist(), items.tolist(), ago.tolist()) == ([0, 0, 0], [1, 3, 2], [1, 2, 5])
    assert log([1, 2, 1, 0, 3, 1]).open_ends().tracks(2)[1].tolist() == [1, 3]


def test_what_comes_soon_counts_the_inverse_of_its_distance() -> None:
    rules = Rules.fit(log([1, 2, 3, 4], [1, 3]), 5, RuleSettings(reach=2))
    assert rules.soon[[1]].toarray().tolist() == [[0, 0, 0.5, (0.5 + 1) / 2, 0]]


def test_bigrams_are_shares_of_what_followed() -> None:
    rules = Rules.fit(log([1, 2, 1, 3], [1, 2], [1]), 4, RuleSettings(shrink=1.0))
    assert rules.right[[1]].toarray().round(6).tolist() == [[0, 0, 2 / 4, 1 / 4]]
    assert rules.last_track(whole(3, 1), rules.right).toarray()[0].argmax() == 2


def test_company_is_a_cosine_over_sessions() -> None:
    rules = Rules.fit(log([1, 2], [2, 1], [1, 3], [3, 0]), 4, RuleSettings())
    company = rules.company.toarray()
    assert company[1, 2] == pytest.approx(2 / np.sqrt(3 * 2))
    assert company[1, 1] == 0
    assert not company[0].any()
    assert not company[:, 0].any()


def test_only_the_strongest_rules_are_kept_and_ties_go_to_the_smaller_row() -> None:
    rules = Rules.fit(log([1, 3], [1, 2], [1, 4], [1, 4]), 5, RuleSettings(kept=2))
    assert rules.right[[1]].indices.tolist() == [2, 4]


def test_rules_of_the_whole_prefix_fade() -> None:
    rules = Rules.fit(log([1, 3], [2, 4]), 5, RuleSettings(decay=1.0, shrink=0.0))
    scores = rules.decayed(whole(1, 2), rules.right).toarray()[0]
    assert scores[4] == 1.0
    assert scores[3] == pytest.approx(np.exp(-1))


def test_the_chance_that_a_track_comes_again_is_counted_by_distance() -> None:
    repeats = Repeats.fit(log([1, 2, 1, 2], [3, 3]), 4, RepeatSettings(shrink=0.0))
    # Distance 1 could come again four times and did once (3, 3); distance 2 twice, and did both times.
    assert repeats.again[:3].tolist() == [0.0, 1 / 4, 1.0]
    assert repeats.score(whole(1, 2)).toarray().tolist() == [[0.0, 1.0, 0.25, 0.0]]


def test_what_came_after_the_last_track_before_comes_again() -> None:
    repeats = Repeats(np.zeros(51), 6, RepeatSettings(decay=1.0))
    loop = repeats.loop(whole(1, 2, 5, 1, 3, 1)).toarray()[0]
    assert loop[3] == pytest.approx(1.0)
    assert loop[2] == pytest.approx(np.exp(-1))
    assert np.count_nonzero(loop) == 2


def test_a_round_that_was_the_same_for_longer_counts_more() -> None:
    repeats = Repeats(np.zeros(51), 6, RepeatSettings())
    assert repeats.loop(whole(4, 1, 2, 4, 1)).toarray()[0].tolist() == [0, 0, 2, 0, 0, 0]


def test_an_unknown_track_neither_loops_nor_comes_again() -> None:
    repeats = Repeats(np.ones(51), 6, RepeatSettings())
    assert repeats.loop(whole(0, 2, 0)).nnz == 0
    assert repeats.score(whole(0, 0)).nnz == 0
