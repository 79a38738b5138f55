"""What a signal is: a column or a table of the user's own, declared by name in a mapping file.

    signals:
      volume: {column: vol, kind: number, of: listen}      # a column of the log
      plan: {column: plan, kind: category, of: listener}   # a column of the table given with --signals
      moods: {column: moods, kind: tag, of: track}         # cells of `;`-joined tags

A number is kept to 2^-20 and within MOST either way, so that sums are of integers; a category is one short text; a tag cell
holds any number of them. Columns of the log that are stored anyway are signals without being declared: DEFAULTS.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from transforms.common.errors import UserError

Kind = Literal["number", "category", "tag"]
Unit = Literal["listen", "listener", "track", "pair"]
KINDS: tuple[str, ...] = get_args(Kind)
UNITS: tuple[str, ...] = get_args(Unit)
MOST = float(1 << 23)  # of a number, either way: a million plays of such numbers still add up in 64 bits
LONGEST = 100  # characters of a category or tag
NUMBER, TEXT = "signal_number_", "signal_text_"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def nearest(name: str, names: Collection[str]) -> str:
    """A question with the nearest of some names, to stand behind a message; "" where none is near.

    >>> nearest("catgory", KINDS)
    '; did you mean category?'
    """
    near = get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def _one_of(value: Any, known: Collection[str], key: str) -> Any:
    if value in known:
        return value
    raise ValueError(f"{key} is one of {', '.join(known)}, found {value!r}{nearest(str(value), known)}")


class Signal(BaseModel):
    """One declared signal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str = Field(min_length=1, description="column of the log, or of the table given with --signals")
    kind: Kind = Field(description="number, category, or tag (a cell of `;`-joined tags)")
    of: Unit = Field(description="listen (a column of the log), listener, track or pair (a column of --signals)")

    @field_validator("column", mode="before")
    @classmethod
    def _numbered(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("kind", mode="before")
    @classmethod
    def _kind(cls, value: Any) -> Any:
        return _one_of(value, KINDS, "kind")

    @field_validator("of", mode="before")
    @classmethod
    def _unit(cls, value: Any) -> Any:
        return _one_of(value, UNITS, "of")

    def stored_as(self, name: str) -> str:
        """The column of table `listens` that a signal of listens is stored in.

        >>> Signal(column="vol", kind="number", of="listen").stored_as("volume")
        'signal_number_volume'
        """
        return name if name in DEFAULTS else f"{NUMBER if self.kind == 'number' else TEXT}{name}"


Declared = Mapping[str, Signal]

DEFAULTS: dict[str, Signal] = {
    "context": Signal(column="context", kind="category", of="listen"),
    "shuffle": Signal(column="shuffle", kind="number", of="listen"),
    "platform": Signal(column="platform", kind="category", of="listen"),
    "device_id": Signal(column="device_id", kind="category", of="listen"),
    "country": Signal(column="country", kind="category", of="listen"),
}
OWN_VALUES = frozenset({"device_id"})  # whose values are one listener's own, so that tracks have no shares of them


def checked_name(name: str) -> str:
    """The name itself, if a signal may be called so.

    Raises:
        ValueError: it may not.
    """
    if name in DEFAULTS:
        raise ValueError(f"the signal {name!r} is there without being declared; call yours otherwise")
    if _NAME.fullmatch(name) is None:
        raise ValueError(
            f"{name!r} is no name of a signal: expected a small letter, then small letters, digits and _, 40 at most"
        )
    return name


def recorded(signals: Declared) -> dict[str, dict[str, str]]:
    """Declarations as manifests record them; back with `of_record`."""
    return {name: one.model_dump(mode="json") for name, one in sorted(signals.items())}


def of_record(records: Mapping[str, Any]) -> dict[str, Signal]:
    """Declarations from what a manifest records."""
    return {name: Signal.model_validate(one) for name, one in sorted(records.items())}


def joined(parts: Collection[Mapping[str, Any]]) -> dict[str, Signal]:
    """The declarations of several manifests together; a later column stands for an earlier one.

    Raises:
        UserError: two of them mean different things by one name.
    """
    out: dict[str, Signal] = {}
    for part in parts:
        for name, one in of_record(part).items():
            before = out.get(name, one)
            if (before.kind, before.of) != (one.kind, one.of):
                raise UserError(
                    f"the signal {name!r} was declared as a {before.kind} of a {before.of}, and then as a {one.kind} of a "
                    f"{one.of}; give the new one another name"
                )
            out[name] = one
    return dict(sorted(out.items()))
