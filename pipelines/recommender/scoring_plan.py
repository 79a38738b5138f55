"""What one night's scoring is to make: settings and versions, known before a chunk is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from transforms.candidates.blocks import DEFAULTS
from transforms.candidates.settings import ContinueSettings, CutSettings, SourceSettings
from transforms.experiments.settings import ExperimentsSettings
from transforms.listening.library import LibrarySettings
from transforms.outcomes.rewards import RewardSettings
from transforms.shelves.settings import ShelvesSettings
from transforms.signals.declared import Signal

UNTRAINED = "blend"


@dataclass(frozen=True)
class Plan:
    """What one night's scoring is to make.

    Attributes:
        day: the night.
        k: candidates a source and listener.
        keep: share of listeners whose candidates are all stored; below it only what is placed or spare.
        sample: share of listeners scored at all (nights made to train the first ranker), by hash.
        cut: how the sources' union is cut before the features that cost most; None = not at all.
        shelves: assemble shelves, or stop after candidates.
        experiments: whose arms have settings of their own.
        sources: which sources are asked; None = as by default.
        continuation: which session goes on, and how; None = as by default.
        only: hand on these listeners alone; () = everyone.
        only_shelves: hand on these shelves alone; () = all. The others are assembled all the same, since what stands
            on one shelf may not stand on another of its surface.
        library: how fast a play is forgotten.
        rewards: what a track may be worth, and what that counts in the order.
        signals: that become features, by name.
        looked: counts of looks by `LooksAt`, which the order of Home is learned from.
        shelf_days: how far back earlier shelves are read.
    """

    day: date
    seed: int
    k: int
    keep: float
    sample: float
    shelves: bool
    greedy: bool
    model_version: str
    ranker_version: str | None
    versions: dict[str, str]
    settings: ShelvesSettings
    experiments: ExperimentsSettings = field(default_factory=ExperimentsSettings)
    sources: SourceSettings | None = None
    continuation: ContinueSettings | None = None
    cut: CutSettings | None = None
    only: tuple[str, ...] = ()
    only_shelves: tuple[str, ...] = ()
    library: LibrarySettings = DEFAULTS
    rewards: RewardSettings = field(default_factory=RewardSettings)
    signals: dict[str, Signal] = field(default_factory=dict)
    looked: Mapping[str, int] = field(default_factory=dict)
    shelf_days: int = 28

    @property
    def since(self) -> date:
        """The first date whose shelves are read."""
        return self.day - timedelta(self.shelf_days)
