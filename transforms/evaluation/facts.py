"""What was known of tracks by a night, over all listeners: what every step of an evaluation reads."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class MeasureFacts:
    """What was known of tracks by the night, over all listeners.

    Attributes:
        recordings: track_id, recording_id.
        popularity: item (recording), listeners who had played it.
        credits: item, artist_id.
        listeners: how many had played anything.
    """

    recordings: pl.DataFrame
    popularity: pl.DataFrame
    credits: pl.DataFrame
    listeners: int
