"""Shelves by arm: each listener's are made with the settings that their arms of the running experiments have.

    listeners without overrides  ->  the night's settings
    listeners of an arm          ->  the night's settings with the arm's overrides laid over them, one experiment after the other

What an arm may change is section `shelves`: any field of any shelf, by shelf id as in the settings, and exploration. Retrieval
and ranker are the same for all arms, so arms differ in nothing but what they say.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl

from transforms.experiments.assignment import assign, overrides
from transforms.experiments.settings import ExperimentsSettings
from transforms.shelves.merging import merged
from transforms.shelves.output import Assembled
from transforms.shelves.settings import ShelvesSettings

Make = Callable[[pl.DataFrame, ShelvesSettings], Assembled]
SECTION = "shelves"


def with_overrides(base: ShelvesSettings, changes: Sequence[Mapping[str, Any]]) -> ShelvesSettings:
    """The settings of an arm.

    Args:
        changes: of each experiment, as in the settings: {"shelves": {"discover-weekly": {"size": 20}, "exploration": {...}}}.

    Raises:
        ValueError: they change something else than shelves, take a shelf out or add one, or are no settings.
    """
    for change in changes:
        strange = sorted(set(change) - {SECTION})
        if strange:
            raise ValueError(f"an arm changes settings of section {SECTION} only, found {', '.join(strange)}")
        overrides = dict(change.get(SECTION) or {})
        own = {
            name: overrides.pop(name)
            for name in list(overrides)
            if name in ShelvesSettings.model_fields and name != SECTION
        }
        by_shelf = {**overrides, **(own.pop(SECTION, None) or {})}
        shelves = merged([s.model_dump(mode="json", exclude_unset=True) for s in base.shelves], by_shelf)
        if {s["shelf_id"] for s in shelves} != {s.shelf_id for s in base.shelves}:
            raise ValueError("an arm changes shelves, and neither adds one nor takes one out")
        plain = base.model_dump(mode="json", exclude_unset=True)
        base = ShelvesSettings.model_validate({**plain, **own, SECTION: shelves})
    return base


def check_arms(experiments: ExperimentsSettings, base: ShelvesSettings, columns: Collection[str]) -> None:
    """Refuse overrides that are no settings, when the settings are read and not when the arm's first listener is met.

    Args:
        columns: of the candidates, that shelves may name.

    Raises:
        ValueError: names experiment and arm.
    """
    for one in experiments.experiments:
        for name, arm in one.arms.items():
            try:
                with_overrides(base, [arm.overrides]).check_columns(columns)
            except ValueError as error:
                raise ValueError(f"experiment {one.name}, arm {name}: {error}") from None


def arm_settings(experiments: ExperimentsSettings, base: ShelvesSettings) -> list[ShelvesSettings]:
    """The settings of every arm that has overrides, by itself."""
    arms = (arm for one in experiments.experiments for arm in one.arms.values() if arm.overrides)
    return [with_overrides(base, [arm.overrides]) for arm in arms]


def by_arm(
    roster: pl.DataFrame, experiments: ExperimentsSettings, base: ShelvesSettings, night: date, make: Make
) -> Assembled:
    """Shelves of a roster, each listener's with their own settings and the names of their experiments and arms.

    Args:
        make: the shelves of some of the roster's listeners under some settings.
    """
    if not any(e.runs(night) for e in experiments.experiments):
        return make(roster, base)
    dealt = assign(roster["listener_id"], experiments, night)
    groups = [(with_overrides(base, changes), listeners) for changes, listeners in overrides(dealt, experiments)]
    elsewhere = {listener for _, listeners in groups for listener in listeners}
    others = [listener for listener in roster["listener_id"].to_list() if listener not in elsewhere]
    parts = [
        make(roster.filter(pl.col("listener_id").is_in(listeners)), settings)
        for settings, listeners in [(base, others), *groups]
        if listeners
    ]
    names = dealt.group_by("listener_id", maintain_order=True).agg(pl.col("experiment", "arm").str.join("+"))
    columns = parts[0].shelves.columns
    shelves = pl.concat([p.shelves for p in parts]).drop("experiment", "arm").join(names, on="listener_id", how="left")
    return Assembled(
        shelves=shelves.select(columns).sort("listener_id", "shelf_id"),
        draws=pl.concat([p.draws for p in parts]).sort("listener_id", "shelf_id", "slot"),
        stages=pl.concat([p.stages for p in parts]).sort("listener_id", "track_id"),
        removed=pl.concat([p.removed for p in parts]).sort("listener_id", "shelf_id", "rule"),
    )
