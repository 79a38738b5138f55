"""New releases: of artists one follows, then of artists one plays, then of those near them.

    score_release = freshness * (2 [followed] + log(1 + a) / (1 + log(1 + a)) + 0.2 [found by adjacent_artists or content])

a is the listener's largest decayed plays of a credited artist, freshness 0.5^(age / 30 days); 0 of what came out more than 90
days ago. New tracks of followed artists are candidates here even where no source found them: following is asking for them.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl

from transforms.common.compiled import compiled
from transforms.common.text import name_key
from transforms.shelves.evidence.base import Evidence, Found, Scene
from transforms.shelves.feedback import FOLLOWED_ARTIST
from transforms.shelves.gathering import Inputs
from transforms.shelves.history import History
from transforms.shelves.settings import NightContext

NEW_FOR_DAYS, HALF_LIFE_DAYS = 90, 30.0
NEAR = ("rank_adjacent_artists", "rank_content")
SOURCE, REASON = "new_releases", "new_from_followed"
MOST = 200  # new tracks of followed artists a listener


def followed_releases(inputs: Inputs, night: NightContext) -> pl.DataFrame:
    """(listener, track, source, reason) of new tracks by artists whom a listener follows, the newest `MOST` of each."""
    tracks = inputs.tracks
    follows = inputs.blocks.filter(pl.col("kind") == FOLLOWED_ARTIST)
    code = tracks.artists.code(follows.select(name_key(pl.col("target"))).to_series())
    listener = follows["listener"].to_numpy()[code >= 0]
    bounds, rows = tracks.artists.tracks
    code = code[code >= 0]
    sizes = bounds[code + 1] - bounds[code]
    at = np.repeat(bounds[code] - (np.cumsum(sizes) - sizes), sizes) + np.arange(int(sizes.sum()))
    track = rows[at]
    age = _age(tracks.released[track], night)
    fresh = (age >= 0) & (age < NEW_FOR_DAYS)
    found = pl.DataFrame(
        {"listener": np.repeat(listener, sizes)[fresh].astype(np.uint32), "track": track[fresh], "age": age[fresh]}
    )
    newest = found.unique().sort("listener", "age", "track").group_by("listener", maintain_order=True).head(MOST)
    return newest.drop("age").with_columns(source=pl.lit(SOURCE), reason=pl.lit(REASON))


def make(scene: Scene) -> Found:
    """See the module."""
    rows, tracks = scene.rows, scene.rows.tracks
    age = _age(tracks.released[rows.track], scene.night)
    fresh = (age >= 0) & (age < NEW_FOR_DAYS)
    plays = largest_of_artists(scene.history, rows.listener, rows.track, tracks.artists.bounds, tracks.artists.codes)
    keys = scene.known.artist_acts[FOLLOWED_ARTIST]
    followed = scene.known.any_artist(rows, keys)
    near = (rows.column(NEAR[0]) > 0) | (rows.column(NEAR[1]) > 0)
    liked = np.log1p(plays)
    score = 2.0 * followed + liked / (1 + liked) + 0.2 * near
    return Found({"score_release": np.where(fresh, score * 0.5 ** (age / HALF_LIFE_DAYS), np.nan).astype(np.float32)})


def largest_of_artists(
    history: History, listener: np.ndarray, track: np.ndarray, bounds: np.ndarray, codes: np.ndarray
) -> np.ndarray:
    """float32 by row: the listener's decayed plays of that credited artist of the track whom they play most."""
    artists = int(codes.max()) + 1 if len(codes) else 1
    return _largest(listener, track, bounds, codes, history.bounds, history.track, history.weight, artists)


@compiled
def _largest(
    listener: np.ndarray,
    track: np.ndarray,
    bounds: np.ndarray,
    codes: np.ndarray,
    of_listener: np.ndarray,
    heard: np.ndarray,
    weight: np.ndarray,
    artists: int,
) -> np.ndarray:
    out, plays, at = np.zeros(len(listener), np.float32), np.zeros(artists, np.float32), -1
    for row in range(len(listener)):
        if listener[row] != at:
            if at >= 0:
                _add(plays, of_listener[at], of_listener[at + 1], heard, bounds, codes, weight, 0.0)
            at = listener[row]
            _add(plays, of_listener[at], of_listener[at + 1], heard, bounds, codes, weight, 1.0)
        for k in range(bounds[track[row]], bounds[track[row] + 1]):
            out[row] = max(out[row], plays[codes[k]])
    return out


@compiled
def _add(
    plays: np.ndarray,
    first: int,
    last: int,
    heard: np.ndarray,
    bounds: np.ndarray,
    codes: np.ndarray,
    weight: np.ndarray,
    times: float,
) -> None:
    """Add a listener's plays to their artists' sums, or clear these where `times` is 0."""
    for k in range(first, last):
        for a in range(bounds[heard[k]], bounds[heard[k] + 1]):
            plays[codes[a]] = plays[codes[a]] + weight[k] if times else 0.0


def _age(released: np.ndarray, night: NightContext) -> np.ndarray:
    """Days from a release to the night; negative where unknown or later."""
    today = (night.date - dt.date(1970, 1, 1)).days
    return np.where(released < -1_000_000, -1, today - released.astype(np.int64))


EVIDENCE = Evidence(("score_release",), make)
