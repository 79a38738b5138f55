"""What the ranker learns from: candidates of stored nights, with what their outcomes say of them.

    pairs_of(past, horizon=7, most=6)   the newest nights whose outcomes have closed
    examples(warehouse, pairs, 7, ...)  features `f_*`, labels, `group` (night x listener x heard_before), `weight`, `night`

All candidates count, never shown items only, since what was shown was chosen by an earlier ranker.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import polars as pl

from transforms.common.errors import UserError
from transforms.common.hashing import uniform
from transforms.tables.as_of import AsOf
from transforms.tables.manifest import Manifest
from transforms.tables.warehouse import Warehouse

LABELS = ("listened", "completed", "saved", "returned")
ATTRIBUTED = ("attributed", "attributed_weight", "position")
_OUTCOME = (
    *("night", "horizon", "listener_id", "track_id", "stage", "origin", "rank", "propensity"),
    *LABELS,
)


def pairs_of(past: AsOf, horizon: int, most: int) -> list[tuple[Manifest, Manifest]]:
    """The newest `most` stored nights whose outcomes of `horizon` days have closed, with these outcomes; empty ones left out.

    Raises:
        UserError: a stored night was scored with models later than itself.
    """
    nights = [d for d in past.dates("candidates") if d + timedelta(horizon) <= past.day][-most:]
    pairs = [
        (made, outcome)
        for d in nights
        if (made := past.need("candidates", d)).rows
        and (outcome := past.current("outcomes", d + timedelta(horizon)))
        and outcome.rows
    ]
    for night, _ in pairs:
        refuse_leaks(night)
    return pairs


def refuse_leaks(night: Manifest) -> None:
    """A night scored with anything later than itself teaches a ranker the future.

    Raises:
        UserError: it was.
    """
    late = [
        key for key in night.inputs if "@" in key and key.split("@")[0] in ("models", "rankers", "library", "sessions")
    ]
    worst = max((key.split("@")[1] for key in late), default="")
    if worst > night.date.isoformat():
        raise UserError(
            f"candidates of {night.date} were made with inputs of {worst}, later than the night; make that night again"
        )


def examples(
    warehouse: Warehouse, pairs: Sequence[tuple[Manifest, Manifest]], horizon: int, most: int, seed: int
) -> pl.DataFrame:
    """Ranker examples of stored nights: features, labels, `group` (night x listener x heard_before), `weight`, `night`.

    All candidates count, never shown items only; a night's outcomes are joined by listener and track. Beyond about `most`
    rows every positive is kept, and of the others a hashed share whose weight makes up for the rest.
    """
    share = min(1.0, most / max(sum(night.rows for night, _ in pairs), 1))

    def sampled(frame: pl.DataFrame) -> pl.DataFrame:
        positive = pl.col("listened").fill_null(False)
        drawn = pl.Series(uniform(seed, "ranker examples", frame["listener_id"], frame["track_id"]) < share)
        weight = pl.when(positive).then(1.0).otherwise(1 / share) / pl.col("inclusion")
        return frame.filter(positive | drawn).with_columns(weight=weight.cast(pl.Float32))

    frames = []
    for number, (night, outcome) in enumerate(pairs):
        joined = [
            part.filter(
                (pl.col("night") == night.date)
                & (pl.col("horizon") == horizon)
                & pl.col("stage").is_in(["candidate", "placed", "shown"])
            )
            for file in outcome.files
            for part in warehouse.read_files([file], _OUTCOME)
        ]
        if not joined:
            continue
        labels = attributed(pl.concat(joined).unique(["listener_id", "track_id"], keep="first", maintain_order=True))
        for file in night.files:
            columns = [c for c in warehouse.open_parquet(file.path).schema_arrow.names if c.startswith("f_")]
            (rows,) = warehouse.read_files([file], ("listener_id", "track_id", "heard_before", "inclusion", *columns))
            known = rows.join(
                labels.select("listener_id", "track_id", *LABELS, *ATTRIBUTED),
                on=["listener_id", "track_id"],
                maintain_order="left",
            )
            frames.append(sampled(known).with_columns(night=pl.lit(number, dtype=pl.Int32)))
    every = pl.concat(frames, how="diagonal")
    if not every["attributed"].any():  # nothing was played from a shelf, or the log cannot tell: no such head
        every = every.drop(ATTRIBUTED)
    return every.with_columns(
        group=pl.struct("night", "listener_id", "heard_before").rank("dense").cast(pl.Int64),
        f_heard=pl.col("heard_before").cast(pl.Float32),
    ).drop("listener_id", "track_id", "inclusion")


def attributed(outcomes: pl.DataFrame) -> pl.DataFrame:
    """Outcomes with ATTRIBUTED, what the rankers' attributed head learns from.

    Only items that were shown can be played from their shelf: of others the label is unknown. A drawn item weighs
    1 / propensity, which undoes that the draw favoured it (the models clip at 20); one that was not drawn weighs 1. Its
    position enters the training only, so that the head answers for a track wherever it will stand.
    """
    shown = pl.col("stage") == "shown"
    played = pl.col("listened") & (pl.col("origin") == "attributed").fill_null(False)
    return outcomes.with_columns(
        attributed=pl.when(shown).then(played),
        attributed_weight=pl.when(shown).then(1 / pl.col("propensity")).fill_null(1.0).cast(pl.Float32),
        position=pl.when(shown).then("rank").fill_null(0).cast(pl.Int32),
    )
