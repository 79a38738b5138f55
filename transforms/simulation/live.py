"""A world that answers: listeners who meet the shelves that were made for them, day after day.

The world of `simulate` goes on listening by itself: its sessions, their albums and repeats, are the ones it would have had
without any shelves. What shelves change is laid over it:

    a session takes place with chance sigmoid(comes + loyalty * satisfaction), so the pleased come back sooner;
    it opens surfaces, and their shelves are looked at as `live_visit` says, before (home) or after (others) its own plays;
    what was played to the end may be adopted, and adopted tracks are replayed in later sessions, ever more seldom;
    what is shown again and again tires, what annoys or bores makes satisfaction fall, what pleases makes it rise.

Every draw is a function of the world's seed and of what it is about, never of the order of work. So the same world under
two policies gives the true effect of one against the other (common random numbers), day by day and listener by listener.
What the world truly is (`truth_items`, `truth_listeners`, `worth`) is handed out apart from what a service would log.

    >>> world = LiveWorld.build(SimulationSettings(listeners=5, tracks=100, days=10), LiveSettings(), live_days=3)
    >>> state = world.morning()
    >>> state, day = world.day(state, world.first_live, shelves)      # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from transforms.simulation.block import feedback_frame, impressions_frame, listeners_frame
from transforms.simulation.catalog_build import build_catalog
from transforms.simulation.draws import child, uniform
from transforms.simulation.listening import Plays, listen, sigmoid
from transforms.simulation.live_log import Played, feedback_of, impressions_of, listens_of, timeline
from transforms.simulation.live_settings import LiveSettings
from transforms.simulation.live_state import Menu, Pairs, State
from transforms.simulation.live_visit import Listeners, Looked, Worth, learned, look
from transforms.simulation.raw_log import COLUMNS, clean_rows
from transforms.simulation.settings import DAY_MS, EPOCH, SimulationSettings
from transforms.simulation.tastes import draw_tastes
from transforms.simulation.visits import CHART, SHELF, Visits, draw_visits


@dataclass(frozen=True)
class Logged:
    """What a service would log of some days: the log in its own columns, and tables `impressions` and `feedback`."""

    listens: pl.DataFrame
    impressions: pl.DataFrame
    feedback: pl.DataFrame


@dataclass(frozen=True)
class Truth:
    """What nobody could log: one row a displayed item, and one a listener, of a day."""

    items: pl.DataFrame
    listeners: pl.DataFrame


@dataclass(frozen=True)
class LiveWorld:
    """A world of listeners that can be lived through day by day.

    Attributes:
        live_days: the last so many of the settings' days are lived; the days before are history, as `simulate` makes it.
    """

    who: Listeners
    visits: Visits
    plays: Plays
    live_days: int

    @classmethod
    def build(cls, settings: SimulationSettings, live: LiveSettings, live_days: int) -> LiveWorld:
        """The world of these settings, of which the last `live_days` days are to be lived."""
        catalog = build_catalog(settings)
        tastes = draw_tastes(settings, catalog, np.arange(settings.listeners))
        visits = draw_visits(settings, tastes)
        plays = listen(settings, catalog, tastes, visits)
        worth = Worth.draw(settings, live, catalog.tracks)
        return cls(Listeners(settings, live, catalog, tastes, worth, catalog.tracks), visits, plays, live_days)

    @property
    def first_live(self) -> date:
        """The first day that is lived."""
        return self.who.settings.end_date - timedelta(days=self.live_days - 1)

    def listeners(self) -> pl.DataFrame:
        """Table `listeners`."""
        return listeners_frame(self.who.settings, self.who.tastes)

    def history(self) -> Logged:
        """What was logged before the first lived day. Its impressions are an older recommender's and say so."""
        who, until = self.who, (self.first_live - EPOCH).days * DAY_MS
        plays = self._plays(np.flatnonzero(self.plays.started < until))
        rows = clean_rows(who.settings, who.catalog, who.tastes, self.visits, plays)
        shown = impressions_frame(who.settings, who.catalog, who.tastes, self.visits, plays)
        before = pl.lit(until * 1000).cast(pl.Datetime("us", "UTC"))
        feedback = feedback_frame(who.settings, who.catalog, who.tastes, self.visits, plays)
        return Logged(
            listens=rows.select(*COLUMNS).sort("ts", "user", "track"),
            impressions=shown.filter(pl.col("shown_at") < before),
            feedback=feedback.filter(pl.col("at") < before),
        )

    def morning(self) -> State:
        """The state before the first lived day: everybody content, everything heard so far known."""
        until = (self.first_live - EPOCH).days * DAY_MS
        heard = np.flatnonzero((self.plays.started < until) & self.plays.completed)
        code = self.plays.row[heard].astype(np.int64) * self.who.tracks + self.plays.track[heard]
        calm = np.zeros(len(self.who.tastes.key))
        return State(calm, Pairs.none().mark(np.unique(code)), Pairs.none(), Pairs.none(), Pairs.none())

    def menu(self, shelves: pl.DataFrame) -> Menu:
        """Shelves as this world's listeners meet them; those on surfaces that nobody opens are left out."""
        who = self.who
        return Menu.read(
            shelves, who.tastes.listener_id.tolist(), who.catalog.track_id.tolist(), sorted(who.live.opens)
        )

    def day(self, state: State, day: date, shelves: pl.DataFrame) -> tuple[State, Logged, Truth]:
        """Live one day.

        Args:
            state: of the evening before.
            day: the date, UTC.
            shelves: what stands on it: listener_id, surface, shelf_id, version, home_position, items (table `shelves`).

        Returns:
            The state of the evening, what was logged, and what was true.
        """
        who, number, menu = self.who, self.who.settings.number(day), self.menu(shelves)
        sessions = self._sessions(day)
        row, key = self.visits.session_row[sessions], self.visits.session_key[sessions]
        comes = uniform(key, "comes") < sigmoid(who.live.comes + who.live.loyalty * state.satisfaction[row])
        possible = np.bincount(row, minlength=len(state.satisfaction))
        sessions, row, key = sessions[comes], row[comes], key[comes]
        nth = np.arange(len(row)) - np.searchsorted(row, row)
        visits: list[tuple[int, np.ndarray, Looked]] = []
        today = Pairs.none()
        for turn in range(int(nth.max(initial=-1)) + 1):
            for surface, name in enumerate(menu.surfaces):
                opens = np.flatnonzero((nth == turn) & (uniform(key, f"opens {name}") < who.live.opens[name]))
                looked = look(who, state, today, menu, surface, row[opens], key[opens], number)
                state = learned(who, state, looked, row[opens], number)
                today = today.mark((looked.row * who.tracks + looked.track)[looked.seen])
                visits.append((surface, sessions[opens], looked))
        own = self._own(sessions)
        again = self._replayed(state, sessions, row, key, number)
        played = timeline(self.visits, menu, visits, own, again, who, (day - EPOCH).days)
        state = State(
            state.satisfaction,
            state.known.mark(np.unique((played.row * who.tracks + played.track)[played.completed])),
            state.tired.faded(float(np.exp(-1.0 / who.live.fatigue_days))),
            state.adopted,
            state.blocked,
        )
        logged = Logged(
            listens=listens_of(who, self.visits, menu, played),
            impressions=impressions_of(self.visits, menu, visits, played, who.live.logs),
            feedback=feedback_of(who, menu, visits, played, number),
        )
        return state, logged, _truth(who, menu, visits, state, row, possible)

    def _sessions(self, day: date) -> np.ndarray:
        """Sessions that would start on a date if their listeners came, by listener and time."""
        low = (day - EPOCH).days * DAY_MS
        start = self.plays.session_start
        return np.flatnonzero((start >= low) & (start < low + DAY_MS))

    def _plays(self, which: np.ndarray) -> Plays:
        return Plays(**self.plays.take(which), session_start=self.plays.session_start)

    def _own(self, sessions: np.ndarray) -> Played:
        """What these sessions play by themselves: everything but what an older recommender's shelves brought."""
        mine = np.isin(self.plays.session, sessions) & ~np.isin(self.plays.kind, (SHELF, CHART))
        p = self.plays.take(np.flatnonzero(mine))
        return Played.of(
            session=p["session"],
            row=p["row"].astype(np.int64),
            track=p["track"].astype(np.int64),
            key=p["key"],
            elapsed=p["elapsed"],
            skipped=p["skipped"],
            completed=p["completed"],
            kind=p["kind"],
        )

    def _replayed(self, state: State, sessions: np.ndarray, row: np.ndarray, key: np.ndarray, number: int) -> Played:
        """Adopted tracks that sessions come back to, from the day after adoption on."""
        who = self.who
        owner, track = np.divmod(state.adopted.codes, who.tracks)
        first, last = np.searchsorted(owner, row), np.searchsorted(owner, row, side="right")
        which = np.repeat(np.arange(len(row)), last - first)
        at = np.arange(len(which)) - np.repeat(np.cumsum(last - first) - (last - first), last - first) + first[which]
        age = number + 1 - state.adopted.values[at]
        play_key = child(key[which], 7_000_000 + track[at])
        chance = who.live.replay * np.exp(-age / who.live.replay_days)
        chosen = np.flatnonzero((age > 0) & (uniform(play_key, "replays") < chance))
        which, at, play_key = which[chosen], at[chosen], play_key[chosen]
        done = uniform(play_key, "finishes") < 0.9
        length = who.catalog.duration_ms[track[at]].astype(np.int64)
        return Played.of(
            session=sessions[which],
            row=row[which].astype(np.int64),
            track=track[at],
            key=play_key,
            elapsed=np.where(done, length, np.minimum(20_000, length)),
            skipped=~done,
            completed=done,
            kind=np.full(len(which), 3),
        )


def _truth(
    who: Listeners,
    menu: Menu,
    visits: Sequence[tuple[int, np.ndarray, Looked]],
    state: State,
    row: np.ndarray,
    possible: np.ndarray,
) -> Truth:
    """What was true of a day."""
    parts = [
        menu.rows[looked.entry].with_columns(
            seen=pl.Series(looked.seen),
            played=pl.Series(looked.played),
            completed=pl.Series(looked.completed),
            fit=pl.Series(looked.fit),
            p_play=pl.Series(looked.p_play),
            p_finish=pl.Series(looked.p_finish),
        )
        for _, _, looked in visits
    ]
    count = len(state.satisfaction)
    seen, done = np.zeros(count), np.zeros(count)
    for _, _, looked in visits:
        seen += np.bincount(looked.row, looked.seen, count)
        done += np.bincount(looked.row, looked.completed, count)
    people = pl.DataFrame(
        {
            "listener_id": pl.Series(who.tastes.listener_id, dtype=pl.String),
            "possible": possible,
            "sessions": np.bincount(row, minlength=count),
            "seen": seen,
            "finished": done,
            "satisfaction": state.satisfaction,
        }
    )
    return Truth(pl.concat(parts) if parts else menu.rows.clear(), people)


def true_worth(world: LiveWorld) -> pl.DataFrame:
    """track_id, catch, lasting: what tracks are truly worth."""
    ids = pl.Series(world.who.catalog.track_id, dtype=pl.String)
    return pl.DataFrame({"track_id": ids, "catch": world.who.worth.catch, "lasting": world.who.worth.lasting})
