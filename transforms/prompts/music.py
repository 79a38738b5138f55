"""The catalog as arrays that a prompt's constraints are executed on: every track a row, every question a mask.

Rows are those of the models' vocabulary (row 0 = unknown), so that scores of models fit without a look-up. A mask over 200,000
tracks takes a tenth of a millisecond, so a constraint is executed on the whole catalog and never on a shortlist.

    >>> music = Music.build(["", "t1", "t2"], tracks)
    >>> music.credited(["a1"]).tolist()            # by main artist or guest
    [False, True, False]
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from scipy import sparse

from transforms.common.text import name_key, normalised_title

UNKNOWN_MS = 210_000.0  # the length of a track whose length is unknown, as sessions count it


@dataclass(frozen=True)
class Music:
    """Arrays over n rows.

    Attributes:
        track_ids: object[n], "" in row 0; recording, title, main_artist: int32[n], dense, -1 unknown.
        artists, tags: CSC [n, values] of ones; artist_ids, tag_ids: object[values].
        markets: CSC [n, markets] of ones where a track is licensed; everywhere: bool[n], no market is named.
        released: int32[n], days since 1970-01-01, -10^9 unknown; duration_ms: float32[n], NaN unknown.
        explicit, clean: bool[n]; a track of which nobody says either is neither, as on shelves.
        plays: float32[n], how much a track is played by all.
    """

    track_ids: np.ndarray
    recording: np.ndarray
    title: np.ndarray
    main_artist: np.ndarray
    artists: sparse.csc_matrix
    artist_ids: np.ndarray
    tags: sparse.csc_matrix
    tag_ids: np.ndarray
    markets: sparse.csc_matrix
    market_ids: np.ndarray
    everywhere: np.ndarray
    released: np.ndarray
    duration_ms: np.ndarray
    explicit: np.ndarray
    clean: np.ndarray
    plays: np.ndarray

    def __len__(self) -> int:
        return len(self.track_ids)

    @classmethod
    def build(cls, track_ids: Sequence[str], tracks: pl.DataFrame, plays: np.ndarray | None = None) -> Music:
        """Align table `tracks` to a vocabulary (row 0 a placeholder); tracks that it does not list are of unknown everything."""
        n = len(track_ids)
        rows = pl.DataFrame({"track_id": pl.Series(list(track_ids)[1:], dtype=pl.String)})
        known = tracks.unique("track_id", keep="first", maintain_order=True)
        mine = rows.join(known, on="track_id", how="left", maintain_order="left").with_columns(
            item=pl.int_range(1, pl.len() + 1, dtype=pl.Int32),
            words=normalised_title(pl.col("title")),
            main=pl.col("artist_ids").list.first(),
            recording_id=pl.coalesce("recording_id", "track_id"),
        )
        artists, artist_ids = _bag(mine, "artist_ids", n)
        tags, tag_ids = _bag(mine, "tags", n)
        markets, market_ids = _bag(mine, "markets", n)
        main = {a: i for i, a in enumerate(artist_ids)}
        days = mine["released_on"].cast(pl.Int32).fill_null(-(10**9)).to_numpy()
        return cls(
            track_ids=np.array(["", *list(track_ids)[1:]], dtype=object),
            recording=_dense(mine["recording_id"]),
            title=_dense(mine["words"]),
            main_artist=np.array([-1, *(main.get(a, -1) for a in mine["main"].to_list())], np.int32),
            artists=artists,
            artist_ids=artist_ids,
            tags=tags,
            tag_ids=tag_ids,
            markets=markets,
            market_ids=market_ids,
            everywhere=np.concatenate([[False], mine["markets"].is_null().to_numpy()]),
            released=np.concatenate([[-(10**9)], days]).astype(np.int32),
            duration_ms=np.concatenate([[np.nan], mine["duration_ms"].cast(pl.Float32).to_numpy()]).astype(np.float32),
            explicit=np.concatenate([[False], mine["explicit"].fill_null(False).to_numpy()]).astype(bool),
            clean=np.concatenate([[False], (~mine["explicit"]).fill_null(False).to_numpy()]).astype(bool),
            plays=np.zeros(n, np.float32) if plays is None else plays.astype(np.float32),
        )

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Track id -> row."""
        return {t: n for n, t in enumerate(self.track_ids.tolist()) if n}

    @cached_property
    def tag_of(self) -> dict[str, int]:
        """Tag -> column of `tags`."""
        return {t: n for n, t in enumerate(self.tag_ids.tolist())}

    @cached_property
    def market_of(self) -> dict[str, int]:
        """Market -> column of `markets`."""
        return {m: n for n, m in enumerate(self.market_ids.tolist())}

    @cached_property
    def by_recording(self) -> sparse.csr_matrix:
        """CSR [recordings, n]: the rows of each recording."""
        n = len(self)
        return sparse.csr_matrix(
            (np.ones(n - 1, np.int8), (self.recording[1:], np.arange(1, n))),
            (int(self.recording.max(initial=0)) + 1, n),
        )

    @cached_property
    def length_ms(self) -> np.ndarray:
        """float32[n]: a track's length, assumed where it is unknown."""
        return np.nan_to_num(self.duration_ms, nan=UNKNOWN_MS)

    @cached_property
    def _by_track(self) -> sparse.csr_matrix:
        return self.artists.tocsr()

    def credits(self, row: int) -> list[int]:
        """Columns of `artists` of everybody credited on a track."""
        by_track = self._by_track
        return by_track.indices[by_track.indptr[row] : by_track.indptr[row + 1]].tolist()

    def rows(self, ids: Iterable[str]) -> np.ndarray:
        """Rows of track ids that the catalog has."""
        return np.array([self.row_of[i] for i in ids if i in self.row_of], np.int64)

    def versions(self, rows: np.ndarray) -> np.ndarray:
        """bool[n]: every version (recording) of some rows."""
        out = np.zeros(len(self), bool)
        for group in np.unique(self.recording[rows[rows > 0]]).tolist():
            out[self.by_recording.indices[self.by_recording.indptr[group] : self.by_recording.indptr[group + 1]]] = True
        return out

    def credited(self, ids: Iterable[str]) -> np.ndarray:
        """bool[n]: tracks that credit any of these artists, however the name is spelt."""
        return _any(self.artists, self.artist_columns(ids))

    def artist_columns(self, ids: Iterable[str]) -> list[int]:
        """Columns of `artists` of every spelling of these."""
        return sorted({c for k in _keys(list(ids)) for c in self._by_key.get(k, ())})

    @cached_property
    def _by_key(self) -> dict[str, list[int]]:
        out: dict[str, list[int]] = {}
        for column, k in enumerate(_keys(self.artist_ids.tolist())):
            out.setdefault(k, []).append(column)
        return out

    def tagged(self, ids: Iterable[str]) -> np.ndarray:
        """bool[n]: tracks with any of these tags."""
        return _any(self.tags, (self.tag_of[i] for i in ids if i in self.tag_of))

    def licensed(self, market: str | None) -> np.ndarray:
        """bool[n]: tracks that can be played in a market; an unknown market is everywhere, as on shelves."""
        if not market or not len(self.market_ids):
            return np.ones(len(self), bool)
        named = self.market_of.get(market)
        return self.everywhere | (_any(self.markets, [named]) if named is not None else False)


def _keys(ids: list[str]) -> list[str]:
    """What all spellings of each artist share."""
    keys = pl.Series("id", ids, dtype=pl.String).to_frame().select(name_key(pl.col("id"))).to_series()
    return [k if k is not None else i for k, i in zip(keys.to_list(), ids, strict=True)] if ids else []


def _any(bag: sparse.csc_matrix, columns: Iterable[int]) -> np.ndarray:
    out = np.zeros(bag.shape[0], bool)
    for c in columns:
        out[bag.indices[bag.indptr[c] : bag.indptr[c + 1]]] = True
    return out


def _bag(tracks: pl.DataFrame, column: str, n: int) -> tuple[sparse.csc_matrix, np.ndarray]:
    pairs = tracks.select("item", value=column).explode("value").drop_nulls("value").unique().sort("value", "item")
    values = pairs["value"].unique().sort()
    codes = (pairs["value"].rank("dense").to_numpy() - 1).astype(np.int32)
    bag = sparse.csc_matrix((np.ones(len(pairs), np.float32), (pairs["item"].to_numpy(), codes)), (n, len(values)))
    return bag, np.array(values.to_list(), dtype=object)


def _dense(values: pl.Series) -> np.ndarray:
    codes = (values.rank("dense").cast(pl.Int32) - 1).fill_null(-1).to_numpy()
    return np.concatenate([[-1], codes]).astype(np.int32)
