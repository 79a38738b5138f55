"""Evidence: columns that shelves are ordered by, made of a block's rows and its listeners' histories.

A source finds tracks; evidence speaks of those that are there: how well one fits a mix, a time of day, an artist. It costs
something only where a shelf names one of its columns, and can name a listener's shelf (`named_by`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from transforms.shelves.cadence import Clock
from transforms.shelves.contexts import Next
from transforms.shelves.gathering import Inputs, Rows
from transforms.shelves.history import History
from transforms.shelves.known import Known
from transforms.shelves.settings import NightContext, ShelvesSettings


@dataclass(frozen=True)
class Scene:
    """What evidence is made of."""

    inputs: Inputs
    rows: Rows
    known: Known
    history: History
    clock: Clock
    night: NightContext
    settings: ShelvesSettings


@dataclass(frozen=True)
class Found:
    """What evidence gives.

    Attributes:
        columns: float32 by row, NaN where it has nothing to say.
        subtitles: by name, for each listener what names a shelf, or None.
        contexts: by name, for each listener the context of the next session that a shelf is for, or None.
    """

    columns: dict[str, np.ndarray]
    subtitles: dict[str, list[str | None]] = field(default_factory=dict)
    contexts: dict[str, list[Next | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """One kind of evidence: the columns it makes, and how."""

    columns: tuple[str, ...]
    make: Callable[[Scene], Found]
    subtitles: tuple[str, ...] = ()


def listed(names: list[str]) -> str | None:
    """ "a", "a and b" or "a, b and c"; None of none."""
    if not names:
        return None
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
