"""The kinds of ranker by name: fitting the one that is asked for, and loading whichever was saved.

TensorFlow is imported where a cross ranker is fitted or loaded, LightGBM where trees are, and nowhere else.

    >>> ranker = fit(examples, ["f_z_als", "f_r_als"], RankerSettings(kind="linear"), seed=1)
    >>> ranker.save(folder), load(folder).kind
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from models.rankers.calibration import Platt
from models.rankers.examples import Examples
from models.rankers.heard import ByHeard
from models.rankers.linear import fit_linear
from models.rankers.ranker import FILE, HEARD, MEMBERS, Average, Inputs, Ranker, Weights, untrained
from models.settings import Kind, RankerSettings
from transforms.common.errors import UserError
from transforms.common.hashing import uniform


def fit(
    examples: pl.DataFrame,
    feature_names: Sequence[str],
    settings: RankerSettings,
    seed: int = 0,
    repeats: str | None = None,
) -> Ranker:
    """Fit the ranker that the settings name.

    Args:
        examples: one row a candidate: `group` (int), the features (float32, NaN allowed), the labels `listened`,
            `completed`, `saved`, `returned` (bool, null = unknown and masked), `weight` (default 1), `owner` (int, the
            listener), and for the cross ranker's attributed head `attributed` (bool), `attributed_weight` (1/propensity),
            `position` (from 1), all optional. Any order of rows.
        feature_names: the columns to read, in the order `score` will be given them.
        repeats: kind for what was heard before, where that is a list of its own; None = the same.

    Returns:
        a ranker; without a single positive of `settings.label`, a blend whatever kind was asked for. Where `f_heard`
        tells repeats from discoveries, one for each.

    Raises:
        UserError: a column is missing.
    """
    data = Examples.read(examples, feature_names)
    if HEARD in feature_names:
        heard = data.features[:, list(feature_names).index(HEARD)] > 0.5
        if heard.any() and not heard.all():
            linear = settings.linear.model_copy(update={"loss": settings.linear.repeats})
            again = settings.model_copy(update={"linear": linear, "kind": repeats or settings.kind})
            return ByHeard(
                _fit_list(data.take(~heard), feature_names, settings, seed),
                _fit_list(data.take(heard), feature_names, again, seed),
            )
    return _fit_list(data, feature_names, settings, seed)


def _fit_list(data: Any, feature_names: Sequence[str], settings: RankerSettings, seed: int) -> Ranker:
    """The ranker of one kind of list, from examples that are not standardised yet."""
    inputs = Inputs.measure(feature_names, data.features, data.weight)
    data.features = inputs.standardise(data.features)
    # Which kind is best can only be said by whoever holds a later night; asked all the same, a line is the safe answer.
    wanted: Kind = "linear" if settings.kind == "best" else settings.kind
    kind: Kind = wanted if data.positives(settings.label).any() else "blend"
    held = held_out(data, settings.calibration_share, seed)
    if kind in MEMBERS:
        members = [_fit_kind(k, data, held, inputs, settings, seed) for k in MEMBERS[kind]]
        spreads = [data.spread_within_groups(m._order(data.features)) for m in members]
        return Average(members, spreads, {}, kind)
    return _fit_kind(kind, data, held, inputs, settings, seed)


def held_out(data: Any, share: float, seed: int) -> np.ndarray:
    """bool [n]: rows that calibrate the heads: whole listeners on all nights, so that no day of theirs is learned from too."""
    return np.asarray(uniform(seed, "ranker/calibration", data.owner)[data.group_of] < share)


def _fit_kind(kind: str, data: Any, held: np.ndarray, inputs: Inputs, settings: RankerSettings, seed: int) -> Ranker:
    if kind == "cross":
        from models.rankers.cross import fit_cross

        ranker: Ranker = fit_cross(data, held, inputs, settings, seed)
    elif kind == "trees":
        from models.rankers.trees import fit_trees

        ranker = fit_trees(data, held, inputs, settings, seed)
    elif kind == "linear":
        weights = fit_linear(data.take(~held), settings, untrained(inputs.names, settings))
        ranker = Weights("linear", inputs, {}, weights)
    else:
        ranker = Weights("blend", inputs, {}, untrained(inputs.names, settings))
    heads = data.labels if kind == "cross" else {"listened": data.labels["listened"]}
    for name, label in heads.items():
        # Too few held-out groups to calibrate on: all of them, which is biased but defined.
        for rows in (held, np.ones_like(held)):
            known = rows & np.isfinite(label)
            if (label[known] > 0).any() and (label[known] == 0).any():
                logit = ranker._logit(name, data.features[known])
                ranker.calibrations[name] = Platt.fit(logit, label[known], data.head_weight(name)[known])
                break
    return ranker


def load(directory: str | Path) -> Ranker:
    """Read what `save` wrote.

    Raises:
        UserError: the folder holds no ranker.
    """
    folder = Path(directory)
    try:
        raw = json.loads((folder / FILE).read_text())
    except FileNotFoundError:
        raise UserError(f"{folder.name} holds no {FILE}, so it is no ranker; train it again.") from None
    if "parts" in raw:
        return ByHeard(*(load(folder / f"part-{i}") for i in range(raw["parts"])))
    inputs = Inputs.from_json(raw["inputs"])
    calibrations = {name: Platt.from_json(c) for name, c in raw["calibrations"].items()}
    if raw["kind"] in MEMBERS:
        members = [load(folder / f"member-{i}") for i in range(raw["members"])]
        return Average(members, raw["spreads"], calibrations, raw["kind"])
    if raw["kind"] == "trees":
        from models.rankers.trees import load_trees

        return load_trees(folder, raw, inputs, calibrations)
    if raw["kind"] == "cross":
        from models.rankers.cross import load_cross

        return load_cross(folder, raw, inputs, calibrations)
    return Weights(raw["kind"], inputs, calibrations, np.asarray(raw["weights"], np.float32))
