"""Whether a newly fitted ranker may replace the one at work: only if the last closed night says so.

All are measured on that night's tracks never heard before (NDCG@50 among all candidates, a mean over listeners), by days of which
none of them knew anything: the new ranker's recipe fitted on nights a horizon and more before, the ranker that was at work on the
night as it is, and every source alone by its own ranks. A new ranker that falls more than `ranker.promote_tolerance` short of the
better of the two gives way to the old one, if the old one did better; the manifest of `rankers` says so, and so do the terminal
and the report.

    >>> judge(0.050, 0.080, {"als": 0.060}, 0.05).keep
    True
    >>> judge(0.050, 0.040, {"als": 0.060}, 0.05)
    Verdict(keep=False, short_of='source als', by=0.16666666666666663)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

REPLACED = "the ranker it replaces"
SOURCE = "source:"
_PPM = "ndcg50_ppm_"


@dataclass(frozen=True)
class Verdict:
    """What became of a new ranker.

    Attributes:
        keep: the old ranker stays.
        short_of: what the new one was worse than by more than is allowed; None = nothing.
        by: how much of that figure it lacks, a share.
    """

    keep: bool
    short_of: str | None = None
    by: float = 0.0


def decide(new: float | None, replaced: float | None, sources: Mapping[str, float], tolerance: float) -> Verdict:
    """Compare a new ranker with what it must not be worse than.

    Args:
        new: its figure; None = one stored night alone, nothing to measure it on.
        replaced: of the ranker at work; None = there is none, or it has seen the night that is measured.
        sources: of each source alone.
        tolerance: share of the better figure that it may lack.
    """
    if new is None:
        return Verdict(False)
    bars = {f"source {name}": value for name, value in sorted(sources.items())}
    if replaced is not None:
        bars[REPLACED] = replaced
    best = max(bars, key=lambda name: bars[name], default=None)
    if best is None or bars[best] <= 0 or new >= (1 - tolerance) * bars[best]:
        return Verdict(False)
    return Verdict(replaced is not None and replaced > new, best, 1 - new / bars[best])


def counts(
    verdict: Verdict, replaced: float | None, sources: Mapping[str, float], old_fit: date | None
) -> dict[str, int]:
    """The verdict and what it rests on, as the numbers a manifest's `extra` holds."""
    out = {f"{_PPM}{SOURCE}{name}": round(value * 1e6) for name, value in sources.items()}
    if replaced is not None:
        out[f"{_PPM}replaced"] = round(replaced * 1e6)
    if verdict.short_of is not None:
        out["short_by_ppm"] = round(verdict.by * 1e6)
        out[f"short_of_{'replaced' if verdict.short_of == REPLACED else verdict.short_of.replace(' ', ':', 1)}"] = 1
    if verdict.keep and old_fit is not None:
        out |= {"kept": 1, "kept_fit_date": int(old_fit.strftime("%Y%m%d"))}
    return out


def sentence(extra: Mapping[str, Any]) -> str | None:
    """What a manifest of `rankers` has to say of its promotion; None where all was well."""
    if "short_by_ppm" not in extra:
        return None
    name = next(key.removeprefix("short_of_") for key in sorted(extra) if key.startswith("short_of_"))
    what = REPLACED if name == "replaced" else f"{name.replace(':', ' ', 1)} alone"
    text = f"the new ranker's NDCG@50 on the last closed night is {extra['short_by_ppm'] / 1e4:.1f}% below {what}"
    if extra.get("kept"):
        fit = str(extra["kept_fit_date"])
        return f"{text}, so the ranker fitted as of {fit[:4]}-{fit[4:6]}-{fit[6:]} was kept"
    return f"{text}; it is used all the same, since no earlier ranker did better"
