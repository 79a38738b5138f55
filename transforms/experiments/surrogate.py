"""What an experiment's first days imply for its long term: a surrogate index, from sums.

Days with a play in 63 days are known after 63 days, and what decides them shows sooner: how often and how much somebody played
in the first 14, and before. Of listeners from before the experiment, of whom all of it is known, a linear regression learns

    E[long | early, before] = beta . (1, early, before)

and an arm's implied effect is the difference of the mean index between the arms (Athey, Chetty, Imbens & Kang, "The surrogate
index", NBER 26463, 2019). It is right as far as whatever the arm changes in the long term shows in the early days. Where it does
not, no interval tells; what tells are experiments that were seen through to the end: there the same sums of the same listeners
give both the implied and the seen effect, and their distance is the error.

Habit before is taken out of both (CUPED with several covariates). A listener is a vector v = (1, early, before, long), and
everything is computed from sums of v v' by group, so any split of listeners gives the same readout.

    >>> v = np.array([[1.0, 2.0, 0, 0, 0, 0, 0, 0, 0, 4.0, 4.0], [1.0, 1.0, 0, 0, 0, 0, 0, 0, 0, 2.0, 2.0]])
    >>> index = Index.fit(v.T @ v)
    >>> bool(np.isclose(index.beta[1, 0], 2.0))
    True
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl
from scipy import stats

from transforms.experiments.differences import Arm, Difference, freedom
from transforms.experiments.metrics import counted

EARLY = (
    "plays",
    "active_days",
    "late_days",
    "plays_attributed",
    "saves",
    "skips",
)  # late: of the second half of the days
BEFORE = ("before_plays", "before_active_days")
LONG = ("active_days", "plays")  # the long-term metrics that are implied
FEATURES = 1 + len(EARLY) + len(BEFORE)
_HABIT = slice(1 + len(EARLY), FEATURES)


@dataclass(frozen=True)
class Span:
    """Days of which an index is made.

    Attributes:
        days: the early days.
        horizon: the long term, in days.
        before: days before somebody's first that are their habit.
        first: the first day on which somebody of before the experiment may have begun; None = the log is too young.
    """

    days: int
    horizon: int
    before: int
    first: date | None

    @classmethod
    def of(cls, starts: date, log_begins: date, days: int, horizon: int, before: int) -> Span:
        """For an experiment: all of history's days are over when its first arms are dealt."""
        first = starts - timedelta(days=days + horizon - 2)
        if first < log_begins:
            return cls(days, horizon, before, None)
        return cls(days, horizon, min(before, (first - log_begins).days), first)

    @property
    def since(self) -> date | None:
        """The first day that is read."""
        return None if self.first is None else self.first - timedelta(days=self.before)


def history(listens: pl.DataFrame, span: Span) -> pl.DataFrame:
    """listener_id and `since`: who of before the experiment is learned from, and the day on which each is taken to begin."""
    assert span.first is not None
    day = pl.col("started_at").dt.date()
    begun = listens.filter(day.is_between(span.first, span.first + timedelta(days=span.days - 1)))
    return begun.group_by("listener_id").agg(since=day.min()).sort("listener_id")


def vectors(begun: pl.DataFrame, listens: pl.DataFrame, feedback: pl.DataFrame | None, span: Span) -> np.ndarray:
    """float64[n, FEATURES + len(LONG)]: v of each listener, in the order of `begun`.

    Args:
        begun: listener_id (once), since.
        listens, feedback: of all their days.
    """
    windows = {"": (0, span.days), "late_": (span.days // 2, span.days), "before_": (-span.before, 0)}
    windows["long_"] = (0, span.horizon)
    out = begun.select("listener_id")
    for prefix, (low, high) in windows.items():

        def inside(frame: pl.DataFrame, at: str, low: int = low, high: int = high) -> pl.DataFrame:
            days = (pl.col(at).dt.date() - pl.col("since")).dt.total_days()
            return frame.join(begun, on="listener_id").filter((days >= low) & (days < high))

        sums = counted(inside(listens, "started_at"), None if feedback is None else inside(feedback, "at"))
        named = {c: prefix + c for c in sums.columns if c != "listener_id"}
        out = out.join(sums.rename(named), on="listener_id", how="left")
    out = out.with_columns(late_days=pl.col("late_active_days"), one=pl.lit(1.0)).fill_null(0.0)
    names = ("one", *EARLY, *BEFORE, *(f"long_{name}" for name in LONG))
    return out.join(begun, on="listener_id", maintain_order="right").select(names).to_numpy()


def products(v: np.ndarray) -> np.ndarray:
    """Sum of v v'; whole numbers, so that sums are exact."""
    return v.T @ v


def added(parts: Iterable[np.ndarray]) -> np.ndarray:
    """The sums of all, for a combine."""
    width = FEATURES + len(LONG)
    return np.sum([np.zeros((width, width)), *parts], axis=0)


def groups(
    exposed: pl.DataFrame, listens: pl.DataFrame, feedback: pl.DataFrame | None, span: Span, through: date
) -> Iterator[tuple[str, np.ndarray]]:
    """Sums of a chunk's listeners: `history`, `early <arm>` (their early days are over), `whole <arm>` (everything is over).

    Args:
        exposed: listener_id, arm, first_exposed_on.
        through: the last day that is known.
    """
    if span.first is None:
        return
    yield "history", products(vectors(history(listens, span), listens, feedback, span))
    begun = exposed.select("listener_id", "arm", since="first_exposed_on")
    for kind, days in (("early", span.days), ("whole", span.horizon)):
        over = begun.filter(pl.col("since") <= through - timedelta(days=days - 1))
        found, arms = vectors(over.drop("arm"), listens, feedback, span), over["arm"]
        for arm in arms.unique(maintain_order=True):
            yield f"{kind} {arm}", products(found[(arms == arm).to_numpy()])


@dataclass(frozen=True)
class Index:
    """A fitted index.

    Attributes:
        beta: float64[FEATURES, len(LONG)].
        noise: float64[len(LONG)], variance of what it does not explain.
        spread: float64[FEATURES, FEATURES], inverse of the sum of (z - mean)(z - mean)', z = (1, early, before).
        explained: float64[len(LONG)], share of the variance between listeners that it explains.
        n: listeners it was learned from.
    """

    beta: np.ndarray
    noise: np.ndarray
    spread: np.ndarray
    explained: np.ndarray
    n: int

    @classmethod
    def fit(cls, sums: np.ndarray) -> Index:
        """Least squares, of the sums of `history`.

        What did not vary there says nothing, and where habit and the early days say the same the early days have the word: a
        hair's breadth of ridge stands on habit.
        """
        n, inside = sums[0, 0], _inside(sums)
        z, y = inside[1:FEATURES, 1:FEATURES], inside[1:FEATURES, FEATURES:]
        varies = np.diag(z) > 1e-9 * np.maximum(np.diag(sums)[1:FEATURES], 1e-300)
        scale = np.where(varies, np.sqrt(np.where(varies, np.diag(z), 1.0)), np.inf)
        ridge = np.diag([0.0] * len(EARLY) + [1e-6] * len(BEFORE))
        solved = np.linalg.pinv(z / np.outer(scale, scale) + ridge, rcond=1e-9, hermitian=True)
        spread = np.zeros((FEATURES, FEATURES))
        spread[1:, 1:] = solved / np.outer(scale, scale)
        beta = spread[:, 1:] @ y
        beta[0] = (sums[0, FEATURES:] - sums[0, :FEATURES] @ beta) / n
        total = np.diag(inside)[FEATURES:]
        left = np.clip(total - (beta[1:] * y).sum(axis=0), 0.0, total)
        explained = np.where(total > 0, 1 - left / np.where(total > 0, total, 1), 0.0)
        return cls(beta, left / max(n - FEATURES, 1), spread, explained, int(n))

    def implied(self, control: np.ndarray, treatment: np.ndarray, metric: int) -> tuple[float, Difference]:
        """The control's mean of the index of LONG[metric], and the difference, with what the regression is unsure of in it."""
        weights = np.concatenate([self.beta[:, metric], np.zeros(len(LONG))])
        apart = (treatment[0, :FEATURES] / treatment[0, 0]) - (control[0, :FEATURES] / control[0, 0])
        unsure = float(self.noise[metric] * apart @ self.spread @ apart)
        return float(control[0] @ weights / control[0, 0]), _difference(control, treatment, weights, unsure)


def seen(control: np.ndarray, treatment: np.ndarray, metric: int) -> tuple[float, Difference]:
    """The control's mean of LONG[metric] and the difference, of listeners whose long term is over."""
    weights = np.zeros(len(control))
    weights[FEATURES + metric] = 1.0
    return float(control[0] @ weights / control[0, 0]), _difference(control, treatment, weights, 0.0)


def _difference(control: np.ndarray, treatment: np.ndarray, weights: np.ndarray, unsure: float) -> Difference:
    """Of the means of weights . v, habit taken out, with a 95% interval."""
    inside = _inside(control) + _inside(treatment)
    habit = np.linalg.pinv(inside[_HABIT, _HABIT], rcond=1e-10, hermitian=True) @ inside[_HABIT] @ weights
    adjusted = weights.copy()
    adjusted[_HABIT] -= habit
    arms = []
    for sums in (control, treatment):
        n = sums[0, 0]
        variance = float(adjusted @ _inside(sums) @ adjusted) / max(n - 1, 1)
        arms.append(Arm(float(sums[0] @ adjusted / n), max(variance, 0.0), int(n)))
    value = arms[1].mean - arms[0].mean
    error = float(np.sqrt(arms[0].square_error + arms[1].square_error + unsure))
    if not error:
        return Difference(value, 0.0, value, value, float(value == 0))
    df = freedom(*arms)
    half = float(stats.t.ppf(0.975, df)) * error
    return Difference(value, error, value - half, value + half, float(2 * stats.t.sf(abs(value) / error, df)))


def _inside(sums: np.ndarray) -> np.ndarray:
    """Sum of (v - mean)(v - mean)' of a group."""
    return sums - np.outer(sums[0], sums[0]) / sums[0, 0]
