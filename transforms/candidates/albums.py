"""The rest of albums under way: unheard tracks of albums of which one heard some, and the track that comes next.

    liked(u, a) = log(1 + sum over u's tracks on a of decayed plays) * (share of a that u heard)^1/2
    score(u, i) = liked(u, album of i) * (2 if the track before i was heard, else 1)

A single is no album, and neither is an id that hundreds of tracks share: albums have 2 to 200 tracks here. Where the catalog
knows no albums there is no such source.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
import polars as pl
from scipy import sparse

from transforms.candidates.base import Limited, Scores, Source, SourceInputs, SparseScores, largest, strongest_link
from transforms.candidates.blocks import Block, Catalog
from transforms.candidates.history import POSITIVE

UNDER_WAY = 200  # albums of a listener
LARGEST = 200  # tracks of an album
NEXT = 1.0  # added to the weight of what comes next


@dataclass(frozen=True)
class Albums(Source):
    """The source `albums`.

    Attributes:
        catalog: with albums.
        most: tracks a listener.
    """

    catalog: Catalog
    most: int = 150

    name: ClassVar[str] = "albums"
    reason: ClassVar[str] = "same_album"
    precedence: ClassVar[int] = 42
    knows_unplayed: ClassVar[bool] = True

    @classmethod
    def of(cls, inputs: SourceInputs) -> Self | None:
        """Of a catalog with albums."""
        known = (inputs.catalog.album >= 0).any() and inputs.settings.albums
        return cls(inputs.catalog) if known else None

    @cached_property
    def on(self) -> sparse.csr_matrix:
        """1 where a track is on an album: [n_items, 1 + albums]; column 0 is empty."""
        album = self.catalog.album.astype(np.int64)
        known = np.flatnonzero(album >= 0)
        size = np.bincount(album[known])
        known = known[(size[album[known]] > 1) & (size[album[known]] <= LARGEST)]
        return sparse.csr_matrix(
            (np.ones(len(known), np.float32), (known, album[known] + 1)), shape=(len(album), len(size) + 1)
        )

    @cached_property
    def following(self) -> sparse.csr_matrix:
        """1 from a track to the one after it on its album: [n_items, n_items]."""
        known = np.flatnonzero((np.diff(self.on.indptr) > 0) & (self.catalog.album_position >= 0)).astype(np.int32)
        frame = pl.DataFrame(
            {"item": known, "album": self.catalog.album[known], "place": self.catalog.album_position[known]}
        )
        pairs = frame.with_columns(place=pl.col("place") + 1).join(frame, on=["album", "place"], suffix="_next")
        at = (pairs["item"].to_numpy(), pairs["item_next"].to_numpy())
        return sparse.csr_matrix((np.ones(len(pairs), np.float32), at), shape=(len(self.catalog),) * 2)

    def score(self, block: Block) -> Scores:
        """Albums under way, spread over their tracks."""
        plays = block.matrix(pl.when(POSITIVE > 0).then(pl.col("decayed_plays") + 0.05).otherwise(0.0))
        heard = plays.copy()
        heard.data[:] = 1.0
        size = np.maximum(np.asarray(self.on.sum(axis=0)).ravel(), 1.0)
        liked, count = sparse.csr_matrix(plays @ self.on), sparse.csr_matrix(heard @ self.on)
        liked.sort_indices()
        count.sort_indices()  # the same places are filled in both
        liked.data = np.log1p(liked.data) * np.sqrt(count.data / size[count.indices])
        spread = sparse.csr_matrix(largest(liked.astype(np.float32), UNDER_WAY) @ self.on.T)
        follows = sparse.csr_matrix(heard @ self.following)
        follows.data[:] = NEXT
        return Limited(SparseScores(sparse.csr_matrix(spread + spread.multiply(follows))), self.most)

    def explain(self, block: Block, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """The album's track that was played most."""
        plays = block.matrix(pl.when(POSITIVE > 0).then(pl.col("decayed_plays") + 0.05).otherwise(0.0))
        distinct, place = np.unique(items, return_inverse=True)
        same = sparse.csr_matrix(self.on[distinct] @ self.on.T)
        same.sort_indices()
        return strongest_link(plays, same, rows, place)
