"""Records that travel as one string: the name of a count, a key to group by. Written and read in one place each.

Beam's keys and counters are strings, and so are the counts that a manifest holds; what a name says is a record all the same.

    >>> str(ShelfStatus("on-repeat", "empty")), ShelfStatus.parse("status on-repeat empty")
    ('status on-repeat empty', ShelfStatus(shelf='on-repeat', state='empty'))
    >>> ShelfStatus.parse("null country"), TableShard.parse("listens/3")
    (None, TableShard(table='listens', shard=3))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import date
from functools import cache
from typing import Any, ClassVar, Self

_READ: dict[str, Callable[[str], Any]] = {"str": str, "int": int, "date": date.fromisoformat}


class TypedName:
    """A frozen dataclass of strings, whole numbers and dates that is written as one string; its first field may hold anything."""

    WORD: ClassVar[str] = ""  # what the string begins with
    BETWEEN: ClassVar[str] = " "

    def __str__(self) -> str:
        return self.WORD + self.BETWEEN.join([str(getattr(self, name)) for name in _fields(type(self))])  # type: ignore[arg-type]

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The record that a string says; None where it says something else."""
        if not text.startswith(cls.WORD):
            return None
        types = _fields(cls).values()  # type: ignore[arg-type]
        parts = text.removeprefix(cls.WORD).rsplit(cls.BETWEEN, len(types) - 1)
        if len(parts) != len(types) or not parts[0]:
            return None
        try:
            return cls(*(_READ[kind](part) for kind, part in zip(types, parts, strict=True)))
        except ValueError:
            return None

    @classmethod
    def among(cls, counts: Mapping[str, int]) -> dict[Self, int]:
        """Those of some counts whose names say such a record."""
        return {found: n for name, n in counts.items() if (found := cls.parse(name)) is not None}


@cache
def _fields(kind: type[TypedName]) -> dict[str, str]:
    """Names of a record's fields, and of their types."""
    return {f.name: str(f.type) for f in fields(kind)}  # type: ignore[arg-type]


@dataclass(frozen=True)
class ShelfStatus(TypedName):
    """How many listeners a shelf has in a state."""

    shelf: str
    state: str
    WORD = "status "


@dataclass(frozen=True)
class NullsOf(TypedName):
    """How many rows lack a column."""

    column: str
    WORD = "null "


@dataclass(frozen=True)
class ScoreBin(TypedName):
    """How many scores of a kind of ranker fall into a bin."""

    kind: str
    bin: int
    WORD = "score "


@dataclass(frozen=True)
class Watched(TypedName):
    """How many of what is watched from night to night fall into a bin."""

    what: str
    bin: str
    WORD = "moves "

    @classmethod
    def of(cls, kind: str, name: str, bin: str) -> Watched:
        """Of a kind (log, input, source, feature, score, shelf) and a name within it."""
        return cls(f"{kind}|{name}", bin)

    @property
    def kind(self) -> str:
        """What sort of thing it is."""
        return self.what.partition("|")[0]

    @property
    def name(self) -> str:
        """Its name within the kind."""
        return self.what.partition("|")[2]


@dataclass(frozen=True)
class NewListens(TypedName):
    """How many candidates that were never heard before were listened to within so many days."""

    days: int
    WORD = "listens of new tracks "


LOOKS, PLAYS = "looks", "plays"


@dataclass(frozen=True)
class LooksAt(TypedName):
    """How often a shelf was looked at in a context, or played from; `what` is LOOKS or PLAYS."""

    shelf: str
    context: int
    what: str
    WORD = "home "


@dataclass(frozen=True)
class FiledLate(TypedName):
    """How many listens are filed under a later date than their own; `first` is the earliest of their own dates."""

    day: date
    first: date
    WORD = "late "


@dataclass(frozen=True)
class TableShard(TypedName):
    """A shard of a table: what rows are grouped by."""

    table: str
    shard: int
    BETWEEN = "/"


@dataclass(frozen=True)
class TableDate(TypedName):
    """A date of a table: what a batch knows the manifest of."""

    table: str
    day: date
    BETWEEN = "/"
