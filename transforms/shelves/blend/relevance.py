"""How well each track that a group is offered suits each of its members, between 0 and 1.

Scores of different listeners have no common unit, so a member's own candidates count by their place among them (Borda's count,
as in Kaya, Bridge and Tintarev, "Ensuring fairness in group recommendations by rank-sensitive balancing of relevance", RecSys
2020): the best is worth 1, the worst of n 1 / n. A track that only others were found is judged by the listener's vector: its
place among the member's own candidates by cosine, times `guess`, since nothing but the vector speaks for it.

Example: own candidates a, b, c with scores 3, 2, 1 are worth 1, 2/3, 1/3; a stranger whose cosine is above that of two of the
three is worth guess * 2/3.
"""

from __future__ import annotations

import numpy as np

from transforms.common.compiled import compiled


@compiled
def relevance(bounds: np.ndarray, score: np.ndarray, cosine: np.ndarray, guess: float) -> np.ndarray:
    """float64 by pair of member and track.

    Args:
        bounds: int64[members + 1], where each member's pairs begin.
        score: float32 by pair, the member's own score; NaN where the track is none of their candidates.
        cosine: float32 by pair, of the member's vector and the track's; NaN where either has none.
        guess: see above.
    """
    out = np.zeros(len(score))
    for m in range(len(bounds) - 1):
        first, last = bounds[m], bounds[m + 1]
        own = np.empty(last - first)
        near = np.empty(last - first)
        count = compared = 0
        for at in range(first, last):
            if not np.isnan(score[at]):
                own[count] = score[at]
                count += 1
                if not np.isnan(cosine[at]):
                    near[compared] = cosine[at]
                    compared += 1
        if count == 0:
            continue
        own, near = np.sort(own[:count]), np.sort(near[:compared])
        for at in range(first, last):
            if not np.isnan(score[at]):
                out[at] = np.searchsorted(own, score[at], side="right") / count
            elif compared and not np.isnan(cosine[at]):
                out[at] = guess * np.searchsorted(near, cosine[at]) / compared
    return out
