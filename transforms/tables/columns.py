"""What a table is made of: columns with their Arrow type, unit and meaning, and the columns that several tables share."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import polars as pl
import pyarrow as pa

TIMESTAMP = pa.timestamp("us", tz="UTC")
STRINGS = pa.list_(pa.field("element", pa.string()))

PLAY = pa.struct(
    [
        pa.field("track_id", pa.string(), nullable=False),
        pa.field("started_at", TIMESTAMP, nullable=False),
        pa.field("ms_played", pa.int32()),
        pa.field("skipped", pa.bool_()),
        pa.field("completed", pa.bool_()),
    ]
)
SHELF_ITEM = pa.struct(
    [
        pa.field("position", pa.int32(), nullable=False),
        pa.field("track_id", pa.string(), nullable=False),
        pa.field("artist_ids", STRINGS),
        pa.field("score", pa.float32()),
        pa.field("source", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("reason_ref", pa.string()),
        pa.field("propensity", pa.float32()),
        pa.field("explored", pa.bool_()),
        pa.field("last_heard_at", TIMESTAMP),
        pa.field("title", pa.string()),
        pa.field("artist_names", STRINGS),
    ]
)
CARRIED_ITEM = pa.struct(
    [
        pa.field("position", pa.int32()),
        pa.field("track_id", pa.string(), nullable=False),
        pa.field("score", pa.float32()),
        pa.field("source", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("reason_ref", pa.string()),
        pa.field("propensity", pa.float32()),
    ]
)
POOL_ITEM = pa.struct(
    [
        pa.field("track_id", pa.string(), nullable=False),
        pa.field("score", pa.float32()),
        pa.field("probability", pa.float32(), nullable=False),
    ]
)


def list_of(kind: pa.DataType) -> pa.DataType:
    """Arrow list with the Parquet-compliant element name, which BigQuery's list inference expects."""
    return pa.list_(pa.field("element", kind))


WHERE = ("device_id", "platform", "context")  # of listens and sessions: where and from what it was played


def where_of(columns: Collection[str]) -> list[pl.Expr]:
    """The columns WHERE as text, null where they are not among these."""
    return [(pl.col(name) if name in columns else pl.lit(None)).cast(pl.String).alias(name) for name in WHERE]


@dataclass(frozen=True)
class Column:
    """One column: `meaning` carries the unit where there is one."""

    name: str
    type: pa.DataType
    meaning: str
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """A table's contract.

    Attributes:
        name: folder and table name.
        row: what one row is, in words.
        key: columns that name a row; files are sorted by them.
        columns: all declared columns, in file order.
        sharded_by: `listener_id` for listener-side tables, a track column for track-side ones, None for small tables.
        open_columns: prefixes of further columns a run may add (type and meaning), named in its manifest's settings.
        schema_version: raised on a breaking change only.
        personal: rows are about a listener, so `forget` takes some of them out.
        made_by: `ingest` or `fold`: it is mended by ingesting the log again, or by folding its days again; empty where the
            job that makes it is simply run again.
        cumulative: a date holds all that was known by then, so a reader of a later date, and `publish`, take the newest.
        keyed: `ingest` writes listeners' ids into it, so its manifests tell which key of pseudonyms they were made with.
        of_a_night: what was shown, and what came of it; `clean` counts its days of keeping from the newest of these.
    """

    name: str
    row: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    sharded_by: str | None = "listener_id"
    open_columns: tuple[tuple[str, pa.DataType, str], ...] = ()
    schema_version: int = 1
    personal: bool = False
    made_by: str = ""
    cumulative: bool = False
    keyed: bool = False
    of_a_night: bool = False

    @cached_property
    def arrow(self) -> pa.Schema:
        """The declared columns as an Arrow schema (open columns are not in it)."""
        return pa.schema([pa.field(c.name, c.type, nullable=c.nullable) for c in self.columns])

    @cached_property
    def polars(self) -> dict[str, pl.DataType]:
        """The declared columns as a Polars schema."""
        return dict(empty_frame(self.arrow).schema)

    def completed(self, frame: pl.DataFrame, columns: Collection[str] | None = None) -> pl.DataFrame:
        """The frame with the columns that its file lacks because it was written before they were declared, as nulls.

        Args:
            frame: rows of the table.
            columns: those that were asked for; None = all.
        """
        lacking = [
            pl.lit(None, dtype=self.polars[c.name]).alias(c.name)
            for c in self.columns
            if c.nullable and c.name not in frame.columns and (columns is None or c.name in columns)
        ]
        # a struct inside a list may have been declared wider since, too
        narrow = [
            pl.col(name).cast(kind)
            for name, kind in self.polars.items()
            if name in frame.columns and isinstance(kind, pl.List) and frame.schema[name] != kind
        ]
        return frame.with_columns(*lacking, *narrow) if lacking or narrow else frame

    def arrow_for(self, names: list[str]) -> pa.Schema:
        """Arrow schema of a frame with these column names: declared columns first, then open columns by name.

        A column that may be null may be missing: a file of before it was declared has none of it.

        Raises:
            ValueError: another declared column is missing, or a column is neither declared nor open.
        """
        declared = set(self.arrow.names)
        missing = sorted({c.name for c in self.columns if not c.nullable} - set(names))
        if missing:
            raise ValueError(f"table {self.name}: columns {missing} are missing")
        extra = []
        for name in sorted(set(names) - declared):
            kind = next((t for prefix, t, _ in self.open_columns if name.startswith(prefix)), None)
            if kind is None:
                raise ValueError(f"table {self.name}: column {name!r} is not declared in transforms/tables/schema.py")
            extra.append(pa.field(name, kind))
        return pa.schema([*(f for f in self.arrow if f.name in names), *extra])

    def conform(self, frame: pl.DataFrame) -> pa.Table:
        """Cast a frame to this table's declared schema, in declared column order.

        Missing nullable columns are filled with null, so that a step need not know columns it has nothing to say about.

        Raises:
            ValueError: an undeclared column, a missing required column, or nulls in a required one.
        """
        frame = frame.with_columns(
            pl.lit(None, dtype=self.polars[c.name]).alias(c.name)
            for c in self.columns
            if c.nullable and c.name not in frame.columns
        )
        schema = self.arrow_for(frame.columns)
        # text goes over as views of Polars' own bytes, to be copied once, by the cast; Arrow has no cast for encoded views
        encoded = any(kind in str(t) for t in frame.dtypes for kind in ("Categorical", "Enum"))
        level = pl.CompatLevel.oldest() if encoded else pl.CompatLevel.newest()
        arrow = frame.select(schema.names).to_arrow(compat_level=level)
        for f in schema:
            if not f.nullable and arrow.column(f.name).null_count:
                raise ValueError(f"table {self.name}: column {f.name!r} must not be null")
        return arrow.cast(schema)

    def empty(self) -> pl.DataFrame:
        """A frame of this table without rows."""
        return empty_frame(self.arrow)


def empty_frame(schema: pa.Schema) -> pl.DataFrame:
    """A Polars frame with the given Arrow schema and no rows."""
    return pl.DataFrame(pl.from_arrow(schema.empty_table()))


LISTENER = Column("listener_id", pa.string(), "listener, as it came from the source (or its keyed hash)")
TRACK = Column("track_id", pa.string(), "track, as it came from the source")
HOW_IT_WENT = (
    Column("ms_played", pa.int32(), "milliseconds played; null = unknown", True),
    Column("skipped", pa.bool_(), "the listener skipped it; null = unknown", True),
    Column("completed", pa.bool_(), "played to its end; null = unknown", True),
)


def started(meaning: str) -> Column:
    return Column("started_at", TIMESTAMP, meaning)
