"""What an experiment says so far: each metric of each arm against the control, and whether to ship.

    sample ratio       p < 0.001: listeners were not dealt as planned, and nothing else is to be believed
    success metrics    two-sided at alpha shared among their comparisons; CUPED takes out what listeners did before
    guardrails         one-sided: not worse than the control by more than the margin, a share of its mean
    every metric       significantly worse than the control stops a launch

**Ship** an arm if at least one success metric is significantly better, every guardrail is non-inferior and nothing is
significantly worse (the decision rule of Schultzberg et al., "Risk-aware product decisions in A/B tests with multiple
metrics", 2024).

    >>> readout(Experiment(name="e", starts=date(2026, 1, 1)), {}).decisions["treatment"][0]
    'not yet'
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from transforms.experiments.differences import Arm, Difference, always_valid, non_inferior, sample_ratio, welch
from transforms.experiments.metrics import METRICS
from transforms.experiments.moments import Moments, theta
from transforms.experiments.planning import shared_alpha
from transforms.experiments.settings import Experiment

MISMATCH = 0.001
Decision = Literal["ship", "do not ship", "not yet", "invalid"]


@dataclass(frozen=True)
class Line:
    """One metric of one arm against the control.

    Attributes:
        role: success, guardrail or watched.
        base: the control's mean, as listeners did (not adjusted).
        mean: the arm's.
        difference: of the means, adjusted where CUPED helped; with the interval of the test that decides.
        p: of the test that decides; for a guardrail of "worse than the margin".
        explained: share of the variance that CUPED took out.
        verdict: better, worse, not told apart, non-inferior, not shown non-inferior.
    """

    arm: str
    metric: str
    role: str
    base: float
    mean: float
    difference: Difference
    p: float
    explained: float
    n: int
    verdict: str


@dataclass(frozen=True)
class Readout:
    """An experiment's lines, the p of its sample ratio, and the decision with its reason, by arm."""

    experiment: str
    lines: tuple[Line, ...]
    sample_ratio: float
    listeners: dict[str, int]
    decisions: dict[str, tuple[Decision, str]]


def readout(one: Experiment, sums: Mapping[tuple[str, str], Moments]) -> Readout:
    """Read an experiment.

    Args:
        one: its settings.
        sums: (arm, metric) -> moments of its exposed listeners; an arm without listeners may be absent.
    """
    arms = sorted(one.arms)
    counts = {arm: next((m.n for (a, _), m in sums.items() if a == arm), 0) for arm in arms}
    ratio = sample_ratio([counts[a] for a in arms], [one.arms[a].weight for a in arms])
    lines = [line for arm in arms if arm != one.control for line in _lines(one, arm, sums)]
    decisions = {arm: _decide(one, arm, lines, ratio, counts) for arm in arms if arm != one.control}
    return Readout(one.name, tuple(lines), ratio, counts, decisions)


def _lines(one: Experiment, arm: str, sums: Mapping[tuple[str, str], Moments]) -> list[Line]:
    out = []
    level = shared_alpha(one.alpha, len(one.success), len(one.arms) - 1)
    for metric, kind in METRICS.items():
        here, there = sums.get((arm, metric)), sums.get((one.control, metric))
        if here is None or there is None or min(here.n, there.n) < 2:
            continue
        if kind.denominator and (here.d <= 0 or there.d <= 0):
            continue
        control, treatment, explained = _arms(here, there, bool(kind.denominator))
        base = there.ratio if kind.denominator else there.mean
        mean = here.ratio if kind.denominator else here.mean
        role = "success" if metric in one.success else "guardrail" if metric in one.guardrails else "watched"
        test = always_valid if one.look == "daily" else welch
        difference = test(control, treatment, level if role == "success" else one.alpha)
        verdict = "not told apart"
        if difference.low > 0 or difference.high < 0:
            verdict = "better" if (difference.value > 0) == (kind.better > 0) else "worse"
        p = difference.p
        if role == "guardrail" and verdict != "worse":
            margin = one.guardrails[metric] * abs(base)  # type: ignore[index]
            p, passed = _cleared(control, treatment, kind.better, margin, one)
            verdict = "non-inferior" if passed else "not shown non-inferior"
        out.append(Line(arm, metric, role, base, mean, difference, p, explained, here.n + there.n, verdict))
    return out


def _arms(here: Moments, there: Moments, ratio: bool) -> tuple[Arm, Arm, float]:
    """Control and treatment as means and variances, and the share of the variance that CUPED took out."""
    if ratio:
        return (Arm(there.ratio, there.ratio_variance, there.n), Arm(here.ratio, here.ratio_variance, here.n), 0.0)
    by = theta([here, there])
    control, treatment = (Arm(*m.adjusted(by), m.n) for m in (there, here))
    plain = there.variance / there.n + here.variance / here.n
    left = control.square_error + treatment.square_error
    return control, treatment, 1 - left / plain if plain > 0 else 0.0


def _cleared(control: Arm, treatment: Arm, better: int, margin: float, one: Experiment) -> tuple[float, bool]:
    """p of "worse than the margin", and whether that is ruled out."""
    up = [replace(a, mean=better * a.mean) for a in (control, treatment)]
    if one.look == "daily":
        found = always_valid(up[0], replace(up[1], mean=up[1].mean + margin), min(2 * one.alpha, 0.5))
        return (found.p / 2 if found.value > 0 else 1.0), found.low > 0
    verdict = non_inferior(up[0], up[1], margin, one.alpha)
    return verdict.p, verdict.p < one.alpha


def _decide(
    one: Experiment, arm: str, lines: list[Line], ratio: float, counts: Mapping[str, int]
) -> tuple[Decision, str]:
    """The decision on an arm and its reason in a sentence."""
    mine = [line for line in lines if line.arm == arm]
    if ratio < MISMATCH:
        dealt = ", ".join(f"{a} {n:,}" for a, n in sorted(counts.items()))
        return (
            "invalid",
            f"listeners were not dealt as planned ({dealt}; p = {ratio:.1g}); find out why before reading on",
        )
    few = [a for a in (one.control, arm) if counts[a] < one.least]
    if few:
        return "not yet", f"{few[0]} has {counts[few[0]]:,} exposed listeners, and {one.least:,} are asked for"
    worse = [line.metric for line in mine if line.verdict == "worse" and line.role != "watched"]
    if worse:
        return "do not ship", f"{' and '.join(worse)} got worse"
    better = [line.metric for line in mine if line.role == "success" and line.verdict == "better"]
    open_ = [line.metric for line in mine if line.role == "guardrail" and line.verdict != "non-inferior"]
    absent = [m for m in one.guardrails if m not in {line.metric for line in mine}]
    if better and not open_ and not absent:
        return "ship", f"{' and '.join(better)} got better, and no guardrail got worse by more than its margin"
    if not better:
        return "not yet", "no success metric is told apart from the control's"
    return "not yet", f"{' and '.join([*open_, *absent])} is not shown to be within its margin"


def as_rows(verdict: Readout) -> list[dict[str, Any]]:
    """Rows of table `readouts`."""
    out = []
    for line in verdict.lines:
        decision, why = verdict.decisions[line.arm]
        d = line.difference
        out.append(
            {
                "experiment": verdict.experiment,
                "arm": line.arm,
                "metric": line.metric,
                "role": line.role,
                "base": line.base,
                "mean": line.mean,
                "difference": d.value,
                "low": d.low,
                "high": d.high,
                "p": line.p,
                "explained": line.explained,
                "n": line.n,
                "verdict": line.verdict,
                "sample_ratio_p": verdict.sample_ratio,
                "decision": decision,
                "why": why,
            }
        )
    return out
