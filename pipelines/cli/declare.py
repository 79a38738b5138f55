"""A command's options, declared once: what the terminal, a template's parameters and the job's own arguments are made of.

    INGEST = Command("ingest", "A log into the warehouse.", (WAREHOUSE, Option("end_date", DATE, "Last date ...")), ...)

    INGEST.on_terminal(function)                  click options on a command's function: --end-date
    dataflow_templates.options.options_of(INGEST) Beam options and metadata of the template: --end_date
    INGEST.values(parsed)                         the job's keyword arguments: end_date=date(2026, 1, 31)

An option is a string with a pattern, which a service can check before anything starts, and a Python value behind it. Nothing
heavy is imported here, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import wraps
from typing import Any, Literal

import click

DAY = click.DateTime(["%Y-%m-%d"])
Where = Literal["terminal", "template"]


@dataclass(frozen=True)
class Text:
    """The type of an option: a string that a pattern matches as a whole, and the value that it stands for.

    Attributes:
        form: the pattern, in the syntax that Python and RE2 share; a function where it is known only from what is registered.
        expects: what is expected, for messages; "" = one of the strings it may be.
        kind: name of the service's ParameterType.
        one_of: the strings it may be, where they can be counted; a function likewise.
        value: what the job gets for the string.
        click_type: how the terminal checks it; None = as a plain string, which the job checks.
    """

    form: str | Callable[[], str]
    expects: str
    kind: str = "TEXT"
    one_of: tuple[str, ...] | Callable[[], tuple[str, ...]] = ()
    value: Callable[[str], Any] = str
    click_type: Any = None

    @property
    def pattern(self) -> str:
        """The pattern."""
        return self.form if isinstance(self.form, str) else self.form()

    @property
    def choices(self) -> tuple[str, ...]:
        """The strings it may be, where they can be counted."""
        return self.one_of() if callable(self.one_of) else self.one_of

    @property
    def says(self) -> str:
        """What is expected, for messages."""
        return self.expects or f"one of {', '.join(self.choices)}"

    def __call__(self, value: str) -> str:
        """The string itself.

        Raises:
            ArgumentTypeError: it does not match; argparse puts the option's name before it.
        """
        if re.fullmatch(self.pattern, value) is None:
            raise argparse.ArgumentTypeError(f"expected {self.says}, found {value!r}")
        return value


@dataclass(frozen=True)
class Option:
    """One option of a command.

    Attributes:
        name: the job's own name for it.
        text: what it may be.
        help: one sentence; `more` is added on the terminal.
        public: its name as a template's parameter and, with dashes, on the terminal; default: the job's.
        flag: its name on the terminal, where that is another.
        default: the string it is without being given; None = the job's own default.
        many: may be repeated on the terminal; a template gets them separated by commas. The job gets a list.
        only: it is an option of this place alone.
        here: the default on the terminal, where a template has to be given a value; "" = it may be left out.
        more: a second sentence of the terminal's help.
    """

    name: str
    text: Text
    help: str
    public: str | None = None
    flag: str | None = None
    default: str | None = None
    required: bool = False
    many: bool = False
    only: Where | None = None
    here: str | None = None
    more: str = ""

    @property
    def parameter(self) -> str:
        """Its name as a template's parameter."""
        return self.public or self.name

    @property
    def terminal(self) -> str:
        """Its name on the terminal."""
        return self.flag or f"--{self.parameter.replace('_', '-')}"

    def parsed(self, given: str | None) -> Any:
        """The job's value for a template's string; None where it was not given.

        Raises:
            UserError: it matches its pattern and is no value all the same, as the thirtieth of February.
        """
        if given is None:
            return [] if self.many else None
        try:
            return [self.text.value(one) for one in given.split(",")] if self.many else self.text.value(given)
        except ValueError as error:
            from transforms.common.errors import UserError

            raise UserError(f"--{self.parameter}: {error}") from error

    def click(self) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """The option for a click command, under the job's name."""
        words = f"{self.help} {self.more}".strip()
        if self.text.kind == "BOOLEAN":
            return click.option(self.terminal, self.name, is_flag=True, help=words)
        default: Any = self.default if self.here is None else self.here or None
        more: dict[str, Any] = {"default": [default] if self.many else default} if default is not None else {}
        return click.option(
            self.terminal,
            self.name,
            type=self.text.click_type,
            multiple=self.many,
            required=self.required and self.here is None,
            show_default=default is not None,
            help=words,
            **more,
        )


@dataclass(frozen=True)
class Command:
    """A job as it can be started from outside.

    Attributes:
        name: of the command and of the template, its files, and the label of its jobs.
        title, says: for whoever launches a template.
        options: in the order in which they are listed.
        one_process: its workers run one Python process each, because one step needs the memory of all of them.
    """

    name: str
    title: str
    says: str
    options: tuple[Option, ...] = field(default_factory=tuple)
    one_process: bool = False

    def of(self, where: Where) -> tuple[Option, ...]:
        """The options it has on the terminal, or as a template."""
        return tuple(o for o in self.options if o.only in (None, where))

    def on_terminal(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A click command's function with these options; it gets the job's values by the job's names."""

        @wraps(function)  # its other options with it
        def with_values(*args: Any, **given: Any) -> Any:
            return function(*args, **{name: _value(value) for name, value in given.items()})

        found: Callable[..., Any] = with_values
        for option in reversed(self.of("terminal")):
            found = option.click()(found)
        return found

    def values(self, parsed: Any) -> dict[str, Any]:
        """The job's keyword arguments from a template's parsed strings."""
        return {o.name: o.parsed(getattr(parsed, o.parameter)) for o in self.of("template")}


def _value(given: Any) -> Any:
    """A value of click's as jobs take it: dates without a time, lists."""
    if isinstance(given, datetime):
        return given.date()
    return list(given) if isinstance(given, tuple) else given


def a_day(text: str) -> date:
    """A date.

    Raises:
        ValueError: there is no such day.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"expected a day of the calendar as YYYY-MM-DD, found {text!r}") from None
