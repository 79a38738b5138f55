"""What ingest does to people's names before a row goes anywhere: pseudonyms where there is a key, the forgotten refused.

parsed lines -> ids replaced under the key -> rows of forgotten listeners refused, nothing of them kept -> cleaning
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from transforms.formats.base import Parsed
from transforms.formats.columns import REJECT_COLUMNS
from transforms.privacy.forgotten import REASON, Forgotten, prints_of
from transforms.privacy.pseudonyms import Pseudonyms


@dataclass(frozen=True)
class People:
    """The key of pseudonyms (None: ids stay as they came), and who was forgotten."""

    names: Pseudonyms | None
    gone: Forgotten

    def of_log(self, parsed: Parsed) -> Parsed:
        """A block of a log; every row still accounted for."""
        rejects = self.of_rejects(parsed.rejects)
        if self.names is None and not self.gone:
            return replace(parsed, rejects=rejects)
        plays = self._named(parsed.plays)
        catalog, artists = parsed.catalog, parsed.artists
        mask = self._gone(plays)
        if mask.any():
            refused = plays.filter(pl.Series(mask)).select(
                pl.col("line").cast(REJECT_COLUMNS["line"]),
                pl.lit(REASON).alias("reason"),
                pl.lit(None, dtype=pl.String).alias("raw"),
                pl.lit(None, dtype=pl.Int32).alias("listener_print"),
            )
            plays = plays.filter(pl.Series(~mask))
            catalog = catalog.join(plays.select("track_id").unique(), on="track_id", how="semi")
            artists = _credited(artists, catalog)
            rejects = pl.concat([rejects, refused]).sort("line", "reason", "raw")
        return replace(parsed, plays=plays, catalog=catalog, rejects=rejects, artists=artists)

    def of_table(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, np.ndarray | None]:
        """A table's file: its rows, and which of them are of forgotten listeners (None: it names no listener)."""
        if "listener_id" not in frame.columns or (self.names is None and not self.gone):
            return frame, None
        known = self._named(frame.with_columns(pl.col("listener_id").cast(pl.String)))
        return known, self._gone(known)

    def of_rejects(self, rejects: pl.DataFrame) -> pl.DataFrame:
        """Refused lines with 16 bits of a hash for the listener: line, reason, raw, listener_print.

        With a key nothing of their text stays, not even of those that name nobody; of somebody forgotten nothing ever.
        """
        if self.names and rejects.height:
            rejects = self._named(self.names.rejects(rejects))
        gone = pl.Series(self._gone(rejects))
        whose = rejects["listener_id"].to_list() if rejects.height else []
        marked = rejects.drop("listener_id").with_columns(pl.Series("listener_print", prints_of(whose), dtype=pl.Int32))
        if not gone.any():
            return marked
        kept = [pl.when(~gone).then(c).alias(c) for c in ("raw", "listener_print")]
        return marked.with_columns(*kept)

    def _named(self, frame: pl.DataFrame) -> pl.DataFrame:
        return self.names.rows(frame) if self.names and frame.height else frame

    def _gone(self, frame: pl.DataFrame) -> np.ndarray:
        if "listener_id" not in frame.columns:
            return np.zeros(frame.height, dtype=bool)
        return self.gone.mask(frame["listener_id"])


def _credited(artists: pl.DataFrame, catalog: pl.DataFrame) -> pl.DataFrame:
    """Names of artists whom a track of the catalog credits."""
    if not artists.height or "artist_ids" not in catalog.columns:
        return artists.clear()
    credited = catalog.select(artist_id="artist_ids").explode("artist_id").unique()
    return artists.join(credited, on="artist_id", how="semi")
