"""From one shard's raw plays to its listens: duplicates out, implausible days refused, each listen filed under a date.

Logs repeat themselves: clients resend, importers overlap. A play is a duplicate if the same listener's previous raw
play of the same track started at most `near_duplicate_s` seconds earlier (0 seconds: an exact duplicate). "Raw" makes
the rule independent of the order in which duplicates are found: of plays at 0 s, 4 s and 8 s only the first stays. A
listener's day with more playing time than a day has is a shared or broken account and refused whole; beyond `day_cap`
listens a day the later ones are refused. A listen of a date that a night has folded already is filed under the oldest
open date, `late`.

    >>> from datetime import UTC
    >>> plays = pl.DataFrame({"listener_id": ["ann"] * 3, "track_id": ["t1", "t1", "t2"], "file_no": [0] * 3,
    ...     "line": [1, 2, 3], "started_at": [datetime(2026, 1, 5, 10, 0, s, tzinfo=UTC) for s in (0, 4, 9)]})
    >>> done = clean(plays, None, IngestSettings(), closed=None, ingested_at=datetime(2026, 1, 6, tzinfo=UTC))
    >>> done.listens["track_id"].to_list(), done.duplicates
    (['t1', 't2'], 1)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256

import numpy as np
import polars as pl
import pyarrow as pa
from pydantic import BaseModel, Field

from transforms.common.hashing import hash_texts, hex_text, stable_hash
from transforms.privacy.forgotten import prints_of

DAY_US = 86_400_000_000
_NEIGHBOURS = 8
_EPOCH = date(1970, 1, 1).toordinal()
_CODES = ("", "over_daily_cap", "implausible_day")
STORED_COLUMNS = ["listener_id", "track_id", "started_at", "ms_played"]


class IngestSettings(BaseModel, frozen=True, extra="forbid"):
    """How a log is cleaned and split."""

    near_duplicate_s: float = Field(
        5.0, ge=0, le=3600, description="seconds within which the same track again is a duplicate"
    )
    day_cap: int = Field(5000, ge=1, description="listens of one listener kept a day")
    day_hours: float = Field(
        24.0, gt=0, description="playing time, in hours, beyond which a listener's day is implausible"
    )


@dataclass(frozen=True)
class Cleaned:
    """A shard, cleaned.

    Attributes:
        listens: columns of the table `listens` that are known, and `date`, the date each is filed under; sorted by
            listener, start, track.
        rejects: file_no, line, reason, raw (a hash of what was parsed), listener_print.
        duplicates: plays left out because they are there already.
    """

    listens: pl.DataFrame
    rejects: pl.DataFrame
    duplicates: int


def clean(
    plays: pl.DataFrame,
    stored: pl.DataFrame | None,
    settings: IngestSettings,
    closed: date | None,
    ingested_at: datetime,
) -> Cleaned:
    """Clean one shard.

    Args:
        plays: listener_id, track_id, started_at, file_no, line and any further column of `listens`; any order.
        stored: STORED_COLUMNS of listens of other batches around the same dates; None = there are none.
        settings: see `IngestSettings`.
        closed: the newest date that a night has folded; None = none is.
        ingested_at: what the batch stands for.

    Returns:
        `plays.height == listens.height + rejects.height + duplicates`.
    """
    known = stored is not None and stored.height > 0
    if known:
        plays = pl.concat(
            [plays, stored.with_columns(stored=pl.lit(True))],  # type: ignore[union-attr]
            how="diagonal",
        ).with_columns(pl.col("stored").fill_null(False))
    keys = _Keys.of(plays)
    order = keys.order()
    keys = keys.take(order)
    order, keys = _settle_ties(plays, keys, order)
    old = plays["stored"].to_numpy()[order] if known else np.zeros(plays.height, dtype=bool)
    repeated = _repeats(keys, old, round(settings.near_duplicate_s * 1_000_000)) & ~old
    ms = plays["ms_played"].fill_null(0).to_numpy()[order] if "ms_played" in plays.columns else None
    refused = _implausible(keys, ms, old, ~repeated, settings)
    kept = ~(repeated | old | (refused > 0))
    rejects = _rejects(plays[order[refused > 0]], refused[refused > 0])
    keys = keys.take(kept)
    day = keys.started // DAY_US
    filed = day if closed is None else np.maximum(day, closed.toordinal() + 1 - _EPOCH)
    listens = plays.drop("file_no", "line", "stored", strict=False)[order[kept]].with_columns(
        pl.Series("date", filed.astype(np.int32)).cast(pl.Date),
        pl.Series("late", filed > day),
        pl.Series("listen_id", keys.listen_ids()),
        pl.lit(ingested_at).cast(pl.Datetime("us", "UTC")).alias("ingested_at"),
    )
    return Cleaned(listens, rejects, int(repeated.sum()))


@dataclass(frozen=True)
class _Keys:
    """The key columns as integers: listeners and tracks by rank among this shard's, starts in microseconds."""

    listener: np.ndarray
    track: np.ndarray
    started: np.ndarray
    listeners: list[str]
    tracks: list[str]

    @classmethod
    def of(cls, plays: pl.DataFrame) -> _Keys:
        listener, listeners = _ranked(plays["listener_id"])
        track, tracks = _ranked(plays["track_id"])
        return cls(listener, track, plays["started_at"].cast(pl.Int64).to_numpy(), listeners, tracks)

    def order(self) -> np.ndarray:
        """Order by listener and start; as one integer each where both fit into it."""
        if not len(self.started):
            return np.empty(0, dtype=np.int64)
        since = self.started - self.started.min()
        bits = int(since.max()).bit_length()
        if bits + len(self.listeners).bit_length() <= 63:
            return np.argsort((self.listener.astype(np.int64) << bits) | since, kind="stable")
        return np.lexsort((self.started, self.listener))

    def take(self, order: np.ndarray) -> _Keys:
        return _Keys(self.listener[order], self.track[order], self.started[order], self.listeners, self.tracks)

    def listen_ids(self) -> pl.Series:
        """Hash of listener, track and start: hex, 16 characters."""
        listeners, tracks = _hashes(self.listeners), _hashes(self.tracks)
        return hex_text(stable_hash(listeners[self.listener], tracks[self.track], self.started, purpose="listen"))


def _ranked(ids: pl.Series) -> tuple[np.ndarray, list[str]]:
    encoded = pa.chunked_array([ids.to_arrow(compat_level=pl.CompatLevel.oldest())]).combine_chunks()
    encoded = (encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded).dictionary_encode()
    values = encoded.dictionary.to_pylist()
    rank = np.empty(len(values), dtype=np.int32)
    by_value = sorted(range(len(values)), key=values.__getitem__)
    rank[by_value] = np.arange(len(values), dtype=np.int32)
    return rank[encoded.indices.to_numpy()], [values[i] for i in by_value]


def _hashes(values: list[str]) -> np.ndarray:
    return hash_texts(values).view(np.int64)


def _settle_ties(plays: pl.DataFrame, keys: _Keys, order: np.ndarray) -> tuple[np.ndarray, _Keys]:
    """Order plays of one listener that start together by track, and those of one track by everything else.

    So which one stays does not depend on the order of input: a stored one, else the one that knows more and played
    longer.
    """
    same = (np.diff(keys.listener) == 0) & (np.diff(keys.started) == 0)
    if not same.any():
        return order, keys
    tied = np.zeros(len(order), dtype=bool)
    tied[1:] |= same
    tied[:-1] |= same
    at = np.flatnonzero(tied)
    rows = plays[order[at]].with_columns(
        _l=pl.Series(keys.listener[at]), _s=pl.Series(keys.started[at]), _t=pl.Series(keys.track[at])
    )
    others = [
        c for c in plays.columns if c not in ("listener_id", "started_at", "track_id", "file_no", "line", "stored")
    ]
    first = ["_l", "_s", "_t", *(["stored"] if "stored" in plays.columns else [])]
    by = [*first, *sorted(others), "file_no", "line"]
    descending = [c == "stored" or c in others for c in by]
    settled = rows.select(pl.arg_sort_by(by, descending=descending, nulls_last=True)).to_series().to_numpy()
    place = np.arange(len(order))
    place[at] = at[settled]
    return order[place], keys.take(place)


def _repeats(keys: _Keys, old: np.ndarray, within: int) -> np.ndarray:
    """Plays whose previous raw play of the same track started at most `within` microseconds before."""
    found = np.zeros(len(old), dtype=bool)
    near = np.empty(0, dtype=bool)
    for back in range(1, _NEIGHBOURS + 1):
        near = (keys.started[back:] - keys.started[:-back] <= within) & (keys.listener[back:] == keys.listener[:-back])
        if not near.any():
            return found
        same = near & (keys.track[back:] == keys.track[:-back])
        found[back:] |= same
        found[:-back] |= same & old[back:] & ~old[:-back]
    crowded = np.isin(keys.listener, np.unique(keys.listener[_NEIGHBOURS:][near]))
    rows = pl.DataFrame(
        {"l": keys.listener[crowded], "t": keys.track[crowded], "s": keys.started[crowded], "old": old[crowded]}
    )
    after_old = pl.when("old").then("s").backward_fill().over("l", "t") - pl.col("s") <= within
    again = rows.select(
        (pl.col("s").diff().over("l", "t") <= within).fill_null(False) | (after_old.fill_null(False) & ~pl.col("old"))
    )
    found[crowded] |= again.to_series().to_numpy()
    return found


def _implausible(
    keys: _Keys, ms_played: np.ndarray | None, old: np.ndarray, counted: np.ndarray, settings: IngestSettings
) -> np.ndarray:
    """Position in _CODES of the reason why a play goes with an implausible day; 0 = it does not."""
    reason = np.zeros(len(old), dtype=np.int8)
    if not len(old):
        return reason
    day = keys.started // DAY_US
    begins = np.flatnonzero(np.r_[True, (np.diff(keys.listener) != 0) | (np.diff(day) != 0)])
    ends = np.r_[begins[1:], len(old)]
    listens = np.add.reduceat(counted, begins, dtype=np.int64)
    played = np.zeros(len(begins), dtype=np.int64)
    if ms_played is not None:
        played = np.add.reduceat(np.where(counted, ms_played, 0), begins, dtype=np.int64)
    long = played > settings.day_hours * 3_600_000
    for n in np.flatnonzero(long | (listens > settings.day_cap)):
        rows = slice(begins[n], ends[n])
        fresh = counted[rows] & ~old[rows]
        room = 0 if long[n] else max(0, settings.day_cap - int(old[rows].sum()))
        code = _CODES.index("implausible_day" if long[n] else "over_daily_cap")
        reason[rows] = np.where(fresh & (np.cumsum(fresh) > room), code, 0)
    return reason


def _rejects(plays: pl.DataFrame, reason: np.ndarray) -> pl.DataFrame:
    raw = [
        "sha256:" + sha256(f"{listener}\t{track}\t{at.isoformat()}".encode()).hexdigest()
        for listener, track, at in plays.select("listener_id", "track_id", "started_at").iter_rows()
    ]
    return plays.select(
        pl.col("file_no").cast(pl.Int32),
        pl.col("line").cast(pl.Int64),
        pl.Series("reason", [_CODES[n] for n in reason.tolist()], dtype=pl.String),
        pl.Series("raw", raw, dtype=pl.String),
        pl.Series("listener_print", prints_of(plays["listener_id"].to_list()), dtype=pl.Int32),
    )
