"""Listeners and items as numbers for as long as lists are measured: strings are looked up once a chunk, and compared never.

codes = Codes.of(listeners, facts, tracks=[candidates["track_id"]])
codes.coded(listed)             listener_id, item as numbers; tracks as their recordings, other listeners left out

An item that is known by the night has the same number in every chunk (`MeasureFacts.items`), so counts add up as numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from transforms.common.hashing import stable_hash
from transforms.evaluation.facts import MeasureFacts, numbered


@dataclass(frozen=True)
class Codes:
    """Numbers of listeners and items.

    Attributes:
        listeners: listener_id, row; in order of their names.
        items: item, code; those of the facts and, after them, others.
        tracks: track_id, code of its recording, hash; a track that the catalog does not know stands for itself.
    """

    listeners: pl.DataFrame
    items: pl.DataFrame
    tracks: pl.DataFrame

    @classmethod
    def of(
        cls,
        listeners: pl.Series,
        facts: MeasureFacts,
        *,
        items: Iterable[pl.Series] = (),
        tracks: Iterable[pl.Series] = (),
    ) -> Codes:
        """Of these listeners, and of every item and track that is known by the facts or given."""
        known = numbered(listeners.alias("listener_id"), "row")
        other = _others("track_id", tracks, facts.tracks)
        more = _others("item", (*items, other.to_series()), facts.items)
        more = more.sort("item").with_row_index("code", facts.items.height).select("item", "code")
        every = pl.concat([facts.items, more])
        alone = other.join(every, left_on="track_id", right_on="item")
        alone = alone.with_columns(hash=stable_hash(alone["track_id"]))
        return cls(known, every, pl.concat([facts.tracks, alone]))

    def coded(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows of the known listeners with numbers for `listener_id` and `item` (or `track_id`, which adds `hash`), in their
        given order."""
        found = frame.join(self.listeners, on="listener_id", maintain_order="left").drop("listener_id")
        by, of = ("item", self.items) if "item" in frame.columns else ("track_id", self.tracks)
        found = found.join(of, on=by, maintain_order="left").drop(by)
        return found.rename({"row": "listener_id", "code": "item"})

    def in_order(self, candidates: pl.DataFrame) -> pl.DataFrame:
        """`coded`, sorted by listener and by what breaks ties; other columns are copied once."""
        keys = self.coded(candidates.select("listener_id", "track_id").with_row_index("at"))
        keys = keys.sort("listener_id", "hash", maintain_order=True)
        rest = candidates.drop("listener_id", "track_id")[keys["at"]]
        return rest.with_columns(keys["listener_id"], keys["item"])


def _others(name: str, values: Iterable[pl.Series], known: pl.DataFrame) -> pl.DataFrame:
    """Distinct values that are not known, as a column of this name."""
    every = pl.concat([pl.Series(name, [], dtype=pl.String), *(v.unique().alias(name) for v in values)])
    return every.unique().to_frame().join(known, on=name, how="anti")
