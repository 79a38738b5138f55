"""The finished shelves as frames of tables `shelves` and `draws`.

A weekly shelf is valid until the morning after its next refresh day, a daily one until the next night is out. `draws`
keeps for every open slot what could have been drawn, with scores and probabilities, so that another policy can be
weighed against what was shown; carried shelves draw nothing, their draws stand in the night that chose them.

Example: ann's Discover of three items, the second drawn from four tracks, becomes one row with items at positions
1, 2, 3, of which the second has a propensity, and one row of draws with slot 2 and a pool of four.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple, Protocol

import numpy as np
import polars as pl

from transforms.shelves.filling import Filled, SlotDraws
from transforms.shelves.home import arms, home_order
from transforms.shelves.settings import ExplorationSettings, Night, ShelvesSettings, next_refresh
from transforms.tables.schema import TABLES


class Assembled(NamedTuple):
    """What a block's assembly gives."""

    shelves: pl.DataFrame
    draws: pl.DataFrame
    stages: pl.DataFrame


class MadeShelf(Protocol):
    """One listener's finished shelf."""

    status: str
    status_reason: str | None
    refresh_date: dt.date
    filled: Filled


Entry = tuple[int, int, MadeShelf, np.ndarray]


def shelves_frame(
    listener_ids: Sequence[str],
    rows: pl.DataFrame,
    entries: Sequence[Entry],
    settings: ShelvesSettings,
    night: Night,
) -> pl.DataFrame:
    """Table `shelves`: one row an entry, in the entries' order."""
    by_number = settings.shelves
    heads = pl.DataFrame(
        {
            "entry": np.arange(len(entries), dtype=np.int64),
            "listener_id": [listener_ids[listener] for listener, *_ in entries],
            "shelf_id": [by_number[number].shelf_id for _, number, *_ in entries],
            "status": [made.status for _, _, made, _ in entries],
            "status_reason": [made.status_reason for _, _, made, _ in entries],
            "refresh_date": [made.refresh_date for _, _, made, _ in entries],
        },
        schema_overrides={
            "listener_id": pl.String,
            "shelf_id": pl.String,
            "status": pl.String,
            "status_reason": pl.String,
            "refresh_date": pl.Date,
        },
    )
    kinds = pl.DataFrame(
        {
            "shelf_id": [s.shelf_id for s in by_number],
            "surface": [s.surface for s in by_number],
            "title": [s.title for s in by_number],
            "until": [next_refresh(s.refresh, night.date) for s in by_number],
        }
    )
    resting = [n for n, s in enumerate(by_number) if s.rest_days]
    swap = 0.0 if night.greedy else settings.home_swap
    home = home_order(listener_ids, by_number, swap, night.seed, night.date)
    experiment = settings.experiment
    arm = (
        arms(listener_ids, experiment) if experiment else pl.Series("arm", [None] * len(listener_ids), dtype=pl.String)
    )
    dealt = pl.DataFrame({"listener_id": pl.Series(list(listener_ids), dtype=pl.String), "arm": arm})
    frame = (
        heads.join(kinds, on="shelf_id", how="left", maintain_order="left")
        .join(home, on=["listener_id", "shelf_id"], how="left", maintain_order="left")
        .join(dealt, on="listener_id", how="left", maintain_order="left")
        .with_columns(
            run_date=pl.lit(night.date),
            version=pl.lit(night.version),
            data_cutoff=pl.lit(night.data_cutoff),
            valid_from=pl.lit(night.data_cutoff),
            valid_until=(pl.col("until") + pl.duration(days=1)).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            experiment=pl.lit(experiment.name if experiment else None, dtype=pl.String),
            model_version=pl.lit(night.model_version),
        )
        .drop("until")
    )
    for column in ("items", "spares"):
        frame = frame.join(
            _lists(rows, entries, column, resting), on="entry", how="left", maintain_order="left"
        ).with_columns(pl.col(column).fill_null([]))
    schema = TABLES["shelves"].polars
    return frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def _lists(rows: pl.DataFrame, entries: Sequence[Entry], column: str, resting: list[int]) -> pl.DataFrame:
    """Entry and its items (or spares) as a list of structs in order."""
    picked = [made.filled.items if column == "items" else made.filled.spares for _, _, made, _ in entries]
    sizes = np.fromiter(map(len, picked), dtype=np.int64, count=len(picked))
    row = np.fromiter(chain.from_iterable(picked), dtype=np.int64, count=int(sizes.sum()))
    entry = np.repeat(np.arange(len(entries)), sizes)
    position = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + 1
    number = np.repeat(np.fromiter((n for _, n, *_ in entries), dtype=np.int64, count=len(entries)), sizes)
    score = np.full(len(row), np.nan, dtype=np.float32)
    for n in np.unique(number):
        here = number == n
        score[here] = next(scores for _, m, _, scores in entries if m == n)[row[here]]
    propensity = np.full(len(row), np.nan)
    if column == "items":
        propensity = np.fromiter(
            chain.from_iterable(made.filled.propensities for _, _, made, _ in entries), dtype=np.float64, count=len(row)
        )
    facts = rows.select("track_id", "artist_ids", "source", "reason", "reason_ref", "last_heard_at")[row]
    fields = [f.name for f in TABLES["shelves"].polars[column].inner.fields]  # type: ignore[attr-defined]
    return (
        facts.with_columns(
            entry=pl.Series(entry),
            position=pl.Series(position).cast(pl.Int32),
            score=pl.Series(score).fill_nan(None),
            propensity=pl.Series(propensity).cast(pl.Float32).fill_nan(None),
            explored=pl.Series(~np.isnan(propensity)),
            # A shelf of what was long not heard has a reason of its own for what the library found.
            reason=pl.when(pl.Series(np.isin(number, resting)) & (pl.col("reason") == "you_keep_playing"))
            .then(pl.lit("not_heard_lately"))
            .otherwise("reason"),
        )
        .group_by("entry", maintain_order=True)
        .agg(pl.struct(fields).alias(column))
    )


def draws_frame(
    listener_ids: Sequence[str],
    rows: pl.DataFrame,
    draws: Sequence[SlotDraws],
    exploration: ExplorationSettings,
    night: Night,
) -> pl.DataFrame:
    """Table `draws`: one row a drawn slot, pools best first."""
    schema = TABLES["draws"].polars
    policy = f"epsilon_softmax(epsilon={exploration.epsilon:g}, tau={exploration.tau:g}, pool={exploration.pool})"
    names = pl.Series("listener_id", list(listener_ids), dtype=pl.String)
    tracks = rows["track_id"]
    parts = []
    for d in draws:
        sizes = np.diff(np.append(d.starts, len(d.rows)))
        pools = (
            pl.DataFrame(
                {
                    "one": np.repeat(np.arange(len(d.starts)), sizes),
                    "track_id": tracks[d.rows],
                    "score": pl.Series(d.scores).fill_nan(None),
                    "probability": d.p.astype(np.float32),
                }
            )
            .group_by("one", maintain_order=True)
            .agg(pool=pl.struct("track_id", "score", "probability"))
        )
        won = np.repeat(d.chosen, sizes) == d.rows
        parts.append(
            pools.select(
                listener_id=names[d.listeners],
                shelf_id=pl.lit(d.shelf_id),
                slot=pl.lit(d.slot, dtype=pl.Int32),
                track_id=tracks[d.chosen],
                propensity=pl.Series(d.p[won].astype(np.float32)),
                pool="pool",
                policy=pl.lit(policy),
                seed=pl.lit(night.seed, dtype=pl.Int64),
            )
        )
    if not parts:
        return TABLES["draws"].empty()
    return (
        pl.concat(parts)
        .select(pl.col(name).cast(dtype) for name, dtype in schema.items())
        .sort("listener_id", "shelf_id", "slot")
    )


def stages_frame(listener_ids: Sequence[str], rows: pl.DataFrame, entries: Sequence[Entry]) -> pl.DataFrame:
    """(listener_id, track_id, stage): `placed` where any shelf holds it as an item, else `spare`."""
    placed = [row for _, _, made, _ in entries for row in made.filled.items]
    spare = [row for _, _, made, _ in entries for row in made.filled.spares]
    stage = pl.Series("stage", ["placed"] * len(placed) + ["spare"] * len(spare), dtype=pl.String)
    return (
        rows.select("listener_id", "track_id")[placed + spare]
        .with_columns(stage)
        .sort("listener_id", "track_id", "stage")
        .unique(["listener_id", "track_id"], keep="first", maintain_order=True)
    )
