"""Rankers: one interface over several ways to order a listener's candidates, and what they share.

A ranker is fitted on outcomes of earlier nights: rows are candidates, a `group` is one listener's list in one night.
All kinds read the same features, standardise them with statistics saved beside the weights, and answer three
questions: in what order (`score`), how likely (`heads`, calibrated) and why (`contributions`).

    kind      order                                              heads
    blend     sum of standardised source scores, nothing learned  listened
    linear    listwise softmax over the group, L2 to the blend    listened
    cross     DCN v2 with a listwise loss (TFRS cross layers)     listened, completed, saved, returned, attributed
    trees     LambdaMART on top of the blend (LightGBM)            listened
    halfway   mean of linear and blend, scores standardised       mean of the members'
    average   the same of linear and cross                        mean of the members'
    ensemble  the same of linear and trees                        mean of the members'

Where the features say what was heard before (`f_heard`), each kind is fitted twice, for discoveries and for repeats
(`models.ranker_heard`).

A missing feature (NaN, infinite) has one meaning everywhere: "as usual". It becomes the training mean, hence 0 after
standardising, and contributes nothing.

    >>> ranker = fit(examples, ["f_z_als", "f_age"], RankerSettings(kind="linear"), seed=1)
    >>> ranker.score(np.float32([[0.3, np.nan]])).shape
    (1,)
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from models.rankers.calibration import Platt
from models.settings import Kind, RankerSettings

LABELS = ("listened", "completed", "saved", "returned")
FILE = "ranker.json"
HEARD = "f_heard"  # the feature that tells repeats (1) from discoveries (0)
_CLIP = 10.0
_ROWS = 1 << 12  # standardised rows that stay in cache


@dataclass(frozen=True)
class Inputs:
    """Names of the features, in order, and what standardises them (float32 [f] each)."""

    names: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def measure(cls, names: Sequence[str], features: np.ndarray, weight: np.ndarray) -> Inputs:
        """Weighted mean and standard deviation of the finite values; a feature without spread gets scale 1."""
        mean, scale = np.zeros(len(names)), np.ones(len(names))
        for j in range(len(names)):
            column = features[:, j].astype(np.float64)
            there = np.isfinite(column)
            mass = weight[there].sum()
            if mass > 0:
                mean[j] = (column[there] * weight[there]).sum() / mass
                spread = np.sqrt((np.square(column[there] - mean[j]) * weight[there]).sum() / mass)
                scale[j] = spread if spread > 1e-6 * max(1.0, abs(mean[j])) else 1.0
        return cls(tuple(names), mean.astype(np.float32), scale.astype(np.float32))

    def standardise(self, features: np.ndarray) -> np.ndarray:
        """float32 [n, f], mean 0 and deviation 1 in training, clipped at 10 deviations, 0 where missing.

        Raises:
            ValueError: not as many columns as there are names.
        """
        if features.ndim != 2 or features.shape[1] != len(self.names):
            raise ValueError(f"features have shape {features.shape}; expected [n, {len(self.names)}]: {self.names}")
        out = (np.asarray(features, np.float32) - self.mean) / self.scale
        out[~np.isfinite(out)] = 0
        return np.clip(out, -_CLIP, _CLIP, out=out)

    def to_json(self) -> dict[str, Any]:
        """As plain lists."""
        return {"names": list(self.names), "mean": self.mean.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Inputs:
        """Back from `to_json`."""
        return cls(tuple(raw["names"]), np.asarray(raw["mean"], np.float32), np.asarray(raw["scale"], np.float32))


class Ranker(ABC):
    """A fitted ranker; subclasses say how standardised features become an order."""

    kind: Kind

    def __init__(self, inputs: Inputs, calibrations: dict[str, Platt]) -> None:
        self.inputs = inputs
        self.calibrations = calibrations

    @property
    def names(self) -> tuple[str, ...]:
        """The features it reads, in order."""
        return self.inputs.names

    def score(self, features: np.ndarray) -> np.ndarray:
        """float32 [n] from raw features float32 [n, f]; larger is better, comparable within a group."""
        return self._in_parts(features, self._order)

    def heads(self, features: np.ndarray) -> dict[str, np.ndarray]:
        """Calibrated probabilities float32 [n] by name (`p_listened`, ...); a head without labels is absent."""
        if type(self)._logit is Ranker._logit:  # one logit for all heads
            order = self._in_parts(features, self._order) if self.calibrations else np.zeros(0, np.float32)
            return {f"p_{name}": calibration(order) for name, calibration in self.calibrations.items()}
        logits = {name: self._in_parts(features, lambda x, n=name: self._logit(n, x)) for name in self.calibrations}
        return {f"p_{name}": self.calibrations[name](logit) for name, logit in logits.items()}

    def contributions(self, features: np.ndarray) -> np.ndarray:
        """float32 [n, f]: how far each feature moved the score away from an average candidate's."""
        parts = [self._shares(self.inputs.standardise(part)) for part in _parts(features)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.names)), np.float32)

    def save(self, directory: str | Path) -> None:
        """Write `ranker.json` and the kind's arrays into an existing or new folder."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        raw = {
            "kind": self.kind,
            "inputs": self.inputs.to_json(),
            "calibrations": {name: c.to_json() for name, c in sorted(self.calibrations.items())},
            **self._parameters(folder),
        }
        (folder / FILE).write_text(json.dumps(raw, indent=1, sort_keys=True) + "\n")

    def _in_parts(self, features: np.ndarray, function: Any) -> np.ndarray:
        parts = [function(self.inputs.standardise(part)) for part in _parts(features)]
        return np.concatenate(parts).astype(np.float32) if parts else np.zeros(0, np.float32)

    @abstractmethod
    def _order(self, x: np.ndarray) -> np.ndarray:
        """Score from standardised features."""

    def _logit(self, head: str, x: np.ndarray) -> np.ndarray:
        """Uncalibrated logit of a head from standardised features; by default the order's score."""
        return self._order(x)

    @abstractmethod
    def _shares(self, x: np.ndarray) -> np.ndarray:
        """Contributions from standardised features."""

    @abstractmethod
    def _parameters(self, folder: Path) -> dict[str, Any]:
        """What else `ranker.json` holds; larger arrays are written into the folder."""


class Weights(Ranker):
    """A weighted sum of standardised features: `linear`, and `blend` with weights of 0 and 1."""

    def __init__(self, kind: Kind, inputs: Inputs, calibrations: dict[str, Platt], weights: np.ndarray) -> None:
        super().__init__(inputs, calibrations)
        self.kind = kind
        self.weights = np.asarray(weights, np.float32)

    def _order(self, x: np.ndarray) -> np.ndarray:
        return x @ self.weights

    def _shares(self, x: np.ndarray) -> np.ndarray:
        return x * self.weights

    def _parameters(self, folder: Path) -> dict[str, Any]:
        return {"weights": self.weights.tolist()}


MEMBERS: dict[Kind, tuple[Kind, ...]] = {
    "halfway": ("linear", "blend"),
    "average": ("linear", "cross"),
    "ensemble": ("linear", "trees"),
}


class Average(Ranker):
    """The mean of rankers' scores, each divided by its deviation within groups in training; MEMBERS says of which."""

    def __init__(
        self,
        members: Sequence[Ranker],
        spreads: Sequence[float],
        calibrations: dict[str, Platt],
        kind: Kind = "average",
    ) -> None:
        if len({m.names for m in members}) != 1:
            raise ValueError("averaged rankers must read the same features in the same order")
        super().__init__(members[0].inputs, calibrations)
        self.kind = kind
        self.members, self.spreads = list(members), [float(s) for s in spreads]

    def _mean(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        return np.asarray(np.mean([p / s for p, s in zip(parts, self.spreads, strict=True)], axis=0), np.float32)

    def _order(self, x: np.ndarray) -> np.ndarray:
        return self._mean([m._order(x) for m in self.members])

    def _shares(self, x: np.ndarray) -> np.ndarray:
        return self._mean([m._shares(x) for m in self.members])

    def heads(self, features: np.ndarray) -> dict[str, np.ndarray]:
        """Mean of the members' heads, over those that have the head."""
        each = [m.heads(features) for m in self.members]
        names = sorted({name for heads in each for name in heads})
        return {n: np.asarray(np.mean([h[n] for h in each if n in h], axis=0), np.float32) for n in names}

    def _parameters(self, folder: Path) -> dict[str, Any]:
        for i, member in enumerate(self.members):
            member.save(folder / f"member-{i}")
        return {"members": len(self.members), "spreads": self.spreads}


def untrained(names: Sequence[str], settings: RankerSettings) -> np.ndarray:
    """float32 [f]: the blend's weights, 1 for each standardised feature that `settings.blend` names."""
    columns = pl.Series(names, dtype=pl.String)
    chosen = columns.str.contains(settings.blend)
    if not chosen.any():
        chosen = columns.str.contains("^(f_)?z_|^score_")
    return chosen.to_numpy().astype(np.float32)


def row_parts(features: np.ndarray) -> list[slice]:
    """The rows, as parts that stay in cache once they are standardised."""
    return [slice(start, start + _ROWS) for start in range(0, len(features), _ROWS)]


def _parts(features: np.ndarray) -> list[np.ndarray]:
    return [features[part] for part in row_parts(features)]
