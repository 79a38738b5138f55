"""The library: what each listener has heard of each track, as a sum that any days can be added to, in any order.

One row holds counts, the first and last play, the 8 latest plays and whether the track was saved. Rows are elements
of a commutative monoid: counts add, times take the earlier and the later, `latest` keeps the 8 newest of both lists,
`saved` is an or. So a day's delta merged into what was there gives what a fold over all days would give, and a night
costs what its day costs.

How strongly a track is on a listener's mind is computed on reading, as of the end of a date, never stored.
`activation` is ACT-R's base-level learning (Anderson & Lebiere 1998; for music: Reiter-Haas et al. 2021)

    B = ln( sum_j t_j^-d )        t_j: age of play j in hours, at least 1; d: decay, 0.5

exact for the 8 latest plays; the n - k older ones, spread evenly between ages t_k and t_n, by the tail of Petrov (2006)

    (n - k) (t_n^(1-d) - t_k^(1-d)) / ((1 - d) (t_n - t_k))

`decayed_plays` = sum_j 2^(-t_j / half_life), its tail integrated likewise.

    day 1      ann a: plays 2, latest [9:05, 9:00]
    day 2      ann a: plays 1, latest [8:00]
    merge      ann a: plays 3, latest [day 2 8:00, day 1 9:05, day 1 9:00]
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from transforms.common.hashing import stable_hash
from transforms.listening.feedback import SAVING
from transforms.listening.plays import codes, codes_like, is_heard, ordered, run_starts, stable_argsort
from transforms.tables.schema import TABLES, TIMESTAMP

LATEST = 8
PAIR = ("listener_id", "track_id")
LISTEN_COLUMNS = ("listener_id", "track_id", "started_at", "ms_played", "skipped", "completed")
_HOUR_US = 3_600_000_000


class LibrarySettings(BaseModel):
    """How the library is kept and read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_deltas: int = Field(6, ge=0, le=60, description="daily deltas kept beside a base before they are compacted")
    decay: float = Field(0.5, gt=0, lt=1, description="d of base-level activation: how fast a play is forgotten")
    half_life_days: float = Field(30.0, gt=0, description="age at which a play counts half in decayed plays, days")
    max_pairs: int = Field(
        20_000,
        ge=1,
        description="tracks of a listener kept in full; of the oldest beyond, a base keeps plays and heard",
    )
    exclusion_days: int = Field(
        365, ge=0, description="days before an act of exclude_from_taste whose plays it takes out as well"
    )


def day_library(listens: pl.DataFrame) -> pl.DataFrame:
    """The delta of some listens, of any dates and in any order.

    Args:
        listens: columns LISTEN_COLUMNS.

    Returns:
        Table `library`, one row for each (listener_id, track_id) touched, sorted by them; nothing is saved.
    """
    if not listens.height:
        return TABLES["library"].empty()
    at = listens["started_at"].to_physical().to_numpy()
    listeners, tracks = codes(listens["listener_id"])[0], codes(listens["track_id"])
    pair = listeners * len(tracks[1]) + tracks[0]
    order = ordered(pair, at)
    first = np.flatnonzero(run_starts(pair[order]))
    last = np.append(first[1:], len(order)) - 1
    flags = listens.select(
        heard=is_heard(), completions=pl.col("completed").fill_null(False), skips=pl.col("skipped").fill_null(False)
    )
    counts = {
        c: np.add.reduceat(flags[c].to_numpy()[order].view(np.int8), first, dtype=np.int32) for c in flags.columns
    }
    head = listens.select(PAIR)[order[first]]
    at = at[order]
    return pl.DataFrame(
        {
            "listener_id": head["listener_id"].cast(pl.String),
            "track_id": head["track_id"].cast(pl.String),
            "plays": (last - first + 1).astype(np.int32),
            **counts,
            "first_played_at": _times(at[first]),
            "last_played_at": _times(at[last]),
            "latest": _newest(at, first, last - first + 1),
            "saved": pl.repeat(False, len(first), eager=True, dtype=pl.Boolean),
        }
    )


def saved_library(feedback: pl.DataFrame) -> pl.DataFrame:
    """The delta of explicit acts: a track saved, liked or owned is in the library, even if no play of it was logged.

    Args:
        feedback: columns listener_id, kind, target.

    Returns:
        Table `library`: rows without plays, `saved` true, sorted by (listener_id, track_id).
    """
    saved = feedback.filter(pl.col("kind").is_in(SAVING)).select("listener_id", track_id="target").unique().sort(PAIR)
    zero = pl.lit(0, dtype=pl.Int32)
    schema = TABLES["library"].polars
    return saved.with_columns(
        plays=zero,
        heard=zero,
        completions=zero,
        skips=zero,
        first_played_at=pl.lit(None, dtype=schema["first_played_at"]),
        last_played_at=pl.lit(None, dtype=schema["last_played_at"]),
        latest=pl.lit([], dtype=schema["latest"]),
        saved=pl.lit(True),
    ).select(list(schema))


def merge(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Add libraries up. Commutative and associative; a frame without rows changes nothing.

    Args:
        frames: table `library`, each with any number of rows for a pair.

    Returns:
        Table `library`, one row for each pair, sorted by (listener_id, track_id).
    """
    names = list(TABLES["library"].polars)
    frames = [f.select(names) for f in frames if f.height]
    if not frames:
        return TABLES["library"].empty()
    rows = pl.concat(frames)
    if len(frames) == 1 and _is_sorted(rows):
        return rows
    listeners, tracks = codes(rows["listener_id"])[0], codes(rows["track_id"])
    pair = listeners * len(tracks[1]) + tracks[0]
    order = stable_argsort(pair)
    starts = run_starts(pair[order])
    again = ~starts
    again[:-1] |= ~starts[1:]
    # most pairs stand in one frame only and need no arithmetic
    shared = _add_up(rows[order[again]], np.flatnonzero(starts[again]))
    merged = pl.concat([rows[order[~again]], shared])
    keys = np.concatenate([pair[order[~again]], pair[order[again & starts]]])
    return merged[stable_argsort(keys)]


def trim(library: pl.DataFrame, most: int) -> pl.DataFrame:
    """A library whose listeners have at most `most` pairs in full; what was heard stays exact.

    Of the pairs beyond, those played longest ago (ties by hash of the track, then the track), only `plays`, `heard`,
    `saved` and the first play are kept. If such a track is played again, its older plays are aged from the first on.

    Args:
        library: table `library`, one row a pair, sorted.
        most: pairs a listener.
    """
    crowded = library.group_by("listener_id").len().filter(pl.col("len") > most)["listener_id"]
    if not crowded.len():
        return library
    rows = library.with_row_index("_row").filter(pl.col("listener_id").is_in(crowded.implode()))
    tie = pl.Series("_tie", stable_hash(rows["track_id"]), dtype=pl.UInt64)
    order = rows.with_columns(tie).sort(
        "listener_id", "last_played_at", "_tie", "track_id", descending=[False, True, False, False], nulls_last=True
    )
    beyond = order.filter(pl.int_range(pl.len()).over("listener_id") >= most)["_row"]
    old = pl.int_range(pl.len(), dtype=pl.UInt32).is_in(beyond.implode())
    bare = {
        "completions": pl.lit(0, dtype=pl.Int32),
        "skips": pl.lit(0, dtype=pl.Int32),
        "last_played_at": pl.lit(None, dtype=library.schema["last_played_at"]),
        "latest": pl.lit([], dtype=library.schema["latest"]),
    }
    return library.with_columns(
        pl.when(old).then(value).otherwise(pl.col(name)).alias(name) for name, value in bare.items()
    )


def _is_sorted(rows: pl.DataFrame) -> bool:
    """Each pair once, in order: compared with the row before, which no string need be encoded for."""
    listener, track = (pl.col(c) for c in PAIR)
    later = (listener > listener.shift()) | ((listener == listener.shift()) & (track > track.shift()))
    return bool(rows.select(later.all()).item())


def _add_up(rows: pl.DataFrame, first: np.ndarray) -> pl.DataFrame:
    """Rows in runs of equal pairs, each beginning at `first`, to one row a run."""
    if not rows.height:
        return rows
    run = np.repeat(np.arange(len(first)), np.diff(np.append(first, rows.height)))
    sums = rows.select(
        "plays",
        "heard",
        "completions",
        "skips",
        "saved",
        oldest=pl.col("first_played_at").to_physical().fill_null(np.iinfo(np.int64).max),
        newest=pl.col("last_played_at").to_physical().fill_null(np.iinfo(np.int64).min),
    )
    added = {
        c: np.add.reduceat(sums[c].to_numpy(), first, dtype=np.int32)
        for c in ("plays", "heard", "completions", "skips")
    }
    oldest = np.minimum.reduceat(sums["oldest"].to_numpy(), first)
    newest = np.maximum.reduceat(sums["newest"].to_numpy(), first)
    lengths = rows["latest"].list.len().to_numpy().astype(np.int64)
    at = rows["latest"].explode(empty_as_null=False).to_physical().to_numpy()
    plays_run = np.repeat(run, lengths)
    order = ordered(plays_run, at)
    played = np.bincount(plays_run, minlength=len(first))
    head = rows.select(PAIR)[first]
    return pl.DataFrame(
        {
            **{c: head[c] for c in PAIR},
            **added,
            "first_played_at": _times(oldest, missing=np.iinfo(np.int64).max),
            "last_played_at": _times(newest, missing=np.iinfo(np.int64).min),
            "latest": _newest(at[order], np.cumsum(played) - played, played),
            "saved": np.logical_or.reduceat(sums["saved"].to_numpy(), first),
        }
    )


def _times(us: np.ndarray, missing: int | None = None) -> pl.Series:
    series = pl.Series(us)
    if missing is not None:
        series = pl.select(pl.when(series != missing).then(series)).to_series()
    return series.cast(pl.Datetime("us", TIMESTAMP.tz))


def _newest(at: np.ndarray, first: np.ndarray, count: np.ndarray) -> pl.Series:
    """Lists of the LATEST newest of runs of rising times, newest first; run i is at[first[i] : first[i] + count[i]]."""
    keep = np.minimum(count, LATEST)
    offsets = np.concatenate([[0], np.cumsum(keep)])
    index = np.repeat(first + count - 1 + offsets[:-1], keep) - np.arange(int(offsets[-1]))
    values = _times(at[index]).to_arrow()
    return pl.Series(pl.from_arrow(pa.LargeListArray.from_arrays(pa.array(offsets, type=pa.int64()), values)))


def first_plays(listens: pl.DataFrame, known: pl.DataFrame | None = None) -> pl.Series:
    """Whether each listen is the first its listener ever made of its track: what `new_share` counts.

    Order is by (date filed under, start): a late listen cannot unmake what an earlier date has already counted.

    Args:
        listens: columns listener_id, track_id, started_at, date; any order.
        known: listener_id, track_id of pairs played before these dates (unique or not).
    """
    if not listens.height:
        return pl.Series("new", [], dtype=pl.Boolean)
    frames = [listens.select(PAIR)] + ([known.select(PAIR)] if known is not None and known.height else [])
    tracks, names = codes_like([f["track_id"] for f in frames])
    listeners, _ = codes_like([f["listener_id"] for f in frames])
    keys = [owner * len(names) + track for owner, track in zip(listeners, tracks, strict=True)]
    day, at = (listens[c].to_physical().to_numpy() for c in ("date", "started_at"))
    order = ordered(keys[0], at)
    starts = run_starts(keys[0][order])
    if bool(((np.diff(day[order]) < 0) & ~starts[1:]).any()):
        order = np.lexsort((at, day, keys[0]))
    new = np.empty(listens.height, dtype=bool)
    new[order] = starts
    if len(keys) > 1:
        new &= ~pl.Series(keys[0]).is_in(pl.Series(keys[1]).implode()).to_numpy()
    return pl.Series("new", new)


def with_activation(
    library: pl.DataFrame, as_of: date, decay: float = 0.5, half_life_days: float = 30.0
) -> pl.DataFrame:
    """Add `activation` and `decayed_plays` (float32) as of the end of a date.

    Args:
        library: table `library`, folded to that date; plays after it are an error of the caller and count as just now.
        as_of: the date.
        decay: d, in (0, 1).
        half_life_days: age at which a play counts half.

    Returns:
        The library with both columns; a track never played has null activation and 0 decayed plays.
    """
    now = int(datetime.combine(as_of + timedelta(days=1), datetime.min.time(), tzinfo=UTC).timestamp()) * 1_000_000

    def age(us: np.ndarray) -> np.ndarray:
        return np.maximum((now - us) / _HOUR_US, 1.0)

    kept = library["latest"].list.len().to_numpy().astype(np.int64)
    ages = age(library["latest"].explode(empty_as_null=False).to_physical().to_numpy())
    half_life = half_life_days * 24
    rate = np.log(2) / half_life
    bll, decayed = _sum_runs(ages**-decay, kept), _sum_runs(np.exp(-rate * ages), kept)

    rest = library["plays"].to_numpy() - kept
    tail = np.flatnonzero(rest > 0)
    oldest = age(library["first_played_at"].to_physical().fill_null(now).to_numpy()[tail])
    nearest = oldest.copy()  # where no play is left whose time is known
    known = kept[tail] > 0
    nearest[known] = ages[np.cumsum(kept)[tail][known] - 1]
    last = library["last_played_at"].to_physical().to_numpy()[tail][~known]
    nearest[~known] = np.where(np.isnan(last), oldest[~known], age(np.nan_to_num(last)))
    span = np.maximum(oldest - nearest, 1e-6)
    flat = oldest - nearest < 1e-6
    power = (oldest ** (1 - decay) - nearest ** (1 - decay)) / ((1 - decay) * span)
    fading = (np.exp(-rate * nearest) - np.exp(-rate * oldest)) / (rate * span)
    bll[tail] += rest[tail] * np.where(flat, nearest**-decay, power)
    decayed[tail] += rest[tail] * np.where(flat, np.exp(-rate * nearest), fading)
    with np.errstate(divide="ignore"):
        activation = np.log(bll)
    return library.with_columns(
        pl.when(pl.Series(bll > 0)).then(pl.Series(activation.astype(np.float32))).alias("activation"),
        pl.Series("decayed_plays", decayed.astype(np.float32)),
    )


def _sum_runs(values: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Sums of consecutive runs of the given lengths (0 for an empty run)."""
    out = np.zeros(len(count))
    some = count > 0
    if some.any():
        out[some] = np.add.reduceat(values, (np.cumsum(count) - count)[some])
    return out
