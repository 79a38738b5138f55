"""Home's order, learned: from counts of what people looked at and played to an order for each listener.

A look is a shelf that a listener surely looked at after a night (`transforms.outcomes.looks`). It counts by shelf and by what
was known when the shelves were ordered, one of 27 contexts:

    context = 9 * newness + 3 * activity + own

    newness    share of the tracks heard in the last 28 days that were first heard in them: below 1/3, below 2/3, more; 1 unknown
    activity   tracks heard in the last 28 days: below 10, below 60, more
    own        what this listener made of this very shelf in that time: never looked at it, looked at it only, played from it

Counts are integers and add up over days and shards. From them the beliefs of `transforms.shelves.bandit` are worked out anew
every night. The chance that whoever looks at shelf k plays from it is sigmoid(theta_k x). theta_k has the normal distribution
around its most likely value that the counts leave (Laplace; Chapelle and Li, NIPS 2011), from a prior in the settings' order:

    x = (1, newness low, newness high, activity low, activity high, own: looked at only, own: played from)
    prior mean of theta_k = (`first` - `step` * k, 0, ..., 0)

A listener is dealt the order of one of `draws` samples of theta, or with chance `epsilon` a random order. The chance of a place
is counted over the samples, so it is exact. `exploration` draws the samples towards the mean, as Chapelle and Li do. Shelves that
are empty come last: they leave no hole.

    on-repeat, context 13 = 9 * 1 + 3 * 1 + 1 (middling in both, looked at only): 40 looks, 9 plays
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from pydantic import BaseModel, Field

from transforms.common.hashing import stable_hash, uniform
from transforms.common.typed_names import PLAYS, LooksAt
from transforms.shelves.bandit import Beliefs, chances, dealt, orders, places, sigmoid

CONTEXTS, D, DAYS = 27, 7, 28
SOME, MANY = 10, 60  # tracks heard in the last 28 days
ROUNDS, LONGEST = 12, 2.0  # of Newton's method; the longest step of a component


class HomeSettings(BaseModel, frozen=True, extra="forbid"):
    """How the shelves of surface `home` are ordered."""

    learned: bool = Field(
        default=True, description="by what people looked at and played, once that is known; false = as the settings say"
    )
    least_looks: int = Field(
        default=500, ge=0, description="looks in the window below which the order is that of the settings"
    )
    window_days: int = Field(default=56, ge=1, le=365, description="days of looks that are learned from")
    visible: int | None = Field(
        default=3,
        ge=1,
        description="shelves on a screen at once: looked at where nothing was played from; null = an impression says that a "
        "shelf was on the screen, so each was looked at",
    )
    exploration: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="share of what is not known that the samples show: 1 = all of it, 0 = the best guess",
    )
    draws: int = Field(default=64, ge=1, le=1000, description="samples of what is believed; a listener is dealt one")
    epsilon: float = Field(default=0.0, ge=0, le=1, description="share of listeners with a random order")
    first: float = Field(default=-1.5, description="prior logit of a play from the first shelf, looked at")
    step: float = Field(default=0.2, ge=0, description="what the prior logit falls by from shelf to shelf")
    shared: float = Field(default=0.5, gt=0, description="prior standard deviation of a shelf's logit")
    deviation: float = Field(default=0.5, gt=0, description="prior standard deviation of what a context adds")


class Placed(NamedTuple):
    """Where each shelf stands for each listener: int64, float64, float64 [n, shelves]; the chance is NaN of empty shelves."""

    place: np.ndarray
    score: np.ndarray
    chance: np.ndarray


def vectors() -> np.ndarray:
    """float64 [27, 7]: x of each context."""
    code = np.arange(CONTEXTS)
    newness, activity, own = code // 9, code // 3 % 3, code % 3
    flags = [newness == 0, newness == 2, activity == 0, activity == 2, own == 1, own == 2]
    return np.column_stack([np.ones(CONTEXTS), *flags]).astype(np.float64)


def contexts(
    listener_ids: Sequence[str],
    shelf_ids: Sequence[str],
    heard: pl.DataFrame | None,
    looks: pl.DataFrame | None,
    date: dt.date,
) -> np.ndarray:
    """int64 [listeners, shelves], the context of each as of the end of a date.

    Args:
        heard: listener (its place in `listener_ids`), heard, last_heard_at, first_heard_at; None = nothing is known.
        looks: listener_id, shelf_id, night, played: table `looks`; None = none.
    """
    own = np.zeros((len(listener_ids), len(shelf_ids)), np.int64)
    if looks is not None and looks.height:
        since = date - dt.timedelta(days=DAYS)
        place = {name: k for k, name in enumerate(shelf_ids)}
        row = {name: i for i, name in enumerate(listener_ids)}
        mine = looks.filter(
            pl.col("night").is_between(since, date, closed="left")
            & pl.col("shelf_id").is_in(list(place))
            & pl.col("listener_id").is_in(list(row))
        )
        found = mine.group_by("listener_id", "shelf_id").agg(pl.col("played").any())
        for listener, shelf, played in found.iter_rows():
            own[row[listener], place[shelf]] = 2 if played else 1
    newness, activity = _levels(len(listener_ids), heard, date)
    return (9 * newness + 3 * activity)[:, None] + own


def _levels(listeners: int, heard: pl.DataFrame | None, date: dt.date) -> tuple[np.ndarray, np.ndarray]:
    newness, activity = np.ones(listeners, np.int64), np.zeros(listeners, np.int64)
    if heard is not None and {"heard", "last_heard_at", "first_heard_at"} <= set(heard.columns):
        end = dt.datetime.combine(date + dt.timedelta(days=1), dt.time(), tzinfo=dt.UTC)
        lately = pl.lit(end - dt.timedelta(days=DAYS))
        by = (
            heard.filter(pl.col("heard") & (pl.col("last_heard_at") >= lately))
            .group_by("listener")
            .agg(tracks=pl.len(), fresh=(pl.col("first_heard_at") >= lately).sum())
        )
        who, tracks, fresh = (by[c].to_numpy().astype(np.int64) for c in ("listener", "tracks", "fresh"))
        newness[who] = (3 * fresh >= tracks).astype(np.int64) + (3 * fresh >= 2 * tracks)
        activity[who] = (tracks >= SOME).astype(np.int64) + (tracks >= MANY)
    return newness, activity


def counted(counts: Mapping[str, int], shelf_ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Looks and plays, float64 [shelves, 27] each, of counts by `LooksAt`."""
    looks, plays = np.zeros((2, len(shelf_ids), CONTEXTS))
    place = {name: k for k, name in enumerate(shelf_ids)}
    for of, n in LooksAt.among(counts).items():
        if of.shelf in place and 0 <= of.context < CONTEXTS:
            (plays if of.what == PLAYS else looks)[place[of.shelf], of.context] += n
    return looks, plays


def believed(looks: np.ndarray, plays: np.ndarray, settings: HomeSettings) -> Beliefs:
    """Beliefs on theta of each shelf, in the order of the settings, from looks and plays [shelves, 27]."""
    x, shelves = vectors(), len(looks)
    start = settings.first - settings.step * np.arange(shelves)
    prior = Beliefs.prior(start, D, settings.deviation, settings.shared)
    mean = prior.mean
    for _ in range(ROUNDS):
        gradient = (plays - looks * sigmoid(mean @ x.T)) @ x
        gradient = gradient - np.einsum("kde,ke->kd", prior.precision, mean - prior.mean)
        step = np.linalg.solve(_precision(prior, looks, mean, x), gradient[:, :, None])[:, :, 0]
        mean = mean + np.clip(step, -LONGEST, LONGEST)
    return Beliefs(mean, _precision(prior, looks, mean, x))


def _precision(prior: Beliefs, looks: np.ndarray, mean: np.ndarray, x: np.ndarray) -> np.ndarray:
    p = sigmoid(mean @ x.T)
    return prior.precision + np.einsum("kc,cd,ce->kde", looks * p * (1 - p), x, x)


def ordered(
    listener_ids: Sequence[str],
    there: np.ndarray,
    context: np.ndarray,
    beliefs: Beliefs,
    settings: HomeSettings,
    seed: int,
    date: dt.date,
) -> Placed:
    """The order that each listener is dealt, a function of the seed, the date and the listener alone.

    Args:
        there: bool [n, shelves], which shelves are not empty; context: int64 [n, shelves].

    Returns:
        `place` from 0; `score`, the chance of a play that is believed most likely.
    """
    shelves = np.arange(there.shape[1])
    listeners = pl.Series("listener_id", list(listener_ids), dtype=pl.String)
    began = stable_hash(pl.Series([date.isoformat()]), seed=seed, purpose="home ensemble")
    theta = beliefs.sampled(settings.draws, np.random.default_rng(int(began[0])), settings.exploration)
    scores = (theta @ vectors().T)[:, shelves[None, :], context]
    order_of = orders(scores, there[None])
    luck = [uniform(seed, f"home {part} {date.isoformat()}", listeners) for part in range(2 + len(shelves))]
    place = places(dealt(order_of, there, settings.epsilon, np.column_stack(luck)))
    likely = sigmoid((beliefs.mean @ vectors().T)[shelves[None, :], context])
    return Placed(place, likely, chances(order_of, place, there, settings.epsilon))
