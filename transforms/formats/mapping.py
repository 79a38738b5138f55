"""The mapping file of `csv` and `parquet`: which column of the file is which of ours.

    columns:            # our column <- column of the file
      listener_id: user
      track_id: track
      started_at: ts
    time: unix_s        # iso (the default), unix_s, unix_ms or unix_us
    delimiter: ","      # csv only: "," (the default), "\\t", ";", ...
    header: true        # csv only; without a header the file's columns are called 1, 2, 3, ...
    signals:            # what the log, or a table given with --signals, knows beside: docs/signals.md
      volume: {column: vol, kind: number, of: listen}

Ours are the columns of `listens` that a log can know, and of a track: TRACK_COLUMNS. Lists are `;`-joined in csv. A log
whose tracks have no ids needs `title` (and `artist`) instead of `track_id`; one of a single listener needs no `listener_id`
where the option --listener says whose it is.
Without a mapping file the names are taken to be ours already. docs/mapping.md is made from this model.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from transforms.common import safe_yaml
from transforms.common.errors import UserError
from transforms.formats.columns import PLAY_COLUMNS
from transforms.formats.times import TimeUnit
from transforms.signals.declared import Signal, checked_name

REQUIRED = ("listener_id", "track_id", "started_at")
TRACK_COLUMNS = ("title", "artist", "artist_id", "artist_ids", "album", "tags", "duration_ms", "isrc", "mbid")
DELIMITERS = ("\t", ";", "|", ",")
_SHOWN = 80
KNOWN = (*PLAY_COLUMNS, *TRACK_COLUMNS)


class Mapping(BaseModel):
    """A validated mapping file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: dict[str, str] = Field(
        default_factory=dict,
        description="our column: column of the file; required for csv, parquet and bigquery",
    )
    time: TimeUnit = Field("iso", description="how started_at is written; a timestamp column in Parquet needs no word")
    delimiter: str = Field(
        ",",
        min_length=1,
        max_length=1,
        description='csv: the one character between columns; a tab is "\\t", in double quotes',
    )
    header: bool = Field(
        True, description="csv: the first line names the columns; if not, they are called 1, 2, 3, ..."
    )
    optional: bool = Field(
        False, description="columns the file does not have are left out (the required three are not)"
    )
    signals: dict[str, Signal] = Field(
        default_factory=dict, description="signals of your own, by name: see [signals.md](signals.md)"
    )

    @field_validator("columns", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {str(k): str(v) if isinstance(v, int) and not isinstance(v, bool) else v for k, v in value.items()}
        return value

    @field_validator("columns")
    @classmethod
    def _ours(cls, value: dict[str, str]) -> dict[str, str]:
        unknown = sorted(set(value) - set(KNOWN))
        if unknown:
            raise ValueError(f"{unknown[0]!r} is none of our columns, which are {', '.join(KNOWN)}")
        if not value:  # of a format whose columns are known
            return value
        needed = [c for c in REQUIRED if c != "listener_id" and not (c == "track_id" and "title" in value)]
        missing = [c for c in needed if c not in value]
        if missing:
            raise ValueError(f"{missing[0]!r} is not mapped; {', '.join(REQUIRED)} are required")
        return value

    @field_validator("signals", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        for name in value if isinstance(value, dict) else ():
            checked_name(str(name))
        return value

    @property
    def of_log(self) -> dict[str, str]:
        """Where a log's columns go: ours, and those that signals of listens are stored in <- theirs."""
        own = {one.stored_as(name): one.column for name, one in self.signals.items() if one.of == "listen"}
        return {**self.columns, **own}

    def present(self, names: list[str], file: str, listener: bool = False) -> dict[str, str]:
        """The mapped columns that a file with these column names has.

        Args:
            listener: an option says whose the log is, so no column has to.

        Raises:
            UserError: the file lacks a mapped column, or nobody says whose it is, or both the option and a column do.
        """
        have = set(names)
        named = self.columns.get("listener_id") in have
        if listener and named:
            raise UserError(
                f"{file}: expected no column of listeners, since --listener says whose the log is, found "
                f"{self.columns['listener_id']!r}; leave --listener out, or do not map listener_id."
            )
        if "listener_id" not in self.columns and not listener:
            raise UserError(
                f"{file}: expected a column for listener_id in the mapping, or --listener NAME for a log of one listener, "
                "found neither."
            )
        titled = self.columns.get("title") in have
        spared = {"listener_id"} if listener else set()
        lacking = [
            theirs
            for ours, theirs in self.of_log.items()
            if theirs not in have and ours not in spared and not self._may_lack(ours, titled)
        ]
        if lacking:
            raise UserError(
                f"{file}: expected a column {lacking[0]!r} as the mapping says, found {_listed(names)}; "
                f"name the file's columns in the file given with --mapping{self._hint(names)}."
            )
        return {ours: theirs for ours, theirs in self.of_log.items() if theirs in have}

    def _hint(self, names: list[str]) -> str:
        """Words for a file whose lines seem to be one column, because something else stands between columns."""
        if len(names) != 1:
            return ""
        between = next((d for d in DELIMITERS if d in names[0] and d != self.delimiter), None)
        if between is not None:
            return f", and say there delimiter: {json.dumps(between)}, which the only column found has in its name"
        if not self.header:
            return f", and say there delimiter: ... if columns are not separated by {json.dumps(self.delimiter)}"
        return ""

    def _may_lack(self, ours: str, titled: bool) -> bool:
        return self.optional and (ours not in REQUIRED or (ours == "track_id" and titled))


IDENTITY = Mapping(columns={c: c for c in KNOWN}, optional=True)


def load_mapping(text: str, name: str) -> Mapping:
    """Read a mapping file's text.

    Args:
        text: YAML.
        name: the file's name, for the message.

    Raises:
        UserError: not YAML, or a key or value that is not allowed; it names both.
    """
    raw = safe_yaml.read(text, name)
    if not isinstance(raw, dict):
        found = "nothing" if raw is None else type(raw).__name__
        raise UserError(f"{name}: expected a mapping file with a key 'columns', found {found}.")
    if not raw.get("columns") and not raw.get("signals"):
        raise UserError(f"{name}: key 'columns': Field required.")
    try:
        return Mapping.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(p) for p in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        found = "" if first["type"] in ("missing", "value_error") else f", found {_short(first['input'])}"
        raise UserError(f"{name}: key {key!r}: {message}{found}.") from None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _listed(names: list[str]) -> str:
    return ", ".join(repr(n) for n in names[:12]) + (", ..." if len(names) > 12 else "")
