"""The union of the sources cut to what can still stand somewhere, before the features that cost most are computed.

Fifteen sources of 300 tracks leave a listener with 1,300 candidates, of which a few dozen are shown. A candidate stays if it
is among the `best` of its listener by the sources' untrained blend (unheard and heard ones counted apart), among the best
`of_each` of any source (a shelf may be ordered by that source alone), or was found by a source that the ranker does not weigh.
Among equals of the blend the best rank by any source decides, then the smaller row of the vocabulary: a listener for whom only
popularity speaks keeps the most popular. Standardised scores are those of the whole union, so a candidate's features do not
depend on the cut.

    >>> cut(candidates, blend, sources, CutSettings(best=300, of_each=30)).sum()        # doctest: +SKIP
    612
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from transforms.candidates.base import Traits
from transforms.candidates.settings import CutSettings
from transforms.common.best import keep
from transforms.common.compiled import compiled

_NONE = 1 << 15  # a rank after all others
_PLACES = 1 << 16  # candidates of a listener


def cut(candidates: pl.DataFrame, blend: np.ndarray, sources: Iterable[Traits], settings: CutSettings) -> np.ndarray:
    """bool [m]: the candidates that stay.

    Args:
        candidates: as of `retrieve_block`, sorted by row and item.
        blend: float32 [m], the sources' untrained blend.
        sources: those of the candidates.
        settings: how many.
    """
    rank = np.full(candidates.height, _NONE, np.int32)
    always = np.zeros(candidates.height, np.bool_)
    for source in sources:
        if f"rank_{source.name}" not in candidates.columns:
            continue
        own = candidates[f"rank_{source.name}"].fill_null(_NONE).to_numpy()
        if source.ranked:
            np.minimum(rank, own, out=rank)
        else:
            always |= own < _NONE
    always |= rank <= settings.of_each
    rows, heard = candidates["row"].to_numpy(), candidates["heard_before"].to_numpy()
    bounds = np.searchsorted(rows, np.arange((int(rows[-1]) if len(rows) else -1) + 2))
    _best(bounds, heard, np.asarray(blend, np.float32), np.minimum(rank, _NONE - 1), settings.best, always)
    return always


@compiled
def _best(
    bounds: np.ndarray, heard: np.ndarray, blend: np.ndarray, rank: np.ndarray, best: int, stays: np.ndarray
) -> None:
    """Mark the best of each listener and group in `stays`; the rank stands in the item, which decides among equals."""
    scores, items = np.zeros(best, np.float32), np.zeros(best, np.int32)
    for row in range(len(bounds) - 1):
        first = bounds[row]
        for group in (False, True):
            found = 0
            for at in range(first, min(bounds[row + 1], first + _PLACES)):
                if heard[at] == group:
                    found = keep(scores, items, found, best, blend[at], rank[at] * _PLACES + (at - first))
            for at in range(found):
                stays[first + items[at] % _PLACES] = True
