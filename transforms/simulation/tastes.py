"""Listeners: who they are and what they truly like, as arrays over the listeners of a block.

A listener has two to five interests, each a genre and a point near it in the catalog's latent space. Interests'
weights drift apart over the days, each grows at one daypart, and each has a list of favourite artists of which a
window slides along. How well a track fits is

    affinity(l, t, day) = log sum_k w_k(day) exp(BETA <u_k, v_t>) / BETA + APPEAL appeal_t

with w the interests' weights (sum 1), u_k and v_t unit vectors: 1 would be a perfect fit with the only interest.

    >>> settings = SimulationSettings(listeners=3, tracks=100, days=7)
    >>> draw_tastes(settings, build_catalog(settings), np.arange(3)).interest.shape
    (3, 6, 12)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transforms.simulation.catalog import DIMENSIONS, MARKETS, SimulatedCatalog, unit
from transforms.simulation.draws import child, geometric, ids, normal, normals, pick, root, uniform
from transforms.simulation.settings import SimulationSettings

INTERESTS = 5
GUEST = INTERESTS  # the last interest is not the listener's: whoever shares their speaker
FAVOURITES = 20
WINDOW = 12
BETA = 8.0
APPEAL = 0.03
DRIFT_DAYS = 40.0

_MARKET_SHARE = np.array([0.32, 0.14, 0.12, 0.1, 0.14, 0.07, 0.04, 0.07])
_ZONES = (
    (("America/New_York", -5.0), ("America/Chicago", -6.0), ("America/Los_Angeles", -8.0)),
    (("Europe/London", 0.0),),
    (("Europe/Berlin", 1.0),),
    (("Europe/Paris", 1.0),),
    (("America/Sao_Paulo", -3.0),),
    (("Asia/Tokyo", 9.0),),
    (("Europe/Stockholm", 1.0),),
    (("Asia/Kolkata", 5.5),),
)
MACHINES = ("regular_gaps", "round_the_clock", "one_track", "breadth")  # in order of `machine`; -1 = a person
PLATFORMS = ("android", "ios", "web", "desktop", "tv")


@dataclass(frozen=True)
class Tastes:
    """Arrays over the listeners of a block (length B); days are counted from the first simulated day."""

    key: np.ndarray
    listener_id: np.ndarray
    bot: np.ndarray
    machine: np.ndarray
    market: np.ndarray
    time_zone: np.ndarray
    offset_hours: np.ndarray
    explicit_ok: np.ndarray
    explicit_known: np.ndarray
    joined: np.ndarray
    left: np.ndarray
    activity: np.ndarray
    weekend: np.ndarray
    peaks: np.ndarray  # float[B, 4] weight of each habitual hour
    novelty: np.ndarray
    albums: np.ndarray
    patience: np.ndarray
    saver: np.ndarray
    speaker: np.ndarray  # shares a speaker with somebody
    platform: np.ndarray  # int[B, 2] of the two devices
    genre: np.ndarray  # int[B, INTERESTS + 1]
    interest: np.ndarray  # float32[B, INTERESTS + 1, DIMENSIONS]
    base: np.ndarray  # log weights; -inf = not an interest
    drift: np.ndarray  # change of the log weight in DRIFT_DAYS days
    daypart: np.ndarray  # int[B, INTERESTS + 1] daypart at which an interest doubles
    favourites: np.ndarray  # int32[B, INTERESTS + 1, FAVOURITES] artists, dearest first
    slide: np.ndarray  # places a day by which the window over the favourites moves

    def log_weights(self, row: np.ndarray, day: np.ndarray, middle: float) -> np.ndarray:
        """Unnormalised log weight of each own interest of the rows' listeners on the days, [n, INTERESTS]."""
        return self.base[row, :INTERESTS] + self.drift[row, :INTERESTS] * ((day - middle) / DRIFT_DAYS)[:, None]

    def favourite(self, row: np.ndarray, interest: np.ndarray, rank: np.ndarray, day: np.ndarray) -> np.ndarray:
        """The artist that stands at a rank (below WINDOW) of a listener's favourites on a day."""
        moved = (rank + np.floor(self.slide[row] * day).astype(np.int64)) % FAVOURITES
        # The two dearest stay.
        return self.favourites[row, interest, np.where(rank < 2, rank, moved)]


def draw_tastes(settings: SimulationSettings, catalog: SimulatedCatalog, index: np.ndarray) -> Tastes:
    """The listeners with these indices: each a function of seed and own index only."""
    key = child(root(settings.seed, "listener"), index)
    n = len(index)
    market = pick(key, "market", _MARKET_SHARE)
    zone = uniform(key, "zone")
    zones = [_ZONES[m][int(z * len(_ZONES[m]))] for m, z in zip(market.tolist(), zone.tolist(), strict=True)]
    joined_before = uniform(key, "joined before") < 0.75
    joined_during = np.floor(uniform(key, "joined during") * settings.days).astype(np.int64)
    leaves = uniform(key, "leaves") < 0.05
    platform = np.stack(
        [pick(key, "phone", np.array([0.55, 0.45])), 2 + pick(key, "other", np.array([5, 4, 1]))], axis=1
    )

    each = child(key[:, None], np.arange(INTERESTS + 1)[None, :])
    flat = each.ravel()
    # Markets prefer different genres.
    places = child(root(settings.seed, "market"), np.arange(len(MARKETS) * len(catalog.genre_weight)))
    local = np.exp(0.7 * normal(places, "taste"))
    tilt = catalog.genre_weight[None, :] * local.reshape(len(MARKETS), -1)
    genre = pick(flat, "genre", tilt[np.repeat(market, INTERESTS + 1)]).astype(np.int32)
    offset = unit(normals(flat, "offset", DIMENSIONS))
    interest = unit(0.8 * catalog.genre_vector[genre] + 0.6 * offset)
    count = 2 + pick(key, "count", np.array([0.35, 0.35, 0.2, 0.1]))
    base = 0.8 * normal(each, "base")
    base = np.where(np.arange(INTERESTS + 1)[None, :] < count[:, None], base, -np.inf)

    candidate_keys = child(flat[:, None], np.arange(4 * FAVOURITES)[None, :])
    repeated = np.repeat(genre, 4 * FAVOURITES)
    candidates = catalog.artist_in_genre(candidate_keys.ravel(), "favourite", repeated).reshape(-1, 4 * FAVOURITES)
    likeness = np.einsum("ncd,nd->nc", catalog.artist_vector[candidates], interest)
    ordered = np.sort(candidates, axis=1)
    place = np.argsort(candidates, axis=1, kind="stable")
    twice = np.zeros(candidates.shape, dtype=bool)
    np.put_along_axis(twice, place[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    fondness = 5.0 * likeness + 0.7 * normal(candidate_keys, "fondness") - 100.0 * twice
    best = np.argsort(-fondness, axis=1, kind="stable")[:, :FAVOURITES]
    favourites = np.take_along_axis(candidates, best, axis=1).reshape(n, INTERESTS + 1, FAVOURITES)
    # Where a genre has too few artists, the dearest ones come again.
    fresh = ~np.take_along_axis(twice, best, axis=1)
    number = np.maximum(fresh.sum(axis=1), 1)
    wrapped = np.arange(FAVOURITES)[None, :] % number[:, None]
    favourites = np.take_along_axis(favourites.reshape(-1, FAVOURITES), wrapped, axis=1).reshape(favourites.shape)

    every = settings.dirt.machine_every
    machine = (index % max(every, 1) == 3) if every else np.zeros(n, dtype=bool)
    spread = 0.9
    return Tastes(
        key=key,
        listener_id=ids("u", key),
        bot=index % settings.dirt.bot_every == 7,
        machine=np.where(machine, index // max(every, 1) % len(MACHINES), -1),
        market=market,
        time_zone=np.array([z for z, _ in zones], dtype=object),
        offset_hours=np.array([h for _, h in zones]),
        explicit_ok=uniform(key, "explicit") >= 0.06,
        explicit_known=uniform(key, "explicit known") < 0.95,
        joined=np.where(joined_before, -1 - geometric(key, "joined", 500.0), joined_during),
        left=np.where(leaves, np.floor(uniform(key, "left") * settings.days), settings.days).astype(np.int64),
        activity=np.exp(spread * np.clip(normal(key, "activity"), -3, 2.5) - 0.5 * spread**2),
        weekend=np.exp(0.4 * normal(key, "weekend")),
        peaks=np.exp(1.2 * normal(child(key[:, None], np.arange(4)[None, :]), "peak")),
        novelty=0.15 + 0.65 * uniform(key, "novelty"),
        albums=0.1 + 0.5 * uniform(key, "albums"),
        patience=0.5 * normal(key, "patience"),
        saver=uniform(key, "saver") ** 2,
        speaker=uniform(key, "speaker") < 0.06,
        platform=platform,
        genre=genre.reshape(n, -1),
        interest=interest.reshape(n, INTERESTS + 1, DIMENSIONS),
        base=base,
        drift=0.8 * normal(each, "drift"),
        daypart=pick(flat, "daypart", np.array([0.5, 1, 1, 1.2])).reshape(n, -1),
        favourites=favourites,
        slide=0.12 * uniform(key, "slide"),
    )


def affinity(
    settings: SimulationSettings,
    catalog: SimulatedCatalog,
    tastes: Tastes,
    *,
    row: np.ndarray,
    track: np.ndarray,
    day: np.ndarray,
) -> np.ndarray:
    """How well tracks truly fit listeners on days (see the module), one value a (row, track, day), float64."""
    out = np.empty(len(row), dtype=np.float64)
    for low in range(0, len(row), 50_000):
        part = slice(low, low + 50_000)
        weights = tastes.log_weights(row[part], day[part], settings.days / 2)
        weights = weights - np.log(np.exp(weights).sum(axis=1, keepdims=True))
        fit = np.einsum("nkd,nd->nk", tastes.interest[row[part], :INTERESTS], catalog.track_vector[track[part]])
        out[part] = np.log(np.exp(weights + BETA * fit).sum(axis=1)) / BETA
    return out + APPEAL * catalog.appeal[track]
