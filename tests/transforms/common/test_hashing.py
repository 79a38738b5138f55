"""Hashes are the same everywhere and for ever; uniform numbers are uniform and independent by purpose."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl

from transforms.common.hashing import hex_id, stable_hash, uniform


def test_values_are_fixed_for_ever() -> None:
    assert [f"{h:016x}" for h in stable_hash(["ann", "bob", None], purpose="p").tolist()] == FIXED


def test_another_process_draws_the_same() -> None:
    code = "from transforms.common.hashing import uniform; print(repr(float(uniform(7, 'x', ['ann'], [3])[0])))"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert float(done.stdout) == float(uniform(7, "x", ["ann"], [3])[0])


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    ids = pl.Series(["a", "b", "a", "c"])
    assert stable_hash(ids).tolist() == [stable_hash([v]).tolist()[0] for v in ids]
    assert hex_id(ids)[0] == hex_id(["a"])[0]


def test_uniform_is_uniform_and_purposes_are_independent() -> None:
    who = [f"listener {n}" for n in range(20_000)]
    one, other = uniform(1, "draw", who), uniform(1, "arm", who)
    counts = np.histogram(one, bins=20, range=(0, 1))[0]
    assert abs(counts - 1000).max() < 5 * np.sqrt(1000)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.03
    assert abs(np.corrcoef(one, uniform(2, "draw", who))[0, 1]) < 0.03


FIXED = ["93bb409c61c187b4", "cab239d85dd8fe94", "bba03cc1331f437c"]
