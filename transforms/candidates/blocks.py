"""What scoring sees: the catalog as arrays, and up to 256 listeners as sparse rows over it.

Every candidate source and every ranker feature is a function of a `Catalog` (what is known of tracks, aligned to one
vocabulary) and a `Block` (what some listeners played up to the night). Retrieval over a block is then a few matrix
products instead of a call a listener, and a source cannot reach anything later than the night, since the block holds
nothing later. Listeners keep roster order and are present even with no history at all.

    >>> catalog = Catalog.build(["", "a", "b"], pl.DataFrame({"track_id": ["a", "b"], "recording_id": ["r", "r"]}))
    >>> catalog.recording.tolist()          # row 0 stands for every track the vocabulary does not know
    [-1, 0, 0]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TypeVar

import numpy as np
import polars as pl
from scipy import sparse

from transforms.common.text import name_key, name_keys
from transforms.listening.library import LibrarySettings, with_activation

T = TypeVar("T")
BLOCK = 256
RECENT_SESSIONS = 10
SHORT_HALF_LIFE = 4.0
DEFAULTS = LibrarySettings()
FOLLOWED = 10.0  # plays that following an artist is worth
DISLIKED = 3.0  # plays that a disliked track takes from each of its artists
SAID: dict[str, type[pl.DataType]] = {"row": pl.Int32, "artist": pl.Int32, "plays": pl.Float32}
_DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Catalog:
    """What is known of tracks, aligned to a vocabulary of n rows (row 0 = unknown).

    Rows are in order of hash(track_id), then track_id, so "the smaller row" breaks ties of score.

    Attributes:
        track_ids: object[n]; "" in row 0.
        recording: int32[n], dense index of the recording, shared by tracks that are the same music; -1 in row 0.
        recording_items: CSR [recordings, n], the rows of each recording.
        artists: CSR [n, artists], 1 for every credited artist; no columns where artists are unknown.
        artist_keys: object[artists], what all spellings of an artist share (`name_key`).
        tags: CSR [n, tags], 1 for every tag; no columns where tags are unknown.
        album: int32[n], dense album, -1 unknown; album_position: int32[n], disc * 1000 + track number, -1 unknown.
        released_on: int32[n], days since 1970-01-01, -1 unknown.
        duration_ms: float32[n], NaN unknown; explicit: bool[n].
        lookup: every track of the catalog table: track_id, item (0 = not in the vocabulary), recording.
    """

    track_ids: np.ndarray
    recording: np.ndarray
    recording_items: sparse.csr_matrix
    artists: sparse.csr_matrix
    artist_keys: np.ndarray
    tags: sparse.csr_matrix
    album: np.ndarray
    album_position: np.ndarray
    released_on: np.ndarray
    duration_ms: np.ndarray
    explicit: np.ndarray
    lookup: pl.DataFrame

    def __len__(self) -> int:
        return len(self.track_ids)

    @cached_property
    def ids(self) -> pl.Series:
        """`track_ids` as a column of strings."""
        return pl.Series("track_id", self.track_ids.tolist(), dtype=pl.String)

    @cached_property
    def tie(self) -> np.ndarray:
        """int64[n], what breaks ties of score: the row itself, in a vocabulary ordered by hash."""
        return np.arange(len(self))

    @classmethod
    def build(cls, track_ids: Sequence[str], tracks: pl.DataFrame) -> Catalog:
        """Align a catalog table to a vocabulary.

        Args:
            track_ids: the vocabulary in row order, row 0 a placeholder for unknown tracks.
            tracks: table `tracks`; only `track_id` is needed, whatever else is missing costs quality.

        Returns:
            the catalog; vocabulary tracks that `tracks` does not list get a recording of their own.
        """
        ids = np.array(["", *list(track_ids)[1:]], dtype=object)
        n = len(ids)
        rows = pl.DataFrame(
            {"track_id": pl.Series(ids[1:].tolist(), dtype=pl.String), "item": np.arange(1, n, dtype=np.int32)}
        )
        known = _with_columns(tracks)
        every = rows.join(known, on="track_id", how="full", coalesce=True).with_columns(
            pl.col("item").fill_null(0),
            recording_id=pl.coalesce("recording_id", pl.col("track_id")),
        )
        every = every.sort("item", "track_id").with_columns(
            recording=pl.col("recording_id").rank("dense").cast(pl.Int32) - 1,
            album=(pl.col("album_id").rank("dense").cast(pl.Int32) - 1).fill_null(-1),
        )
        mine = every.filter(pl.col("item") > 0).sort("item")
        artists, artist_keys = _bag(mine.with_columns(artist_ids=name_keys(pl.col("artist_ids"))), "artist_ids", n)
        recordings = every["recording"].n_unique()
        recording = np.concatenate([[-1], mine["recording"].to_numpy()]).astype(np.int32)
        items = sparse.csr_matrix(
            (np.ones(n - 1, np.float32), (recording[1:], np.arange(1, n))), shape=(max(recordings, 1), n)
        )
        position = mine.select(
            pl.when(pl.col("track_no").is_not_null())
            .then(pl.col("disc_no").fill_null(1) * 1000 + pl.col("track_no"))
            .otherwise(-1)
        ).to_series()
        return cls(
            track_ids=ids,
            recording=recording,
            recording_items=items,
            artists=artists,
            artist_keys=artist_keys,
            tags=_bag(mine, "tags", n)[0],
            album=_aligned(mine["album"], -1, np.int32),
            album_position=_aligned(position, -1, np.int32),
            released_on=_aligned(mine["released_on"].cast(pl.Int32), -1, np.int32),
            duration_ms=_aligned(mine["duration_ms"].cast(pl.Float32), np.nan, np.float32),
            explicit=_aligned(mine["explicit"], False, np.bool_),
            lookup=every.select("track_id", pl.col("item").cast(pl.Int32), "recording"),
        )


_CATALOG_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "track_id": pl.String,
    "recording_id": pl.String,
    "artist_ids": pl.List(pl.String),
    "tags": pl.List(pl.String),
    "album_id": pl.String,
    "disc_no": pl.Int32,
    "track_no": pl.Int32,
    "released_on": pl.Date,
    "duration_ms": pl.Int32,
    "explicit": pl.Boolean,
}


def _with_columns(tracks: pl.DataFrame) -> pl.DataFrame:
    return tracks.select(
        pl.col(name).cast(kind) if name in tracks.columns else pl.lit(None, kind).alias(name)
        for name, kind in _CATALOG_COLUMNS.items()
    ).unique("track_id", keep="first", maintain_order=True)


def _bag(tracks: pl.DataFrame, column: str, n: int) -> tuple[sparse.csr_matrix, np.ndarray]:
    """1 for every distinct value of a list column [n, values], and the values, sorted."""
    pairs = tracks.select("item", value=column).explode("value").drop_nulls("value").unique().sort("item", "value")
    values = pairs["value"].unique().sort()
    codes = pairs["value"].rank("dense").to_numpy() - 1
    bag = sparse.csr_matrix((np.ones(len(pairs), np.float32), (pairs["item"].to_numpy(), codes)), (n, len(values)))
    return bag, np.array(values.to_list(), dtype=object)


def _aligned(values: pl.Series, missing: float, kind: type) -> np.ndarray:
    return np.concatenate([[missing], values.fill_null(missing).to_numpy()]).astype(kind)


@dataclass(frozen=True)
class Block:
    """Some listeners as of a night.

    Attributes:
        listener_ids: B ids, roster order.
        markets: B markets, "" where unknown.
        n_items: rows of the vocabulary.
        history: one row per listener and track ever played or saved: `row` (0..B-1), `item` (0 = unknown to the
            vocabulary), `recording` (-1 = unknown), `track_id`, `plays`, `heard`, `completions`, `skips`, `saved`,
            `known` (counts as heard, even where its plays are out of taste),
            `last_played_at`, `last_age` and `first_age` (days before the night's end; null = never played),
            `activation`, `decayed_plays` and `decayed_short` (halved every 4 days). Sorted by row, item, track_id.
        recent: plays of the last 10 sessions: `row`, `session_no` (0 = latest), `position`, `item`, `recording`,
            `age` (days), `ms_played`. Sorted by row, session_no, position.
        activity: one row per listener: `sessions`, `mean_length`, `new_share` over the sessions read, 0 without any;
            `last_session` (session_id) and `last_open`, null without any.
        said: what was said of artists and stands: `row`, `artist` (column of `Catalog.artists`), `plays`: what it counts,
            as plays of the artist; each pair once, sorted.
    """

    listener_ids: list[str]
    markets: list[str]
    n_items: int
    history: pl.DataFrame
    recent: pl.DataFrame
    activity: pl.DataFrame
    said: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SAID))

    def __len__(self) -> int:
        return len(self.listener_ids)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What `make` gives, made when first asked for: histories that several sources and features read."""
        kept: dict[str, T] = self.__dict__.setdefault("_once", {})
        if name not in kept:
            kept[name] = make()
        return kept[name]

    def matrix(self, weights: str | np.ndarray | pl.Expr) -> sparse.csr_matrix:
        """Sparse [B, n_items] float32 of a history column, expression or array; unknown items are left out."""
        if isinstance(weights, np.ndarray):
            values = weights.astype(np.float32)
        else:
            column = self.history.select(pl.col(weights) if isinstance(weights, str) else weights).to_series()
            values = column.fill_null(0).cast(pl.Float32).to_numpy()
        rows, items = self.history["row"].to_numpy(), self.history["item"].to_numpy()
        keep = (items > 0) & (values != 0)
        return sparse.csr_matrix((values[keep], (rows[keep], items[keep])), shape=(len(self), self.n_items))

    def heard(self, catalog: Catalog) -> sparse.csr_matrix:
        """Sparse [B, n_items] of ones where any version of the track was heard or saved."""
        mine = self.history.filter(pl.col("known") & (pl.col("recording") >= 0))
        shape = (len(self), catalog.recording_items.shape[0])
        recordings = sparse.csr_matrix(
            (np.ones(len(mine), np.float32), (mine["row"].to_numpy(), mine["recording"].to_numpy())), shape=shape
        )
        found = sparse.csr_matrix(recordings @ catalog.recording_items)
        found.data[:] = 1.0
        found.sort_indices()
        return found


def build_blocks(
    roster: pl.DataFrame,
    library: pl.DataFrame,
    sessions: pl.DataFrame,
    catalog: Catalog,
    as_of: date,
    *,
    size: int = BLOCK,
    settings: LibrarySettings = DEFAULTS,
    acts: pl.DataFrame | None = None,
) -> Iterator[Block]:
    """Cut a chunk into blocks of listeners.

    Args:
        roster: `listener_id` and, where known, `market`; its order is kept.
        library: table `library` as of the night (base and deltas merged), with `activation` and `decayed_plays` or not.
        sessions: table `sessions` up to the night, at least the last ten of each listener; open ones count.
        catalog: what is known of tracks.
        as_of: the night's date, UTC; ages are counted from its end.
        size: listeners a block.
        settings: how fast a play is forgotten.
        acts: feedback that stands (`feedback.standing`).
    """
    numbered = roster.select(
        "listener_id",
        market=(pl.col("market").fill_null("") if "market" in roster.columns else pl.lit("")),
        at=pl.int_range(pl.len(), dtype=pl.Int32),
    )
    known = library.join(numbered.select("listener_id", "at"), on="listener_id")
    history = _history(known, catalog, as_of, settings)
    recent, activity = _recent(sessions.join(numbered.select("listener_id", "at"), on="listener_id"), catalog, as_of)
    said = _said(acts, numbered, catalog)
    for start in range(0, len(numbered), size):
        part = numbered.slice(start, size)
        inside = pl.col("at").is_between(start, start + len(part) - 1)
        moved = [
            f.filter(inside).with_columns(row=pl.col("at") - start).drop("at")
            for f in (history, recent, activity, said)
        ]
        yield Block(
            listener_ids=part["listener_id"].to_list(),
            markets=part["market"].to_list(),
            n_items=len(catalog),
            history=moved[0].sort("row", "item", "track_id"),
            recent=moved[1].sort("row", "session_no", "position"),
            activity=part.select(row=pl.int_range(pl.len(), dtype=pl.Int32))
            .join(moved[2], on="row", how="left", maintain_order="left")
            .fill_null(0),
            said=moved[3].select(list(SAID)).sort("row", "artist"),
        )


def _said(acts: pl.DataFrame | None, numbered: pl.DataFrame, catalog: Catalog) -> pl.DataFrame:
    """What acts say of artists: at (the listener), artist, plays."""
    if acts is None or not acts.height or not len(catalog.artist_keys):
        return pl.DataFrame(schema={"at": pl.Int32, "artist": pl.Int32, "plays": pl.Float32})
    mine = acts.select("listener_id", "kind", "target").join(numbered.select("listener_id", "at"), on="listener_id")
    keys = pl.DataFrame(
        {"key": catalog.artist_keys.tolist(), "artist": np.arange(len(catalog.artist_keys), dtype=np.int32)}
    )
    followed = mine.filter(pl.col("kind") == "follow_artist").select("at", key=name_key(pl.col("target")))
    followed = followed.join(keys, on="key").select("at", "artist", plays=pl.lit(FOLLOWED, dtype=pl.Float32))
    disliked = mine.filter(pl.col("kind") == "dislike").select("at", track_id="target")
    disliked = disliked.join(catalog.lookup.filter(pl.col("item") > 0), on="track_id").select("at", "item")
    credits = catalog.artists.tocoo()
    of_item = pl.DataFrame({"item": credits.row.astype(np.int32), "artist": credits.col.astype(np.int32)})
    less = disliked.join(of_item, on="item").select("at", "artist", plays=pl.lit(-DISLIKED, dtype=pl.Float32))
    return pl.concat([followed, less]).group_by("at", "artist").agg(pl.col("plays").sum())


def _age(column: str, as_of: date) -> pl.Expr:
    """Days from a time to the end of the date, at least 0."""
    end = datetime.combine(as_of + timedelta(days=1), datetime.min.time(), tzinfo=UTC)
    us = int(end.timestamp()) * 1_000_000
    return ((us - pl.col(column).dt.epoch("us")).cast(pl.Float64) / _DAY_US).clip(lower_bound=0.0)


def _history(library: pl.DataFrame, catalog: Catalog, as_of: date, settings: LibrarySettings) -> pl.DataFrame:
    if "activation" not in library.columns:
        library = with_activation(library, as_of, settings.decay, settings.half_life_days)
    if "known" not in library.columns:
        library = library.with_columns(known=(pl.col("heard") > 0) | pl.col("saved").fill_null(False))
    short = with_activation(library, as_of, settings.decay, SHORT_HALF_LIFE)["decayed_plays"]
    return (
        library.with_columns(decayed_short=short)
        .join(catalog.lookup, on="track_id", how="left", maintain_order="left")
        .with_columns(
            item=pl.col("item").fill_null(0),
            recording=pl.col("recording").fill_null(-1),
            last_age=_age("last_played_at", as_of),
            first_age=_age("first_played_at", as_of),
            saved=pl.col("saved").fill_null(False),
        )
        .select(
            "at",
            "item",
            "recording",
            "track_id",
            "plays",
            "heard",
            "completions",
            "skips",
            "saved",
            "known",
            "last_played_at",
            "last_age",
            "first_age",
            "activation",
            "decayed_plays",
            "decayed_short",
        )
    )


def _recent(sessions: pl.DataFrame, catalog: Catalog, as_of: date) -> tuple[pl.DataFrame, pl.DataFrame]:
    ordered = sessions.with_columns(
        session_no=pl.struct("started_at", "session_id").rank("ordinal", descending=True).over("at").cast(pl.Int32) - 1
    )
    activity = ordered.group_by("at").agg(
        sessions=pl.len().cast(pl.Float32),
        mean_length=pl.col("plays").mean().cast(pl.Float32),
        new_share=pl.col("new_share").filter(pl.col("session_no") < RECENT_SESSIONS).mean().cast(pl.Float32),
        last_session=pl.col("session_id").filter(pl.col("session_no") == 0).first(),
        last_open=pl.col("open").filter(pl.col("session_no") == 0).first(),
    )
    plays = (
        ordered.filter(pl.col("session_no") < RECENT_SESSIONS)
        .select("at", "session_no", "tracks", position=pl.int_ranges(0, pl.col("tracks").list.len(), dtype=pl.Int32))
        .explode("tracks", "position")
        .drop_nulls("tracks")
        .select("at", "session_no", "position", pl.col("tracks").struct.field("track_id", "started_at", "ms_played"))
        .join(catalog.lookup, on="track_id", how="left")
        .select(
            "at",
            "session_no",
            "position",
            item=pl.col("item").fill_null(0),
            recording=pl.col("recording").fill_null(-1),
            age=_age("started_at", as_of),
            ms_played="ms_played",
        )
    )
    return plays, activity
