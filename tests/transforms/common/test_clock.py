"""Times by part: summed, drained, told again, and never mixed up with other counters."""

from __future__ import annotations

import pytest

from transforms.common.clock import TOOK, Clock, as_counters, by_part, others


def spend() -> None:
    sum(n * n for n in range(50_000))


def test_a_part_adds_up_until_it_is_drained() -> None:
    clock = Clock()
    for rows in (3, 4):
        with clock.part("source als", rows):
            spend()
    with clock.part("ranker"):
        pass
    sums = clock.drain()
    assert sums["source als.rows"] == 7 and sums["source als.microseconds"] > 0
    assert sums["source als.cpu_microseconds"] > 0 and sums["ranker.rows"] == 0
    assert clock.drain() == {}


def test_a_part_that_fails_is_counted_too() -> None:
    clock = Clock()
    with pytest.raises(ValueError, match="broken"), clock.part("broken", 1):
        raise ValueError("broken")
    assert clock.drain()["broken.rows"] == 1


def test_counters_come_back_as_parts_and_the_others_stay() -> None:
    counters = {f"{TOOK}.v1.2 model.microseconds": 2_500_000, f"{TOOK}.v1.2 model.rows": 9, "read.rows": 5}
    assert by_part(counters) == {"v1.2 model": {"seconds": 2.5, "cpu_seconds": 0.0, "rows": 9}}
    assert others(counters) == {"read.rows": 5}


def test_a_process_tells_the_sum_of_all_its_clocks() -> None:
    before = as_counters().get(f"{TOOK}.only here.rows", 0)
    for _ in range(2):
        clock = Clock()
        with clock.part("only here", 5):
            pass
        clock.drain()
    assert as_counters()[f"{TOOK}.only here.rows"] == before + 10
