"""Tables of signals: the users' own columns and tables, as they came and as sums of a day."""

from __future__ import annotations

import pyarrow as pa

from transforms.tables.columns import LISTENER, TIMESTAMP, TRACK, Column, Table

SIGNALLED: tuple[Table, ...] = (
    Table(
        "signal_values",
        "value of a listener's signal, or of a listener and track",
        ("listener_id", "signal", "track_id", "at"),
        (
            LISTENER,
            Column("signal", pa.string(), "signal, as the mapping declares it"),
            Column("track_id", pa.string(), "track, of a pair's signal; empty = of the listener"),
            Column("at", TIMESTAMP, "since when it holds, UTC; of a table without times the batch's end date"),
            Column("number", pa.float64(), "the value of a number", True),
            Column("text", pa.string(), "a category, or tags joined by `;`", True),
        ),
        personal=True,
        made_by="ingest",
        keyed=True,
    ),
    Table(
        "track_values",
        "value of a track's signal",
        ("track_id", "signal", "at"),
        (
            TRACK,
            Column("signal", pa.string(), "signal, as the mapping declares it"),
            Column("at", TIMESTAMP, "since when it holds, UTC; of a table without times the batch's end date"),
            Column("number", pa.float64(), "the value of a number", True),
            Column("text", pa.string(), "a category, or tags joined by `;`", True),
        ),
        sharded_by="track_id",
        made_by="ingest",
    ),
    Table(
        "listener_signals",
        "listener x signal of listens, one day's partial",
        ("listener_id", "signal", "value"),
        (
            LISTENER,
            Column("signal", pa.string(), "signal"),
            Column("value", pa.string(), "category or tag; empty for a number"),
            Column("n", pa.int64(), "plays that say so"),
            Column("total", pa.int64(), "sum of a number, in 2^-20"),
            Column("last", pa.float64(), "the number of the last of these plays", True),
            Column("last_at", TIMESTAMP, "start of the last of these plays"),
        ),
        personal=True,
        made_by="fold",
    ),
    Table(
        "track_signals",
        "track x signal of listens or listeners, one day's partial",
        ("track_id", "signal", "value"),
        (
            TRACK,
            Column("signal", pa.string(), "signal"),
            Column("value", pa.string(), "category or tag; empty for a number"),
            Column("n", pa.int64(), "plays that say so, or whose listener does"),
            Column("total", pa.int64(), "sum of a number, in 2^-20"),
        ),
        sharded_by="track_id",
        made_by="fold",
    ),
)
