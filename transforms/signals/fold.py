"""Signals folded into sums of a day: what a listener's plays say, and what the plays of a track say.

A number becomes n and its sum (kept in whole 2^-20, so that sums are of integers and the same for any split), and of a listener
the last one; a category or tag becomes a count for each value. A listener's signal (a row of table `signal_values`) counts for
every track that the listener plays while it holds, so a track knows what kind of listeners play it. At most VALUES values a
listener (or track) and date are kept by name, the most frequent ones; the others are counted together as OTHERS.

    ann plays a with volume 10 and b with volume 30    ->  ann: n 2, total 40 * 2^20, last 30;  a: n 1, total 10 * 2^20; ...

>>> from transforms.signals.declared import Signal
>>> vol = {"volume": Signal(column="vol", kind="number", of="listen")}
>>> at = pl.Series([0, 1]).cast(pl.Datetime("us", "UTC"))
>>> plays = pl.DataFrame({"listener_id": "ann", "track_id": ["a", "b"], "started_at": at, "signal_number_volume": [10.0, 30.0],
...     "date": [date(1970, 1, 1)] * 2})
>>> listener_sums(plays, vol).select("n", "total", "last").rows() == [(2, 40 << 20, 30.0)]
True
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from transforms.listening.suspects import without_suspects
from transforms.signals.declared import MOST, OWN_VALUES, Declared, Signal
from transforms.tables.schema import TABLES

SCALE = 1 << 20
VALUES = 16
OTHERS = "(others)"
LISTENER, TRACK = "listener_signals", "track_signals"
_OF = {LISTENER: "listener_id", TRACK: "track_id"}


def columns_of(signals: Declared) -> list[str]:
    """Columns of table `listens` that signals of listens stand in."""
    return [one.stored_as(name) for name, one in signals.items() if one.of == "listen"]


def listener_sums(listens: pl.DataFrame, signals: Declared) -> pl.DataFrame:
    """Table `listener_signals` of some listeners' plays, with the `date` they are filed under.

    Args:
        listens: listener_id, track_id, started_at, date and the columns of the signals; one that is not there says nothing.
        signals: declared ones; only those of listens count.
    """
    parts = [_said(listens, name, one) for name, one in signals.items() if one.of == "listen"]
    return _sums(LISTENER, [part for part in parts if part is not None])


def track_sums(listens: pl.DataFrame, signals: Declared, values: pl.DataFrame | None = None) -> pl.DataFrame:
    """Partials of table `track_signals` of some listeners' plays; those of other listeners are added by `add`.

    Args:
        listens: as in `listener_sums`.
        values: rows of table `signal_values` of these listeners, known by the last of the dates; `date` = when they were filed.
    """
    parts = []
    for name, one in signals.items():
        if one.of == "listen" and name not in OWN_VALUES:
            parts.append(_said(listens, name, one))
        elif one.of == "listener" and values is not None:
            parts.append(_held(listens, values, name, one))
    return _sums(TRACK, [part for part in parts if part is not None])


def add(partials: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Sum of partials of different listeners: one row a date, track, signal and value, sorted."""
    frames = [part for part in partials if part.height]
    if not frames:
        return _empty(TRACK)
    keys = ("date", "track_id", "signal", "value")
    summed = pl.concat(frames).group_by(keys).agg(pl.col("n", "total").sum())
    return _fewer(summed, TRACK).sort(keys).select(*keys, "n", "total")


def split_values(rows: pl.DataFrame, signal: Signal) -> pl.DataFrame:
    """Rows with a column `text` as rows with `value`: the category, or each of the tags (in small letters)."""
    if signal.kind == "category":
        return rows.rename({"text": "value"})
    tags = pl.col("text").str.to_lowercase().str.split(";").list.eval(pl.element().str.strip_chars()).list.unique()
    return rows.with_columns(value=tags).drop("text").explode("value").filter(pl.col("value") != "")


def _said(listens: pl.DataFrame, name: str, signal: Signal) -> pl.DataFrame | None:
    """One row a play and value: date, listener_id, track_id, started_at, signal, value, number; None where no play says any."""
    column = signal.stored_as(name)
    if column not in listens.columns or listens[column].null_count() == listens.height:
        return None
    keys = ("date", "listener_id", "track_id", "started_at")
    rows = listens.filter(pl.col(column).is_not_null())
    if signal.kind == "number":
        number = pl.col(column).cast(pl.Float64).clip(-MOST, MOST)
        return rows.select(*keys, signal=pl.lit(name), value=pl.lit(""), number=number)
    found = split_values(rows.select(*keys, text=pl.col(column).cast(pl.String)), signal)
    return found.select(*keys, "value", signal=pl.lit(name), number=pl.lit(None, dtype=pl.Float64)).select(_ROW)


_ROW = ("date", "listener_id", "track_id", "started_at", "signal", "value", "number")


def _held(listens: pl.DataFrame, values: pl.DataFrame, name: str, signal: Signal) -> pl.DataFrame | None:
    """The same of a listener's signal: each play says what its listener's value was when it started.

    A value that was filed later than it holds (`date`) counts from the beginning of that date on, so that the sums of a date are
    the same whenever it is folded.
    """
    known = values.filter((pl.col("signal") == name) & (pl.col("track_id") == ""))
    if "date" in known.columns:
        filed = pl.col("date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        known = known.with_columns(at=pl.max_horizontal("at", filed))
    known = known.sort("at", "text", "number")
    if not known.height or not listens.height:
        return None
    plays = listens.select("date", "listener_id", "track_id", "started_at").sort("started_at")
    then = known.select("listener_id", "at", "number", "text")
    rows = plays.join_asof(
        then, left_on="started_at", right_on="at", by="listener_id", strategy="backward", check_sortedness=False
    ).filter(pl.col("at").is_not_null())
    if signal.kind == "number":
        rows = rows.filter(pl.col("number").is_not_null())
        return rows.select(*_ROW[:4], signal=pl.lit(name), value=pl.lit(""), number=pl.col("number").clip(-MOST, MOST))
    rows = split_values(rows.filter(pl.col("text").is_not_null()).select(*_ROW[:4], "text"), signal)
    return rows.with_columns(signal=pl.lit(name), number=pl.lit(None, dtype=pl.Float64)).select(_ROW)


def _sums(table: str, parts: list[pl.DataFrame]) -> pl.DataFrame:
    if not parts:
        return _empty(table)
    keys, whole = ("date", _OF[table], "signal", "value"), (pl.col("number") * SCALE).round().cast(pl.Int64)
    sums = [pl.len().cast(pl.Int64).alias("n"), whole.fill_null(0).sum().alias("total")]
    if table == TRACK:
        summed = pl.concat([part.group_by(keys).agg(sums) for part in parts])
        return summed.sort(keys).select(*keys, "n", "total")
    latest = [
        pl.col("number").sort_by("started_at", "number").last().alias("last"),
        pl.col("started_at").max().alias("last_at"),
    ]
    summed = pl.concat([part.group_by(keys).agg(*sums, *latest) for part in parts])
    return _fewer(summed, table).sort(keys).select(*keys, "n", "total", "last", "last_at")


def _fewer(rows: pl.DataFrame, table: str) -> pl.DataFrame:
    """At most VALUES values of a date, listener (or track) and signal by name, the others together."""
    group = ("date", _OF[table], "signal")
    many = rows.group_by(group).len().filter(pl.col("len") > VALUES)
    if not many.height:
        return rows
    long = rows.join(many, on=group, how="semi")
    named = pl.col("value") != OTHERS
    place = pl.struct((~named).alias("unnamed"), less=-pl.col("n"), name="value").rank("ordinal").over(group)
    cut = long.with_columns(value=pl.when(named & (place <= VALUES)).then("value").otherwise(pl.lit(OTHERS)))
    more = [pl.col("last").last(), pl.col("last_at").max()] if table == LISTENER else []
    fewer = cut.group_by(*group, "value").agg(pl.col("n", "total").sum(), *more)
    return pl.concat([rows.join(many, on=group, how="anti"), fewer.select(rows.columns)])


def _empty(table: str) -> pl.DataFrame:
    empty = TABLES[table].empty()
    return empty.select(pl.lit(None, dtype=pl.Date).alias("date"), *TABLES[table].arrow.names)


def fold(
    tables: Mapping[str, pl.DataFrame], signals: Declared, machines: pl.DataFrame | None = None
) -> dict[str, pl.DataFrame]:
    """Both tables of a chunk's listeners.

    Args:
        tables: `listens` (with `date`) and `signal_values`.
        machines: listener_id and date of plays that say nothing of tracks; None = there are none.
    """
    listens = tables["listens"]
    people = listens if machines is None else without_suspects(listens, machines)
    return {
        LISTENER: listener_sums(listens, signals),
        TRACK: track_sums(people, signals, tables.get("signal_values")),
    }
