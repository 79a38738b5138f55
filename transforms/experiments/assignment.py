"""Who is in which arm of which experiment, and what that changes of the settings.

    place in a layer = hash(layer, listener)        an experiment takes part of [0, 1)
    arm              = hash(salt, listener)         by weight
    held out         = hash("holdout", listener) < holdout

Both are independent of each other and of the date.

    >>> e = Experiment(name="e", starts=date(2026, 1, 1))
    >>> assign(["ann", "bob"], ExperimentsSettings(experiments=(e,)), date(2026, 1, 5)).columns
    ['listener_id', 'experiment', 'arm']
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from transforms.common.errors import UserError
from transforms.common.hashing import uniform
from transforms.experiments.settings import Experiment, ExperimentsSettings

NAMES = {"listener_id": pl.String, "experiment": pl.String, "arm": pl.String}


def assign(listener_ids: Sequence[str] | pl.Series, settings: ExperimentsSettings, night: date) -> pl.DataFrame:
    """One row a listener and experiment that runs on a night: listener_id, experiment, arm; sorted by both."""
    ids = pl.Series("listener_id", listener_ids, dtype=pl.String)
    parts = [pl.DataFrame(schema=NAMES)]
    places = settings.places()
    free = np.asarray(uniform(0, "experiment holdout", ids) >= settings.holdout)
    for one in settings.experiments:
        if not one.runs(night):
            continue
        at = uniform(0, f"experiment layer {one.layer}", ids)
        low = places[one.name]
        mine = ids.filter(pl.Series(free & (at >= low) & (at < low + one.share)))
        named = pl.repeat(one.name, len(mine), dtype=pl.String, eager=True)
        parts.append(pl.DataFrame({"listener_id": mine, "experiment": named, "arm": arms(mine, one)}))
    return pl.concat(parts).sort("listener_id", "experiment")


def arms(listener_ids: pl.Series, one: Experiment) -> pl.Series:
    """The arm of every listener of an experiment."""
    names = sorted(one.arms)
    weights = np.array([one.arms[n].weight for n in names])
    ends = np.cumsum(weights) / weights.sum()
    at = np.searchsorted(ends, uniform(0, f"experiment arm {one.salt or one.name}", listener_ids), side="right")
    return pl.Series("arm", names, dtype=pl.String).gather(np.minimum(at, len(names) - 1))


def overrides(assigned: pl.DataFrame, settings: ExperimentsSettings) -> list[tuple[list[dict[str, Any]], list[str]]]:
    """Listeners by what their arms change, those without any left out: (overrides in the settings' order, listeners)."""
    by_name = {e.name: e for e in settings.experiments}
    order = {name: n for n, name in enumerate(by_name)}
    found: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for who, part in assigned.group_by("listener_id", maintain_order=True):
        pairs = sorted(part.select("experiment", "arm").iter_rows(), key=lambda pair: order[pair[0]])
        telling = tuple((e, a) for e, a in pairs if by_name[e].arms[a].overrides)
        if telling:
            found.setdefault(telling, []).append(str(who[0]))
    return [([by_name[e].arms[a].overrides for e, a in key], found[key]) for key in sorted(found)]


def registered(settings: ExperimentsSettings, night: date) -> dict[str, Any]:
    """What a night's manifest keeps of the experiments that it deals: enough to see whether a later night deals them alike."""
    places = settings.places()
    running = [e for e in settings.experiments if e.runs(night)]
    return {
        "holdout": settings.holdout,
        "experiments": [e.model_dump(mode="json") for e in running],
        "places": {e.name: round(places[e.name], 9) for e in running},
    }


def refuse_changes(before: Mapping[str, Any], settings: ExperimentsSettings, night: date) -> None:
    """An experiment that is running keeps its listeners where they are.

    Args:
        before: what the newest earlier night registered.

    Raises:
        UserError: a running experiment deals its arms otherwise now.
    """
    earlier = {e["name"]: Experiment.model_validate(e) for e in before["experiments"]}
    now = registered(settings, night)
    for one in (Experiment.model_validate(e) for e in now["experiments"]):
        old = earlier.get(one.name)
        if old is None:
            continue
        moved = [
            name
            for name, a, b in (
                ("weights", _weights(old), _weights(one)),
                ("salt", old.salt or old.name, one.salt or one.name),
                ("layer", old.layer, one.layer),
                ("share", old.share, one.share),
                ("start", old.starts, one.starts),
                ("place in its layer", before["places"][one.name], now["places"][one.name]),
                ("holdout", before["holdout"], settings.holdout),
                ("arms' overrides", _changes(old), _changes(one)),
            )
            if a != b
        ]
        if moved:
            raise UserError(
                f"experiment {one.name} has been running since {old.starts} and its {' and '.join(moved)} changed, so its "
                "listeners would no longer be what they were dealt as; put that back, or give it a new name, which starts it "
                "afresh"
            )


def _weights(one: Experiment) -> dict[str, float]:
    total = sum(a.weight for a in one.arms.values())
    return {name: round(a.weight / total, 9) for name, a in sorted(one.arms.items())}


def _changes(one: Experiment) -> dict[str, Any]:
    return {name: a.overrides for name, a in sorted(one.arms.items())}
