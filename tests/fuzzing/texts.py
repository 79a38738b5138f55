"""Mutated YAML (settings, mapping files) and names of BigQuery tables: each is refused in a sentence, or is valid."""

from __future__ import annotations

import re
from random import Random

from pipelines.runtime.config import Settings
from pipelines.runtime.settings_file import parse, to_yaml
from tests.fuzzing import mutate
from transforms.common.errors import UserError
from transforms.formats import bigquery
from transforms.formats.mapping import load_mapping
from transforms.tables.bigquery import destination

MAPPING = """columns:
  listener_id: user
  track_id: track
  started_at: ts
  ms_played: ms
time: unix_s
delimiter: ","
header: true
"""
SECTIONS = tuple(part for part in re.split(r"(?m)^(?=\w)", to_yaml(Settings())) if ":" in part)
TABLE, DESTINATION = "music-prod.logs.plays", "bigquery:music-prod.shelves"
SCRAPS = (
    "!!python/object/apply:os.system [id]", "!!python/name:os.system", "!!binary zz", "!!timestamp x", "!!bool x", "!!set {a}",
    "&a [*a]", "*a", "<<: *a", "<<: {a: 1}", "? [a]\n: b", "{[a]: b}", "2026-02-31", "0x" + "f" * 5000, "9" * 5000, "0b", ".nan",
    "-.inf", "1:60:60", "[" * 500, "{a: " * 500, "- " * 500, "---", "...", "%YAML 9.9", "!<x>", "|\n", ">-\n", "\t", "null", "~",
    "", "yes", "[]", "{}", "-1", "1e400", "'", '"\\x"', "#", "@", "`", "\x07", "\u2028", "?", ":", "a: b: c", "__init__: 1",
    "shards: 3",
)  # fmt: skip


def mapping(rng: Random) -> str:
    """A mapping file's text."""
    return _yaml(rng, MAPPING)


def settings(rng: Random) -> str:
    """A piece of a settings file's text."""
    return _yaml(rng, rng.choice(SECTIONS))


def _yaml(rng: Random, text: str) -> str:
    for _ in range(rng.randrange(1, 4)):
        lines = text.split("\n")
        at = rng.randrange(len(lines))
        kind = rng.randrange(5)
        key, colon, _ = lines[at].partition(":")
        if kind == 0 and colon:
            lines[at] = f"{key}: {rng.choice((*SCRAPS, *mutate.TEXTS, *mutate.NUMBERS))}"
        elif kind == 1:
            lines.insert(at, rng.choice(SCRAPS))
        elif kind == 2:
            lines[at] = "  " + lines[at]
        elif kind == 3:
            del lines[at]
        else:
            raw = mutate.bytes_of(rng, "\n".join(lines).encode(), 2)
            return raw.decode("utf-8", "replace")
        text = "\n".join(lines)
    return text


def table(rng: Random) -> str:
    """A name of a BigQuery table or dataset."""
    given = rng.choice((TABLE, DESTINATION))
    if rng.random() < 0.5:
        return mutate.text(rng, given)
    return mutate.bytes_of(rng, given.encode(), rng.randrange(1, 3)).decode("utf-8", "replace")


def try_mapping(text: str) -> str:
    """`valid` or `refused`; any other error is a finding."""
    return _outcome(lambda: load_mapping(text, "mapping.yaml"))


def try_settings(text: str) -> str:
    """`valid` or `refused`."""
    return _outcome(lambda: parse(Settings, text, "settings.yaml"))


def try_table(text: str) -> str:
    """`valid` or `refused`; what is valid can be quoted as an identifier as it stands."""
    outcomes = []
    for read in (bigquery.table_name, lambda given: destination(given).table("shelves")):
        try:
            name = read(text)
        except UserError:
            outcomes.append("refused")
            continue
        harmless = all(c.isalnum() or c in "_-.:" for c in name)
        if not harmless:
            raise AssertionError(f"a name was let through: {name!r}")
        outcomes.append("valid")
    return "valid" if "valid" in outcomes else "refused"


def _outcome(read: object) -> str:
    try:
        read()  # type: ignore[operator]
    except UserError as error:
        if len(str(error)) > 3000:
            raise AssertionError("a message of over 3,000 characters") from None
        return "refused"
    return "valid"
