"""The columns of candidates that a shelf may name: what sources, the ranker, the listener's own history and evidence give.

>>> known = known_columns(["als", "popular"])
>>> "rank_als" in known, "score_popular" in known, "rank_artist" in known
(True, True, False)
"""

from __future__ import annotations

from collections.abc import Iterable

from transforms.shelves.cadence import DAYPARTS

SPREAD = "reward_spread"  # deviation of the score by what is not known yet of the long-term reward, in its units
OF_RANKER = (
    "ranker_score",
    "ranker_rank",
    "p_listened",
    "p_completed",
    "p_saved",
    "p_returned",
    "p_attributed",
    "reward_immediate",
    "reward_mid_term",
    "reward_long_term",
    SPREAD,
)
OF_HISTORY = ("plays", "saved", "activation", "decayed_plays", "heard_before")
MIXES, NEXT = 6, 3
OF_EVIDENCE = (
    *(f"score_mix_{k + 1}" for k in range(MIXES)),
    *(f"score_{part}" for part in DAYPARTS),
    *(f"score_next_{k + 1}" for k in range(NEXT)),
    "score_radio",
    "score_release",
    "listeners",
)
CONTINUES = "continues"  # the session's continuation where the shelf is nothing else; negative keeps a track off


def known_columns(sources: Iterable[str]) -> frozenset[str]:
    """Every column that a night may have, whichever of its sources are switched on."""
    of_sources = {f"{kind}_{name}" for name in sources for kind in ("rank", "score")}
    return frozenset({*of_sources, *OF_RANKER, *OF_HISTORY, *OF_EVIDENCE, CONTINUES})
