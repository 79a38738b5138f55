"""What the ranker learns from: candidates of stored nights, with what their outcomes say of them.

    pairs_of(past, horizon=7, most=6)   the newest nights whose outcomes have closed
    examples(warehouse, pairs, 7, ...)  features `f_*`, labels, `group` (night x listener x heard_before), `weight`, `night`
    judged(warehouse, pairs[-1], 7, ...)  whole lists of the newest night, and everything their listeners went on to hear

All candidates count, never shown items only, since what was shown was chosen by an earlier ranker. Only listeners whose lists
were kept whole count (`transforms.common.sample`), each list as much as another; of many, a hashed share. Nights stand a horizon
apart, so no two of them look at the same day. For learning, negatives may be thinned, with weights that make up for it; what is
compared is never thinned.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import polars as pl

from pipelines.recommender.ranker_lists import LABELS, REWARDED, Also, counted, whole_lists
from transforms.common.errors import UserError
from transforms.common.hashing import stable_hash, uniform
from transforms.tables.as_of import AsOf
from transforms.tables.manifest import Heading
from transforms.tables.warehouse import Warehouse

Pair = tuple[Heading, Heading]  # a night's candidates, their outcomes
ATTRIBUTED = ("attributed", "attributed_weight", "position")


def pairs_of(past: AsOf, horizon: int, most: int) -> list[Pair]:
    """The newest stored nights whose outcomes of `horizon` days have closed, with these outcomes, oldest first.

    At most `most`, each at least a horizon before the next, so that their outcomes share no day; empty ones are left out.

    Raises:
        UserError: a stored night was scored with models later than itself.
    """
    pairs: list[Pair] = []
    until = past.day
    for d in reversed(past.dates("candidates")):
        if d + timedelta(horizon) > until or len(pairs) == most:
            continue
        made, outcome = past.heading("candidates", d), past.heading("outcomes", d + timedelta(horizon))
        if made is not None and made.rows and outcome is not None and outcome.rows:
            pairs.insert(0, (made, outcome))
            until = d
    for night, _ in pairs:
        refuse_leaks(night)
    return pairs


def refuse_leaks(night: Heading) -> None:
    """A night scored with anything later than itself teaches a ranker the future.

    Raises:
        UserError: it was.
    """
    late = [
        key
        for key in night.inputs
        if "@" in key
        and key.split("@")[0] in ("models", "rankers", "library", "sessions", "listener_signals", "signal_values")
    ]
    worst = max((key.split("@")[1] for key in late), default="")
    if worst > night.date.isoformat():
        raise UserError(
            f"candidates of {night.date} were made with inputs of {worst}, later than the night; make that night again"
        )


def examples(
    warehouse: Warehouse,
    pairs: Sequence[Pair],
    horizon: int,
    most: int,
    seed: int,
    also: Also | None = None,
    lists: int | None = None,
) -> pl.DataFrame:
    """Ranker examples of stored nights: features, labels, `group` (night x listener x heard_before), `weight`, `night`.

    A night's outcomes are joined by listener and track. Beyond about `lists` lists of all nights a hashed share of the listeners
    is learned from. Beyond about `most` rows every positive is kept, and of the others a hashed share whose weight makes up for
    the rest. `owner` tells whose list it is, without saying who that is. `also` adds columns to a night's candidates.
    """
    found = [counted(warehouse, night) for night, _ in pairs]
    of_lists = 1.0 if lists is None else min(1.0, lists / max(sum(one.lists for one in found), 1))
    share = min(1.0, most / max(of_lists * sum(one.rows for one in found), 1))

    def sampled(frame: pl.DataFrame) -> pl.DataFrame:
        positive = pl.col("listened").fill_null(False)
        drawn = pl.Series(uniform(seed, "ranker examples", frame["listener_id"], frame["track_id"]) < share)
        weight = pl.when(positive).then(1.0).otherwise(1 / share)
        owner = pl.Series(stable_hash(frame["listener_id"])).reinterpret(signed=True)
        return frame.with_columns(weight=weight.cast(pl.Float32), owner=owner).filter(positive | drawn)

    frames = []
    for number, (night, outcome) in enumerate(pairs):
        for rows, became in whole_lists(warehouse, night, outcome, horizon, of_lists, seed, also):
            labels = attributed(became.filter(pl.col("stage") != "missed"))
            known = rows.join(
                labels.select("listener_id", "track_id", *LABELS, *REWARDED, *ATTRIBUTED),
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


def judged(
    warehouse: Warehouse,
    pair: Pair,
    horizon: int,
    most: int,
    seed: int,
    also: Also | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What rankers are compared on: the whole lists of one night, and what their listeners heard then.

    Args:
        most: candidates, about; beyond, a hashed sample of the listeners whose lists were kept whole.
        also: adds columns to the night's candidates.

    Returns:
        The candidates: `list` (int, the listener, the same on every night), `item`, features `f_*`, `heard_before`. And `list`,
        `item`, `heard_before` of everything these listeners heard in the horizon, whether it was a candidate or not: what NDCG
        is measured against.
    """
    night, outcome = pair
    share = min(1.0, most / max(counted(warehouse, night).rows, 1))
    listed, listened = list[pl.DataFrame](), list[pl.DataFrame]()
    for candidates, became in whole_lists(warehouse, night, outcome, horizon, share, seed, also):
        listed.append(candidates)
        listened.append(became.filter("listened").select("listener_id", "track_id", "heard_before"))
    if not any(frame.height for frame in listed):
        nothing = pl.DataFrame(schema={"list": pl.Int64, "item": pl.Int64, "heard_before": pl.Boolean})
        return nothing, nothing
    rows, heard = pl.concat(listed, how="diagonal"), pl.concat(listened)
    people = rows.select("listener_id").unique().sort("listener_id")
    people = people.with_columns(list=pl.Series(stable_hash(people["listener_id"])).reinterpret(signed=True))
    tracks = (
        pl.concat([rows.select("track_id"), heard.select("track_id")]).unique().sort("track_id").with_row_index("item")
    )

    def coded(frame: pl.DataFrame) -> pl.DataFrame:
        known = frame.join(people, on="listener_id", maintain_order="left").join(
            tracks, on="track_id", maintain_order="left"
        )
        return known.drop("listener_id", "track_id").with_columns(pl.col("list", "item").cast(pl.Int64))

    return (
        coded(rows).drop("inclusion").with_columns(f_heard=pl.col("heard_before").cast(pl.Float32)),
        coded(heard),
    )


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
