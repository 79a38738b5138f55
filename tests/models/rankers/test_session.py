"""The order of candidates in a session: learned on the last sessions, used on any."""

from __future__ import annotations

import numpy as np

from models.rankers.session import fit_next
from transforms.next_in_session.repeats import RepeatSettings
from transforms.next_in_session.sessions import SessionLog
from transforms.next_in_session.shortlist import Order, continuation, shortlist
from transforms.next_in_session.sources import NextSettings, Sources

N = 41


def albums(sessions: int, seed: int = 0, again: bool = False) -> SessionLog:
    """Sessions that run through one of four albums of ten from somewhere, some twice over, after a random track."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(sessions):
        album, first = rng.integers(4), rng.integers(6)
        tracks = [int(1 + 10 * album + k) for k in range(first, min(first + 5, 10))]
        out.append([int(rng.integers(1, N)), *tracks, *(tracks if again else [])])
    return SessionLog.from_lists(out)


def test_it_learns_that_albums_are_played_in_order() -> None:
    sources, order = fit_next(albums(300), N, NextSettings(prefixes=300))
    items, scores = continuation(sources, order, SessionLog.from_lists([[7, 12, 13], [33]]).open_ends(), 3)
    assert items[:, 0].tolist() == [14, 34]
    assert (np.diff(scores, axis=1) <= 0).all()


def test_repeats_can_be_switched_off() -> None:
    log = albums(200, again=True)
    prefix = SessionLog.from_lists([[5, 11, 12, 13, 11]]).open_ends()
    first = {}
    for allowed in (True, False):
        settings = NextSettings(prefixes=400, repeats=RepeatSettings(allowed=allowed))
        items, _ = continuation(*fit_next(log, N, settings), prefix, 30)
        first[allowed] = items[0]
    assert first[True][0] == 12
    assert not set(first[False].tolist()) & {5, 11, 12, 13}


def test_equal_logs_give_equal_weights_and_equal_continuations() -> None:
    runs = [fit_next(albums(80), N, NextSettings(prefixes=100)) for _ in range(2)]
    prefix = SessionLog.from_lists([[1, 2], [21, 22, 23]]).open_ends()
    (items, scores), (items2, scores2) = (continuation(*run, prefix, 10) for run in runs)
    assert runs[0][1] == runs[1][1]
    assert np.array_equal(items, items2)
    assert np.array_equal(scores, scores2)


def test_the_order_learns_from_sessions_the_sources_have_not_seen() -> None:
    seen: list[int] = []

    def more(log: SessionLog) -> dict:
        seen.append(len(log))
        return {}

    fit_next(albums(100), N, NextSettings(prefixes=50, held_out=0.2), more=more)
    assert seen == [80, 100]


def test_a_further_source_brings_candidates_of_its_own() -> None:
    from scipy import sparse

    def always(prefixes):
        return sparse.csr_matrix(
            (np.ones(len(prefixes)), (np.arange(len(prefixes)), np.full(len(prefixes), 40))), (len(prefixes), N)
        )

    sources = Sources.fit(SessionLog.from_lists([[1, 2]]), N, NextSettings(), {"always": always})
    found = shortlist(sources, SessionLog.from_lists([[1]]).open_ends())
    assert found.items.tolist() == [1, 2, 40]
    assert found.features[2, found.names.index("always_there")] == 1


def test_without_enough_sessions_to_learn_an_order_the_sources_add_up() -> None:
    log = SessionLog.from_lists([[5, 3, 4], [5, 3, 2], [5, 3, 4], [9, 8]])
    sources, order = fit_next(log, 12, NextSettings(held_out=0.3))
    assert order == Order({}), "the session held out says nothing of those before it"
    items, scores = continuation(sources, order, SessionLog.from_lists([[5, 3]]).open_ends(), 3)
    assert items[0, :2].tolist() == [4, 2], "4 came next twice, 2 once"
    assert scores[0, 0] > scores[0, 1]


def test_sessions_that_say_nothing_get_nothing() -> None:
    sources, order = fit_next(SessionLog.from_lists([[1, 2], [0], [3]]), N, NextSettings())
    assert order == Order({})
    items, scores = continuation(sources, order, SessionLog.from_lists([[0], [30]]).open_ends(), 2)
    assert items.tolist() == [[0, 0], [30, 0]]
    assert scores[0].tolist() == [-np.inf, -np.inf]
