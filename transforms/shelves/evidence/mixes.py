"""Daily mixes: the clusters of one listener's taste, the same mix from day to day.

The listener's most played artists, each the weighted mean of the embeddings of their heard tracks, are clustered by spherical
k-means (Dhillon & Modha 2001), weighted by log(1 + decayed plays). A mix that stood yesterday begins where its items stood,
and an artist who stood on it counts as nearer to it by `STAYS`, so mix 2 stays mix 2 while the taste behind it lasts, though
embeddings are fitted anew. A number that became free goes to the heaviest artist whom no mix is near. A cluster of less than
5% of the plays is no mix, and one that stood ends below half of that.

    score_mix_k = cosine of the track with the centre of mix k, but at least 0.3, where one of its artists is of mix k;
                  of other artists' tracks where k is the nearest centre, from 0.3 on

Its name are its three most played artists.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from transforms.common.compiled import compiled
from transforms.shelves.columns import MIXES
from transforms.shelves.evidence.base import Evidence, Found, Scene, listed

COLUMNS = tuple(f"score_mix_{k + 1}" for k in range(MIXES))
NAMES = tuple(f"mix_{k + 1}" for k in range(MIXES))
SHELF_IDS = tuple(f"daily-mix-{k + 1}" for k in range(MIXES))  # whose items of yesterday a mix begins from
ARTISTS, ROUNDS, LEAST_SHARE, LEAST, APART, NAMED, STAYS = 60, 5, 0.05, 0.3, 0.6, 3, 1.0


def make(scene: Scene) -> Found:
    """See the module."""
    rows, history, bag = scene.rows, scene.history, scene.rows.tracks.artists
    of = history.side.embeddings
    centre, began, stood = _yesterday(scene)
    centre, share, named, members = _clusters(
        history.bounds,
        history.track,
        history.weight,
        bag.bounds,
        bag.codes,
        bag.rank,
        of.vectors,
        of.of_track,
        centre,
        began,
        *stood,
    )
    scores = _assigned(
        rows.listener,
        rows.track,
        of.vectors,
        of.of_track,
        centre,
        share > 0,
        bag.bounds,
        bag.codes,
        members,
        len(bag.names),
    )
    artists = rows.tracks.artist_called
    subtitles = {
        name: [listed([artists[a] for a in named[i, k].tolist() if a >= 0]) for i in range(len(rows.listener_ids))]
        for k, name in enumerate(NAMES)
    }
    return Found(dict(zip(COLUMNS, scores, strict=True)), subtitles)


def _yesterday(scene: Scene) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The mean of the items of each listener's newest stored mixes, which of these there are, and who stood on them.

    The last as bounds by listener, and of each artist who stood on a mix the code and the mix.
    """
    nobody = (np.zeros(len(scene.rows.listener_ids) + 1, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))
    of, n = scene.history.side.embeddings, len(scene.rows.listener_ids)
    centre = np.zeros((n, MIXES, of.vectors.shape[1]), np.float32)
    previous = scene.inputs.previous
    if previous is None or scene.night.greedy:
        return centre, np.zeros((n, MIXES), np.bool_), nobody
    numbers = {shelf_id: k for k, shelf_id in enumerate(SHELF_IDS)}
    newest = (
        previous.filter(
            pl.col("shelf_id").is_in(SHELF_IDS)
            & (pl.col("run_date") < scene.night.date)
            & (pl.col("status") == "personal")
        )
        .filter(pl.col("run_date") == pl.col("run_date").max().over("listener"))
        .with_columns(mix=pl.col("shelf_id").replace_strict(numbers, default=None, return_dtype=pl.Int64))
        .select("listener", "mix", "items")
        .explode("items", keep_nulls=False)
        .select("listener", "mix", pl.col("items").struct.field("track_id"))
        .sort("listener", "mix", "track_id")
    )
    track = scene.rows.tracks.rows(newest["track_id"])
    vector = np.where(track >= 0, of.of_track[track], -1)
    there = vector >= 0
    listener, mix = newest["listener"].to_numpy()[there].astype(np.int64), newest["mix"].to_numpy()[there]
    np.add.at(centre, (listener, mix), of.vectors[vector[there]])
    length = np.linalg.norm(centre, axis=2, keepdims=True)
    centre = np.where(length > 0, centre / np.where(length > 0, length, 1), 0).astype(np.float32)
    bag, track = scene.rows.tracks.artists, track[there]
    sizes = np.diff(bag.bounds)[track]
    at = np.repeat(bag.bounds[track] - (np.cumsum(sizes) - sizes), sizes) + np.arange(int(sizes.sum()))
    who = np.repeat(listener, sizes)
    bounds = np.searchsorted(who, np.arange(n + 1)).astype(np.int64)
    return centre, length[:, :, 0] > 0, (bounds, bag.codes[at].astype(np.int64), np.repeat(mix, sizes))


@compiled
def _clusters(  # noqa: PLR0912 (a compiled loop)
    of_listener: np.ndarray,
    heard: np.ndarray,
    weight: np.ndarray,
    bounds: np.ndarray,
    codes: np.ndarray,
    rank: np.ndarray,
    vectors: np.ndarray,
    vector_of: np.ndarray,
    centre: np.ndarray,
    began: np.ndarray,
    stood_bounds: np.ndarray,
    stood_artist: np.ndarray,
    stood_mix: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Centres of each listener's mixes, their share of the plays (0 = no mix), the codes of the artists that name them, and
    int64 [listeners, ARTISTS, 2]: the code and the mix of every artist who is of one, -1 after the last."""
    n = len(of_listener) - 1
    members = np.full((n, ARTISTS, 2), -1, np.int64)
    share, named = np.zeros((n, MIXES)), np.full((n, MIXES, NAMED), -1, np.int64)
    place = np.full(max(len(rank), 1), -1, np.int64)
    for i in range(n):
        first, last = of_listener[i], of_listener[i + 1]
        artists, plays, points = _artists(first, last, heard, weight, bounds, codes, rank, vectors, vector_of, place)
        m = len(artists)
        if m == 0:
            continue
        mass = np.log1p(plays)
        live = began[i].copy()
        _seed(points, mass, centre[i], live)
        home = np.full(m, -1, np.int64)
        for at in range(stood_bounds[i], stood_bounds[i + 1]):
            for a in range(m):
                if artists[a] == stood_artist[at] and home[a] < 0:
                    home[a] = stood_mix[at]
        nearest = _rounds(points, mass, centre[i], live, home)
        whole = mass.sum()
        for k in range(MIXES):
            own = 0.0
            for a in range(m):
                if nearest[a] == k:
                    own += mass[a]
            if live[k] and own >= LEAST_SHARE * whole * (0.5 if began[i, k] else 1.0):
                share[i, k] = own / whole
                held = 0
                for a in range(m):  # artists come by plays, most first
                    if nearest[a] == k and held < NAMED:
                        named[i, k, held] = artists[a]
                        held += 1
        for a in range(m):
            if nearest[a] >= 0 and share[i, nearest[a]] > 0:
                members[i, a, 0], members[i, a, 1] = artists[a], nearest[a]
    return centre, share, named, members


@compiled
def _rounds(points: np.ndarray, mass: np.ndarray, centre: np.ndarray, live: np.ndarray, home: np.ndarray) -> np.ndarray:
    """Rounds of k-means: moves the centres, ends those that nothing is near, and returns the nearest of each point."""
    nearest = np.full(len(points), -1, np.int64)
    likes = np.empty(len(centre), np.float32)
    for _ in range(ROUNDS):
        for a in range(len(points)):
            best = -2.0
            _dots(points[a], centre, likes)
            for k in range(len(live)):
                if live[k]:
                    like = float(likes[k]) + (STAYS if home[a] == k else 0.0)
                    if like > best:
                        best, nearest[a] = like, k
        for k in range(len(live)):
            total = np.zeros(points.shape[1], np.float32)
            for a in range(len(points)):
                if nearest[a] == k:
                    total += np.float32(mass[a]) * points[a]
            length = np.sqrt((total**2).sum())
            if length > 0:
                centre[k] = total / length
            else:
                live[k] = False
    return nearest


@compiled
def _dot(a: np.ndarray, b: np.ndarray) -> float:
    total = np.float32(0.0)
    for e in range(len(a)):
        total += a[e] * b[e]
    return float(total)


@compiled
def _dots(a: np.ndarray, centre: np.ndarray, out: np.ndarray) -> None:
    """The products of a vector with the centres of all mixes, each summed in the order of `_dot`, and so equal to it.

    Two at a time: while one sum waits for its last product, the other goes on.
    """
    for k in range(0, len(centre) - 1, 2):
        one = two = np.float32(0.0)
        for e in range(len(a)):
            one += a[e] * centre[k, e]
            two += a[e] * centre[k + 1, e]
        out[k], out[k + 1] = one, two
    if len(centre) % 2:
        out[len(centre) - 1] = np.float32(_dot(a, centre[len(centre) - 1]))


@compiled
def _artists(
    first: int,
    last: int,
    heard: np.ndarray,
    weight: np.ndarray,
    bounds: np.ndarray,
    codes: np.ndarray,
    rank: np.ndarray,
    vectors: np.ndarray,
    vector_of: np.ndarray,
    place: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A listener's most played artists, most first, their plays and unit vectors; `place` is scratch, all -1."""
    found, count = np.empty(max(last - first, 1) * 4, np.int64), 0
    for k in range(first, last):
        if vector_of[heard[k]] >= 0:
            for at in range(bounds[heard[k]], bounds[heard[k] + 1]):
                if place[codes[at]] < 0 and count < len(found):
                    place[codes[at]], found[count] = count, codes[at]
                    count += 1
    plays, points = np.zeros(count), np.zeros((count, vectors.shape[1]), np.float32)
    for k in range(first, last):
        v = vector_of[heard[k]]
        if v >= 0:
            for at in range(bounds[heard[k]], bounds[heard[k] + 1]):
                here = place[codes[at]]
                if here >= 0:
                    plays[here] += weight[k]
                    points[here] += weight[k] * vectors[v]
    for k in range(count):
        place[found[k]] = -1
    by_rank = np.argsort(rank[found[:count]])
    order = by_rank[np.argsort(-plays[by_rank], kind="mergesort")][:ARTISTS]
    for k in order:
        length = np.sqrt((points[k] ** 2).sum())
        if length > 0:
            points[k] /= length
    return found[order], plays[order], points[order]


@compiled
def _seed(points: np.ndarray, mass: np.ndarray, centre: np.ndarray, live: np.ndarray) -> None:
    """Give every free number to the heaviest artist whom no mix is near."""
    for k in range(len(live)):
        if live[k]:
            continue
        best, chosen = 0.0, -1
        for a in range(len(points)):
            nearest = -1.0
            for j in range(len(live)):
                if live[j]:
                    nearest = max(nearest, _dot(points[a], centre[j]))
            if nearest < APART and mass[a] > best:
                best, chosen = mass[a], a
        if chosen < 0:
            return
        centre[k], live[k] = points[chosen], True


@compiled
def _assigned(  # noqa: PLR0912 (a compiled loop)
    listener: np.ndarray,
    track: np.ndarray,
    vectors: np.ndarray,
    vector_of: np.ndarray,
    centre: np.ndarray,
    there: np.ndarray,
    bounds: np.ndarray,
    codes: np.ndarray,
    members: np.ndarray,
    artists: int,
) -> np.ndarray:
    """float32 [mixes, rows]: the cosine with the centre of the row's mix, NaN with the others."""
    out = np.full((centre.shape[1], len(listener)), np.nan, np.float32)
    mix_of, at = np.full(max(artists, 1), -1, np.int64), -1
    likes = np.empty(centre.shape[1], np.float32)
    for row in range(len(listener)):
        i, t = listener[row], track[row]
        if i != at:
            for k in range(members.shape[1]):
                if at >= 0 and members[at, k, 0] >= 0:
                    mix_of[members[at, k, 0]] = -1
            for k in range(members.shape[1]):
                if members[i, k, 0] >= 0:
                    mix_of[members[i, k, 0]] = members[i, k, 1]
            at = i
        v, own, nearest = vector_of[t], -1, -1
        for k in range(bounds[t], bounds[t + 1]):
            if own < 0:
                own = mix_of[codes[k]]
        best = np.float32(LEAST)
        if own >= 0:
            nearest = own
            if v >= 0:
                best = max(best, np.float32(_dot(vectors[v], centre[i, own])))
        elif v >= 0:
            _dots(vectors[v], centre[i], likes)
            for k in range(centre.shape[1]):
                if there[i, k]:
                    like = likes[k]
                    if like >= best:
                        best, nearest = like, k
        if nearest >= 0:
            out[nearest, row] = best
    return out


EVIDENCE = Evidence(COLUMNS, make, NAMES)
