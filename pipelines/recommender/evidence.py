"""What a fit reads, and the numbers of listeners and tracks that all parts share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from scipy import sparse

from models.checkpoints import Checkpoints
from models.vocabulary import Vocabulary
from transforms.signals.declared import Signal


@dataclass(frozen=True)
class SignalEvidence:
    """What is known of tracks by signals: the sums of the window, the values that hold, and what was declared."""

    sums: pl.DataFrame
    held: pl.DataFrame
    signals: dict[str, Signal]


@dataclass(frozen=True)
class Evidence:
    """What a fit reads, all of it as of the fit date.

    Attributes:
        library: `listener` (uint64 hash), `track_id`, `value` (plays heard, plus one if saved), one row a pair, sorted by
            listener; where known `recency`, what the pair counts in popularity (halved with every half-life; else 1).
        plays: `listener`, `session` (int, grows with time), `track_id`, `started_at` where known, in order of play.
        tracks: table `tracks`.
        markets: `listener`, `market` of listeners whose market is known.
        pairs: the co-listens window; stats, recent: the track-statistics window, slow and fast half-life.
        sample: table `session_sample`; None = nothing is learned of how sessions go on.
        signals: what signals say of tracks; None = there are none.
        shown: `listener`, `night`, `track_id`, `heard_before`, `reward`, `played`, `looked_at` of tracks that impressions show
            (`transforms.outcomes.preferences`); None = nothing is learned of preferences.
        checkpoints: where models keep their epochs, so that a second attempt goes on where the first died; None = nowhere.
    """

    library: pl.DataFrame
    plays: pl.DataFrame
    tracks: pl.DataFrame
    pairs: pl.DataFrame
    stats: pl.DataFrame
    recent: pl.DataFrame
    sample: pl.DataFrame | None = None
    markets: pl.DataFrame | None = None
    checkpoints: Checkpoints | None = None
    signals: SignalEvidence | None = None
    shown: pl.DataFrame | None = None

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Each track that somebody played and each track of the catalog: n rows, row 0 for what is not known."""
        heard = [self.library["track_id"], self.plays["track_id"], self.tracks["track_id"]]
        return Vocabulary.build(pl.concat(heard))

    @cached_property
    def ids(self) -> list[str]:
        """The vocabulary's track ids, row by row."""
        return self.vocabulary.ids.to_list()

    @cached_property
    def listeners(self) -> pl.Series:
        """The hashes of the library's listeners, sorted."""
        return self.library["listener"].unique().sort()

    @cached_property
    def rows(self) -> np.ndarray:
        """int32: of each pair of the library, the listener's number among `listeners`."""
        return np.asarray(self.listeners.search_sorted(self.library["listener"]), np.int32)

    @cached_property
    def items(self) -> np.ndarray:
        """int32: of each pair of the library, the track's row of the vocabulary."""
        return self.vocabulary.rows(self.library["track_id"])

    @cached_property
    def heard(self) -> sparse.csr_matrix:
        """The library's values, float32 [listeners, n]."""
        values = self.library["value"].cast(pl.Float32).to_numpy()
        shape = (len(self.listeners), len(self.vocabulary))
        return sparse.csr_matrix((values, (self.rows, self.items)), shape=shape)
