"""What signals say of tracks and of listeners, as of a night, from sums of days and from values that hold.

A number is a mean, pulled towards everybody's by TRUST plays; a category or tag is a share of each value, of which the
MOST_VALUES commonest are told apart.

    mean(u) = (sum + TRUST * m) / (n + TRUST)        m: the mean over all plays of the window
    share(u, v) = n(u, v) / n(u),  trust(u) = n(u) / (n(u) + TRUST)

What a table says (of: listener, of: track) holds since its time, so the latest value stands for itself. A listener's
profile of a track's signal is the mean over the tracks played, each weighed by its decayed plays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from scipy import sparse

from transforms.common.arrays import from_csr, load_arrays, save_arrays, to_csr
from transforms.signals.declared import Declared
from transforms.signals.fold import OTHERS, SCALE, split_values

TRUST = 5.0
MOST_VALUES = 64
Rows = Callable[[pl.Series], np.ndarray]  # ids -> rows of whatever they are numbered by; 0 or less = unknown


@dataclass(frozen=True)
class Shares:
    """Shares of values, of tracks or of listeners.

    Attributes:
        shares: float32 CSR [n, V], each row sums to at most 1.
        trust: float32 [n], how much a row is to be believed: 0 = nothing is known.
    """

    shares: sparse.csr_matrix
    trust: np.ndarray


@dataclass(frozen=True)
class TrackSignals:
    """What is known of n tracks (row 0 = unknown).

    Attributes:
        numbers: signal -> float32 [n], NaN = unknown.
        middle: signal -> (mean over plays, deviation between tracks).
        shares: signal -> shares of its values.
        values: signal -> its values, V of them; overall: signal -> float32 [V], share of each among everybody's.
    """

    numbers: dict[str, np.ndarray] = field(default_factory=dict)
    middle: dict[str, tuple[float, float]] = field(default_factory=dict)
    shares: dict[str, Shares] = field(default_factory=dict)
    values: dict[str, list[str]] = field(default_factory=dict)
    overall: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def fit(cls, sums: pl.DataFrame, held: pl.DataFrame, signals: Declared, rows: Rows, n: int) -> TrackSignals:
        """Of sums and values as of a date.

        Args:
            sums: track_id, signal, value, n, total: table `track_signals`, added up over a window.
            held: rows of table `track_values` known by the date.
            signals: declared ones; those of a pair say nothing of tracks.
            rows: track ids -> their rows.
            n: rows.
        """
        out = cls()
        for name, one in signals.items():
            if one.of == "track":
                mine = latest(held.filter(pl.col("signal") == name), ["track_id"])
                if one.kind == "number":
                    found = mine.select("track_id", n=pl.lit(None, dtype=pl.Float64), mean="number").drop_nulls("mean")
                else:
                    found = split_values(mine.drop_nulls("text"), one).select("track_id", "value", n=pl.lit(1.0))
            else:
                mine = sums.filter(pl.col("signal") == name)
                count = pl.col("n").cast(pl.Float64)
                if one.kind == "number":
                    mean = pl.col("total") / SCALE / count
                    found = mine.select("track_id", count, mean=mean)
                else:
                    found = mine.filter(pl.col("value") != OTHERS).select("track_id", "value", count)
            if found.height:
                out._add(name, one.kind == "number", found.sort(found.columns[:2]), rows, n, certain=one.of == "track")
        return out

    def _add(self, name: str, number: bool, found: pl.DataFrame, rows: Rows, n: int, certain: bool) -> None:
        item = rows(found["track_id"])
        inside = item > 0
        found, item = found.filter(pl.Series(inside)), item[inside]
        if not len(item):
            return
        if number:
            mean, count = found["mean"].to_numpy(), found["n"].fill_null(1.0).to_numpy()
            middle = float(np.average(mean, weights=count))
            own = mean if certain else shrunk(mean, count, middle)
            self.numbers[name] = np.full(n, np.nan, np.float32)
            self.numbers[name][item] = own
            self.middle[name] = (middle, max(float(np.std(own)), 1e-6))
            return
        total = found.group_by("value").agg(pl.col("n").sum()).sort("n", "value", descending=[True, False])
        values = sorted(total["value"][:MOST_VALUES].to_list())
        self.values[name] = values
        self.shares[name] = shares_of(item, found["value"], found["n"].to_numpy(), values, n, certain)
        whole = total.filter(pl.col("value").is_in(values)).sort("value")["n"].to_numpy()
        self.overall[name] = (whole / total["n"].sum()).astype(np.float32)

    def save(self, path: str | Path) -> None:
        """Write it; equal sides give equal bytes."""
        arrays: dict[str, np.ndarray] = {}
        for name, numbers in self.numbers.items():
            arrays |= {f"number.{name}": numbers, f"middle.{name}": np.array(self.middle[name])}
        for name, one in self.shares.items():
            arrays |= {f"trust.{name}": one.trust, f"values.{name}": np.array(self.values[name], dtype=str)}
            arrays |= {f"overall.{name}": self.overall[name], **from_csr(f"shares.{name}", one.shares)}
        save_arrays(path, arrays)

    @classmethod
    def load(cls, path: str | Path) -> TrackSignals:
        """Back from `save`."""
        found, out = load_arrays(path), cls()
        for key in found:
            kind, _, name = key.partition(".")
            if kind == "number":
                mean, spread = found[f"middle.{name}"].tolist()
                out.numbers[name], out.middle[name] = found[key], (mean, spread)
            elif kind == "trust":
                out.shares[name] = Shares(to_csr(f"shares.{name}", found), found[key])
                out.values[name], out.overall[name] = found[f"values.{name}"].tolist(), found[f"overall.{name}"]
        return out


def shrunk(mean: np.ndarray, count: np.ndarray, middle: float) -> np.ndarray:
    """Means pulled towards the middle by TRUST plays.

    >>> shrunk(np.array([10.0]), np.array([5.0]), 0.0).tolist()
    [5.0]
    """
    return np.asarray((mean * count + TRUST * middle) / (count + TRUST))


def shares_of(
    row: np.ndarray, value: pl.Series, n: np.ndarray, values: list[str], rows: int, certain: bool = False
) -> Shares:
    """Shares of known values from counts; what is none of them counts towards the whole.

    Args:
        row, value, n: how often a row says a value.
        values: sorted, those that are told apart.
        certain: a row that says anything is believed.
    """
    whole = np.bincount(row, weights=n, minlength=rows)
    known = value.is_in(values).to_numpy()
    column = pl.Series(values, dtype=pl.String).search_sorted(value.filter(pl.Series(known)))
    share = (n[known] / np.maximum(whole[row[known]], 1e-9)).astype(np.float32)
    matrix = sparse.csr_matrix((share, (row[known], np.asarray(column))), shape=(rows, len(values)))
    trust = (whole > 0).astype(np.float32) if certain else (whole / (whole + TRUST)).astype(np.float32)
    return Shares(matrix, trust)


def latest(values: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """The value that holds last of each key, of rows with `at`."""
    return values.sort(*key, "at").unique(key, keep="last", maintain_order=True)


def added_up(days: Iterable[pl.DataFrame], key: Sequence[str], held: int = 8_000_000) -> pl.DataFrame:
    """Sums of days' partials by key, sorted by it; `last`, where there is one, is that of the latest `last_at`.

    Args:
        days: in any order; read one after the other where they come from a generator.
        held: rows that may wait before they are added up, so that a window needs no more memory than its sum and some days.
    """
    kept: list[pl.DataFrame] = []
    for frame in days:
        kept += [frame] if frame.height else []
        if len(kept) > 1 and sum(f.height for f in kept[1:]) > max(held, kept[0].height):
            kept = [_added_up(kept, key)]
    if not kept:
        schema = {**dict.fromkeys(key, pl.String), "n": pl.Int64, "total": pl.Int64, "last": pl.Float64}
        return pl.DataFrame(schema=schema)
    return _added_up(kept, key)


def _added_up(frames: Sequence[pl.DataFrame], key: Sequence[str]) -> pl.DataFrame:
    rows = pl.concat(frames)
    latest_of = []
    if "last" in rows.columns:
        latest_of = [pl.col("last").sort_by("last_at", "last").last(), pl.col("last_at").max()]
    return rows.group_by(key).agg(pl.col("n", "total").sum(), *latest_of).sort(key)
