"""What fits the likely contexts of a listener's next session: what they play in sessions like it.

    score_next_<k> = w / (1 + a)
    w = sum over plays of the recording in sessions lately of 2^(-age / 14 days) m, a = the same without m

m is 1 for a session of the k-th likeliest context (`transforms.shelves.contexts`), times 1/4 where it was at another part of the
day, times 1/2 where it was on another device or played from something else; a session on the other kind of day (weekend or not)
counts half in both. So a row leans to its context without being short where a context has seen few sessions.
"""

from __future__ import annotations

import numpy as np

from transforms.common.compiled import compiled
from transforms.shelves.columns import NEXT
from transforms.shelves.contexts import OTHER_DAY, Next, likely
from transforms.shelves.evidence.base import Evidence, Found, Scene

COLUMNS = tuple(f"score_next_{k + 1}" for k in range(NEXT))
NAMES = tuple(f"next_{k + 1}" for k in range(NEXT))
OTHER_PART, OTHER_PLACE = 0.25, 0.5


def make(scene: Scene) -> Found:
    """See the module."""
    rows, history = scene.rows, scene.history
    weekend = scene.clock.weekend()
    found = likely(history.occasions, weekend, scene.settings.next_session, NEXT)
    piece = rows.find(history.session_listener, rows.tracks.recording[history.session_track])
    there = piece >= 0
    who = history.session_listener[there]
    same = weekend[who] == history.session_weekend[there]
    weight = history.session_weight[there] * np.where(same, 1.0, OTHER_DAY)
    place = found.of_place[history.session_where[there]] if len(found.of_place) else np.zeros(0, np.int64)
    mine, total = _weighed(
        piece[there], who, history.session_part[there], place, weight, found.part, found.place, rows.pieces
    )
    score = np.where(mine > 0, mine / (1 + total), np.nan).astype(np.float32)
    contexts: dict[str, list[Next | None]] = {
        name: [found.of(i, k) for i in range(len(weekend))] for k, name in enumerate(NAMES)
    }
    words = {name: [None if one is None else str(one) for one in each] for name, each in contexts.items()}
    return Found(dict(zip(COLUMNS, score[:, rows.piece], strict=True)), words, contexts)


@compiled
def _weighed(
    piece: np.ndarray,
    listener: np.ndarray,
    part: np.ndarray,
    place: np.ndarray,
    weight: np.ndarray,
    parts: np.ndarray,
    places: np.ndarray,
    pieces: int,
) -> tuple[np.ndarray, np.ndarray]:
    """float64 [contexts, pieces] plays as they fit each context, and [pieces] all plays."""
    mine, total = np.zeros((parts.shape[1], pieces)), np.zeros(pieces)
    for at in range(len(piece)):
        i = listener[at]
        total[piece[at]] += weight[at]
        for k in range(parts.shape[1]):
            if places[i, k] < 0:
                break
            fits = weight[at]
            if parts[i, k] >= 0 and parts[i, k] != part[at]:
                fits *= OTHER_PART
            if places[i, k] != place[at]:
                fits *= OTHER_PLACE
            mine[k, piece[at]] += fits
    return mine, total


EVIDENCE = Evidence(COLUMNS, make, NAMES)
