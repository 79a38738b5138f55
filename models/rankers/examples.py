"""A ranker's examples as arrays, sorted by group, and the sums over groups that listwise losses need.

>>> e = Examples.read(pl.DataFrame({"group": [7, 3, 7], "f_a": [1., 2., 3.], "listened": [True, None, False]}), ["f_a"])
>>> e.starts.tolist(), e.features[:, 0].tolist(), e.labels["listened"].tolist()
([0, 1], [2.0, 1.0, 3.0], [nan, 1.0, 0.0])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from transforms.common.errors import UserError

LABELS = ("listened", "completed", "saved", "returned")
ATTRIBUTED = "attributed"
_MOST_WEIGHT = 20.0


@dataclass
class Examples:
    """Rows sorted by group, in their given order inside.

    Attributes:
        group_ids: int64 [g], ascending.
        starts: int64 [g], first row of each group.
        group_of: int64 [n], number of each row's group, 0 to g-1.
        owner: int64 [g], whose list each group is: the listener, so that their lists of several nights go together.
        features: float32 [n, f].
        labels: head name -> float32 [n]: 1, 0, or NaN where unknown. Heads whose every label is unknown are absent,
            except `listened`.
        weight: float32 [n], 1/inclusion.
        attributed_weight: float32 [n], 1/propensity, at most 20; 1 where there is none.
        position: int32 [n], position shown from 1; 0 = not shown.
    """

    group_ids: np.ndarray
    starts: np.ndarray
    group_of: np.ndarray
    owner: np.ndarray
    features: np.ndarray
    labels: dict[str, np.ndarray]
    weight: np.ndarray
    attributed_weight: np.ndarray
    position: np.ndarray

    @classmethod
    def read(cls, frame: pl.DataFrame, feature_names: Sequence[str]) -> Examples:
        """Arrays of a frame of examples (columns as in `models.ranker.fit`).

        Raises:
            UserError: `group`, `listened` or a feature is missing.
        """
        missing = [c for c in ("group", "listened", *feature_names) if c not in frame.columns]
        if missing:
            raise UserError(f"ranker examples lack the columns {missing}; make the nights' candidates again.")
        frame = frame.sort("group", maintain_order=True)
        group = frame["group"].to_numpy()
        group_ids, starts = np.unique(group, return_index=True)
        group_of = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(group))))

        owner = frame["owner"].to_numpy()[starts] if "owner" in frame.columns else group_ids

        def column(name: str, default: float) -> np.ndarray:
            if name not in frame.columns:
                return np.full(len(frame), default, np.float32)
            return frame[name].cast(pl.Float32).fill_null(default).fill_nan(default).to_numpy().astype(np.float32)

        labels = {name: column(name, np.nan) for name in (*LABELS, ATTRIBUTED)}
        labels = {name: y for name, y in labels.items() if name == "listened" or np.isfinite(y).any()}
        features = frame.select(pl.col(list(feature_names)).cast(pl.Float32).fill_null(float("nan"))).to_numpy()
        return cls(
            group_ids,
            starts.astype(np.int64),
            group_of,
            owner.astype(np.int64),
            np.asarray(features, np.float32).reshape(len(frame), len(feature_names)),
            labels,
            column("weight", 1.0),
            np.minimum(column("attributed_weight", 1.0), _MOST_WEIGHT),
            column("position", 0.0).astype(np.int32),
        )

    def take(self, keep: np.ndarray) -> Examples:
        """The rows where `keep` (bool [n]) holds, groups renumbered."""
        kept_groups, starts, group_of = np.unique(self.group_of[keep], return_index=True, return_inverse=True)
        return Examples(
            self.group_ids[kept_groups],
            starts.astype(np.int64),
            group_of,
            self.owner[kept_groups],
            self.features[keep],
            {name: y[keep] for name, y in self.labels.items()},
            self.weight[keep],
            self.attributed_weight[keep],
            self.position[keep],
        )

    def positives(self, label: str) -> np.ndarray:
        """bool [n]: known to be positive."""
        return self.labels[label] > 0 if label in self.labels else np.zeros(len(self.weight), bool)

    def head_weight(self, head: str) -> np.ndarray:
        """float32 [n]: a row's weight in a head's loss."""
        return self.weight * self.attributed_weight if head == ATTRIBUTED else self.weight

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Sum of values [n] over each group, [g]."""
        return np.add.reduceat(values, self.starts) if len(self.starts) else np.zeros(0, values.dtype)

    def max(self, values: np.ndarray) -> np.ndarray:
        """Maximum of values [n] over each group, [g]."""
        return np.maximum.reduceat(values, self.starts) if len(self.starts) else np.zeros(0, values.dtype)

    def spread_within_groups(self, scores: np.ndarray) -> float:
        """Root mean square of the distance from the group's mean; 1 where there is none."""
        size = self.sum(np.ones(len(scores)))
        away = scores - (self.sum(scores.astype(np.float64)) / size)[self.group_of]
        return float(np.sqrt(np.mean(away**2))) or 1.0 if len(scores) else 1.0
