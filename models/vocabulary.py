"""Vocabulary: the one place where a track id becomes a row of a model's matrices.

Row 0 is the unknown track, so a track that came after the fit needs no special case. Rows are ordered by
`stable_hash(track_id)`, then track_id: published files number ids by first appearance, and an order that means
something would leak it. It also makes "the smaller row" the tie break by hash that every table asks for.

    >>> v = Vocabulary.build(["t1", "t2", "t1"])
    >>> len(v), v.rows(["t2", "unheard of"]).tolist() == [v.ids.to_list().index("t2"), 0]
    (3, True)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.common.errors import UserError
from transforms.common.hashing import stable_hash

UNKNOWN = 0


@dataclass(frozen=True)
class Vocabulary:
    """Track ids by row; `ids[0]` is null and stands for every unknown track."""

    ids: pl.Series

    @classmethod
    def build(cls, track_ids: pl.Series | Sequence[str]) -> Vocabulary:
        """Vocabulary of the distinct, non-null ids, in hash order."""
        distinct = pl.Series("track_id", track_ids, dtype=pl.String).drop_nulls().unique()
        ordered = (
            pl.DataFrame({"track_id": distinct, "hash": stable_hash(distinct) if len(distinct) else []})
            .sort("hash", "track_id")
            .get_column("track_id")
        )
        return cls(pl.concat([pl.Series("track_id", [None], dtype=pl.String), ordered.cast(pl.String)]))

    def __len__(self) -> int:
        """Number of rows, the unknown one included."""
        return len(self.ids)

    @cached_property
    def _lookup(self) -> pl.DataFrame:
        return pl.DataFrame({"track_id": self.ids, "row": np.arange(len(self.ids), dtype=np.int32)})[1:]

    def rows(self, track_ids: pl.Series | Sequence[str]) -> np.ndarray:
        """int32 row of each id, in the order given; 0 for null and for ids that are not here."""
        asked = pl.DataFrame({"track_id": pl.Series("track_id", track_ids, dtype=pl.String)})
        joined = asked.join(self._lookup, on="track_id", how="left", maintain_order="left")
        return joined["row"].fill_null(UNKNOWN).cast(pl.Int32).to_numpy()

    def frame(self) -> pl.DataFrame:
        """Columns track_id and row (int32) without the unknown row, for joins."""
        return self._lookup

    def save(self, path: str | Path) -> None:
        """Write one Parquet column `track_id`, a row of the file being a row of the vocabulary.

        By Arrow: Polars cuts pages by the number of its threads, so equal ids were other files on other machines.
        """
        column = pa.table({"track_id": self.ids.rechunk().to_arrow()})
        pq.write_table(column, path, compression="zstd", write_statistics=False)

    @classmethod
    def load(cls, path: str | Path) -> Vocabulary:
        """Read what `save` wrote.

        Raises:
            UserError: the file's first row is not the unknown track.
        """
        ids = pl.read_parquet(path, columns=["track_id"])["track_id"]
        if not len(ids) or ids[0] is not None:
            raise UserError(f"{Path(path).name} is no vocabulary: its first row should be null (the unknown track).")
        return cls(ids)
