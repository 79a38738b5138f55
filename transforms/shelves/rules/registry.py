"""Rules: named functions that keep rows off a shelf, with parameters that the settings give.

A rule says of every row of a block whether it removes it. Rules marked `always` hold on every shelf and cannot be
switched off; the others hold where a shelf names them. A cap has no function: it is kept while a shelf is filled, since
it depends on what was placed before. How many rows each rule removed stands in table `removed`.

    >>> @rule("short", "shorter than the shelf takes", Least)             # doctest: +SKIP
    ... def short(facts, parameters, shelf_id):
    ...     return facts.duration < parameters.ms
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

import numpy as np
from pydantic import BaseModel

from transforms.common import plugins
from transforms.shelves.rules.reads import Facts

Removes = Callable[[Facts, Any, str], np.ndarray]


class Parameters(BaseModel, frozen=True, extra="forbid"):
    """Parameters of a rule; a rule without any uses this."""


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        name: as in the settings and in table `removed`.
        says: why it removed a track, to follow "removed: ".
        parameters: their type.
        removes: bool by row of a block; None for a cap.
        always: holds on every shelf.
        of_shelf: what it removes depends on the shelf, not only on its parameters.
        again: judged again on every night of a shelf that is carried; the others choose what comes onto a shelf.
    """

    name: str
    says: str
    parameters: type[Parameters] = Parameters
    removes: Removes | None = None
    always: bool = False
    of_shelf: bool = False
    again: bool = False


RULES: dict[str, Rule] = {}


def add(one: Rule) -> Rule:
    """Register a rule.

    Raises:
        ValueError: there is one of this name.
    """
    if one.name in RULES:
        raise ValueError(f"there are two rules named {one.name!r}")
    RULES[one.name] = one
    return one


def rule(
    name: str,
    says: str,
    parameters: type[Parameters] = Parameters,
    *,
    always: bool = False,
    of_shelf: bool = False,
    again: bool = False,
) -> Callable[[Removes], Removes]:
    """Register the function under it as a rule; see `Rule`."""

    def register(function: Removes) -> Removes:
        add(Rule(name, says, parameters, function, always, of_shelf, again))
        return function

    return register


@cache
def every_rule() -> dict[str, Rule]:
    """All rules by name: ours, then those that plugins bring."""
    return {one.name: one for one in plugins.all_of("rules", tuple(RULES.values()))}


def parse(name: str, given: Any) -> dict[str, Any]:
    """The parameters of a rule, completed with its defaults.

    Raises:
        ValueError: there is no such rule, or the parameters are not its own.
    """
    known = every_rule()
    if name not in known:
        raise ValueError(f"there is no rule {name!r}{nearest(name, known)}; the rules: {', '.join(sorted(known))}")
    if known[name].always:
        raise ValueError(f"the rule {name!r} holds on every shelf; leave it out")
    return known[name].parameters.model_validate({} if given in (None, True) else given).model_dump(mode="json")


def nearest(name: str, names: Any) -> str:
    """ "; did you mean ...?", or nothing where no name is near."""
    near = get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
