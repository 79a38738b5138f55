"""Neighbours of a session, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from transforms.next_in_session.neighbours import PLAIN, SessionIndex, SessionNeighbourSettings
from transforms.next_in_session.sessions import SessionLog

NO_DECAY = {"position": 1e9, "recency": 1e9, "around": 1e9, "match": 0.0, "rare": 0.0}


def index(sessions: list[list[int]], **settings: float) -> SessionIndex:
    return SessionIndex.fit(SessionLog.from_lists(sessions), 9, SessionNeighbourSettings(**(NO_DECAY | settings)))


def score(found: SessionIndex, prefix: list[int]) -> dict[int, float]:
    row = found.score(SessionLog.from_lists([prefix]).open_ends())
    return dict(zip(row.indices.tolist(), row.data.round(6).tolist(), strict=True))


def test_a_neighbour_counts_its_shared_tracks_over_the_root_of_its_length() -> None:
    found = index([[1, 2, 3, 4], [1, 5]], two_first=False)
    assert score(found, [1, 2]) == {1: 1.0, 3: 1.0, 4: 1.0, 5: round(1 / 2**0.5, 6)}


def test_the_longer_ago_a_shared_track_was_played_the_less_it_counts() -> None:
    found = index([[1, 3], [2, 4]], two_first=False, position=1.0)
    scores = score(found, [1, 2])
    assert scores[4] == pytest.approx(1 / 2**0.5, abs=1e-5)
    assert scores[3] == pytest.approx(np.exp(-1) * np.exp(-1) / 2**0.5, abs=1e-5)


def test_tracks_far_from_the_latest_shared_one_count_less_and_beyond_reach_not_at_all() -> None:
    scores = score(index([[1, 2, 3, 4, 5]], two_first=False, around=1.0, reach=3), [1])
    assert set(scores) == {2, 3, 4}
    assert scores[3] / scores[2] == pytest.approx(np.exp(-1), abs=1e-4)


def test_a_later_session_counts_more_and_stands_first_where_equal() -> None:
    scores = score(index([[1, 2], [1, 3]], two_first=False, recency=0.5), [1])
    assert scores[2] / scores[3] == pytest.approx(np.exp(-1), abs=1e-5)
    tied = index([[1, 2], [1, 3]], two_first=False, kept=1)
    assert set(score(tied, [1])) == {3}


def test_two_shared_tracks_come_before_one_however_alike_it_is() -> None:
    sessions = [[2, 7, 8, 1, 6, 6, 6, 6, 5], [1, 3]]
    alone = {"kept": 1, "position": 0.5}
    assert set(score(index(sessions, two_first=False, **alone), [2, 1])) == {3}
    assert 3 not in score(index(sessions, two_first=True, **alone), [2, 1])
    both = score(index(sessions, two_first=True, single=0.1), [2, 1])
    assert both[3] == pytest.approx(0.1 / 2**0.5, abs=1e-5)


def test_a_rare_shared_track_says_more() -> None:
    sessions = [[1, 3], [1, 4], [1, 5], [2, 6]]
    scores = score(index(sessions, two_first=False, match=1.0), [2, 1])
    assert scores[6] / scores[3] == pytest.approx(np.log(1 + 4 / 1) / np.log(1 + 4 / 3), abs=1e-4)


def test_only_the_latest_sessions_of_a_track_are_looked_at() -> None:
    assert set(score(index([[1, 2], [1, 3], [1, 4]], sample=2), [1])) == {3, 4}


def test_a_repeated_track_matches_once_and_an_unknown_one_never() -> None:
    found = index([[1, 1, 1, 2], [0, 3]], two_first=False)
    neighbours = found.neighbours(SessionLog.from_lists([[0, 1, 1]]).open_ends())
    assert neighbours.sessions.tolist() == [0]
    assert (neighbours.shared.tolist(), neighbours.ago.tolist(), neighbours.place.tolist()) == ([1], [1], [0])


def test_a_session_without_a_known_track_has_no_neighbours() -> None:
    assert score(index([[1, 2]]), [7, 0]) == {}


def test_prefixes_do_not_depend_on_the_block_they_come_in() -> None:
    rng = np.random.default_rng(1)
    log = SessionLog.from_lists([rng.integers(0, 9, rng.integers(0, 12)).tolist() for _ in range(40)])
    found = SessionIndex.fit(log, 9, PLAIN)
    prefixes = log.prefixes()
    whole = found.score(prefixes).toarray()
    assert np.array_equal(whole, np.concatenate([found.score(block).toarray() for block in prefixes.blocks(7)]))
