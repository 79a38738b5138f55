"""When listeners listen, and in what runs: the skeleton of the log, before any track is chosen.

A listener's day has a Poisson number of sessions around habitual local hours, more or fewer at weekends. A session
is one or more runs; a run is consecutive plays of one kind: an album in order, one artist, a radio walk over
related artists, a repeat of something played before, or a shelf that was shown. Sessions follow one interest most
of the time.

    >>> settings = SimulationSettings(listeners=3, tracks=100, days=7)
    >>> visits = draw_visits(settings, draw_tastes(settings, build_catalog(settings), np.arange(3)))
    >>> bool((np.diff(visits.session_row) >= 0).all())
    True
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transforms.simulation.draws import child, geometric, normal, pick, poisson, uniform
from transforms.simulation.settings import DAY_MS, SimulationSettings
from transforms.simulation.tastes import GUEST, INTERESTS, Tastes

ALBUM, ARTIST, RADIO, REPEAT, SHELF, CHART = range(6)
MEAN_LENGTH = (7.0, 4.0, 4.0, 4.0, 4.0, 3.0)
LONGEST = 40
# Plays that one drawn session leaves in the log, times the share of days on which a listener is there (measured).
PLAYS_A_SESSION = 5.65

_WEEKDAY_HOURS = np.array([7.8, 12.5, 18.0, 21.5])
_WEEKEND_HOURS = np.array([10.5, 14.5, 18.5, 22.5])


@dataclass(frozen=True)
class Visits:
    """Sessions (arrays session_*), their runs (run_*) and their plays (play_*), by listener and time."""

    session_row: np.ndarray
    session_day: np.ndarray
    session_key: np.ndarray
    session_start: np.ndarray  # ms since 1970-01-01, as wished; sessions may still overlap
    session_device: np.ndarray  # 0 = the phone, 1 = the other device, 2 = the shared speaker
    run_session: np.ndarray
    run_key: np.ndarray
    run_kind: np.ndarray
    run_interest: np.ndarray
    run_length: np.ndarray
    run_first: np.ndarray  # index of the run's first play
    play_run: np.ndarray
    play_at: np.ndarray  # position in the run, from 0
    play_key: np.ndarray


def draw_visits(settings: SimulationSettings, tastes: Tastes) -> Visits:
    """Sessions, runs and plays of a block of listeners."""
    days = np.arange(settings.days)
    day_key = child(tastes.key[:, None], days[None, :])
    weekend_day = (settings.first_day + days + 3) % 7 >= 5
    there = (days[None, :] >= tastes.joined[:, None]) & (days[None, :] < tastes.left[:, None])
    rate = settings.plays_per_day / PLAYS_A_SESSION * tastes.activity[:, None] * there
    rate = rate * np.where(weekend_day[None, :], tastes.weekend[:, None], 1.0)
    sessions = poisson(day_key, "sessions", rate, 14)
    row, day = np.divmod(np.repeat(np.arange(sessions.size), sessions.ravel()), settings.days)
    ordinal = np.arange(len(row)) - np.repeat(np.cumsum(sessions.ravel()) - sessions.ravel(), sessions.ravel())
    key = child(day_key[row, day], ordinal)

    peak = pick(key, "peak", tastes.peaks[row])
    hour = np.where(weekend_day[day], _WEEKEND_HOURS[peak], _WEEKDAY_HOURS[peak]) + 1.2 * normal(key, "hour")
    start = (settings.first_day + day) * DAY_MS + ((hour - tastes.offset_hours[row]) * 3_600_000).astype(np.int64)
    order = np.lexsort((key, start, row))
    row, day, key, start, hour = row[order], day[order], key[order], start[order], hour[order]

    device = (uniform(key, "device") < 0.3).astype(np.int64)
    device = np.where(tastes.speaker[row] & (uniform(key, "speaker") < 0.3), 2, device)
    part = np.clip(hour % 24 // 6, 0, 3).astype(np.int64)
    weights = tastes.log_weights(row, day, settings.days / 2)
    weights = np.exp(weights + np.log(3.0) * (tastes.daypart[row, :INTERESTS] == part[:, None]))
    interest = pick(key, "interest", weights)
    interest = np.where((device == 2) & (uniform(key, "guest") < 0.7), GUEST, interest)

    runs = 1 + np.minimum(geometric(key, "runs", 1.2), 9)
    session = np.repeat(np.arange(len(row)), runs)
    first_run = np.cumsum(runs) - runs
    run_key = child(key[session], np.arange(len(session)) - first_run[session])
    who = row[session]
    novelty, albums = tastes.novelty[who], tastes.albums[who]
    fresh = 0.25 + 0.75 * novelty
    shares = np.stack(
        [fresh * albums, fresh * 0.3, fresh * (0.9 - albums), 1.1 - 0.9 * novelty, fresh * 0.12, fresh * 0.08], axis=1
    )
    kind = pick(run_key, "kind", shares)
    stays = (uniform(run_key, "stays") < 0.75) | (interest[session] == GUEST)
    run_interest = np.where(stays, interest[session], pick(run_key, "interest", weights[session]))
    length = 1 + np.minimum(geometric(run_key, "length", np.array(MEAN_LENGTH)[kind]), LONGEST - 1)
    first = np.cumsum(length) - length
    play_run = np.repeat(np.arange(len(session)), length)
    play_at = np.arange(len(play_run)) - first[play_run]
    return Visits(
        session_row=row,
        session_day=day,
        session_key=key,
        session_start=start,
        session_device=device,
        run_session=session,
        run_key=run_key,
        run_kind=kind,
        run_interest=run_interest,
        run_length=length,
        run_first=first,
        play_run=play_run,
        play_at=play_at,
        play_key=child(run_key[play_run], play_at),
    )
