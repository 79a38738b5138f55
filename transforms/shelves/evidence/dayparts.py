"""What fits a time of day: the listener's own sessions at such hours, on such days of the week.

    score_<daypart> = w / (1 + a)
    w = sum over plays of the recording in sessions that began in this daypart of 2^(-age / 14 days); a = over all sessions

A play on another kind of day (weekend or not) than the one that the shelf is for counts half. A track played all day long has
much weight but a share of a quarter; one that belongs to the morning has most of it there.
"""

from __future__ import annotations

import numpy as np

from transforms.shelves.cadence import DAYPARTS
from transforms.shelves.evidence.base import Evidence, Found, Scene

COLUMNS = tuple(f"score_{part}" for part in DAYPARTS)
OTHER_DAY = 0.5


def make(scene: Scene) -> Found:
    """See the module."""
    rows, history = scene.rows, scene.history
    piece = rows.find(history.session_listener, rows.tracks.recording[history.session_track])
    there = piece >= 0
    same = scene.clock.weekend()[history.session_listener] == history.session_weekend
    weight = (history.session_weight * np.where(same, 1.0, OTHER_DAY))[there]
    piece, part = piece[there], history.session_part[there]
    total = np.bincount(piece, weights=weight, minlength=rows.pieces)
    out = {}
    for number, name in enumerate(COLUMNS):
        here = part == number
        mine = np.bincount(piece[here], weights=weight[here], minlength=rows.pieces)
        score = np.where(mine > 0, mine / (1 + total), np.nan).astype(np.float32)
        out[name] = score[rows.piece]
    return Found(out)


EVIDENCE = Evidence(COLUMNS, make)
