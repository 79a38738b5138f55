"""Artist radio: one of the listener's top artists, and what is like them.

Each day another of the five most played artists takes its turn. score_radio is 1 for a track that credits the artist, else the
cosine of its embedding with the mean of the artist's tracks in the listener's history, from 0.3 on.
"""

from __future__ import annotations

import numpy as np

from transforms.common.compiled import compiled
from transforms.shelves.evidence.base import Evidence, Found, Scene

TOP, LEAST = 5, 0.3


def make(scene: Scene) -> Found:
    """See the module."""
    rows, history, bag = scene.rows, scene.history, scene.rows.tracks.artists
    artist, vectors = _seeds(
        history.bounds,
        history.track,
        history.weight,
        bag.bounds,
        bag.codes,
        bag.rank,
        history.side.embeddings.vectors,
        history.side.embeddings.of_track,
        scene.night.date.toordinal(),
    )
    score = _near(
        rows.listener,
        rows.track,
        artist,
        vectors,
        bag.bounds,
        bag.codes,
        history.side.embeddings.vectors,
        history.side.embeddings.of_track,
    )
    names = rows.tracks.artist_called
    return Found({"score_radio": score}, {"radio": [names[a] if a >= 0 else None for a in artist.tolist()]})


@compiled
def _seeds(
    of_listener: np.ndarray,
    heard: np.ndarray,
    weight: np.ndarray,
    bounds: np.ndarray,
    codes: np.ndarray,
    rank: np.ndarray,
    vectors: np.ndarray,
    vector_of: np.ndarray,
    day: int,
) -> tuple[np.ndarray, np.ndarray]:
    """By listener the artist whose turn it is, -1 where none, and the unit mean of the artist's heard tracks."""
    n = len(of_listener) - 1
    out, mean = np.full(n, -1, np.int64), np.zeros((n, vectors.shape[1]), np.float32)
    plays = np.zeros(max(len(rank), 1), np.float32)
    for i in range(n):
        top, held = np.full(TOP, -1, np.int64), 0
        for k in range(of_listener[i], of_listener[i + 1]):
            for a in range(bounds[heard[k]], bounds[heard[k] + 1]):
                plays[codes[a]] += weight[k]
        for k in range(of_listener[i], of_listener[i + 1]):
            for a in range(bounds[heard[k]], bounds[heard[k] + 1]):
                held = _keep(top, held, codes[a], plays, rank)
        if held:
            out[i] = top[day % held]
            for k in range(of_listener[i], of_listener[i + 1]):
                v = vector_of[heard[k]]
                for a in range(bounds[heard[k]], bounds[heard[k] + 1]):
                    if codes[a] == out[i] and v >= 0:
                        mean[i] += weight[k] * vectors[v]
            length = np.sqrt((mean[i] ** 2).sum())
            if length > 0:
                mean[i] /= length
        for k in range(of_listener[i], of_listener[i + 1]):
            for a in range(bounds[heard[k]], bounds[heard[k] + 1]):
                plays[codes[a]] = 0
    return out, mean


@compiled
def _keep(top: np.ndarray, held: int, artist: int, plays: np.ndarray, rank: np.ndarray) -> int:
    """Put an artist into its place among the most played; returns how many are held."""
    for k in range(held):
        if top[k] == artist:
            return held
    k = held
    if held == len(top):
        if (plays[top[held - 1]], -rank[top[held - 1]]) >= (plays[artist], -rank[artist]):
            return held
        k = held - 1
    else:
        held += 1
    while k > 0 and (plays[top[k - 1]], -rank[top[k - 1]]) < (plays[artist], -rank[artist]):
        top[k] = top[k - 1]
        k -= 1
    top[k] = artist
    return held


@compiled
def _near(
    listener: np.ndarray,
    track: np.ndarray,
    artist: np.ndarray,
    mean: np.ndarray,
    bounds: np.ndarray,
    codes: np.ndarray,
    vectors: np.ndarray,
    vector_of: np.ndarray,
) -> np.ndarray:
    out = np.full(len(listener), np.nan, np.float32)
    for row in range(len(listener)):
        seed = artist[listener[row]]
        if seed < 0:
            continue
        v = vector_of[track[row]]
        if v >= 0:
            like = np.float32(0.0)
            for d in range(vectors.shape[1]):
                like += vectors[v, d] * mean[listener[row], d]
            if like >= LEAST:
                out[row] = like
        for a in range(bounds[track[row]], bounds[track[row] + 1]):
            if codes[a] == seed:
                out[row] = 1.0
    return out


EVIDENCE = Evidence(("score_radio",), make, ("radio",))
