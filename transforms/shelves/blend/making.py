"""Groups to their members' rows of table `blend_shelves`.

Every track that a member offers is considered for the whole group, and stands on the list only if what always holds on shelves
holds for every member: nobody blocked or disliked it, it plays in everybody's market, it is explicit only where all allow that.
Then `relevance` says what it is worth to each, and `choosing` makes one list. Each member gets it as a row of their own, with
what each track is worth to them, and why it is there: it suits everyone, oneself, or others.

A group in which fewer than two members have anything to offer, or of another size than `groups` allows, gets empty rows that say
so. A row names no other member.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from transforms.shelves.blend.choosing import choose
from transforms.shelves.blend.groups import LEAST, MOST
from transforms.shelves.blend.relevance import relevance
from transforms.shelves.blend.settings import BlendSettings
from transforms.shelves.facts import TrackFacts
from transforms.shelves.gathering import CANDIDATE, Inputs, Rows, gather
from transforms.shelves.history import Embeddings
from transforms.shelves.judging import Judge
from transforms.shelves.known import known_of
from transforms.shelves.settings import NightContext
from transforms.shelves.tracks import Tracks
from transforms.tables.schema import TABLES

SURFACE = "blend"
REASONS = ("fits_everyone", "fits_you", "fits_others")
SUITS = 0.5  # relevance from which on a track is said to suit somebody
GROUPS = 200  # that are worked on at once


@dataclass(frozen=True)
class Parts:
    """What is known of some groups.

    Attributes:
        members: blend_id, listener_id, market, explicit_ok.
        offers: listener_id, track_id, score; each pair once.
        vectors: listener_id, vector.
        acts: listener_id, kind, target; feedback that keeps tracks off.
    """

    members: pl.DataFrame
    offers: pl.DataFrame
    vectors: pl.DataFrame
    acts: pl.DataFrame

    def slices(self) -> Iterator[Parts]:
        """Some groups at a time, so that memory does not grow with their number."""
        ids = self.members["blend_id"].unique().sort()
        for start in range(0, len(ids), GROUPS):
            here = self.members.filter(pl.col("blend_id").is_in(ids.slice(start, GROUPS).implode()))
            who = here.select("listener_id").unique()
            yield Parts(
                here, *(f.join(who, on="listener_id", how="semi") for f in (self.offers, self.vectors, self.acts))
            )


def blend_rows(
    parts: Parts, tracks: Tracks, embeddings: Embeddings, settings: BlendSettings, night: NightContext
) -> pl.DataFrame:
    """Rows of table `blend_shelves` of some groups, but for `home_position`.

    Args:
        parts: of the groups.
        tracks: every track.
        embeddings: unit vectors of tracks, of the space of `parts.vectors`.
        settings, night: see there.
    """
    made = [_rows(one, tracks, embeddings, settings, night) for one in parts.slices()]
    return pl.concat(made) if made else TABLES["blend_shelves"].empty()


def in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of some listeners, each with all of theirs, in the order of the table, with the position among a listener's blends."""
    rows = rows.sort("listener_id", "shelf_id")
    return rows.with_columns(home_position=pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("listener_id"))


def _rows(
    parts: Parts, tracks: Tracks, embeddings: Embeddings, settings: BlendSettings, night: NightContext
) -> pl.DataFrame:
    members = parts.members.unique(["blend_id", "listener_id"]).sort("blend_id", "listener_id").with_row_index("member")
    offers = parts.offers.with_columns(pl.Series("track", tracks.rows(parts.offers["track_id"])))
    rows, barred = _considered(members, offers, parts.acts, tracks, night)
    own = _own(members, offers, rows)
    worth = relevance(rows.section[CANDIDATE], own, _cosines(members, parts.vectors, rows, embeddings), settings.guess)
    offering = members["listener_id"].is_in(offers["listener_id"].unique().implode()).to_numpy()
    why: list[str | None] = [None] * members.height
    satisfied = np.full((members.height, 3), np.nan)
    items = _Items([], [], [], [], [])
    for _, group in members.group_by("blend_id", maintain_order=True):
        who = group["member"].to_numpy().astype(np.int64)
        reason = _why_empty(len(who), int(offering[who].sum()))
        if reason is None:
            here = slice(int(rows.section[CANDIDATE, who[0]]), int(rows.section[CANDIDATE, who[-1] + 1]))
            free = np.flatnonzero(~barred[here].reshape(len(who), -1).any(axis=0))
            mine, track = worth[here].reshape(len(who), -1)[:, free], rows.track[here][free]
            chosen, of_each = _choose(mine, track, tracks, settings)
            if chosen[0] < 0:
                reason = "nothing that its members are offered may be played to all of them"
            else:
                known = of_each[offering[who]]
                satisfied[who] = np.stack(np.broadcast_arrays(of_each, known.mean(), known.max() - known.min()), axis=1)
                items.add(who, track, mine, chosen)
        for n in who.tolist():
            why[n] = reason
    return _frame(
        members,
        why,
        np.where(offering[:, None] | (np.arange(3) > 0), satisfied, np.nan),
        items,
        tracks,
        settings,
        night,
    )


def _why_empty(size: int, offering: int) -> str | None:
    if not LEAST <= size <= MOST:
        return f"a blend is of {LEAST} to {MOST} members; this group has {size}"
    if offering < LEAST:
        return "fewer than two of its members are known well enough"
    return None


def _considered(
    members: pl.DataFrame, offers: pl.DataFrame, acts: pl.DataFrame, tracks: Tracks, night: NightContext
) -> tuple[Rows, np.ndarray]:
    """A row for every member and every track that anybody in the group is offered; and whether a rule keeps it off.

    A member stands in for a listener, once in each of their groups, under their number, so that rows stand in its order.
    """
    named = members.select(
        "blend_id", "member", "market", "explicit_ok", who="listener_id", listener_id=pl.format("{}", _padded("member"))
    )
    of_group = (
        members.join(offers.filter(pl.col("track") >= 0).select("listener_id", "track"), on="listener_id")
        .select("blend_id", "track")
        .unique()
    )
    candidates = of_group.join(named.select("blend_id", "listener_id"), on="blend_id").select("listener_id", "track")
    said = acts.rename({"listener_id": "who"}).join(named.select("who", "listener_id"), on="who").drop("who")
    inputs = Inputs.of_the_roster(candidates, named, tracks, None, said, None, None)
    rows = gather(inputs, (), night, [], np.zeros(members.height, np.int64))
    judge = Judge(TrackFacts(inputs, rows, known_of(inputs, rows), night))
    return rows, judge.always != 0


def _padded(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.String).str.zfill(10)


def _own(members: pl.DataFrame, offers: pl.DataFrame, rows: Rows) -> np.ndarray:
    """float32 by row: the member's own score of the track, NaN where it is none of their candidates."""
    pairs = pl.DataFrame({"member": rows.listener.astype(np.uint32), "track": rows.track})
    mine = members.select("member", "listener_id").join(
        offers.select("listener_id", "track", "score"), on="listener_id"
    )
    found = pairs.join(mine, on=["member", "track"], how="left", maintain_order="left")
    return found["score"].cast(pl.Float32).fill_null(float("nan")).to_numpy(writable=True)


def _cosines(members: pl.DataFrame, vectors: pl.DataFrame, rows: Rows, embeddings: Embeddings) -> np.ndarray:
    """float32 by row: cosine of the member's vector and the track's, NaN where either has none."""
    mine = members.select("listener_id").join(vectors, on="listener_id", how="left", maintain_order="left")["vector"]
    matrix = np.full((members.height, embeddings.vectors.shape[1]), np.nan, np.float32)
    has = mine.is_not_null().to_numpy()
    if has.any():
        matrix[has] = np.array(mine.drop_nulls().to_list(), np.float32)
    unit = matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-9)
    vector = embeddings.of_track[rows.track]
    out = np.einsum("nd,nd->n", unit[rows.listener], embeddings.vectors[np.maximum(vector, 0)])
    return np.where(vector >= 0, out, np.nan).astype(np.float32)


def _choose(
    worth: np.ndarray, track: np.ndarray, tracks: Tracks, settings: BlendSettings
) -> tuple[np.ndarray, np.ndarray]:
    """`choosing.choose` of a group's tracks: artists are counted from 0 within the group."""
    bag = tracks.artists
    sizes = np.diff(bag.bounds)[track]
    bounds = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    at = np.repeat(bag.bounds[track] - bounds[:-1], sizes) + np.arange(bounds[-1])
    _, artists = np.unique(bag.codes[at], return_inverse=True)
    recording = tracks.recording[track].astype(np.int64)
    worth = np.ascontiguousarray(worth)
    each = (settings.size, settings.spares, settings.fairness, settings.artist_cap)
    return choose(worth, recording, bounds, artists.astype(np.int64), *each)


@dataclass
class _Items:
    """What was chosen, one entry a member, track and place: lists of arrays."""

    member: list[np.ndarray]
    place: list[np.ndarray]
    track: list[np.ndarray]
    worth: list[np.ndarray]
    reason: list[np.ndarray]

    def add(self, who: np.ndarray, track: np.ndarray, worth: np.ndarray, chosen: np.ndarray) -> None:
        """A group's list; `worth` is [members, tracks], `chosen` places in `track`."""
        place = np.flatnonzero(chosen >= 0)
        mine = worth[:, chosen[place]]
        reason = np.where((mine >= SUITS).all(axis=0), 0, np.where(mine >= SUITS, 1, 2))
        self.member.append(np.repeat(who, len(place)))
        self.place.append(np.tile(place, len(who)))
        self.track.append(np.tile(track[chosen[place]], len(who)))
        self.worth.append(mine.ravel())
        self.reason.append(reason.ravel())

    def frame(self) -> pl.DataFrame:
        """The entries, one below the other."""
        kinds = {"member": np.int64, "place": np.int64, "track": np.int64, "worth": np.float64, "reason": np.int64}
        return pl.DataFrame(
            {
                name: np.concatenate([np.zeros(0, kind), *getattr(self, name)]).astype(kind)
                for name, kind in kinds.items()
            }
        )


def _frame(
    members: pl.DataFrame,
    why: list[str | None],
    satisfied: np.ndarray,
    items: _Items,
    tracks: Tracks,
    settings: BlendSettings,
    night: NightContext,
) -> pl.DataFrame:
    """Rows of the table."""
    schema = TABLES["blend_shelves"].polars
    fields = schema["items"].inner  # type: ignore[attr-defined]
    flat = items.frame()
    row, spare = flat["track"].to_numpy(), flat["place"] >= settings.size
    structs = flat.select(
        position=pl.when(spare).then(pl.col("place") - settings.size).otherwise("place") + 1,
        track_id=tracks.ids.gather(row),
        artist_ids=tracks.artist_lists.gather(row),
        score=pl.col("worth"),
        source=pl.lit("blend"),
        reason=pl.Series(REASONS, dtype=pl.String).gather(flat["reason"]),
        reason_ref=pl.lit(None, dtype=pl.String),
        propensity=pl.lit(None, dtype=pl.Float32),
        explored=pl.lit(False),
        last_heard_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")),
        title=tracks.titles.gather(row),
        artist_names=tracks.artist_names.gather(row),
    )
    item = structs.select(pl.struct(f.name for f in fields.fields).cast(fields).alias("item")).to_series()
    lists = {
        name: flat.select("member")
        .with_columns(item)
        .filter(spare == is_spare)
        .group_by("member", maintain_order=True)
        .agg(pl.col("item").alias(name))
        for name, is_spare in (("items", False), ("spares", True))
    }
    frame = members.select("blend_id", "listener_id", pl.col("member").cast(pl.Int64)).with_columns(
        members=pl.len().over("blend_id"),
        satisfaction=pl.Series(satisfied[:, 0]).fill_nan(None),
        satisfaction_mean=pl.Series(satisfied[:, 1]).fill_nan(None),
        satisfaction_gap=pl.Series(satisfied[:, 2]).fill_nan(None),
        status_reason=pl.Series(why, dtype=pl.String),
    )
    for name in ("items", "spares"):
        frame = frame.join(lists[name], on="member", how="left", maintain_order="left").with_columns(
            pl.col(name).fill_null([])
        )
    frame = frame.with_columns(
        run_date=pl.lit(night.date),
        version=pl.lit(night.version),
        surface=pl.lit(SURFACE),
        shelf_id=SURFACE + pl.lit("-") + pl.col("blend_id"),
        title=pl.lit(settings.title),
        status=pl.when(pl.col("status_reason").is_null()).then(pl.lit("personal")).otherwise(pl.lit("empty")),
        data_cutoff=pl.lit(night.data_cutoff),
        refresh_date=pl.lit(night.date),
        valid_from=pl.lit(night.data_cutoff),
        valid_until=pl.lit(night.data_cutoff + dt.timedelta(days=1)),
        model_version=pl.lit(night.model_version),
    )
    lacking = [pl.lit(None, dtype=kind).alias(name) for name, kind in schema.items() if name not in frame.columns]
    return frame.with_columns(lacking).select(pl.col(name).cast(kind) for name, kind in schema.items())
