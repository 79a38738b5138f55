"""What the long term of experiments is implied to be, what it was where it was seen, and so how far off such an implication is.

    active_days_63        implied of everybody whose early days are over, by the index of their experiment (`surrogate`)
    active_days_63_seen   what was seen of those whose 63 days are over

An error is what the early days of the latter implied less what was then seen of them. It is taken over all arms of the
experiments that are read together, so it is said of every one of them, also of those that began too late to be seen themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from transforms.experiments.differences import Difference
from transforms.experiments.readout import Readout
from transforms.experiments.settings import Experiment, SurrogateSettings
from transforms.experiments.surrogate import LONG, Index, seen

IMPLIED, SEEN = "implied", "seen"  # roles of such rows


@dataclass(frozen=True)
class LongTerm:
    """One long-term metric of one arm against the control, implied or seen.

    Attributes:
        base: the control's mean.
        explained: share of the variance between listeners that the index explains; 0 of what was seen.
        off: what the early days of the same listeners implied less what was seen; None of what is implied.
    """

    arm: str
    metric: str
    role: str
    base: float
    difference: Difference
    explained: float
    n: int
    off: float | None = None
    why: str = ""


def long_term(
    experiments: Sequence[tuple[Experiment, Mapping[str, np.ndarray]]], settings: SurrogateSettings | None
) -> dict[str, list[LongTerm]]:
    """What is implied and seen, by experiment; nothing where history or an arm is too small.

    Args:
        experiments: with the sums of `surrogate.groups` by group.
    """
    if settings is None or settings.horizon is None:
        return {}
    found = {one.name: [*_of(one, groups, settings.horizon)] for one, groups in experiments}
    out = {}
    for name, lines in found.items():
        out[name] = [LongTerm(**{**vars(x), "why": _error(found, x, settings)}) for x in lines]
    return out


def _of(one: Experiment, groups: Mapping[str, np.ndarray], horizon: int) -> list[LongTerm]:
    history = groups.get("history")
    if history is None or history[0, 0] < one.least:
        return []
    index, out = Index.fit(history), []

    def sides(kind: str, arm: str) -> tuple[np.ndarray, np.ndarray] | None:
        both = groups.get(f"{kind} {one.control}"), groups.get(f"{kind} {arm}")
        return None if any(b is None or b[0, 0] < one.least for b in both) else both  # type: ignore[return-value]

    for arm in sorted(set(one.arms) - {one.control}):
        for at, metric in enumerate(LONG):
            name = f"{metric}_{horizon}"
            early, whole = sides("early", arm), sides("whole", arm)
            if early is not None:
                base, difference = index.implied(*early, at)
                n = int(early[0][0, 0] + early[1][0, 0])
                out.append(LongTerm(arm, name, IMPLIED, base, difference, float(index.explained[at]), n))
            if whole is not None:
                base, difference = seen(*whole, at)
                off = index.implied(*whole, at)[1].value - difference.value
                n = int(whole[0][0, 0] + whole[1][0, 0])
                out.append(LongTerm(arm, f"{name}_seen", SEEN, base, difference, 0.0, n, off))
    return out


def _error(found: Mapping[str, Sequence[LongTerm]], line: LongTerm, settings: SurrogateSettings) -> str:
    """How far off such implications were, in a sentence."""
    if line.role == SEEN:
        return f"the first {settings.days} days of these listeners implied {line.difference.value + (line.off or 0.0):+.4g}"
    offs = [x for lines in found.values() for x in lines if x.metric == f"{line.metric}_seen" and x.off is not None]
    if not offs:
        return f"no experiment was seen for {settings.horizon} days yet, so how far off this is nobody knows"
    rms = float(np.sqrt(np.mean([float(x.off or 0.0) ** 2 for x in offs])))
    luck = float(np.sqrt(np.mean([x.difference.error**2 for x in offs])))
    arms = "1 arm" if len(offs) == 1 else f"{len(offs)} arms"
    return (
        f"of {arms} seen for {settings.horizon} days the first {settings.days} implied what was seen but for "
        f"{rms:.4g} (root mean square; what was seen is itself known to {luck:.4g})"
    )


def long_rows(verdict: Readout, lines: Sequence[LongTerm]) -> list[dict[str, Any]]:
    """Rows of table `readouts`; `why` says what is known of the error."""
    out = []
    for line in lines:
        d = line.difference
        verdict_word = "better" if d.low > 0 else "worse" if d.high < 0 else "not told apart"
        out.append(
            {
                **{"experiment": verdict.experiment, "arm": line.arm, "metric": line.metric, "role": line.role},
                **{"base": line.base, "mean": line.base + d.value, "difference": d.value, "low": d.low, "high": d.high},
                **{"p": d.p, "explained": line.explained, "n": line.n, "verdict": verdict_word},
                **{"sample_ratio_p": verdict.sample_ratio, "decision": verdict.decisions[line.arm][0], "why": line.why},
            }
        )
    return out
