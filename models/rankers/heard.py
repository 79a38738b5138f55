"""Two rankers in one: for what a listener never heard, and for what they did.

Discoveries and repeats are two lists that are never compared by score, and what makes a good one differs: the own plays
that order repeats are the same for all discoveries. One set of weights for both is fitted to whichever has more
outcomes, mostly repeats. So each is fitted on its own groups, with its own standardisation and calibration (and loss: of
repeats most positives can be had, so each counts), and the feature `f_heard` says which of the two scores a row.

    >>> ranker = ByHeard(fit(unheard, names, settings), fit(heard, names, settings))
    >>> ranker.score(matrix)        # by the second where f_heard is 1, by the first elsewhere
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from models.rankers.ranker import HEARD, Ranker


class ByHeard(Ranker):
    """One ranker for rows where `f_heard` is 1, another for all others, a missing value included."""

    def __init__(self, unheard: Ranker, heard: Ranker) -> None:
        """Put two rankers together that read the same features in the same order, `f_heard` among them."""
        if unheard.names != heard.names or HEARD not in unheard.names:
            raise ValueError(f"both rankers must read the same features, {HEARD} among them")
        super().__init__(unheard.inputs, {})
        self.kind = unheard.kind
        self.parts = (unheard, heard)

    def score(self, features: np.ndarray) -> np.ndarray:
        """As in `Ranker`; comparable among rows of equal `f_heard`."""
        return self._each(features, np.zeros(len(features), np.float32), lambda part, rows: part.score(rows))

    def heads(self, features: np.ndarray) -> dict[str, np.ndarray]:
        """As in `Ranker`; 0 where the part had no outcome to learn a head from that the other has."""
        out: dict[str, np.ndarray] = {}
        for flag, part in zip(self._flags(features), self.parts, strict=True):
            for name, values in part.heads(features[flag]).items():
                out.setdefault(name, np.zeros(len(features), np.float32))[flag] = values
        return dict(sorted(out.items()))

    def contributions(self, features: np.ndarray) -> np.ndarray:
        """As in `Ranker`, away from the average candidate of equal `f_heard`."""
        shape = np.zeros((len(features), len(self.names)), np.float32)
        return self._each(features, shape, lambda part, rows: part.contributions(rows))

    def _flags(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        heard = features[:, self.names.index(HEARD)] > 0.5
        return ~heard, heard

    def _each(
        self, features: np.ndarray, out: np.ndarray, ask: Callable[[Ranker, np.ndarray], np.ndarray]
    ) -> np.ndarray:
        for flag, part in zip(self._flags(features), self.parts, strict=True):
            if flag.any():
                out[flag] = ask(part, features[flag])
        return out

    def _order(self, x: np.ndarray) -> np.ndarray:
        raise NotImplementedError("the parts standardise for themselves; ask score")

    def _shares(self, x: np.ndarray) -> np.ndarray:
        raise NotImplementedError("the parts standardise for themselves; ask contributions")

    def _parameters(self, folder: Path) -> dict[str, Any]:
        for i, part in enumerate(self.parts):
            part.save(folder / f"part-{i}")
        return {"parts": len(self.parts)}
