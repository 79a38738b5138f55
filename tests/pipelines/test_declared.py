"""One declaration of a job's options: the terminal, the template and the job's own arguments say the same."""

from __future__ import annotations

import inspect
from dataclasses import fields
from datetime import date
from importlib import import_module
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from pipelines.cli.declare import Command, Option
from pipelines.cli.jobs import DATE, DAYS, FILES, JOBS, SWITCH
from pipelines.cli.main import cli
from pipelines.recommender.night import Asked
from transforms.common.errors import UserError

# what stands between the option and the job: the settings it becomes a part of, a check before the job, a value made of it
INSTEAD = {
    ("outcomes", "horizon"): "horizons",
    ("train", "candidates_only"): "settings",
    ("features", "accept_gates"): "settings",
    ("publish", "config"): "gates",
    ("forget", "config"): None,
}


@pytest.mark.parametrize("command", [c for c in JOBS.values() if c.name != "check"], ids=lambda c: c.name)
def test_every_option_is_an_argument_of_the_job(command: Command) -> None:
    job = getattr(import_module(f"pipelines.{command.name}"), command.name)
    taken = {*inspect.signature(job).parameters, *(f.name for f in fields(Asked) if command.name == "score")}
    for option in command.options:
        name = INSTEAD.get((command.name, option.name), "settings" if option.name == "config" else option.name)
        assert name is None or name in taken, f"{command.name} has --{option.parameter}, and its job no {name}"


@pytest.mark.parametrize(
    "name", sorted((set(JOBS) - {"check"}) & set(cli.commands))
)  # the terminal's `check` only prints
def test_the_terminal_has_every_option_that_is_not_a_templates_alone(name: str) -> None:
    has = {flag for p in cli.commands[name].params if isinstance(p, click.Option) for flag in p.opts}
    assert {option.terminal for option in JOBS[name].of("terminal")} <= has


def test_a_value_is_the_same_from_the_terminal_and_from_a_template() -> None:
    options = (
        Option("day", DATE, "A day.", "date", required=True),
        Option("ahead", DAYS, "Days.", "days", default="7"),
        Option("inputs", FILES, "Files.", "input", many=True),
        Option("greedy", SWITCH, "Greedy.", default="false"),
        Option("warehouse", FILES, "Where.", required=True, here="./warehouse"),
    )
    command, got = Command("one", "One", "One.", options), {}

    @click.command()
    @command.on_terminal
    def one(**given: object) -> None:
        got.update(given)

    words = ["--date", "2026-01-31", "--days", "9", "--input", "a.csv", "--input", "b.csv", "--greedy"]
    assert CliRunner().invoke(one, words).exit_code == 0
    parsed = SimpleNamespace(date="2026-01-31", days="9", input="a.csv,b.csv", greedy="true", warehouse="./warehouse")
    expected = {"day": date(2026, 1, 31), "ahead": 9, "inputs": ["a.csv", "b.csv"], "greedy": True}
    assert got == command.values(parsed) == {**expected, "warehouse": "./warehouse"}


def test_a_day_that_no_calendar_has_is_refused_with_the_options_name() -> None:
    with pytest.raises(UserError, match=r"--date: expected a day of the calendar as YYYY-MM-DD, found '2026-02-31'"):
        Option("day", DATE, "A day.", "date").parsed("2026-02-31")
