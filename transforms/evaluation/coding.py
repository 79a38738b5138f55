"""Listeners and items as numbers for as long as lists are measured: strings are looked up once a list, and compared never.

codes = Codes.of(listeners, lists, facts)
codes.coded(listed)             listener_id, item as numbers; tracks as their recordings, other listeners left out
codes.named(rows)               the names again
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from transforms.evaluation.facts import MeasureFacts
from transforms.outcomes.join import with_recording


@dataclass(frozen=True)
class Codes:
    """Numbers of listeners and items, both in order of their names.

    Attributes:
        listeners: listener_id, row.
        items: item, code.
        tracks: track_id, code of its recording; a track that the catalog does not know stands for itself.
    """

    listeners: pl.DataFrame
    items: pl.DataFrame
    tracks: pl.DataFrame

    @classmethod
    def of(cls, listeners: pl.Series, lists: Iterable[pl.DataFrame], facts: MeasureFacts, *items: pl.Series) -> Codes:
        """Of these listeners, and of every item that lists, facts or `items` hold.

        Args:
            lists: with `item` or `track_id`.
        """
        every = list(lists)
        tracks = pl.concat([facts.recordings["track_id"], *(f["track_id"] for f in every if "item" not in f.columns)])
        recorded = with_recording(pl.DataFrame({"track_id": tracks.unique()}), facts.recordings)
        held = (f["item"] for f in every if "item" in f.columns)
        known = (facts.popularity["item"], facts.credits["item"], recorded["recording_id"])
        coded = _numbered("item", pl.concat([*known, *items, *held]), "code")
        by_track = recorded.join(coded, left_on="recording_id", right_on="item").select("track_id", "code")
        return cls(_numbered("listener_id", listeners, "row"), coded, by_track)

    def coded(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows of the known listeners with numbers for `listener_id` and `item` (or `track_id`), in their given order."""
        item = "item" if "item" in frame.columns else "track_id"
        found = frame.join(self.listeners, on="listener_id", maintain_order="left")
        found = found.join(self.items if item == "item" else self.tracks, on=item, maintain_order="left")
        return found.drop("listener_id", item).rename({"row": "listener_id", "code": "item"})

    def items_of(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows with a number for `item`."""
        found = frame.join(self.items, on="item", maintain_order="left")
        return found.drop("item").rename({"code": "item"})

    def named(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows with names for the numbers in `listener_id` and `item`."""
        names = {"listener_id": self.listeners["listener_id"], "item": self.items["item"]}
        return frame.with_columns(
            names[column].gather(frame[column]).alias(column) for column in names if column in frame.columns
        )


def _numbered(name: str, values: pl.Series, number: str) -> pl.DataFrame:
    distinct = values.unique().sort().alias(name)
    return pl.DataFrame({name: distinct, number: pl.int_range(len(distinct), dtype=pl.UInt32, eager=True)})
