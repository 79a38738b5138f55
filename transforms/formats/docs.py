"""`docs/mapping.md`, generated from the mapping's model: `python -m transforms.formats.docs > docs/mapping.md`."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pydantic_core import PydanticUndefined

from transforms.formats.columns import PLAY_COLUMNS
from transforms.formats.mapping import REQUIRED, TRACK_COLUMNS, Mapping
from transforms.formats.tables import required_columns
from transforms.formats.times import UNIT_MEANINGS
from transforms.tables.docs import kind
from transforms.tables.schema import TABLES

STORED_AS = {"artist": "artist_ids", "artist_id": "artist_ids", "album": "album_id"}
INSTEAD = {
    "artist": "the artist's name, where there is no id; read only without `artist_ids` and `artist_id`",
    "artist_id": "the artist's id; read only without `artist_ids`",
}
FILES = {
    "tracks": "--tracks",
    "listeners": "--listeners-file",
    "feedback": "--feedback",
    "impressions": "--impressions",
    "blends": "--blends",
}


@dataclass(frozen=True)
class Example:
    """A log as it came, and the mapping file that reads it; a test ingests each."""

    title: str
    words: str
    log: str
    mapping: str
    end_date: str


EXAMPLES = (
    Example(
        "Separated by tabs, times in milliseconds",
        "A column that is not mapped is not read. `SessionId` is one: sessions are made from the times.",
        "UserId\tSessionId\tItemId\tTime\n7\t31\t1184\t1767607200000\n7\t31\t96\t1767607412000\n",
        """columns:
  listener_id: UserId
  track_id: ItemId
  started_at: Time
time: unix_ms
delimiter: "\\t"
""",
        "2026-01-05",
    ),
    Example(
        "No header, and what the log knows of tracks",
        "Columns are called by their number. The last column is a list.",
        "ann;2026-01-05 10:00:00;t1;Roads;Portishead;trip hop\n"
        'ann;2026-01-05 10:05:04;t2;Hyperballad;Björk;"art pop;electronic"\n',
        """columns: {listener_id: 1, started_at: 2, track_id: 3, title: 4, artist: 5, tags: 6}
header: false
delimiter: ";"
""",
        "2026-01-05",
    ),
    Example(
        "Files that do not all have every column",
        "This one has no `cc`; without `optional: true` it would be refused.",
        "user,song,at,ms\nann,t1,1767607200,210000\n",
        """columns: {listener_id: user, track_id: song, started_at: at, ms_played: ms, country: cc}
time: unix_s
optional: true
""",
        "2026-01-05",
    ),
)

INTRO = """# Mapping files and catalog files

Generated from `transforms/formats/mapping.py` by `make docs`; a test keeps the two equal.

## The mapping file

    nightshelf ingest --format csv --input 'plays/*.csv' --mapping plays.yaml --warehouse ./warehouse

It says, for the formats `csv`, `parquet` and `bigquery`, which column of the log is which of ours. Without one, the columns are
taken to be called like ours. A key or column that is not known is refused by name.
"""

COLUMNS = """
### Columns that can be mapped

What is not mapped is not read. In `csv`, a list is one field joined by `;`, its items are trimmed. Numbers may be written as
210000 or 210000.0, and true and false as true, t, yes, y, on, 1, 1.0 and false, f, no, n, off, 0, 0.0. NaN, and words that
programs write for nothing (None, null, N/A, -), are missing values. A cell that cannot be read counts as unknown, and ingest
says how many there were of each column. `isrc` and `mbid` are kept where they are well formed. What a log says of its tracks
fills only what the catalog does not know.
"""

OTHERS = """
## Catalog, listeners, feedback, impressions and groups

    nightshelf ingest --format csv --input plays.csv --mapping plays.yaml --tracks catalog.csv --warehouse ./warehouse

These files are not mapped: they have the columns of their table ([tables.md](tables.md)) by name, as Parquet or as CSV with
a header and commas. A column that is not required may be missing, and one that the table does not know is not read. In CSV,
lists are `;`-joined, times are ISO 8601 and dates are YYYY-MM-DD (a year or a month alone is its first day). A row of a
catalog replaces what was known of its track. Which tracks are the same recording is always decided anew, so `recording_id`
is not read.

Cells are read as in logs, and what cannot be read is counted in the same way. It never means "allowed": an `explicit_ok` that
cannot be read counts as no (a blank one means yes), and who wants no explicit tracks is shown none of which `explicit` is
unknown. A time zone must be one of the IANA database; any other counts as UTC. The kinds of feedback are those that
[tables.md](tables.md) names, in any case; a row of another kind is refused as `unknown_kind`, and an `exclude_from_taste` of a
time range that ends before it begins as `bad_target`.

| option | required | may be missing |
| --- | --- | --- |
"""

CATALOG = """track_id,title,artist_ids,album_id,released_on,duration_ms,tags
t1,Roads,portishead,dummy,1994-08-22,304000,trip hop
t2,Under Pressure,queen;david-bowie,hot-space,1982-05-21,248000,rock;pop
"""


def keys() -> str:
    """A table of the mapping file's keys."""
    lines = ["\n### Keys\n", "| key | default | meaning |", "| --- | --- | --- |"]
    for name, field in Mapping.model_fields.items():
        written = json.dumps({} if field.default is PydanticUndefined else field.default)
        default = "required" if name == "columns" else f"`{written}`"
        lines.append(f"| `{name}` | {default} | {field.description} |")
    lines += ["", "| `time` | `started_at` is |", "| --- | --- |"]
    lines += [f"| `{unit}` | {words} |" for unit, words in UNIT_MEANINGS.items()]
    return "\n".join(lines) + "\n"


def columns() -> str:
    """A table of our columns, of plays and of tracks."""
    lines = ["| ours | type | meaning |", "| --- | --- | --- |"]
    for table, names in (("listens", PLAY_COLUMNS), ("tracks", TRACK_COLUMNS)):
        declared = {c.name: c for c in TABLES[table].columns}
        for name in names:
            column = declared[STORED_AS.get(name, name)]
            needed = " (required)" if name in REQUIRED else ""
            lines.append(f"| `{name}` | {kind(column.type)} | {INSTEAD.get(name, column.meaning)}{needed} |")
    return "\n".join(lines) + "\n"


def indented(text: str) -> str:
    """Text as a code block; a tab is shown as one."""
    return "".join(f"    {line}\n" for line in text.splitlines())


def example(one: Example) -> str:
    """An example's section."""
    return f"\n### {one.title}\n\n{one.words}\n\n{indented(one.log)}\n```yaml\n{one.mapping}```\n"


def others() -> str:
    """A table of the files that have a table's own columns."""
    lines = []
    for table, option in FILES.items():
        required = required_columns(table)
        rest = [c.name for c in TABLES[table].columns if c.name not in (*required, "recording_id")]
        named = [", ".join(f"`{n}`" for n in names) for names in (required, rest)]
        lines.append(f"| `{option}` | {named[0]} | {named[1]} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """The whole page."""
    shown = "".join(example(one) for one in EXAMPLES)
    return (
        INTRO + keys() + COLUMNS + "\n" + columns() + shown + OTHERS + others() + f"\nA catalog:\n\n{indented(CATALOG)}"
    )


if __name__ == "__main__":
    print(page(), end="")
