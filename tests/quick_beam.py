"""Beam builds hundreds of small graphs in these tests, and for each it looks the same things up anew: here they are kept.

What the methods of a step take is read by `inspect` some thirty times a step, and a view of the options builds a parser of all of
them each time it is asked for: nearly half of what a small job costs. No answer can change, since a function's signature is its
own, steps of one class have its methods, and the views of some options share their values.
"""

from __future__ import annotations

from functools import cache
from inspect import Signature
from types import FunctionType, MethodType
from typing import Any

MOST = 1000  # views kept at once: a job asks for some ten, and no job comes back to those of another


@cache
def keep() -> None:
    """Let this process look each of them up once."""
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.transforms import core, userstate

    read, view_as, read_specs = core.get_signature, PipelineOptions.view_as, userstate.get_dofn_specs
    signatures: dict[FunctionType, Signature] = {}
    views: dict[tuple[int, type], Any] = {}
    kinds: dict[type, tuple[set[Any], set[Any]]] = {}

    def get_signature(function: Any) -> Signature:
        own = getattr(function, "__func__", None)
        # what closes over something is left to go when its step goes
        if not isinstance(function, MethodType) or not isinstance(own, FunctionType) or own.__closure__:
            return read(function)
        if own not in signatures:
            signatures[own] = read(function)
        return signatures[own]

    def view(self: Any, cls: type) -> Any:
        values = self._all_options
        found = views.get((id(values), cls))
        if found is None or found._all_options is not values or found._flags is not self._flags:
            if len(views) >= MOST:
                views.clear()
            found = views[id(values), cls] = view_as(self, cls)
        return found

    def get_dofn_specs(step: Any) -> tuple[set[Any], set[Any]]:
        kind = type(step)
        # one made of a function takes what the function takes; all else stands in its class
        if any(isinstance(default, core._DoFnParam) for default in core.get_function_arguments(step, "process")[1]):
            return read_specs(step)
        if kind not in kinds:
            kinds[kind] = read_specs(step)
        states, timers = kinds[kind]
        return set(states), set(timers)

    core.get_signature, userstate.get_dofn_specs = get_signature, get_dofn_specs
    PipelineOptions.view_as = view
