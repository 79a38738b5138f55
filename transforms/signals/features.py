"""Signals as features of the ranker, one way to compute them for training and for scoring.

Of a candidate i of listener u, float32, null where nothing is known ("as usual" to every ranker):

    f_signal_l_X       what u's own plays (or u's row of a table) say: a mean; of a category the share of the commonest value
    f_signal_last_X    the number of u's last play that says one
    f_signal_t_X       what the track's plays (or its row) say: a mean
    f_signal_match_X   how near the two are: of a number -|l - t| / deviation between tracks; of a category or tag the log of
                       1 + trust(u) trust(i) (sum over v of share(u, v) share(i, v) / share(v) - 1), at least FLOOR
    f_signal_p_X       of a pair's signal: its latest number; of a category or tag how many values stand
    f_signal_has_X     of a pair's signal: 1 where anything is said of the pair, else 0, since most pairs have nothing

The sum over v is how much oftener than by chance two plays, one of u's and one of i's, say the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import sparse

from transforms.common.arrays import positions
from transforms.signals.declared import OWN_VALUES, Declared, Signal
from transforms.signals.fold import OTHERS, SCALE, split_values
from transforms.signals.profiles import Rows, Shares, TrackSignals, added_up, latest, shares_of, shrunk

PREFIX = "f_signal_"
FLOOR = 0.05
SUM_KEY = ["listener_id", "signal", "value"]


def names_of(name: str, signal: Signal) -> list[str]:
    """The features of a signal.

    >>> names_of("mood", Signal(column="m", kind="category", of="listener"))
    ['f_signal_match_mood']
    """
    if signal.of == "pair":
        parts: Sequence[str] = ("p", "has")
    elif signal.kind == "number":
        parts = ("l", "last", "t", "match") if signal.of == "listen" else ("l", "t", "match")
    elif signal.of == "listen":
        parts = ("l",) if name in OWN_VALUES else ("l", "match")
    else:
        parts = ("match",)
    return [f"{PREFIX}{part}_{name}" for part in parts]


@dataclass(frozen=True)
class Said:
    """What a chunk's listeners said: `sums` (table `listener_signals`, added up), `held` (table `signal_values`)."""

    sums: pl.DataFrame
    held: pl.DataFrame

    @classmethod
    def of(cls, days: pl.DataFrame | None, values: pl.DataFrame | None) -> Said:
        """Of the tables as they are read; None = there is none."""
        sums = added_up([] if days is None else [days], SUM_KEY)
        empty = pl.DataFrame(
            schema={
                **dict.fromkeys(("listener_id", "signal", "track_id"), pl.String),
                "at": pl.Datetime("us", "UTC"),
                "number": pl.Float64,
                "text": pl.String,
            }
        )
        held = empty if values is None else latest(values, ["listener_id", "signal", "track_id"])
        return cls(sums, held)

    def only(self, listeners: Sequence[str]) -> Said:
        """What some of them said."""
        mine = pl.col("listener_id").is_in(list(listeners))
        return Said(self.sums.filter(mine), self.held.filter(mine))


def features(
    said: Said,
    listeners: Sequence[str],
    plays: sparse.csr_matrix,
    tracks: TrackSignals,
    signals: Declared,
    pairs: tuple[np.ndarray, np.ndarray],
    rows_of: Rows,
) -> dict[str, np.ndarray]:
    """Every feature of some candidates, by name; a column of NaN where nothing is known of a signal.

    Args:
        said: of these listeners.
        listeners: ids, in the order of rows.
        plays: [B, n_items], how much each listener's plays of a track count.
        tracks: over the same items.
        pairs: rows and items of the candidates.
        rows_of: track ids -> items.
    """
    row, item = pairs
    who = pl.Series(list(listeners), dtype=pl.String)
    out: dict[str, np.ndarray] = {}
    for name, one in signals.items():
        for column in names_of(name, one):
            out[column] = np.full(len(row), np.nan, np.float32)
        if one.of == "pair":
            pair = _of_pairs(said.held, name, one, who, rows_of, pairs, plays.shape[1])
            out[f"{PREFIX}p_{name}"], out[f"{PREFIX}has_{name}"] = pair, np.isfinite(pair).astype(np.float32)
        elif one.kind == "number":
            own = _means(said, name, one, who, plays, tracks)
            out[f"{PREFIX}l_{name}"] = own[row]
            if one.of == "listen":
                out[f"{PREFIX}last_{name}"] = _lasts(said.sums.filter(pl.col("signal") == name), who)[row]
            if name in tracks.numbers:
                theirs = tracks.numbers[name][item]
                out[f"{PREFIX}t_{name}"] = theirs
                out[f"{PREFIX}match_{name}"] = -np.abs(own[row] - theirs) / np.float32(tracks.middle[name][1])
        else:
            mine = said.sums.filter((pl.col("signal") == name) & (pl.col("value") != OTHERS))
            if one.of == "listen":
                out[f"{PREFIX}l_{name}"] = _commonest(mine, who)[row]
            if name in tracks.shares:
                shares = _shares(said, mine, name, one, who, plays, tracks)
                out[f"{PREFIX}match_{name}"] = _match(shares, tracks.shares[name], tracks.overall[name], row, item)
    return out


def _rows(who: pl.Series, ids: pl.Series) -> np.ndarray:
    """Row of each id among the listeners."""
    at = who.to_frame("id").with_row_index("row")
    return ids.to_frame("id").join(at, on="id", how="left", maintain_order="left")["row"].cast(pl.Int64).to_numpy()


def _means(
    said: Said, name: str, one: Signal, who: pl.Series, plays: sparse.csr_matrix, tracks: TrackSignals
) -> np.ndarray:
    """float32 [B]: each listener's number."""
    out = np.full(len(who), np.nan, np.float32)
    if one.of == "listener":
        mine = said.held.filter((pl.col("signal") == name) & (pl.col("track_id") == "")).drop_nulls("number")
        out[_rows(who, mine["listener_id"])] = mine["number"].to_numpy()
    elif one.of == "listen":
        mine = said.sums.filter(pl.col("signal") == name)
        count = mine["n"].to_numpy().astype(np.float64)
        mean = mine["total"].to_numpy() / SCALE / np.maximum(count, 1)
        middle = (
            tracks.middle[name][0]
            if name in tracks.middle
            else float(np.average(mean, weights=count))
            if len(mean)
            else 0.0
        )
        out[_rows(who, mine["listener_id"])] = shrunk(mean, count, middle)
    elif name in tracks.numbers:
        known = np.isfinite(tracks.numbers[name])
        weight = plays @ known.astype(np.float32)
        total = plays @ np.where(known, tracks.numbers[name], 0)
        out = np.where(weight > 0, total / np.maximum(weight, 1e-9), np.nan).astype(np.float32)
    return out


def _lasts(mine: pl.DataFrame, who: pl.Series) -> np.ndarray:
    """float32 [B]: the number of each listener's last play that says one."""
    out = np.full(len(who), np.nan, np.float32)
    out[_rows(who, mine["listener_id"])] = mine["last"].to_numpy()
    return out


def _commonest(mine: pl.DataFrame, who: pl.Series) -> np.ndarray:
    """float32 [B]: share of a listener's plays that say the commonest value."""
    out = np.full(len(who), np.nan, np.float32)
    found = mine.group_by("listener_id").agg(share=pl.col("n").max() / pl.col("n").sum())
    out[_rows(who, found["listener_id"])] = found["share"].to_numpy()
    return out


def _shares(
    said: Said,
    mine: pl.DataFrame,
    name: str,
    one: Signal,
    who: pl.Series,
    plays: sparse.csr_matrix,
    tracks: TrackSignals,
) -> Shares:
    """Shares of the track side's values, of each listener."""
    values = tracks.values[name]
    if one.of == "listen":
        row = _rows(who, mine["listener_id"])
        return shares_of(row, mine["value"], mine["n"].to_numpy().astype(np.float64), values, len(who))
    if one.of == "listener":
        held = said.held.filter((pl.col("signal") == name) & (pl.col("track_id") == "")).drop_nulls("text")
        held = split_values(held, one)
        row = _rows(who, held["listener_id"])
        return shares_of(row, held["value"], np.ones(held.height), values, len(who), certain=True)
    theirs = tracks.shares[name]
    weight = np.asarray(plays @ theirs.trust)
    shares = sparse.csr_matrix(plays @ theirs.shares)
    scale = sparse.diags(1 / np.maximum(weight, 1e-9))
    return Shares(sparse.csr_matrix(scale @ shares, dtype=np.float32), (weight > 0).astype(np.float32))


def _match(mine: Shares, theirs: Shares, overall: np.ndarray, row: np.ndarray, item: np.ndarray) -> np.ndarray:
    """float32 [m]: the log of how much oftener than by chance listener and track say the same; NaN where one says nothing."""
    trust = mine.trust[row] * theirs.trust[item]
    own = np.asarray(mine.shares.multiply(1 / np.maximum(overall, 1e-9)).todense(), np.float32)
    counts = np.diff(theirs.shares.indptr)[item]
    pair = np.repeat(np.arange(len(item)), counts)
    first = theirs.shares.indptr[item] - (np.cumsum(counts) - counts)
    place = np.repeat(first, counts) + np.arange(len(pair))
    both = own[row[pair], theirs.shares.indices[place]] * theirs.shares.data[place]
    lift = np.bincount(pair, weights=both, minlength=len(item))
    return np.where(trust > 0, np.log(np.maximum(1 + trust * (lift - 1), FLOOR)), np.nan).astype(np.float32)


def _of_pairs(
    held: pl.DataFrame,
    name: str,
    one: Signal,
    who: pl.Series,
    rows_of: Rows,
    pairs: tuple[np.ndarray, np.ndarray],
    n_items: int,
) -> np.ndarray:
    """float32 [m]: what is said of the very pair."""
    mine = held.filter((pl.col("signal") == name) & (pl.col("track_id") != ""))
    if one.kind == "number":
        mine = mine.drop_nulls("number").select("listener_id", "track_id", value="number")
    else:
        count = pl.col("text").str.split(";").list.len() if one.kind == "tag" else pl.lit(1)
        mine = mine.drop_nulls("text").select("listener_id", "track_id", value=count.cast(pl.Float64))
    item = rows_of(mine["track_id"]).astype(np.int64)
    keys = _rows(who, mine["listener_id"]) * n_items + item
    known = item > 0
    order = np.argsort(keys[known], kind="stable")
    found = positions(keys[known][order], pairs[0].astype(np.int64) * n_items + pairs[1])
    return np.append(mine["value"].to_numpy()[known][order], np.nan)[found].astype(np.float32)
