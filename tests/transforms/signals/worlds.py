"""Plays with signals, written by hand or drawn."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from transforms.signals.declared import Signal

DAY = date(2026, 1, 5)
VOLUME = Signal(column="vol", kind="number", of="listen")
MOOD = Signal(column="mood", kind="category", of="listen")
TAGS = Signal(column="tags", kind="tag", of="listen")
PLAN = Signal(column="plan", kind="category", of="listener")
AGE = Signal(column="age", kind="number", of="listener")
SIGNALS = {"age": AGE, "mood": MOOD, "plan": PLAN, "tags": TAGS, "volume": VOLUME}
_VALUES = {"listener_id": pl.String, "signal": pl.String, "track_id": pl.String, "at": pl.Datetime("us", "UTC")}


def at(hour: float, day: date = DAY) -> datetime:
    """A moment of a date."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hour)


def values(*rows: tuple[str, str, str, datetime, float | None, str | None]) -> pl.DataFrame:
    """Rows of table `signal_values`: listener, signal, track, at, number, text."""
    return pl.DataFrame(rows, schema={**_VALUES, "number": pl.Float64, "text": pl.String}, orient="row")


def drawn(seed: int, plays: int = 400, listeners: int = 12, tracks: int = 15, days: int = 3) -> pl.DataFrame:
    """Plays of some dates, with every column that a signal of SIGNALS may stand in, each cell blank now and then."""
    rng = np.random.default_rng(seed)
    day = rng.integers(days, size=plays)
    moods = np.array(["calm", "loud", "sad", None], dtype=object)
    tags = np.array(["a;b", "B", " ; ", None], dtype=object)
    volume = rng.normal(20, 8, plays)
    return pl.DataFrame(
        {
            "listener_id": [f"listener {n}" for n in rng.integers(listeners, size=plays)],
            "track_id": [f"track {n}" for n in rng.integers(tracks, size=plays)],
            "started_at": pl.Series(
                [at(h, DAY + timedelta(int(d))) for d, h in zip(day, rng.uniform(0, 24, plays), strict=True)],
                dtype=pl.Datetime("us", "UTC"),
            ),
            "date": [DAY + timedelta(int(d)) for d in day],
            "signal_number_volume": pl.Series([None if v < 10 else float(v) for v in volume], dtype=pl.Float64),
            "signal_text_mood": pl.Series(moods[rng.integers(4, size=plays)].tolist(), dtype=pl.String),
            "signal_text_tags": pl.Series(tags[rng.integers(4, size=plays)].tolist(), dtype=pl.String),
        }
    )
