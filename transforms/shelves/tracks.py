"""What shelves need to know of tracks, as arrays: built once a process, so that a block of listeners handles integers only.

A track is a number, its row here, in the order of hash(track_id), then track_id: the order among equals. Recording,
artists, album and tags are dense codes. A track that the catalog does not list (a log without a catalog, say) has a
recording of its own and nothing else.

    >>> tracks = Tracks.build(pl.DataFrame({"track_id": ["a", "b"], "recording_id": ["r", "r"]}), ["c"])
    >>> len(tracks), tracks.rows(pl.Series(["zz"])).tolist()
    (3, [-1])
    >>> a, b = tracks.rows(pl.Series(["a", "b"])).tolist()
    >>> int(tracks.recording[a]) == int(tracks.recording[b])
    True
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from transforms.common.hashing import stable_hash
from transforms.common.text import name_key, song_title

UNKNOWN_DATE = np.iinfo(np.int32).min
MOST_ASKED = 500_000  # ids of tracks kept with their rows
COLUMNS: dict[str, pl.DataType] = {
    "track_id": pl.String(),
    "recording_id": pl.String(),
    "title": pl.String(),
    "artist_ids": pl.List(pl.String()),
    "album_id": pl.String(),
    "released_on": pl.Date(),
    "markets": pl.List(pl.String()),
    "explicit": pl.Boolean(),
    "duration_ms": pl.Int32(),
    "tags": pl.List(pl.String()),
    "artist_names": pl.List(pl.String()),
}


@dataclass(frozen=True)
class Bag:
    """Codes of each of n tracks, laid end to end: those of track i are codes[bounds[i]:bounds[i + 1]].

    Attributes:
        bounds: int64[n + 1].
        codes: int32, ascending within a track, each once.
        names: the values, sorted; code c stands for names[c]. Of artists these are the keys by which names are compared.
        spelt: of each value one spelling, as it came.
    """

    bounds: np.ndarray
    codes: np.ndarray
    names: pl.Series
    spelt: pl.Series

    @classmethod
    def of(cls, lists: pl.Series, key: Callable[[pl.Expr], pl.Expr] = lambda value: value) -> Bag:
        """The bag of a list column of strings, of which those with one key are one value."""
        pairs = (
            pl.DataFrame({"row": np.arange(len(lists)), "spelt": lists})
            .explode("spelt", keep_nulls=False)
            .drop_nulls()
            .with_columns(value=key(pl.col("spelt")))
            .drop_nulls()
        )
        spelt = pairs.group_by("value").agg(pl.col("spelt").min()).sort("value")
        names, pairs = spelt["value"], pairs.select("row", "value").unique()
        coded = pairs.select("row", code=pl.col("value").rank("dense").cast(pl.Int32) - 1).sort("row", "code")
        bounds = np.searchsorted(coded["row"].to_numpy(), np.arange(len(lists) + 1))
        return cls(bounds.astype(np.int64), coded["code"].to_numpy().astype(np.int32), names, spelt["spelt"])

    def code(self, names: pl.Series) -> np.ndarray:
        """int32 code of each name, -1 where no track has it."""
        if not len(self.names) or not len(names):
            return np.full(len(names), -1, np.int32)
        filled = names.cast(pl.String).fill_null("")
        at = np.minimum(np.asarray(self.names.search_sorted(filled)), len(self.names) - 1)
        same = (self.names.gather(at) == filled).to_numpy() & names.is_not_null().to_numpy()
        return np.where(same, at, -1).astype(np.int32)

    @cached_property
    def rank(self) -> np.ndarray:
        """int64 by code, place in the order of the values' hashes: the order among equals."""
        order = np.lexsort((np.arange(len(self.names)), stable_hash(self.names) if len(self.names) else []))
        out = np.empty(len(self.names), np.int64)
        out[order] = np.arange(len(order))
        return out

    @cached_property
    def tracks(self) -> tuple[np.ndarray, np.ndarray]:
        """The other way round: bounds by code, and the rows of the tracks that have it, ascending."""
        rows = np.repeat(np.arange(len(self.bounds) - 1), np.diff(self.bounds))
        order = np.argsort(self.codes, kind="stable")
        return np.searchsorted(self.codes[order], np.arange(len(self.names) + 1)), rows[order].astype(np.int32)


@dataclass(frozen=True)
class Tracks:
    """Tracks 0..n-1.

    Attributes:
        ids: their ids, in order of hash.
        hashes: uint64, ascending.
        listed: whether the catalog lists the track; all true without a catalog.
        recording: int32, equal for tracks that are the same music.
        song: int32, equal for versions of one song (live, a remix) by one main artist; -1 without a title or an artist.
        artists, tags, markets: bags; a track without markets plays everywhere.
        artist_lists: artist ids as they stand in the catalog, for output; artist_names: what these are called.
        titles: for output.
        album: int32, -1 unknown.
        explicit: bool; a track of which nobody says that it is clean is explicit.
        released: int32, days since 1970-01-01, `UNKNOWN_DATE` where unknown.
        duration: int32 milliseconds, -1 unknown.
    """

    ids: pl.Series
    hashes: np.ndarray
    listed: np.ndarray
    recording: np.ndarray
    recordings: int
    song: np.ndarray
    artists: Bag
    tags: Bag
    markets: Bag
    artist_lists: pl.Series
    artist_names: pl.Series
    titles: pl.Series
    album: np.ndarray
    explicit: np.ndarray
    released: np.ndarray
    duration: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def build(cls, catalog: pl.DataFrame | None, also: Sequence[str] | pl.Series = ()) -> Tracks:
        """Tracks of a catalog and of a list of ids.

        Args:
            catalog: table `tracks`; of its columns only track_id is needed. None or empty: there is no catalog.
            also: ids of tracks that may stand on shelves although the catalog lacks them.
        """
        listed = pl.DataFrame(schema=COLUMNS) if catalog is None else _completed(catalog)
        others = pl.Series("track_id", also, dtype=pl.String).unique()
        every = pl.concat(
            [
                listed.with_columns(listed=pl.lit(True)),
                others.to_frame()
                .filter((pl.col("track_id") != "") & ~pl.col("track_id").is_in(listed["track_id"].implode()))
                .with_columns(listed=pl.lit(listed.is_empty())),
            ],
            how="diagonal",
        )
        every = every.with_columns(pl.Series("hash", stable_hash(every["track_id"]))).sort("hash", "track_id")
        # Writable arrays all: compiled loops are compiled again for every kind of array they meet.
        recording = every.select(pl.coalesce("recording_id", "track_id").rank("dense").cast(pl.Int32) - 1).to_series()
        of_song = pl.struct(name_key(pl.col("artist_ids").list.first()), song_title(pl.col("title")))
        named = pl.col("title").is_not_null() & pl.col("artist_ids").list.first().is_not_null()
        song = every.select(pl.when(named).then(of_song.rank("dense").cast(pl.Int32) - 1).otherwise(-1)).to_series()
        album = every["album_id"].rank("dense").cast(pl.Int32) - 1
        return cls(
            ids=every["track_id"],
            hashes=every["hash"].to_numpy(writable=True),
            listed=every["listed"].to_numpy(writable=True),
            recording=recording.to_numpy(writable=True),
            recordings=recording.n_unique() + 1,
            song=song.fill_null(-1).to_numpy(writable=True),
            artists=Bag.of(every["artist_ids"], name_key),
            tags=Bag.of(every["tags"]),
            markets=Bag.of(every.select(_nowhere(pl.col("markets"))).to_series()),
            artist_lists=every["artist_ids"],
            artist_names=every["artist_names"],
            titles=every["title"],
            album=album.fill_null(-1).to_numpy(writable=True),
            explicit=every["explicit"].fill_null(True).to_numpy(writable=True),
            released=every["released_on"].cast(pl.Int32).fill_null(UNKNOWN_DATE).to_numpy(writable=True),
            duration=every["duration_ms"].fill_null(-1).to_numpy(writable=True),
        )

    def rows(self, track_ids: pl.Series) -> np.ndarray:
        """int32 row of each id, -1 where there is no such track."""
        if not len(track_ids) or not len(self):
            return np.full(len(track_ids), -1, np.int32)
        arrow = track_ids.cast(pl.String).fill_null("").to_arrow(compat_level=pl.CompatLevel.oldest())
        encoded = arrow.dictionary_encode()
        distinct = encoded.dictionary.to_pylist()
        known = self._asked
        try:
            found = np.fromiter(map(known.__getitem__, distinct), np.int32, len(distinct))
        except KeyError:
            if len(known) > MOST_ASKED:
                known.clear()
            new = [one for one in distinct if one not in known]
            known.update(zip(new, self._found(pl.Series(new, dtype=pl.String)).tolist(), strict=True))
            found = np.fromiter(map(known.__getitem__, distinct), np.int32, len(distinct))
        return found[encoded.indices.to_numpy()]

    @cached_property
    def artist_called(self) -> list[str]:
        """What the artist of each code of `artists` is called: its id as the catalog spells it where nobody says a name."""
        both = pl.DataFrame({"id": self.artist_lists, "name": self.artist_names})
        both = both.filter(pl.col("id").list.len() == pl.col("name").list.len())
        known = both.explode("id", "name", keep_nulls=False).drop_nulls()
        known = known.with_columns(key=name_key(pl.col("id"))).group_by("key").agg(pl.col("name").min())
        spelt = pl.DataFrame({"key": self.artists.names, "spelt": self.artists.spelt})
        return (
            spelt.join(known, on="key", how="left", maintain_order="left")
            .select(pl.coalesce("name", "spelt"))
            .to_series()
            .to_list()
        )

    @cached_property
    def by_id(self) -> np.ndarray:
        """int64: rows in the order of their tracks' ids."""
        return self.ids.arg_sort().to_numpy().astype(np.int64)

    @cached_property
    def _asked(self) -> dict[str, int]:
        """Rows of ids that were asked for: the same tracks come up in block after block, and hashing text is dear."""
        return {}

    def _found(self, distinct: pl.Series) -> np.ndarray:
        hashes = stable_hash(distinct)
        at = np.searchsorted(self.hashes, hashes)
        found = np.full(len(distinct), -1, np.int32)
        while True:  # more than once only where two ids have one hash
            inside = (at < len(self)) & (found < 0)
            inside[inside] &= self.hashes[at[inside]] == hashes[inside]
            if not inside.any():
                return found
            here = np.flatnonzero(inside)
            same = (self.ids.gather(at[here]) == distinct.gather(here)).to_numpy()
            found[here[same]] = at[here[same]]
            at = at + 1


def _nowhere(markets: pl.Expr) -> pl.Expr:
    """A list without any market names none where the track plays, unlike no list at all: a market that nobody is in."""
    return pl.when(markets.list.len() == 0).then(pl.lit([""])).otherwise(markets)


def _completed(catalog: pl.DataFrame) -> pl.DataFrame:
    return catalog.select(
        pl.col(name).cast(kind) if name in catalog.columns else pl.lit(None, dtype=kind).alias(name)
        for name, kind in COLUMNS.items()
    ).unique("track_id", keep="first", maintain_order=True)
