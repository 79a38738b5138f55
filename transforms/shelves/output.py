"""The finished shelves as frames of tables `shelves` and `draws`.

A weekly shelf is valid until the morning after its next refresh day, a daily one until the next night is out. `draws`
keeps for every open slot what could have been drawn, with scores and probabilities, so that another policy can be
weighed against what was shown; carried shelves draw nothing, their draws stand in the night that chose them.

Example: ann's Discover of three items, the second drawn from four tracks, becomes one row with items at positions
1, 2, 3, of which the second has a propensity, and one row of draws with slot 2 and a pool of four.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import polars as pl
import pyarrow as pa

from transforms.shelves.cadence import Clock, next_refresh
from transforms.shelves.evidence.collect import Names
from transforms.shelves.exploration import THOMPSON
from transforms.shelves.filling import PERSONAL, STATUS, Made
from transforms.shelves.gathering import Rows
from transforms.shelves.settings import NightContext, ShelvesSettings
from transforms.shelves.shelf import ShelfSettings
from transforms.tables.schema import TABLES

UTC = pl.Datetime("us", "UTC")
T = TypeVar("T")


_NEXT: dict[str, tuple[str, pl.DataType]] = {
    **{f"next_{name}": (name, pl.String()) for name in ("daypart", "device", "context")},
    "next_share": ("share", pl.Float32()),
}
_NEW = {"softmax": "new_tracks", "thompson": "new_tracks_thompson"}


class Assembled(NamedTuple):
    """What a block's assembly gives."""

    shelves: pl.DataFrame
    draws: pl.DataFrame
    stages: pl.DataFrame
    removed: pl.DataFrame


def shelves_frame(
    rows: Rows,
    made: Sequence[Made],
    explained: tuple[np.ndarray, pl.DataFrame],
    last_heard: np.ndarray,
    names: Names,
    clock: Clock,
    night: NightContext,
    home: pl.DataFrame,
) -> pl.DataFrame:
    """Table `shelves`: one row a listener and shelf, in the order of both ids.

    Args:
        explained: what `texts_of_shown` gives.
        last_heard: int64 by row, microseconds since 1970; -1 = never.
        names: what names a shelf and what it is for.
        clock: the listeners' local time.
        home: where each shelf stands, see `home_order`.
    """
    shown, texts = explained
    by_id = sorted(made, key=lambda one: one.shelf.shelf_id)
    n, k = len(rows.listener_ids), len(by_id)
    listener_ids = pl.Series("listener_id", rows.listener_ids, dtype=pl.String)
    status = np.array([one.status for one in by_id], np.int8).reshape(k, n).T.ravel()
    heads = pl.DataFrame(
        {
            "listener_id": listener_ids.gather(np.repeat(np.arange(n), k)),
            "shelf_id": pl.Series([one.shelf.shelf_id for one in by_id] * n, dtype=pl.String),
            "status": pl.Series(STATUS, dtype=pl.String).gather(status),
            "status_reason": pl.Series([one.why[i] for i in range(n) for one in by_id], dtype=pl.String),
            "refresh_date": pl.Series([one.refreshed[i] for i in range(n) for one in by_id], dtype=pl.Date),
        }
    )
    kinds = pl.DataFrame(
        {
            "shelf_id": [one.shelf.shelf_id for one in by_id],
            "surface": [one.shelf.surface for one in by_id],
            "title": [one.shelf.title for one in by_id],
        }
    )
    valid = [_validity(one.shelf, clock, night, n) for one in by_id]
    frame = (
        heads.join(kinds, on="shelf_id", how="left", maintain_order="left")
        .join(home, on=["listener_id", "shelf_id"], how="left", maintain_order="left")
        .with_columns(
            run_date=pl.lit(night.date),
            version=pl.lit(night.version),
            data_cutoff=pl.lit(night.data_cutoff),
            valid_from=pl.Series([valid[k][i][0] for i in range(n) for k in range(len(by_id))], dtype=UTC),
            valid_until=pl.Series([valid[k][i][1] for i in range(n) for k in range(len(by_id))], dtype=UTC),
            subtitle=pl.Series(_named(by_id, names.subtitles, n), dtype=pl.String),
            **_for_next(by_id, names, n),
            # whoever deals listeners to arms says so (`recommender.arms`); by themselves shelves are of no experiment
            experiment=pl.lit(None, dtype=pl.String),
            arm=pl.lit(None, dtype=pl.String),
            model_version=pl.lit(night.model_version),
            items=_lists(rows, by_id, shown, texts, last_heard, spares=False),
            spares=_lists(rows, by_id, shown, texts, last_heard, spares=True),
        )
    )
    schema = TABLES["shelves"].polars
    return frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def _validity(
    shelf: ShelfSettings, clock: Clock, night: NightContext, listeners: int
) -> list[tuple[dt.datetime, dt.datetime]]:
    """By listener from when to when a shelf holds: its daypart, or until the morning after it changes next."""
    if shelf.daypart is not None:
        return clock.window(shelf.daypart)
    ahead = [dt.timedelta(days=days) for days in (0, 1)]
    ends = [next_refresh(shelf.refresh, night.date + days) - days + dt.timedelta(days=1) for days in ahead]
    until = [dt.datetime.combine(end, dt.time(), tzinfo=dt.UTC) for end in ends]
    since = night.data_cutoff
    return [(since, until[days]) for days in clock.ahead().tolist()]


def _named(made: Sequence[Made], names: Mapping[str, list[T | None]], listeners: int) -> list[T | None]:
    """What evidence says of shelves that are personal, by listener and shelf."""
    out: list[T | None] = [None] * (listeners * len(made))
    for k, one in enumerate(made):
        name_of = names.get(one.shelf.named_by or "")
        for i in np.flatnonzero(one.status == PERSONAL).tolist() if name_of is not None else ():
            out[i * len(made) + k] = name_of[i]  # type: ignore[index]
    return out


def _for_next(made: Sequence[Made], names: Names, listeners: int) -> dict[str, pl.Series]:
    """Columns of the next session that rows are for, by listener and shelf."""
    contexts = _named(made, names.contexts, listeners)
    return {
        name: pl.Series([None if one is None else getattr(one, field) for one in contexts], dtype=kind)
        for name, (field, kind) in _NEXT.items()
    }


def _lists(
    rows: Rows, made: Sequence[Made], shown: np.ndarray, texts: pl.DataFrame, last_heard: np.ndarray, *, spares: bool
) -> pl.Series:
    """Items (or spares) of every listener and shelf, by listener, as lists of structs in order."""
    n = len(rows.listener_ids)
    parts = [one.spares if spares else one.items for one in made]
    widths = [part.shape[1] for part in parts]
    grid = np.concatenate(parts, axis=1) if parts else np.zeros((n, 0), np.int64)
    filled = grid >= 0
    row = grid[filled]
    of_shelf = np.repeat(np.arange(len(made)), widths)
    number = np.broadcast_to(of_shelf, grid.shape)[filled]
    place = np.concatenate([np.zeros(0, np.int64), *(np.arange(width) for width in widths)])
    score = np.full(len(row), np.nan, np.float32)
    for at, one in enumerate(made):
        here = number == at
        score[here] = one.scores[row[here]]
    propensity = np.full(len(row), np.nan)
    if not spares and made:
        propensity = np.concatenate([one.propensities for one in made], axis=1)[filled]
    resting = pl.Series(np.array([one.shelf.rests for one in made], np.bool_)[number])
    explained = texts[np.searchsorted(shown, row)]
    fields = TABLES["shelves"].polars["items"].inner  # type: ignore[attr-defined]
    structs = pl.DataFrame(
        {
            "position": pl.Series(np.broadcast_to(place, grid.shape)[filled] + 1).cast(pl.Int32),
            "track_id": rows.tracks.ids.gather(rows.track[row]),
            "artist_ids": rows.tracks.artist_lists.gather(rows.track[row]),
            "score": pl.Series(score).fill_nan(None),
            "source": explained["source"],
            "reason": explained["reason"],
            "reason_ref": explained["reason_ref"],
            "propensity": pl.Series(propensity).cast(pl.Float32).fill_nan(None),
            "explored": pl.Series(~np.isnan(propensity)),
            "last_heard_at": pl.Series(last_heard[row]).replace(-1, None).cast(pl.Datetime("us", "UTC")),
            "title": rows.tracks.titles.gather(rows.track[row]),
            "artist_names": rows.tracks.artist_names.gather(rows.track[row]),
        }
    ).with_columns(
        # A shelf of what was long not heard has a reason of its own for what the library found.
        reason=pl.when(resting & (pl.col("reason") == "you_keep_playing"))
        .then(pl.lit("not_heard_lately"))
        .otherwise("reason")
    )
    sizes = np.zeros((n, len(made)), np.int64)
    np.add.at(sizes, (np.nonzero(filled)[0], number), 1)
    values = structs.select(pl.struct(f.name for f in fields.fields).cast(fields)).to_series()
    return as_lists(values, sizes.ravel())


def as_lists(values: pl.Series, sizes: np.ndarray) -> pl.Series:
    """The values as lists of these sizes, one after the other; a list may be empty. Nothing is copied."""
    offsets = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    held = values.rechunk().to_arrow(compat_level=pl.CompatLevel.newest())
    lists = pl.Series("value", pl.from_arrow(pa.LargeListArray.from_arrays(pa.array(offsets), held)))
    return lists.cast(pl.List(values.dtype))


def draws_frame(rows: Rows, made: Sequence[Made], settings: ShelvesSettings, night: NightContext) -> pl.DataFrame:
    """Table `draws`: one row a drawn slot, pools best first."""
    schema = TABLES["draws"].polars
    names = pl.Series("listener_id", rows.listener_ids, dtype=pl.String)
    ids = rows.tracks.ids
    parts = []
    for one in made:
        how = settings.exploration_of(one.shelf)
        plain = f"(epsilon={how.epsilon:g}, tau={how.tau:g}, pool={how.pool})"
        for listeners, filled, slots in one.draws:
            by = "thompson" if slots.policy == THOMPSON else "softmax"
            policy = f"(epsilon={how.epsilon:g}, pool={how.pool})" if by == "thompson" else plain
            who, slot = np.nonzero(filled.drawn >= 0)
            if not len(who):
                continue
            pools = filled.pools[who, slot]
            inside = pools >= 0
            flat = pools[inside]
            structs = pl.DataFrame(
                {
                    "track_id": ids.gather(rows.track[flat]),
                    "score": pl.Series(one.scores[flat]).fill_nan(None),
                    "probability": filled.chances[who, slot][inside].astype(np.float32),
                }
            ).to_struct()
            drawn = filled.drawn[who, slot]
            chance = filled.chances[who, slot][pools == drawn[:, None]]
            parts.append(
                pl.DataFrame(
                    {
                        "listener_id": names.gather(listeners[who]),
                        "slot": slots.positions[slot],
                        "policy": np.where(slots.for_new[slot], _NEW[by], f"epsilon_{by}"),
                        "track_id": ids.gather(rows.track[drawn]),
                        "propensity": chance,
                        "pool": as_lists(structs, inside.sum(axis=1)),
                    }
                ).with_columns(
                    shelf_id=pl.lit(one.shelf.shelf_id),
                    policy=pl.col("policy") + policy,
                    seed=pl.lit(night.seed, dtype=pl.Int64),
                )
            )
    if not parts:
        return TABLES["draws"].empty()
    return (
        pl.concat(parts, how="diagonal")
        .select(pl.col(name).cast(dtype) for name, dtype in schema.items())
        .sort("listener_id", "shelf_id", "slot")
    )


def stages_frame(rows: Rows, made: Sequence[Made]) -> pl.DataFrame:
    """(listener_id, track_id, stage): `placed` where any shelf holds it as an item, else `spare`."""
    by_id, tracks = rows.tracks.by_id, max(len(rows.tracks), 1)
    place = np.empty(tracks, np.int64)
    place[by_id] = np.arange(len(by_id))
    parts = ([one.items for one in made], [one.spares for one in made])
    placed, spare = (
        np.unique(rows.listener[row].astype(np.int64) * tracks + place[rows.track[row]])
        for row in (np.concatenate([np.zeros(0, np.int64), *(p[p >= 0] for p in part)]) for part in parts)
    )
    key = np.union1d(placed, spare)  # listeners and tracks in the order of their ids
    listener, track = np.divmod(key, tracks)
    return pl.DataFrame(
        {
            "listener_id": pl.Series(rows.listener_ids, dtype=pl.String).gather(listener),
            "track_id": rows.tracks.ids.gather(by_id[track]),
            "stage": pl.Series(["placed", "spare"]).gather(~np.isin(key, placed, assume_unique=True)),
        },
        schema_overrides={"stage": pl.String},
    )
