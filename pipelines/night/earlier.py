"""Nights that are made before the first ranker, for it to learn from: each as of its own date, up to its candidates.

Days are folded in order. After that no night needs another one, so their models are fitted and their listeners scored at
once, by as many processes as the night has, and the models of the night that they are made for beside them.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.runtime.processes import Work, at_once
from pipelines.runtime.schedule import Night, Step
from transforms.common.processes import warmed, within

FOLDING = ("features", "exclusions")
LEARNING = "train"
HEAVY = (LEARNING, "train_ranker", "try_models")  # they need TensorFlow, and leave memory behind


def make_earlier(steps: Sequence[Step], nights: Sequence[Night], whole: Night | None = None) -> None:
    """Make some nights.

    Args:
        steps: of a night, in order; these nights take those that are marked as an earlier one's.
        nights: oldest first.
        whole: the night they are made for, whose own folding and fitting is then done as well; None = only these.
    """
    own = [step for step in steps if step.earlier and step.start is not None]
    folding = [step for step in own if step.job in FOLDING]
    every = [*nights, whole] if whole is not None else nights
    for night in every:
        take(folding, night)
    works: list[Work] = [(take, ([step for step in own if step.job not in FOLDING], night)) for night in nights]
    if whole is not None:
        works.append((take, ([step for step in own if step.job == LEARNING], whole)))
    at_once(every[0].processes, works)


def take(steps: Sequence[Step], night: Night) -> None:
    """Take steps of a night, in order; what is current is skipped.

    What needs TensorFlow is done in a process of its own where one costs little: that has imported it already.
    """
    for step in steps:
        if step.start is not None:
            apart = step.job in HEAVY and warmed() and not within()
            at_once(night.processes if apart else 1, [(step.start, (night,))])
