"""What a rule may read of a block's rows. The shelves' own facts (`transforms.shelves.facts`) answer to it.

Every array "by row" has an entry for each row of the block: a candidate of a listener, or an item carried from an earlier
shelf. `listener` and `track` lead from a row to arrays by listener and by track.

    explicit and not wanted:    facts.tracks.explicit[facts.track] & ~facts.explicit_ok[facts.listener]
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from transforms.shelves.tracks import Tracks


class Facts(Protocol):
    """What is known of a block's rows; a rule reads nothing else."""

    tracks: Tracks
    listener: np.ndarray
    track: np.ndarray

    @property
    def cutoff_us(self) -> int:
        """The end of the night's date, microseconds since 1970."""

    @property
    def night_number(self) -> int:
        """The night's date, days since 1970-01-01."""

    @property
    def heard(self) -> np.ndarray:
        """bool by row: any track of the recording was heard or is owned."""

    @property
    def sampled(self) -> np.ndarray:
        """int64 by row: last play of the recording that was no more than sampled, microseconds since 1970; -1 = never."""

    @property
    def last_heard(self) -> np.ndarray:
        """int64 by row: last play of the recording that was heard, likewise."""

    @property
    def history_days(self) -> np.ndarray:
        """float64 by listener: days since the first play that is known of them, NaN where none is."""

    @property
    def rhythm_days(self) -> np.ndarray:
        """float64 by listener: median days since they last heard a track that they heard more than once, NaN without one."""

    @property
    def artist_heard(self) -> np.ndarray:
        """bool by row: any track of the block's rows that credits one of the artists was heard by the listener."""

    @property
    def gone(self) -> np.ndarray:
        """bool by row: carried, of a track that the catalog does not list and that is no candidate of the listener any more."""

    @property
    def explicit_ok(self) -> np.ndarray:
        """bool by listener; unknown = yes."""

    @property
    def elsewhere(self) -> np.ndarray:
        """bool by row: the track plays in some markets, and the listener's is none of them."""

    def column(self, name: str) -> np.ndarray:
        """float32 by row, NaN where nothing is known."""

    def act(self, kind: str) -> np.ndarray:
        """bool by row: the listener gave such feedback on any track of the recording."""

    def artist_act(self, kind: str) -> np.ndarray:
        """bool by row: the listener gave such feedback on any artist credited."""

    def shown(self, shelf_id: str, days: int) -> np.ndarray:
        """bool by row: the recording was shown on the shelf in the last days, by impressions where the listener has any of
        these days, else where it was placed."""
