"""`--profile`: what is written, that it names where the time went, and that a failing command leaves it too."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pipelines.cli.options import Commands
from pipelines.runtime.profile import folded, functions, profiled


def busy(seconds: float) -> int:
    until, n = time.perf_counter() + seconds, 0
    while time.perf_counter() < until:
        n += 1
    return n


def test_time_is_told_by_function_and_by_stack(tmp_path: Path) -> None:
    with profiled(tmp_path / "profile") as sampler:
        while not any(stack[-1].endswith(":busy") for stack in list(sampler.stacks)):
            busy(0.05)
    lines = (tmp_path / "profile" / "functions.txt").read_text().splitlines()
    assert any(line.endswith("test_profile:busy") for line in lines[1:4])
    stack = next(x for x in (tmp_path / "profile" / "stacks.folded").read_text().splitlines() if ":busy " in x)
    assert "test_time_is_told_by_function_and_by_stack;" in stack
    assert json.loads((tmp_path / "profile" / "jobs.json").read_text()) == []


def test_own_time_and_time_with_what_was_called() -> None:
    stacks = Counter({("a", "b"): 3, ("a",): 1})
    assert [line.split() for line in functions(stacks).splitlines()[1:]] == [
        ["75.0%", "75.0%", "b"],
        ["25.0%", "100.0%", "a"],
    ]
    assert folded(stacks) == "a 1\na;b 3\n"


@pytest.mark.parametrize("fails", [False, True])
def test_every_command_takes_the_option_and_leaves_a_profile_even_where_it_fails(tmp_path: Path, fails: bool) -> None:
    group = Commands()

    @group.command("work")
    def work() -> None:
        if fails:
            raise click.UsageError("no")

    done = CliRunner().invoke(group, ["work", "--profile", str(tmp_path / "p")])
    assert done.exit_code == (2 if fails else 0)
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == ["functions.txt", "jobs.json", "stacks.folded"]
