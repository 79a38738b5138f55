"""What ingest does to people's names before a row goes anywhere: pseudonyms where there is a key, the forgotten refused.

parsed lines -> ids replaced under the key -> rows of forgotten listeners refused, nothing of them kept -> cleaning
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from transforms.forgotten import REASON, Forgotten
from transforms.pseudonyms import Pseudonyms
from transforms.sources.base import REJECT_COLUMNS, Parsed


@dataclass(frozen=True)
class People:
    """The key of pseudonyms (None: ids stay as they came), and who was forgotten."""

    names: Pseudonyms | None
    gone: Forgotten

    def of_log(self, parsed: Parsed) -> Parsed:
        """A block of a log; every row still accounted for."""
        if self.names is None and not self.gone:
            return parsed
        plays = self._named(parsed.plays)
        rejects = self.of_rejects(parsed.rejects)
        catalog = parsed.catalog
        mask = self._gone(plays)
        if mask.any():
            refused = plays.filter(pl.Series(mask)).select(
                pl.col("line").cast(REJECT_COLUMNS["line"]),
                pl.lit(REASON).alias("reason"),
                pl.lit(None, dtype=pl.String).alias("raw"),
            )
            plays = plays.filter(pl.Series(~mask))
            catalog = catalog.join(plays.select("track_id").unique(), on="track_id", how="semi")
            rejects = pl.concat([rejects, refused]).sort("line", "reason", "raw")
        return Parsed(plays, catalog, rejects, parsed.rows)

    def of_table(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, np.ndarray | None]:
        """A table's file: its rows, and which of them are of forgotten listeners (None: it names no listener)."""
        if "listener_id" not in frame.columns or (self.names is None and not self.gone):
            return frame, None
        known = self._named(frame.with_columns(pl.col("listener_id").cast(pl.String)))
        return known, self._gone(known)

    def of_rejects(self, rejects: pl.DataFrame) -> pl.DataFrame:
        """Refused lines; with a key nothing of their text stays, not even of those that name nobody."""
        return self.names.rejects(rejects) if self.names and rejects.height else rejects

    def _named(self, frame: pl.DataFrame) -> pl.DataFrame:
        return self.names.rows(frame) if self.names and frame.height else frame

    def _gone(self, frame: pl.DataFrame) -> np.ndarray:
        if "listener_id" not in frame.columns:
            return np.zeros(frame.height, dtype=bool)
        return self.gone.mask(frame["listener_id"])
