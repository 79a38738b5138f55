"""Traces of an id in text: as it is, and as JSON, HTML and addresses write it; found at word boundaries, and replaced.

A short id ("7") is met everywhere by chance, so below four characters only a whole value, or a whole part of a path,
counts.

    >>> Traces(["ann smith"]).replaced({"files": ["exports/ann smith/1.json", "joann smithers"]})
    {'files': ['exports/(forgotten)/1.json', 'joann smithers']}
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from hashlib import sha256
from html import escape
from typing import Any
from urllib.parse import quote

WORD = "(forgotten)"
SHORT = 4


class Traces:
    """Finds some listeners' ids in text."""

    def __init__(self, listeners: Iterable[str]) -> None:
        ids = sorted(set(listeners), key=lambda i: (-len(i), i))
        forms = {form for i in ids for form in written(i)}
        long = sorted((f for f in forms if len(f) >= SHORT), key=lambda f: (-len(f), f))
        short = sorted(f for f in forms if len(f) < SHORT)
        found = [rf"(?<!\w)(?:{'|'.join(map(re.escape, long))})(?!\w)"] if long else []
        found += [rf"(?:(?<=[/\\])|^)(?:{'|'.join(map(re.escape, short))})(?=[/\\.]|$)"] if short else []
        self._pattern = re.compile("|".join(found) or r"(?!)")
        self._hashes = frozenset("sha256:" + sha256(i.encode()).hexdigest() for i in ids)

    def within(self, text: str) -> bool:
        """Whether a text names one of them."""
        return bool(self._pattern.search(text))

    def hash_of_one(self, text: str) -> bool:
        """Whether a text is the hash of a line that was an id and nothing else."""
        return text in self._hashes

    def replaced(self, value: Any) -> Any:
        """A JSON value with every trace in its strings replaced."""
        if isinstance(value, str):
            return self._pattern.sub(WORD, value)
        if isinstance(value, dict):
            return {self.replaced(k): self.replaced(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.replaced(v) for v in value)
        return value


def written(listener: str) -> set[str]:
    """The ways text may write an id."""
    return {
        listener,
        json.dumps(listener)[1:-1],
        json.dumps(listener, ensure_ascii=False)[1:-1],
        escape(listener),
        quote(listener),
        quote(listener, safe=""),
    } - {""}
