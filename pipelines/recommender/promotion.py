"""What becomes of a newly fitted ranker: it is used, the one at work stays, or the untrained blend stands in.

A new ranker is used where it was shown to beat the blend on stored nights that it had not seen
(`pipelines.recommender.ranker_choice`). Where it was not, the ranker at work stays if that one beats the blend on the last closed
night, of which it knew nothing; if not, the blend orders the night. A new ranker that passed still gives way to the one at work
where it falls more than `ranker.promote_tolerance` short of that one's figure or of a single source's, and that one did better.

Whatever is used instead is said, with its figures, in the manifest of `rankers`, the job's record, the terminal and the head of
the report; so is a single source that alone would have been better by more than the tolerance.

    >>> decide(new=0.050, proven=True, old=0.080, old_proven=False, sources={"als": 0.060}, tolerance=0.05)
    'old'
    >>> decide(new=0.050, proven=False, old=None, old_proven=False, sources={}, tolerance=0.05)
    'blend'
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

from pipelines.recommender.ranker_choice import BLEND, DISCOVERIES, REPEATS, SOURCE, Choice

Used = Literal["new", "old", "blend"]
_PPM = "ndcg50_ppm_"
_AGAIN = "repeats_"  # before what is said of repeats


def decide(
    new: float | None, proven: bool, old: float | None, old_proven: bool, sources: Mapping[str, float], tolerance: float
) -> Used:
    """Which ranker a night gets.

    Args:
        new: NDCG@50 of the new recipe on the last closed night; None = there was none to measure it on.
        proven: it beat the blend on nights unseen.
        old: of the ranker at work on that night; None = there is none, or it has seen the night that is measured.
        old_proven: its interval over the blend on that night lies above 0.
        sources: of each source alone on that night.
        tolerance: share of the better figure that the new one may lack.
    """
    if not proven:
        return "old" if old is not None and old_proven else "blend"
    if new is None or old is None or old <= new:
        return "new"
    return "new" if new >= (1 - tolerance) * max([old, *sources.values()]) else "old"


def counts(choices: Mapping[str, Choice], used: Used, old: float | None, old_fit: date | None) -> dict[str, int]:
    """The choice and what it rests on, as the numbers that a manifest's `extra` and a job's record hold."""
    out: dict[str, int] = {}
    for name, before in ((DISCOVERIES, ""), (REPEATS, _AGAIN)):
        choice = choices[name]
        out |= {f"{before}{_PPM}{kind}": round(value * 1e6) for kind, value in sorted(choice.figures.items())}
        out |= {f"{before}unseen_nights": choice.nights, f"{before}chosen_{choice.used}": 1}
        if choice.tried:
            out[f"{before}tried_{choice.tried}"] = 1
        if choice.gain is not None and choice.gain.n:
            ends = (("", choice.gain.value), ("_low", choice.gain.low), ("_high", choice.gain.high))
            out |= {f"{before}gain{end}_ppm": round(value * 1e6) for end, value in ends}
    if old is not None:
        out[f"{_PPM}replaced"] = round(old * 1e6)
    if used == "old" and old_fit is not None:
        out |= {"kept": 1, "kept_fit_date": int(old_fit.strftime("%Y%m%d"))}
    return out


def sentence(extra: Mapping[str, Any], tolerance: float = 0.05) -> str | None:
    """What a manifest of `rankers` has to say; None where what was fitted is used and no single source is far above it."""
    found = [_of_discoveries(extra, tolerance), _of_repeats(extra)]
    return "; ".join(part for part in found if part) or None


def _of_discoveries(extra: Mapping[str, Any], tolerance: float) -> str | None:
    tried = _named(extra, "tried_")
    if tried is None:  # only the blend was asked for, or an earlier version made it
        return None
    used = _named(extra, "chosen_") or BLEND
    source, best = _best_source(extra)
    short = best > 0 and extra.get(f"{_PPM}{used}", 0) < (1 - tolerance) * best
    if extra.get("kept"):
        fit = str(extra["kept_fit_date"])
        outcome = f"the ranker fitted as of {fit[:4]}-{fit[4:6]}-{fit[6:]} was kept: {_against(extra, tried)}"
    elif used == BLEND:
        outcome = f"the untrained blend stands in for the ranker: {_against(extra, tried)}"
    elif short:
        outcome = f"the ranker is used, but not the best: {_against(extra, tried)}"
    else:
        return None
    return f"{outcome}, source {source} alone {_shown(best)}" if short else outcome


def _of_repeats(extra: Mapping[str, Any]) -> str | None:
    own = {key.removeprefix(_AGAIN): n for key, n in extra.items() if key.startswith(_AGAIN)}
    tried = _named(own, "tried_")
    if tried is None or _named(own, "chosen_") != BLEND or "gain_ppm" not in own or extra.get("kept"):
        return None
    return f"what was heard before is ordered by the blend: {_against(own, tried)}"


def _against(extra: Mapping[str, Any], tried: str) -> str:
    """The ranker's figure beside the blend's."""
    nights = int(extra.get("unseen_nights", 0))
    if "gain_ppm" not in extra:
        return f"no stored night is left on which `{tried}` could be compared with it"
    low, high = _shown(extra["gain_low_ppm"], signed=True), _shown(extra["gain_high_ppm"], signed=True)
    on = f"{nights} stored night{'' if nights == 1 else 's'} it had not seen"
    return (
        f"on {on}, NDCG@50 of `{tried}` is {_shown(extra[f'{_PPM}{tried}'])}, of the blend {_shown(extra[f'{_PPM}{BLEND}'])} "
        f"({_shown(extra['gain_ppm'], signed=True)}, 95% interval {low} to {high})"
    )


def _best_source(extra: Mapping[str, Any]) -> tuple[str, int]:
    found = {key.removeprefix(_PPM + SOURCE): int(n) for key, n in extra.items() if key.startswith(_PPM + SOURCE)}
    best = max(sorted(found), key=lambda name: found[name], default="")
    return best, found.get(best, 0)


def _named(extra: Mapping[str, Any], prefix: str) -> str | None:
    return next((key.removeprefix(prefix) for key in sorted(extra) if key.startswith(prefix)), None)


def _shown(ppm: float, signed: bool = False) -> str:
    return f"{ppm / 1e6:{'+' if signed else ''}.4f}"
