"""Calibration: from a score to a probability, by Platt's two numbers.

p = 1 / (1 + exp(-(a z + b))), a and b by weighted maximum likelihood on groups the ranker was not fitted on, with
Platt's smoothed targets (Platt 1999: (n+ + 1)/(n+ + 2) and 1/(n- + 2)), so that few positives do not become
certainties. a is kept at or above 0: calibration must never reverse an order.

    >>> p = Platt.fit(np.float32([0, 1, 2, 3]), np.float32([0, 0, 1, 1]), np.ones(4, np.float32))
    >>> bool(p(np.float32([3]))[0] > p(np.float32([0]))[0])
    True
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Platt:
    """Slope and offset of a logit."""

    slope: float
    offset: float

    @classmethod
    def fit(cls, logits: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Platt:
        """Newton's method on the weighted log-likelihood; all arrays [n], labels 0 or 1."""
        z, w = logits.astype(np.float64), weights.astype(np.float64)
        center, spread = float(z.mean()), float(z.std()) or 1.0
        z = (z - center) / spread
        positive = labels > 0
        plus, minus = w[positive].sum(), w[~positive].sum()
        target = np.where(positive, (plus + 1) / (plus + 2), 1 / (minus + 2))
        slope, offset = 0.0, float(np.log((plus + 1) / (minus + 1)))
        for _ in range(50):
            p = 1 / (1 + np.exp(-(slope * z + offset)))
            error, curve = w * (p - target), np.maximum(w * p * (1 - p), 1e-12)
            gradient = np.array([(error * z).sum(), error.sum()])
            hessian = np.array([[(curve * z * z).sum(), (curve * z).sum()], [(curve * z).sum(), curve.sum()]])
            step = np.linalg.solve(hessian + 1e-9 * np.trace(hessian) * np.eye(2), gradient)
            # A long step from a flat start overshoots; Newton needs no more than this to recover.
            step *= min(1.0, 3.0 / max(np.abs(step).max(), 1e-12))
            slope, offset = slope - step[0], offset - step[1]
            if np.abs(step).max() < 1e-9:
                break
        if slope < 0:
            slope, offset = 0.0, float(np.log((plus + 1) / (minus + 1)))
        return cls(slope / spread, offset - slope * center / spread)

    def __call__(self, logits: np.ndarray) -> np.ndarray:
        """Probabilities float32 [n]."""
        z = np.clip(self.slope * logits.astype(np.float64) + self.offset, -60, 60)
        return (1 / (1 + np.exp(-z))).astype(np.float32)

    def to_json(self) -> list[float]:
        """As two numbers."""
        return [self.slope, self.offset]

    @classmethod
    def from_json(cls, raw: list[float]) -> Platt:
        """Back from `to_json`."""
        return cls(*raw)
