"""What a night keeps of how sessions go on: saved without a session in it, and the same again when loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.rankers.session import fit_model, fit_next
from tests.models.rankers.test_session import N, albums
from transforms.next_in_session.fitted import NextModel
from transforms.next_in_session.repeats import RepeatSettings
from transforms.next_in_session.sessions import Prefixes, SessionLog
from transforms.next_in_session.shortlist import continuation
from transforms.next_in_session.sources import NextSettings

SETTINGS = NextSettings(prefixes=200)
PREFIX = SessionLog.from_lists([[5, 11, 12, 13, 11], [33]]).open_ends()


def test_the_model_with_its_sessions_continues_as_the_sources_it_came_from(tmp_path: Path) -> None:
    log = albums(150, again=True)
    sources, order = fit_next(log, N, SETTINGS)
    fit_model(log, N, SETTINGS).save(tmp_path / "m.npz")
    model = NextModel.load(tmp_path / "m.npz", SETTINGS)
    items, scores = continuation(sources, order, PREFIX, 12)
    items2, scores2 = continuation(model.sources(log), model.order, PREFIX, 12)
    assert np.array_equal(items, items2)
    assert np.array_equal(scores, scores2)


def test_equal_models_are_equal_bytes(tmp_path: Path) -> None:
    for name in "ab":
        fit_model(albums(60), N, SETTINGS).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_repeats_can_be_switched_off_while_scoring_and_asked_for_no_further_back_than_counted(tmp_path: Path) -> None:
    log = albums(150, again=True)
    fit_model(log, N, SETTINGS).save(tmp_path / "m.npz")
    further = SETTINGS.model_copy(update={"repeats": RepeatSettings(plays=500)})
    model = NextModel.load(tmp_path / "m.npz", further)
    items, _ = continuation(model.sources(log), model.order, PREFIX, 30)
    assert items[0, 0] == 12
    items, _ = continuation(model.sources(log, allowed=False), model.order, PREFIX, 30)
    assert not set(items[0].tolist()) & {5, 11, 12, 13}


def test_a_session_is_no_neighbour_of_itself() -> None:
    log = albums(40)
    sources, _ = fit_next(log, N, SETTINGS)
    ends = log.open_ends()
    own = Prefixes(ends.log, ends.end, np.arange(len(ends)))
    with_itself, without = sources.index.neighbours(ends), sources.index.neighbours(own)
    assert (with_itself.sessions == with_itself.rows).sum() == len(log)
    assert not (without.sessions == without.rows).any()
    assert len(without.rows) == len(with_itself.rows) - len(log)
    for block in own.blocks(7):  # and it stays so in blocks
        found = sources.index.neighbours(block)
        assert not (found.sessions == block.own[found.rows]).any()


def test_sums_over_a_large_catalog_are_those_over_a_small_one(monkeypatch) -> None:
    from transforms.next_in_session import neighbours

    sources, order = fit_next(albums(80), N, SETTINGS)
    dense = continuation(sources, order, PREFIX, 10)
    monkeypatch.setattr(neighbours, "_DENSE", 0)
    sparse = continuation(sources, order, PREFIX, 10)
    assert np.array_equal(dense[0], sparse[0])
    assert np.array_equal(dense[1], sparse[1])
