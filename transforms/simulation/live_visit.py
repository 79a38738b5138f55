"""One round of visits to a surface: what is displayed, seen, played, finished, and how the listener feels about it.

A listener looks at shelves from the top and at items from the left, each a limited number; of what is displayed they see
less the further right it stands. What they see they may play, the more so the better it fits them, the catchier it is and
the less they are tired of it. A play goes on to its end or is skipped, and a skip costs patience; when patience is used
up, the visit ends, and nothing after it was displayed. A shelf that was played from may be the last, too: always, and the
shelves are a cascade (Craswell et al., WSDM 2008); never, as by default, and only patience and depth end a visit.

    P(seen)  = position ^ -position_bias
    P(play)  = sigmoid(play + play_fit z + play_catch catch - play_fatigue tired)
    P(skip)  = sigmoid(-0.4 - 2.5 z - patience of the listener - 1.2 [known] - skip_catch catch + skip_fatigue tired)

Draws that concern a track are functions of listener, day and track, and draws of attention of session and place: under
another policy the same track meets the same luck, so that the difference of two policies is theirs and not the dice's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transforms.simulation.catalog import SimulatedCatalog
from transforms.simulation.draws import child, geometric, normal, root, uniform
from transforms.simulation.listening import CENTRE, SCALE, sigmoid
from transforms.simulation.live_settings import LiveSettings
from transforms.simulation.live_state import Menu, Pairs, State
from transforms.simulation.settings import SimulationSettings
from transforms.simulation.tastes import Tastes, affinity


@dataclass(frozen=True)
class Worth:
    """What tracks are truly worth, beyond how they fit: float64[tracks] each, about standard normal.

    Attributes:
        catch: makes a track played and not skipped.
        lasting: makes a new track pleasing in hindsight, and come back to.
    """

    catch: np.ndarray
    lasting: np.ndarray

    @classmethod
    def draw(cls, settings: SimulationSettings, live: LiveSettings, tracks: int) -> Worth:
        """A function of the world's seed; catch and lasting are correlated as the settings say."""
        key = child(root(settings.seed, "worth"), np.arange(tracks))
        catch, own, r = normal(key, "catch"), normal(key, "lasting"), live.catch_against_lasting
        return cls(catch, r * catch + np.sqrt(1 - r * r) * own)


@dataclass(frozen=True)
class Looked:
    """What came of a round of visits: arrays of one value a displayed item.

    Attributes:
        visit: index into the round's sessions.
        entry: index into the menu.
        row, track: listener and track.
        seen, played, skipped, completed: what happened.
        fit: z.
        p_play, p_finish: the true chances that a seen item is played, and a played one finished.
        pleasure: float64[sessions], what each visit was worth.
    """

    visit: np.ndarray
    entry: np.ndarray
    row: np.ndarray
    track: np.ndarray
    seen: np.ndarray
    played: np.ndarray
    skipped: np.ndarray
    completed: np.ndarray
    fit: np.ndarray
    p_play: np.ndarray
    p_finish: np.ndarray
    pleasure: np.ndarray


@dataclass(frozen=True)
class Listeners:
    """Who visits: everything of the world that a visit reads."""

    settings: SimulationSettings
    live: LiveSettings
    catalog: SimulatedCatalog
    tastes: Tastes
    worth: Worth
    tracks: int

    def fit(self, row: np.ndarray, track: np.ndarray, day: int) -> np.ndarray:
        """z of listeners and tracks on a day, float64."""
        days = np.full(len(row), day)
        return (affinity(self.settings, self.catalog, self.tastes, row=row, track=track, day=days) - CENTRE) / SCALE

    def luck(self, row: np.ndarray, track: np.ndarray, day: int) -> np.ndarray:
        """The key of everything that chance decides about a track for a listener on a day."""
        return child(child(self.tastes.key[row], 5_000_000 + day), track)


def look(
    who: Listeners,
    state: State,
    today: Pairs,
    menu: Menu,
    surface: int,
    row: np.ndarray,
    session_key: np.ndarray,
    day: int,
) -> Looked:
    """One visit of a surface by each of some listeners.

    Args:
        today: pairs seen earlier on the day: eyes pass over them.
        row: the visiting listeners, each once.
        session_key: key of the session in which each visits.
    """
    live = who.live
    visit, entry = menu.of(row, surface)
    place, position = menu.place[entry], menu.position[entry]
    shelf_key = child(session_key[visit], 100 * (surface + 1) + place)
    shelves = 1 + geometric(session_key, f"shelves {surface}", live.shelf_depth)
    depth = 1 + geometric(shelf_key, "depth", live.item_depth)
    shown = np.flatnonzero((place < shelves[visit]) & (position <= depth))
    visit, entry, position, shelf_key = visit[shown], entry[shown], position[shown], shelf_key[shown]
    place = place[shown]

    listener, track = row[visit], menu.track[entry]
    code = listener * who.tracks + track
    fit, catch = who.fit(listener, track, day), who.worth.catch[track]
    known, tired = state.known.of(code) > 0, state.tired.of(code)
    luck = who.luck(listener, track, day)
    seen = (uniform(child(shelf_key, position), "seen") < position**-live.position_bias) & (today.of(code) == 0)
    p_play = sigmoid(live.play + live.play_fit * fit + live.play_catch * catch - live.play_fatigue * tired)
    p_play = np.where(state.blocked.of(code) > 0, 0.0, p_play)
    played = seen & (uniform(luck, "plays") < p_play)
    p_skip = sigmoid(
        -0.4
        - 2.5 * fit
        - who.tastes.patience[listener]
        - 1.2 * known
        - live.skip_catch * catch
        + live.skip_fatigue * tired
    )
    skipped = played & (uniform(luck, "skips") < p_skip)

    spent = _before(visit, seen + live.skip_cost * skipped)
    goes_on = spent < 1 + geometric(session_key, f"patience {surface}", live.patience)[visit]
    kept = _down_to_the_last(np.flatnonzero(goes_on), visit, place, shelf_key, played, len(row), live.leaves)
    seen, played, skipped = seen[kept], played[kept], skipped[kept]
    completed = played & ~skipped
    new = ~known[kept]
    lasting = who.worth.lasting[track[kept]]
    joy = completed * (live.pleasure + live.pleasure_fit * fit[kept] + live.pleasure_lasting * lasting * new)
    joy = joy - live.annoyance * skipped
    felt = np.bincount(visit[kept], joy, len(row))
    idle = np.bincount(visit[kept], played, len(row)) == 0
    return Looked(
        visit=visit[kept],
        entry=entry[kept],
        row=listener[kept],
        track=track[kept],
        seen=seen,
        played=played,
        skipped=skipped,
        completed=completed,
        fit=fit[kept],
        p_play=p_play[kept],
        p_finish=1.0 - p_skip[kept],
        pleasure=2.0 * np.tanh((felt - live.boredom * idle) / 2.0),
    )


def _down_to_the_last(
    kept: np.ndarray,
    visit: np.ndarray,
    place: np.ndarray,
    shelf_key: np.ndarray,
    played: np.ndarray,
    visits: int,
    leaves: float,
) -> np.ndarray:
    """Of the displayed items `kept` those down to the shelf that is left after a play."""
    if not leaves:
        return kept
    last = np.full(visits, np.iinfo(np.int64).max)
    left = kept[played[kept] & (uniform(shelf_key[kept], "leaves") < leaves)]
    np.minimum.at(last, visit[left], place[left])
    return kept[place[kept] <= last[visit[kept]]]


def _before(group: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sum of the values of the same group that stand before each; groups ascend."""
    if not len(group):
        return np.zeros(0)
    running = np.cumsum(values) - values
    first = np.r_[True, group[1:] != group[:-1]]
    return running - np.repeat(running[first], np.diff(np.append(np.flatnonzero(first), len(group))))


def learned(who: Listeners, state: State, looked: Looked, row: np.ndarray, day: int) -> State:
    """The state after a round of visits: satisfaction, fatigue, what is known, adopted and blocked."""
    live = who.live
    satisfaction = state.satisfaction.copy()
    satisfaction[row] = live.memory * satisfaction[row] + (1 - live.memory) * looked.pleasure
    code = looked.row * who.tracks + looked.track
    luck = who.luck(looked.row, looked.track, day)
    new = state.known.of(code) == 0
    chance = sigmoid(live.adopts + live.adopts_fit * looked.fit + live.adopts_lasting * who.worth.lasting[looked.track])
    adopts = looked.completed & new & (uniform(luck, "adopts") < chance)
    return State(
        satisfaction=satisfaction,
        known=state.known.mark(code[looked.completed]),
        tired=state.tired.add(code[looked.seen], np.ones(int(looked.seen.sum()))),
        adopted=state.adopted.mark(code[adopts], day + 1.0),
        blocked=state.blocked.mark(code[blocks(who, looked, day)]),
    )


def blocks(who: Listeners, looked: Looked, day: int) -> np.ndarray:
    """Marks the displayed items that the listener blocks."""
    luck = who.luck(looked.row, looked.track, day)
    return looked.skipped & (looked.fit < -0.3) & (uniform(luck, "blocks") < who.live.blocks)


def saves(who: Listeners, looked: Looked, day: int) -> np.ndarray:
    """Marks the displayed items that the listener saves."""
    luck = who.luck(looked.row, looked.track, day)
    keen = who.live.saves * who.tastes.saver[looked.row]
    return looked.completed & (looked.fit > 0) & (uniform(luck, "saves") < keen)
