"""Just enough of Cloud Workflows to walk the night's workflow as it stands in its file.

Steps, `assign`, `switch`, `for`, `try`/`except`, `next`, `return`, `raise` and calls, with the standard functions that the file
uses. Everything it does not know raises, so that a workflow that grows takes the interpreter with it.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

Call = Callable[..., Any]


class Raised(Exception):
    """What a step raised; `value` is what the workflow gave."""

    def __init__(self, value: Any) -> None:
        super().__init__(str(value))
        self.value = value


class Map(dict):
    """A map whose keys can be read with a dot."""

    def __getattr__(self, name: str) -> Any:
        return wrapped(self[name])


def wrapped(value: Any) -> Any:
    return Map(value) if isinstance(value, dict) and not isinstance(value, Map) else value


class Workflow:
    """A parsed workflow file, run with given calls in the place of the service's (`http.post`, `sys.sleep`, ...)."""

    def __init__(self, file: Mapping[str, Any], calls: Mapping[str, Call], now: datetime, project: str) -> None:
        self._flows, self._calls = file, calls
        self._names = {
            "default": lambda value, other: other if value is None else value,
            "json": types.SimpleNamespace(encode_to_string=json.dumps, decode=lambda text: wrapped(json.loads(text))),
            "map": types.SimpleNamespace(get=lambda m, k: wrapped(m.get(k)), merge=lambda a, b: Map({**a, **b})),
            "text": types.SimpleNamespace(
                substring=lambda text, start, end: text[start:end],
                replace_all=lambda text, old, new: text.replace(old, new),
            ),
            "time": types.SimpleNamespace(
                format=lambda seconds: datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                parse=lambda text: datetime.fromisoformat(text).timestamp(),
            ),
            "sys": types.SimpleNamespace(now=now.timestamp, get_env={"GOOGLE_CLOUD_PROJECT_ID": project}.__getitem__),
            "http": types.SimpleNamespace(default_retry="idempotent", default_retry_non_idempotent="not idempotent"),
        }

    def run(self, argument: Mapping[str, Any]) -> Any:
        """Run `main`."""
        return self._flow("main", {"args": argument})

    def _flow(self, name: str, given: Mapping[str, Any]) -> Any:
        flow = self._flows[name]
        known: dict[str, Any] = {}
        for parameter in flow.get("params", []):
            if isinstance(parameter, dict):
                known |= parameter
        names = {p if isinstance(p, str) else next(iter(p)) for p in flow.get("params", [])}
        assert set(given) <= names, f"{name} has no {set(given) - names}"
        known |= given
        assert set(known) == names, f"{name} lacks {names - set(known)}"
        ended = self._steps(flow["steps"], known)
        return ended[1] if ended and ended[0] == "return" else None

    def _steps(self, steps: list[dict[str, Any]], known: dict[str, Any]) -> tuple[str, Any] | None:
        """Run steps; None at their end, else ("return", value) or ("next", a step that is not among them)."""
        places = {next(iter(step)): n for n, step in enumerate(steps)}
        n = 0
        while n < len(steps):
            ended = self._step(next(iter(steps[n].values())), known)
            n += 1
            if ended is None:
                continue
            if ended[0] == "next" and ended[1] in places:
                n = places[ended[1]]
                continue
            return ended
        return None

    def _step(self, step: dict[str, Any], known: dict[str, Any]) -> tuple[str, Any] | None:
        extra = set(step) - {
            "assign", "switch", "for", "try", "except", "retry", "call", "args", "result", "steps", "next", "return", "raise"
        }  # fmt: skip
        assert not extra, f"unknown words in a step: {extra}"
        ended = None
        if "assign" in step:
            for one in step["assign"]:
                ((target, value),) = one.items()
                *path, last = target.split(".")
                place = known
                for part in path:
                    place = place[part]
                place[last] = self._value(value, known)
        elif "switch" in step:
            for case in step["switch"]:
                if self._value(case["condition"], known):
                    ended = self._steps(case["steps"], known) if "steps" in case else None
                    if "next" in case:
                        return ("next", case["next"])
                    return ended
        elif "for" in step:
            for value in self._value(step["for"]["in"], known):
                ended = self._steps(step["for"]["steps"], {**known, step["for"]["value"]: value})
                if ended is not None:
                    return ended
        elif "try" in step:
            try:
                ended = self._step(step["try"], known)
            except Raised as raised:
                if "except" not in step:
                    raise
                ended = self._steps(step["except"]["steps"], {**known, step["except"]["as"]: raised.value})
        elif "call" in step:
            given = {name: self._value(value, known) for name, value in step.get("args", {}).items()}
            name = step["call"]
            answer = self._flow(name, given) if name in self._flows else self._calls[name](**given)
            if "result" in step:
                known[step["result"]] = answer
        elif "steps" in step:
            ended = self._steps(step["steps"], known)
        elif "raise" in step:
            raise Raised(self._value(step["raise"], known))
        if ended is not None:
            return ended
        if "return" in step:
            return ("return", self._value(step["return"], known))
        return ("next", step["next"]) if "next" in step else None

    def _value(self, value: Any, known: Mapping[str, Any]) -> Any:
        if isinstance(value, dict):
            return {key: self._value(part, known) for key, part in value.items()}
        if isinstance(value, list):
            return [self._value(part, known) for part in value]
        found = re.fullmatch(r"\$\{(.*)\}", value, re.DOTALL) if isinstance(value, str) else None
        if found is None:
            return value
        names = {name: wrapped(part) for name, part in known.items()}
        return eval(found.group(1), {"__builtins__": {}}, {**self._names, **names})
