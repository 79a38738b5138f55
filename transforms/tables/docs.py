"""`docs/tables.md`, generated from the schema: `python -m transforms.tables.docs > docs/tables.md`."""

from __future__ import annotations

import pyarrow as pa

from transforms.tables.schema import TABLES, Table

INTRO = """# The tables

Generated from `transforms/tables/schema.py` by `make docs`; a test keeps the two equal. How consumers read shelves, and what
the values mean, stands in [reading.md](reading.md).

A warehouse is a folder or bucket. Readers enter at `shelves/date=YYYY-MM-DD/_current.json`, which names the run's files and
the versions of everything behind it; a file that no manifest names is not data. Files are Parquet (zstd), sorted by the
table's key; row groups end between listeners, so one listener is read without reading the shard. Columns are only ever
added; a breaking change is a new schema version beside the old one. All times are UTC, in microseconds.
"""


def kind(t: pa.DataType) -> str:
    """A type in the words of this page.

    >>> kind(pa.list_(pa.string()))
    'list<string>'
    """
    if pa.types.is_list(t):
        return f"list<{kind(t.value_type)}>"
    if pa.types.is_struct(t):
        return "struct<" + ", ".join(f"{f.name}: {kind(f.type)}" for f in t) + ">"
    if pa.types.is_timestamp(t):
        return "timestamp"
    return {"float": "float32", "double": "float64", "date32[day]": "date"}.get(str(t), str(t))


def describe(table: Table) -> str:
    """One table's section."""
    sharded = f"split by `{table.sharded_by}`" if table.sharded_by else "not split by a column"
    lines = [
        f"\n## {table.name}\n",
        f"One row per {table.row}.\nKey: {', '.join(f'`{k}`' for k in table.key)}; {sharded}; "
        f"schema version {table.schema_version}.\n",
        "| column | type | null | meaning |",
        "| --- | --- | --- | --- |",
    ]
    lines += [f"| `{c.name}` | {kind(c.type)} | {'yes' if c.nullable else ''} | {c.meaning} |" for c in table.columns]
    lines += [f"| `{prefix}*` | {kind(t)} | yes | {meaning} |" for prefix, t, meaning in table.open_columns]
    return "\n".join(lines)


def page() -> str:
    """The whole page."""
    return INTRO + "\n".join(describe(table) for table in TABLES.values()) + "\n"


if __name__ == "__main__":
    print(page(), end="")
