"""A signal's features of stored candidates, as of any date: what a trial compares, without making a night again.

    at = SignalAt(url, "volume", signal, settings.signals, settings.library, today)
    at.columns(rows, night, upto=night)                      # as the night would have had them
    at.columns(rows, night, upto=night - timedelta(7))       # as they stood a week before

Sums of listens are those of the window that ends with `upto`. A value of a table counts if its own time is not later than that,
whenever it was ingested: a table of a year's history can be tried on nights that are long made.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import polars as pl
from scipy import sparse

from models.vocabulary import Vocabulary
from transforms.common.clock import Clock
from transforms.formats.base import end_of
from transforms.listening.library import LibrarySettings, merge, with_activation
from transforms.signals.declared import Signal
from transforms.signals.features import SUM_KEY, Said, features
from transforms.signals.fold import LISTENER, TRACK
from transforms.signals.profiles import TrackSignals, added_up, latest
from transforms.signals.settings import SignalSettings
from transforms.tables.as_of import as_of
from transforms.tables.manifest import Heading
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse

VALUES, TRACK_VALUES = "signal_values", "track_values"


@dataclass(frozen=True)
class SignalAt:
    """One signal of a warehouse.

    Attributes:
        today: tables that were ingested up to this date are read.
    """

    url: str
    name: str
    signal: Signal
    settings: SignalSettings
    library: LibrarySettings
    today: date

    def columns(self, rows: pl.DataFrame, night: date, upto: date, clock: Clock | None = None) -> dict[str, np.ndarray]:
        """The signal's features of candidates, float32 [n] by name, NaN where nothing is known.

        Args:
            rows: listener_id, track_id.
            night: whose library tells what listeners play.
            upto: the last date that the signal knows.
            clock: counts what the features alone take, as they do in scoring, and the listeners; not the reading of tables.
        """
        people = rows["listener_id"].unique().sort()
        held = self._mine(people)
        plays = self._plays(night, people)
        track_sums = self._sums(TRACK, upto)
        ids = [rows["track_id"], plays["track_id"], track_sums["track_id"], self._of_tracks["track_id"]]
        vocabulary = Vocabulary.build(pl.concat(ids))
        one = {self.name: self.signal}
        before = pl.col("at") < end_of(upto)
        tracks = TrackSignals.fit(track_sums, self._of_tracks.filter(before), one, vocabulary.rows, len(vocabulary))
        sums = self._sums(LISTENER, upto, people)
        said = Said(sums, latest(held.filter(before), ["listener_id", "signal", "track_id"]))
        where = _rows(people, plays["listener_id"]), vocabulary.rows(plays["track_id"])
        shape = (len(people), len(vocabulary))
        history = sparse.csr_matrix((plays["weight"].to_numpy(), where), shape=shape, dtype=np.float32)
        pairs = _rows(people, rows["listener_id"]), vocabulary.rows(rows["track_id"])
        with (clock or Clock()).part("signal", len(people)):
            return features(said, people.to_list(), history, tracks, one, pairs, vocabulary.rows)

    def later(self, rows: pl.DataFrame, night: date, last: date) -> tuple[int, int]:
        """Values of a table about these candidates' listeners and tracks: held by the night, stamped after it up to `last`."""
        values = self._of_tracks if self.signal.of == "track" else self._mine(rows["listener_id"].unique())
        if self.signal.of != "listener":
            values = values.join(rows.select("track_id").unique(), on="track_id", how="semi")
        at = values["at"]
        known = int((at < end_of(night)).sum())
        return known, int((at < end_of(last)).sum()) - known

    def bytes_a_day(self, night: date) -> float:
        """Bytes of the signal's rows of a date, by their share of the rows of their tables; of values all there are."""
        total = 0.0
        past = as_of(self.url, night)
        folded = [m for t in (LISTENER, TRACK) if (m := past.current(t, night))]
        given = [m for t in (VALUES, TRACK_VALUES) for m in as_of(self.url, self.today).every(t)]
        for manifest in (*folded, *given):
            rows = self._read(manifest, ["signal"])
            share = rows.height / max(manifest.rows, 1)
            total += share * sum(file.bytes for file in past.warehouse.whole(manifest).files)
        return total

    @cached_property
    def _of_tracks(self) -> pl.DataFrame:
        return self._every(TRACK_VALUES)

    @cached_property
    def _values(self) -> pl.DataFrame:
        return self._every(VALUES)

    def _mine(self, people: pl.Series) -> pl.DataFrame:
        return self._values.filter(pl.col("listener_id").is_in(people.implode()))

    def _every(self, table: str) -> pl.DataFrame:
        found = [self._read(m) for m in as_of(self.url, self.today).every(table)]
        return pl.concat([TABLES[table].empty(), *found])

    def _sums(self, table: str, upto: date, people: pl.Series | None = None) -> pl.DataFrame:
        key = SUM_KEY if table == LISTENER else ["track_id", "signal", "value"]
        days = [self._read(m) for m in as_of(self.url, upto).window(table, self.settings.window_days)]
        if people is not None:
            days = [frame.filter(pl.col("listener_id").is_in(people.implode())) for frame in days]
        return added_up(days, key)

    def _read(self, manifest: Heading, columns: list[str] | None = None) -> pl.DataFrame:
        return Warehouse(self.url).read_manifest(manifest, columns).filter(pl.col("signal") == self.name)

    def _plays(self, night: date, people: pl.Series) -> pl.DataFrame:
        """listener_id, track_id, weight of what these listeners heard by the night."""
        past = as_of(self.url, night)
        mine = pl.col("listener_id").is_in(people.implode())
        parts = [Warehouse(self.url).read_manifest(m).filter(mine) for m in past.library()]
        known = with_activation(merge(parts), night, self.library.decay, self.library.half_life_days)
        heard = known.filter((pl.col("heard") > 0) & (pl.col("decayed_plays") > 0))
        return heard.select("listener_id", "track_id", weight=pl.col("decayed_plays").cast(pl.Float32))


def _rows(people: pl.Series, ids: pl.Series) -> np.ndarray:
    return np.asarray(people.search_sorted(ids), np.int64)
