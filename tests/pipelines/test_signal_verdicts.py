"""What a trial concludes from its figures: by hand, and of examples whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest

from models.settings import RankerSettings
from pipelines.recommender.ranker_choice import Judged
from pipelines.recommender.signal_trial import EARLIER, LEAK, Measured, Trial, measure
from transforms.metrics.intervals import Interval

GAIN = Interval(0.05, 0.03, 0.07, 100)
NOTHING = Interval(0.0, -0.01, 0.01, 100)
HONEST = Measured("discoveries", 0.30, 0.35, GAIN, Interval(0.045, 0.02, 0.07, 100), NOTHING)
LEAKING = replace(HONEST, before=NOTHING, lead=GAIN)


def trial(one: Measured = HONEST, **more: object) -> Trial:
    """A trial of one list; candidates mostly known, then and now."""
    facts = {"known": 0.9, "known_before": 0.9, "held": 50, "later": 0, "ms": 0.1, "bytes": 9.0}
    return Trial("x", date(2026, 1, 25), 7, [one], **{**facts, **more})  # type: ignore[arg-type]


def test_verdicts() -> None:
    assert trial().verdict == "useful" and not trial().why_refused
    assert trial(replace(HONEST, gain=NOTHING, before=NOTHING)).verdict == "not shown to help"
    harm = Interval(-0.03, -0.05, -0.01, 100)
    assert trial(replace(HONEST, gain=harm, before=harm)).verdict == "harmful"
    assert trial(LEAKING).verdict == "refused" and "'x' is refused" in trial(LEAKING).why_refused
    assert trial(held=0, later=3).verdict == "refused" and "stamped after" in trial(held=0, later=3).why_refused
    assert trial(held=1, later=3).verdict == "useful"


def test_what_cannot_be_told_is_not_called_a_leak() -> None:
    small = Interval(LEAK / 2, 0.001, LEAK, 100)
    assert trial(replace(LEAKING, gain=small)).verdict == "useful"  # too little to accuse anybody
    new = trial(LEAKING, known_before=0.1)  # it began within the period
    assert new.verdict == "useful" and not new.checked and "leak check: not possible" in "\n".join(new.lines())
    assert trial(replace(LEAKING, lead=NOTHING)).verdict == "useful"


@pytest.mark.parametrize(
    ("now", "before", "says"), [(1.0, 1.0, "useful"), (0.0, 0.0, "not shown to help"), (3.0, 0.0, "refused")]
)
def test_figures_of_examples_whose_truth_is_known(now: float, before: float, says: str) -> None:
    rng = np.random.default_rng(5)
    nights, lists, length = 2, 80, 40
    n = nights * lists * length
    truth = rng.standard_normal(n)
    frame = pl.DataFrame(
        {
            "night": np.repeat(np.arange(nights), lists * length).astype(np.int32),
            "list": np.tile(np.repeat(np.arange(lists), length), nights),
            "item": np.arange(n) % length,
            "f_blend": rng.standard_normal(n).astype(np.float32),
            "f_z_a": rng.standard_normal(n).astype(np.float32),
            "f_signal_p_x": (now * truth + rng.standard_normal(n)).astype(np.float32),
            f"{EARLIER}f_signal_p_x": (before * truth + rng.standard_normal(n)).astype(np.float32),
            "heard_before": False,
            "f_heard": np.zeros(n, np.float32),
            "listened": truth + rng.standard_normal(n) > 2.0,
        }
    )
    data = frame.with_columns(owner="list", group=pl.col("night") * lists + pl.col("list"), weight=pl.lit(1.0))
    last = frame.filter(pl.col("night") == nights - 1)
    judged = Judged(last.drop("listened"), last.filter("listened").select("list", "item", "heard_before"))
    (found,) = measure(data, judged, ["f_signal_p_x"], RankerSettings(kind="linear"), 1)
    assert trial(found).verdict == says, found
