"""The sequence model as a source for sessions."""

from __future__ import annotations

import numpy as np
import pytest

from models.session_sequence import best_shares, sequence_source
from models.settings import SequenceSettings
from tests.models.rankers.test_session import N, albums
from transforms.next_in_session.sessions import SessionLog


def test_shares_are_a_softmax_of_which_the_best_are_kept() -> None:
    logits = np.log(np.array([[1.0, 5.0, 2.0, 2.0], [1.0, 1.0, 1.0, 1.0]]))
    assert best_shares(logits, 2, np.array([True, False])).toarray() == pytest.approx(
        np.array([[0, 0.5, 0.2, 0], [0, 0, 0, 0]])
    )


def test_it_learns_the_order_of_albums_and_says_nothing_of_unknown_tracks() -> None:
    settings = SequenceSettings(dims=16, length=8, epochs=12, dropout=0.0, learning_rate=0.01, warm_up=10)
    (source,) = sequence_source(N, settings, kept=5)(albums(200)).values()
    scores = source(SessionLog.from_lists([[7, 12, 13], [0, 0]]).open_ends())
    assert scores.shape == (2, N)
    assert np.diff(scores.indptr).tolist() == [5, 0]
    assert scores[[0]].toarray().argmax() == 14
