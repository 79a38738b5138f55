"""What rules may read of a block's rows: of the night, of the listener, of the track, and of both together.

Everything is an array by row and computed when a rule first asks for it.

    facts.heard           any track of the recording was heard
    facts.column("plays") what the candidates say, NaN where they say nothing
    facts.act("dislike")  whether there is such feedback on the recording
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from functools import cached_property

import numpy as np
import polars as pl

from transforms.common.compiled import compiled
from transforms.shelves.gathering import CANDIDATE, CARRIED, Inputs, Rows
from transforms.shelves.known import Known
from transforms.shelves.settings import NightContext
from transforms.shelves.tracks import Bag, Tracks


class TrackFacts:
    """What is known of a block's rows."""

    def __init__(self, inputs: Inputs, rows: Rows, known: Known, night: NightContext) -> None:
        self.rows, self.known, self.night = rows, known, night
        self.tracks: Tracks = rows.tracks
        self.listener, self.track, self.piece = rows.listener, rows.track, rows.piece
        self._roster, self._previous, self._impressions = inputs.roster, inputs.previous, inputs.impressions
        self._shown: dict[tuple[str, int], np.ndarray] = {}
        self._sources: dict[tuple[str, ...], np.ndarray] = {}

    @property
    def cutoff_us(self) -> int:
        """The end of the night's date, microseconds since 1970."""
        return int(self.night.data_cutoff.timestamp()) * 1_000_000

    @property
    def night_number(self) -> int:
        """The night's date, days since 1970-01-01."""
        return (self.night.date - dt.date(1970, 1, 1)).days

    def column(self, name: str) -> np.ndarray:
        """float32 by row, NaN where nothing is known."""
        return self.rows.column(name)

    def first_source(self, names: tuple[str, ...]) -> np.ndarray:
        """int8 by row: place among these sources of the first that retrieved it, -1 where none did."""
        if names not in self._sources:
            found = np.full(len(self.rows), -1, np.int8)
            for place in range(len(names) - 1, -1, -1):
                found[self.column(f"rank_{names[place]}") > 0] = place
            self._sources[names] = found
        return self._sources[names]

    def act(self, kind: str) -> np.ndarray:
        """Whether the listener gave such feedback on any track of the recording."""
        return self.known.acts[kind][self.piece]

    def artist_act(self, kind: str) -> np.ndarray:
        """Whether the listener gave such feedback on any artist credited."""
        return self.known.any_artist(self.rows, self.known.artist_acts[kind])

    @cached_property
    def heard(self) -> np.ndarray:
        """Any track of the recording was heard or is owned."""
        return self.known.heard[self.piece]

    @cached_property
    def sampled(self) -> np.ndarray:
        """int64: last play of the recording that was no more than sampled, microseconds since 1970; -1 = never."""
        return self.known.sampled[self.piece]

    @cached_property
    def last_heard(self) -> np.ndarray:
        """int64: last play of the recording that was heard, likewise."""
        return self.known.last_heard[self.piece]

    @cached_property
    def history_days(self) -> np.ndarray:
        """float64 by listener: days since the first play that is known of them, NaN where none is."""
        since = self.known.since
        return np.where(since >= 0, (self.cutoff_us - since) / 86_400e6, np.nan)

    @cached_property
    def rhythm_days(self) -> np.ndarray:
        """float64 by listener: median days since they last heard a track that they heard more than once, NaN without one."""
        usual = self.known.usual
        return np.where(usual >= 0, (self.cutoff_us - usual) / 86_400e6, np.nan)

    @cached_property
    def artist_heard(self) -> np.ndarray:
        """Any track of the block's rows that credits one of the artists was heard by the listener."""
        artists, heard = self.tracks.artists, np.flatnonzero(self.heard)
        count = max(len(artists.names), 1)
        sizes = np.diff(artists.bounds)[self.track[heard]]
        first = artists.bounds[self.track[heard]] - (np.cumsum(sizes) - sizes)
        at = np.repeat(first, sizes) + np.arange(int(sizes.sum()))
        keys = np.unique(np.repeat(self.listener[heard].astype(np.int64), sizes) * count + artists.codes[at])
        return self.known.any_artist(self.rows, keys)

    @cached_property
    def gone(self) -> np.ndarray:
        """Carried rows of a track that the catalog does not list and that is no candidate of the listener any more."""
        out = np.zeros(len(self.rows), np.bool_)
        here = self.rows.within(CARRIED)
        lost = np.flatnonzero(~self.tracks.listed[self.track[here]]) + here.start
        if len(lost):
            own, n = self.rows.within(CANDIDATE), np.int64(max(len(self.tracks), 1))
            keys = self.listener[own] * n + self.track[own]
            out[lost] = ~np.isin(self.listener[lost] * n + self.track[lost], keys)
        return out

    @cached_property
    def explicit_ok(self) -> np.ndarray:
        """bool by listener; unknown = yes."""
        return self._roster["explicit_ok"].fill_null(True).to_numpy()

    @cached_property
    def elsewhere(self) -> np.ndarray:
        """The track plays in some markets, and the listener's is none of them."""
        markets: Bag = self.tracks.markets
        code = markets.code(self._roster["market"])
        code[self._roster["market"].is_null().to_numpy()] = -2
        return _plays_elsewhere(self.listener, self.track, markets.bounds, markets.codes, code)

    def shown(self, shelf_id: str, days: int) -> np.ndarray:
        """The recording was shown on the shelf in the last days: by impressions of who has any, else where it was placed."""
        key = (shelf_id, days)
        if key not in self._shown:
            pieces = np.zeros(self.rows.pieces, np.bool_)
            for items in () if self.night.greedy else self._stood(shelf_id, days):
                track = self.tracks.rows(items["track_id"])
                there = track >= 0
                who = items["listener"].to_numpy()[there]
                found = self.rows.find(who, self.tracks.recording[track[there]])
                pieces[found[found >= 0]] = True
            self._shown[key] = pieces
        return self._shown[key][self.piece]

    def _stood(self, shelf_id: str, days: int) -> Iterator[pl.DataFrame]:
        """(listener, track_id) of what was shown on the shelf, and of who has no impressions what was placed on it."""
        logged = pl.Series("listener", [], pl.UInt32)
        if self._impressions is not None:
            ago = (pl.lit(self.night.date) - pl.col("shown_at").dt.date()).dt.total_days()
            lately = self._impressions.filter((ago >= 0) & (ago < days))
            logged = lately["listener"].unique()
            yield lately.filter(pl.col("shelf_id") == shelf_id).select("listener", "track_id")
        if self._previous is not None:
            age = (pl.lit(self.night.date) - pl.col("run_date")).dt.total_days()
            yield (
                self._previous.filter((pl.col("shelf_id") == shelf_id) & (age > 0) & (age <= days))
                .filter(~pl.col("listener").is_in(logged.implode()))
                .select("listener", "items")
                .explode("items", keep_nulls=False)
                .select("listener", pl.col("items").struct.field("track_id"))
            )


@compiled
def _plays_elsewhere(
    listener: np.ndarray, track: np.ndarray, bounds: np.ndarray, codes: np.ndarray, market: np.ndarray
) -> np.ndarray:
    out = np.zeros(len(listener), np.bool_)
    for row in range(len(listener)):
        wanted = market[listener[row]]
        first, last = bounds[track[row]], bounds[track[row] + 1]
        if first == last or wanted == -2:
            continue
        out[row] = True
        for at in range(first, last):
            if codes[at] == wanted:
                out[row] = False
                break
    return out
