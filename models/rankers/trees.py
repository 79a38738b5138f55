"""Boosted trees: LightGBM's LambdaMART, grown on top of the untrained blend.

The first round starts from the blend times the one factor that suits the examples best, as the linear ranker does, and each tree
adds to it what lowers LambdaMART's loss of the first fifty places (Burges 2010; Ke et al. 2017). With no tree at all the order is
the blend's, so few examples, of which trees of many rows can make little, stay near to it. Rounds are few and fixed: stopping by
a held-out part of some hundred lists chooses their luck.

LightGBM is an optional dependency (`pip install nightshelf[trees]`), needed where such a ranker is fitted and where it scores.

    >>> ranker = fit_trees(examples, held_out, inputs, RankerSettings(kind="trees"), seed=1)
    >>> ranker.score(features).shape
    (40,)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models.rankers.calibration import Platt
from models.rankers.examples import Examples
from models.rankers.linear import blend_factor
from models.rankers.ranker import Inputs, Ranker, untrained
from models.settings import Kind, RankerSettings
from transforms.common.errors import UserError

if TYPE_CHECKING:
    import lightgbm

_FILE = "trees.txt"
_PLACES = 50


class Trees(Ranker):
    """A fitted forest over the blend; see `models.rankers.ranker.Ranker`."""

    kind: Kind = "trees"

    def __init__(
        self, inputs: Inputs, calibrations: dict[str, Platt], start: np.ndarray, booster: lightgbm.Booster
    ) -> None:
        """Put start and trees together; `start` float32 [f] are weights of standardised features."""
        super().__init__(inputs, calibrations)
        self.start, self.booster = np.asarray(start, np.float32), booster

    def _order(self, x: np.ndarray) -> np.ndarray:
        if not len(x):
            return np.zeros(0, np.float32)
        grown = self.booster.predict(x, num_threads=1)
        return np.asarray(x @ self.start + grown, np.float32)

    def _shares(self, x: np.ndarray) -> np.ndarray:
        """The start's terms, and the trees' by Shapley values (Lundberg et al. 2020), away from the average candidate's."""
        if not len(x):
            return np.zeros_like(x)
        with_average = np.concatenate([np.zeros((1, x.shape[1]), x.dtype), x])
        grown = np.asarray(self.booster.predict(with_average, pred_contrib=True, num_threads=1), np.float32)[:, :-1]
        return x * self.start + grown[1:] - grown[:1]

    def _parameters(self, folder: Path) -> dict[str, Any]:
        (folder / _FILE).write_text(self.booster.model_to_string(), encoding="utf-8")
        return {"start": self.start.tolist()}


def load_trees(folder: Path, raw: dict[str, Any], inputs: Inputs, calibrations: dict[str, Platt]) -> Trees:
    """The ranker that `Trees.save` wrote.

    Raises:
        UserError: LightGBM is not installed.
    """
    text = (folder / _FILE).read_text(encoding="utf-8")
    return Trees(inputs, calibrations, np.asarray(raw["start"]), lightgbm_or_tell().Booster(model_str=text))


def fit_trees(data: Examples, held: np.ndarray, inputs: Inputs, settings: RankerSettings, seed: int) -> Trees:
    """Fit on the groups that are not held out and have a positive.

    Args:
        data: standardised examples.
        held: bool [n], rows of the groups kept for calibration.

    Returns:
        a ranker whose heads are not calibrated yet.

    Raises:
        UserError: LightGBM is not installed.
    """
    library = lightgbm_or_tell()
    telling = data.sum(data.positives(settings.label).astype(np.int64)) > 0
    train = data.take(~held & telling[data.group_of] & np.isfinite(data.labels[settings.label]))
    blend = untrained(inputs.names, settings)
    start = blend_factor(train, settings, blend) * blend
    sizes = np.diff(np.append(train.starts, len(train.weight)))
    rows = library.Dataset(
        train.features,
        train.labels[settings.label],
        weight=train.weight,
        group=sizes,
        init_score=train.features @ start.astype(np.float32),
        free_raw_data=False,
    )
    parameters = {
        "objective": "lambdarank",
        "lambdarank_truncation_level": _PLACES,
        "learning_rate": settings.trees.learning_rate,
        "num_leaves": settings.trees.leaves,
        "min_data_in_leaf": settings.trees.least_rows,
        "feature_fraction": settings.trees.share_of_features,
        "lambda_l2": settings.trees.l2,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
        "seed": seed,
    }
    return Trees(inputs, {}, start, library.train(parameters, rows, settings.trees.rounds))


def lightgbm_or_tell() -> Any:
    """The package.

    Raises:
        UserError: it is not installed.
    """
    try:
        import lightgbm
    except ImportError:
        raise UserError(
            "a ranker of boosted trees needs LightGBM, which is not installed; pip install 'nightshelf[trees]', "
            "or set ranker.kind to linear"
        ) from None
    return lightgbm
