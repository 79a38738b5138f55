"""Work beside a bundle: results in the order of asking, errors where results are asked for."""

from __future__ import annotations

from threading import Event

import pytest

from transforms.common.background import Background
from transforms.common.errors import UserError


def test_results_come_in_the_order_of_asking_not_of_finishing():
    second_done = Event()
    beside = Background(threads=2)
    beside.submit(lambda: (second_done.wait(10), "first")[1])
    beside.submit(lambda: (second_done.set(), "second")[1])
    assert list(beside.results()) == ["first", "second"]
    assert list(beside.results()) == []
    beside.close()


def test_an_error_is_raised_as_it_was():
    def full(_: int) -> None:
        raise UserError("the disk is full")

    beside = Background()
    beside.submit(full, 1)
    with pytest.raises(UserError, match="the disk is full"):
        list(beside.results())
    with pytest.raises(UserError, match="the disk is full"):
        beside.map(full, [1, 2])
    beside.close()


def test_map_keeps_the_order_and_what_was_submitted():
    beside = Background()
    beside.submit(abs, -7)
    assert beside.map(lambda n: n * n, range(5)) == [0, 1, 4, 9, 16]
    assert list(beside.results()) == [7]
    beside.close()
