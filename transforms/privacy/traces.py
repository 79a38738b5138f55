"""Traces of an id in text: as it is, and as JSON, HTML and addresses write it; found at word boundaries, and replaced.

A short id ("7") is met everywhere by chance, so below four characters only a whole value, or a whole part of a path,
counts.

    >>> Traces(["ann smith"]).replaced({"files": ["exports/ann smith/1.json", "joann smithers"]})
    {'files': ['exports/(forgotten)/1.json', 'joann smithers']}
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from hashlib import sha256
from html import escape
from typing import Any
from urllib.parse import quote, quote_plus

WORD = "(forgotten)"
SHORT = 4
NOBODY = r"\z."  # matches nothing


class Traces:
    """Finds some listeners' ids in text."""

    def __init__(self, listeners: Iterable[str]) -> None:
        ids = sorted(set(listeners), key=lambda i: (-len(i), i))
        forms = {form for i in ids for form in written(i)}
        self._long = long = sorted((f for f in forms if len(f) >= SHORT), key=lambda f: (-len(f), f))
        self._short = short = sorted(f for f in forms if len(f) < SHORT)
        found = [rf"(?<!\w)(?:{'|'.join(map(re.escape, long))})(?!\w)"] if long else []
        found += [rf"(?:(?<=[/\\])|^)(?:{'|'.join(map(re.escape, short))})(?=[/\\.]|$)"] if short else []
        self._pattern = re.compile("|".join(found) or r"(?!)")
        self._hashes = frozenset("sha256:" + sha256(i.encode()).hexdigest() for i in ids)
        self._encoded = sorted({form for i in ids if len(i.encode()) >= SHORT for form in encoded(i)})

    @property
    def re2(self) -> str:
        """A pattern for services that know no lookarounds (RE2): at least all that `given_away` finds."""
        found = [rf"(?:^|\W)(?:{'|'.join(map(_escaped, self._long))})(?:\W|$)"] if self._long else []
        found += [rf"(?:^|[/\\])(?:{'|'.join(map(_escaped, self._short))})(?:[/\\.]|$)"] if self._short else []
        return "|".join([*found, *map(_escaped, [*self._encoded, *sorted(self._hashes)])]) or NOBODY

    def within(self, text: str) -> bool:
        """Whether a text names one of them."""
        return bool(self._pattern.search(text))

    def given_away(self, text: str) -> bool:
        """Whether a line's text, or what was kept of it, gives one of them away: by name, encoded, or as the id's hash."""
        return text in self._hashes or self.within(text) or any(form in text for form in self._encoded)

    def replaced(self, value: Any) -> Any:
        """A JSON value with every trace in its strings replaced."""
        if isinstance(value, str):
            return self._pattern.sub(WORD, value)
        if isinstance(value, dict):
            return {self.replaced(k): self.replaced(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.replaced(v) for v in value)
        return value


def _escaped(text: str) -> str:
    """Literal in RE2, whatever stands in it: letters, digits and `_` as they are, other signs by their number."""
    return "".join(c if c.isalnum() or c == "_" else f"\\x{{{ord(c):x}}}" for c in text)


def written(listener: str) -> set[str]:
    """The ways text may write an id."""
    return {
        listener,
        json.dumps(listener)[1:-1],
        json.dumps(listener, ensure_ascii=False)[1:-1],
        escape(listener),
        quote(listener),
        quote(listener, safe=""),
        quote_plus(listener),
    } - {""}


def encoded(listener: str) -> set[str]:
    """The ways a program may have wrapped an id, as pieces of longer texts: hex, Base64 wherever in it the id begins, UTF-16."""
    out: set[str] = set()
    for raw in (listener.encode(), listener.encode("utf-16-le")):
        out |= {raw.hex(), raw.hex().upper(), "".join(f"%{b:02X}" for b in raw), "".join(f"%{b:02x}" for b in raw)}
        for shift in range(3):  # whole letters of the id's own, wherever it begins in what was encoded
            start, stop = -(-shift * 8 // 6), (shift + len(raw)) * 8 // 6
            letters = base64.b64encode(b"\0" * shift + raw + b"\0\0")[start:stop].decode()
            out |= {letters, letters.replace("+", "-").replace("/", "_")}
    return out
