"""The schema of every table, declared once: column, Arrow type, unit and meaning.

`docs/tables.md` is generated from it, writers cast to it, readers select from it, and the BigQuery schema comes
from it. A table changes by adding columns; a breaking change is a new `schema_version` beside the old.

    >>> TABLES["library"].key
    ('listener_id', 'track_id')
    >>> TABLES["library"].arrow.field("plays").type
    DataType(int32)
"""

from __future__ import annotations

from transforms.tables.columns import TIMESTAMP, Column, Table, empty_frame
from transforms.tables.schema_followed import FOLLOWED
from transforms.tables.schema_logged import LOGGED
from transforms.tables.schema_made import MADE
from transforms.tables.schema_prompts import PROMPTED
from transforms.tables.schema_signals import SIGNALLED

__all__ = ["TABLES", "TIMESTAMP", "Column", "Table", "empty_frame"]

TABLES: dict[str, Table] = {table.name: table for table in (*LOGGED, *MADE, *FOLLOWED, *SIGNALLED, *PROMPTED)}
