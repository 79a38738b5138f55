"""Home's order in the live world: listeners who answer, tire and come back, under several orders of equal shelves.

    python -m tests.benchmarks.home_live [--logs page] [--leaves 0.5] [--listeners 300] [--tracks 800] [--days 28]

The world is that of `nightshelf live` (`transforms.simulation.live`), the order that of a night: the world's own log and
impressions are counted by `transforms.outcomes.looks` and learned from by `transforms.shelves.home_learning`, a night later. What
stands on the shelves comes from no night, because three worlds of nights take hours: seven stand-ins for the shelves of Home
choose by how well tracks fit, seen through noise (unheard, newly released, heard, long unheard, by a top artist, hardly heard by
anybody, popular). Every order has its own world of equal luck: what listeners hear, tire of and come back for depends on it.

    settings     the shelves in the order of the settings
    fixed        the best order for everybody, known in hindsight from the world of `settings`
    pointwise    the beliefs of a night, but every logged shelf counted as looked at; the best estimates first
    greedy       the beliefs of a night, the best estimates first, no exploration
    learned      what a night does
    oracle       knows every chance

`--logs` is what the app tells of a visit: `shown`, the shelves down to where the listener stopped (what this world logs), or
`page`, all of Home's shelves, as an app does that logs the page it sent. Where looks are logged, the night is told so
(`home.visible: null`). `--leaves` is the chance that a shelf which was played
from is the last one looked at (`live.leaves`).

`any` is the chance that a visit plays from Home: 1 - product over the shelves looked at of (1 - chance of a play from each),
exact in how far people look. `finished` counts plays from Home to their end. Both are by listener and day, over the last half of
the days; intervals are 95%, of the paired difference, bootstrap over listeners and seeds.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from pipelines.live import Plan
from transforms.common.typed_names import LOOKS, PLAYS, LooksAt
from transforms.metrics.intervals import interval
from transforms.outcomes.looks import counts, looks
from transforms.shelves.bandit import orders, sigmoid
from transforms.shelves.defaults import DEFAULT
from transforms.shelves.home_learning import HomeSettings, believed, contexts, counted, ordered, vectors
from transforms.simulation.draws import child, normal
from transforms.simulation.live import LiveWorld
from transforms.simulation.live_settings import LiveSettings
from transforms.simulation.live_state import State

IDS = [shelf.shelf_id for shelf in DEFAULT if shelf.surface == "home"]
SIZE, NOISE = 12, 0.8  # items of a shelf; deviation of what a recommender does not see, in deviations of how tracks fit
ORDERS = ("settings", "fixed", "pointwise", "greedy", "learned", "oracle")


class Makers:
    """What stands on the shelves of a world, day by day."""

    def __init__(self, world: LiveWorld) -> None:
        self.world, self.who = world, world.who
        n, m = len(self.who.tastes.listener_id), self.who.tracks
        self.row, self.track = np.repeat(np.arange(n), m), np.tile(np.arange(m), n)
        number = self.who.settings.number(world.first_live)
        fit = self.who.fit(self.row, self.track, number)
        noise = normal(child(self.who.tastes.key[self.row], self.track), "guess")
        catalog = self.who.catalog
        days = np.full(len(self.row), self.who.settings.first_day + number)
        able = catalog.playable(
            self.track, days, self.who.tastes.market[self.row], self.who.tastes.explicit_ok[self.row]
        )
        shape = (n, m)
        self.guess = np.where(able, fit + NOISE * noise, -np.inf).reshape(shape)
        popular = catalog.popularity[catalog.artist_of] if len(catalog.popularity) != m else catalog.popularity
        self.popular = np.argsort(np.argsort(popular + 1e-9 * catalog.appeal)) / m
        self.fresh = catalog.released > np.quantile(catalog.released, 0.85)

    def chosen(self, state: State) -> np.ndarray:
        """int64 [listeners, shelves, SIZE]: tracks of each shelf, -1 after the last; no track stands on two."""
        n, m = self.guess.shape
        code = np.arange(n * m)
        known = (state.known.of(code) > 0).reshape(n, m)
        tired = state.tired.of(code).reshape(n, m)
        free = np.isfinite(self.guess) & ~(state.blocked.of(code) > 0).reshape(n, m)
        artist = self.who.catalog.artist_of
        plays = np.zeros((n, int(artist.max()) + 1))
        np.add.at(plays, (np.repeat(np.arange(n), m), np.tile(artist, n)), known.ravel())
        top = plays.argmax(axis=1)
        pools = {
            "discover-weekly": (~known, self.guess),
            "release-radar": (~known & self.fresh, self.guess),
            "rediscover": (known & (tired < 0.05), self.guess - 0.5),
            "on-repeat": (known, self.guess),
            "artist-radio": (artist[None, :] == top[:, None], self.guess),
            "fresh-finds": (~known & (self.popular < 0.4)[None, :], self.guess),
            "popular-now": (np.ones_like(known), np.broadcast_to(self.popular, known.shape)),
        }
        out = np.full((n, len(IDS), SIZE), -1)
        for k, name in enumerate(IDS):
            pool, value = pools[name]
            value = np.where(pool & free, value - 0.3 * tired, -np.inf)
            best = np.argpartition(-value, SIZE, axis=1)[:, :SIZE]
            best = np.take_along_axis(best, np.argsort(-np.take_along_axis(value, best, 1), axis=1, kind="stable"), 1)
            there = np.isfinite(np.take_along_axis(value, best, 1))
            out[:, k] = np.where(there, best, -1)
            who, at = np.nonzero(there)
            free[who, best[who, at]] = False
        return out


def chances_of(world: LiveWorld, state: State, chosen: np.ndarray, day: date) -> np.ndarray:
    """float64 [listeners, shelves]: the true chance that whoever looks at a shelf plays from it.

    Args:
        chosen: int64 [listeners, shelves, size]: tracks of each shelf in order, -1 after the last.
    """
    live, who, size = world.who.live, world.who, chosen.shape[2]
    row = np.broadcast_to(np.arange(len(chosen))[:, None, None], chosen.shape).ravel()
    track = np.maximum(chosen.ravel(), 0)
    fit = who.fit(row, track, who.settings.number(day))
    tired = state.tired.of(row * who.tracks + track)
    play = sigmoid(
        live.play + live.play_fit * fit + live.play_catch * who.worth.catch[track] - live.play_fatigue * tired
    )
    play = np.where(chosen.ravel() >= 0, play, 0.0).reshape(chosen.shape)
    seen = np.arange(1, size + 1) ** -live.position_bias
    none = np.cumprod(1 - seen * play, axis=2)
    on = live.item_depth / (1 + live.item_depth)  # the chance to go on to the next item
    ends = (1 - on) * on ** np.arange(size)
    ends[-1] = on ** (size - 1)
    return np.asarray(1 - (none * ends).sum(axis=2))


def any_play(world: LiveWorld, chance: np.ndarray, place: np.ndarray) -> np.ndarray:
    """float64 [listeners]: the chance that a visit plays from Home, from that of each shelf and where it stands."""
    by_place = np.take_along_axis(chance, np.argsort(place, axis=1, kind="stable"), axis=1)
    on = world.who.live.shelf_depth / (1 + world.who.live.shelf_depth)
    ends = (1 - on) * on ** np.arange(by_place.shape[1])
    ends[-1] = on ** (by_place.shape[1] - 1)
    return np.asarray(1 - (np.cumprod(1 - by_place, axis=1) * ends).sum(axis=1))


class Heard:
    """What each listener heard, and when first and last, as a night's library tells it."""

    def __init__(self, world: LiveWorld, history: pl.DataFrame) -> None:
        self.row = {name: n for n, name in enumerate(world.who.tastes.listener_id.tolist())}
        self.frame = self._of(history)

    def _of(self, log: pl.DataFrame) -> pl.DataFrame:
        at = pl.col("ts").cast(pl.Int64) * 1000
        return (
            log.filter(pl.col("finished").fill_null(True))
            .with_columns(listener=pl.col("user").replace_strict(self.row, return_dtype=pl.Int64), at=at)
            .group_by("listener", "track")
            .agg(first_heard_at=pl.col("at").min(), last_heard_at=pl.col("at").max())
            .with_columns(pl.col("first_heard_at", "last_heard_at").cast(pl.Datetime("us", "UTC")), heard=pl.lit(True))
        )

    def add(self, log: pl.DataFrame) -> None:
        """Add a day."""
        both = pl.concat([self.frame, self._of(log)])
        self.frame = both.group_by("listener", "track").agg(
            pl.col("first_heard_at").min(), pl.col("last_heard_at").max(), pl.col("heard").any()
        )


def shelves_frame(
    world: LiveWorld, chosen: np.ndarray, place: np.ndarray, known: np.ndarray, day: date
) -> pl.DataFrame:
    """Rows of table `shelves`, as the world and the count of looks read them."""
    who, version = world.who, day.isoformat()
    rows = []
    begins = dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC)
    for i, name in enumerate(who.tastes.listener_id.tolist()):
        for k, shelf_id in enumerate(IDS):
            tracks = chosen[i, k][chosen[i, k] >= 0].tolist()
            items = [{"position": n + 1, "track_id": who.catalog.track_id[t]} for n, t in enumerate(tracks)]
            rows.append((name, "home", shelf_id, version, int(place[i, k]) + 1, int(known[i, k]), items, [], begins))
    item = pl.List(pl.Struct({"position": pl.Int32, "track_id": pl.String}))
    schema = {
        **dict.fromkeys(("listener_id", "surface", "shelf_id", "version"), pl.String),
        **dict.fromkeys(("home_position", "home_context"), pl.Int32),
        **dict.fromkeys(("items", "spares"), item),
        "valid_from": pl.Datetime("us", "UTC"),
    }
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return frame.with_columns(valid_until=pl.col("valid_from") + pl.duration(days=1))


def plays_of(log: pl.DataFrame) -> pl.DataFrame:
    """Rows as table `listens` has them, of the world's own log."""
    return log.select(
        listener_id="user",
        track_id="track",
        started_at=(pl.col("ts").cast(pl.Int64) * 1000).cast(pl.Datetime("us", "UTC")),
        ms_played="ms_played",
        skipped="skipped",
        completed="finished",
        shelf_id="shelf",
    )


def displayed(shelves: pl.DataFrame, impressions: pl.DataFrame, seen: pl.DataFrame) -> dict[str, int]:
    """Looks and plays where everything that was displayed counts as looked at."""
    shown = impressions.select("listener_id", "shelf_id").unique().join(shelves, on=["listener_id", "shelf_id"])
    played = seen.filter("played").select("listener_id", "shelf_id").with_columns(played=pl.lit(True))
    rows = shown.join(played, on=["listener_id", "shelf_id"], how="left")
    by = rows.group_by("shelf_id", "home_context").agg(n=pl.len(), won=pl.col("played").fill_null(False).sum())
    found: dict[str, int] = {}
    for shelf_id, context, n, won in by.sort("shelf_id", "home_context").iter_rows():
        found[str(LooksAt(shelf_id, context, LOOKS))] = n
        found[str(LooksAt(shelf_id, context, PLAYS))] = won
    return found


def lived(
    world: LiveWorld, makers: Makers, how: str, days: int, settings: HomeSettings, fixed: np.ndarray
) -> dict[str, np.ndarray]:
    """A world under one order: float64 [days, listeners] of `any` and `finished`; and the mean chance of each shelf."""
    ids = world.who.tastes.listener_id.tolist()
    state, heard = world.morning(), Heard(world, world.history().listens)
    told: dict[str, int] = {}
    own: list[pl.DataFrame] = []
    out: dict[str, list[np.ndarray]] = {"any": [], "finished": [], "chances": []}
    for n in range(days):
        day, eve = world.first_live + timedelta(n), world.first_live + timedelta(n - 1)
        chosen = makers.chosen(state)
        there = (chosen >= 0).any(axis=2)
        chance = chances_of(world, state, chosen, day)
        known = contexts(ids, IDS, heard.frame, pl.concat(own[-28:]) if own else None, eve)
        beliefs = believed(*counted(told, IDS), settings)
        if how == "learned":
            place = ordered(ids, there, known, beliefs, settings, world.who.settings.seed, eve).place
        else:
            likely = (beliefs.mean @ vectors().T)[np.arange(len(IDS))[None, :], known]
            by = {
                "settings": -np.arange(len(IDS)),
                "fixed": fixed,
                "pointwise": likely,
                "greedy": likely,
                "oracle": chance,
            }[how]
            order = orders(np.broadcast_to(by, there.shape).astype(float), there)
            place = np.argsort(order, axis=1)
        shelves = shelves_frame(world, chosen, place, known, day)
        out["any"].append(any_play(world, chance, place))
        out["chances"].append(np.where(there, chance, np.nan))
        state, logged, truth = world.day(state, day, shelves)
        done = truth.items.filter("completed").group_by("listener_id").len().rows()
        finished = dict(done)
        out["finished"].append(np.array([finished.get(name, 0) for name in ids], float))
        rows = looks(eve, 1, shelves, logged.impressions, plays_of(logged.listens), settings.visible)
        own.append(rows)
        new = displayed(shelves, logged.impressions, rows) if how == "pointwise" else counts(rows)
        for name, number in new.items():
            told[name] = told.get(name, 0) + number
        heard.add(logged.listens)
    return {name: np.array(values) for name, values in out.items()}


def run(
    listeners: int,
    tracks: int,
    days: int,
    seed: int,
    leaves: float,
    logs: str,
    exploration: float = HomeSettings().exploration,
    asked: Sequence[str] = ORDERS,
) -> dict[str, dict[str, np.ndarray]]:
    """The worlds of the orders that are asked for; `fixed` needs `settings` before it."""
    live = LiveSettings(opens={"home": 0.7}, leaves=leaves, logs="page" if logs == "page" else "displayed")
    world = Plan(listeners, tracks, days, history=28, seed=seed).world(live)
    visible = HomeSettings().visible if logs == "page" else None
    makers = Makers(world)
    settings = HomeSettings(least_looks=0, visible=visible, exploration=exploration)
    found: dict[str, dict[str, np.ndarray]] = {}
    fixed = np.zeros(len(IDS))
    for how in asked:
        found[how] = lived(world, makers, how, days, settings, fixed)
        if how == "settings":
            fixed = np.nan_to_num(np.nanmean(found[how]["chances"], axis=(0, 1)))
    return found


def figures_of(found: Sequence[dict[str, dict[str, np.ndarray]]], what: str, days: int) -> dict[str, np.ndarray]:
    """By order, the mean of the last half of the days of each listener of every seed."""
    return {how: np.concatenate([one[how][what][-(days // 2) :].mean(axis=0) for one in found]) for how in found[0]}


def say(late: Mapping[str, np.ndarray], people: Sequence[str], head: Mapping[str, str]) -> None:
    """Print one JSON line an order, of figures by listener; `learned` is held against each of the others."""
    for how, figures in late.items():
        line: dict[str, Any] = {**head, "order": how, "mean": round(float(figures.mean()), 4)}
        if how != "learned" and "learned" in late:
            gap = interval(people, late["learned"] - figures)
            line["learned_ahead"] = [round(x, 4) for x in (gap.value, gap.low, gap.high)]
        elif "oracle" in late:
            line["of_oracle"] = round(float(figures.mean() / late["oracle"].mean()), 4)
        print(json.dumps(line), flush=True)


def main() -> None:
    """One JSON line an order and measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--listeners", type=int, default=300)
    parser.add_argument("--tracks", type=int, default=800)
    parser.add_argument("--days", type=int, default=28)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--leaves", type=float, default=0.5)
    parser.add_argument("--exploration", type=float, default=HomeSettings().exploration)
    parser.add_argument("--orders", choices=ORDERS, nargs="+", default=ORDERS)
    parser.add_argument("--logs", choices=("shown", "page"), default="page")
    given = parser.parse_args()
    people = [f"{seed}/{n}" for seed in given.seeds for n in range(given.listeners)]
    world = (given.leaves, given.logs, given.exploration, given.orders)
    found = [run(given.listeners, given.tracks, given.days, seed, *world) for seed in given.seeds]
    for what in ("any", "finished"):
        say(figures_of(found, what, given.days), people, {"logs": given.logs, "what": what})


if __name__ == "__main__":
    main()
