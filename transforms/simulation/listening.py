"""What is played, how it goes and when exactly: the clean log of a block of listeners.

New music comes from a favourite artist, sometimes from anybody in the genre: an album in order, one artist's
tracks, or a radio walk a -> related(a). A repeat copies an earlier play of the same listener, and the plays after
it, with a lag L of density ~ L^-2/3 over the plays so far; a track is thus replayed in proportion to a sum of
powers of its ages, the form of base-level learning (Anderson and Schooler 1991). As copies are pointers to earlier
plays, they are resolved by pointer jumping, and no loop over days or listens is needed. What did not please is not
repeated.

    skip probability = sigmoid(-0.4 - 2.5 z - patience - 1.2 [heard before] - 2 [guest's music])
    z = (affinity - CENTRE) / SCALE
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transforms.simulation.catalog import RELATED, SimulatedCatalog
from transforms.simulation.draws import child, geometric, normal, pick, root, uniform, zipf_rank
from transforms.simulation.settings import SimulationSettings
from transforms.simulation.tastes import GUEST, INTERESTS, WINDOW, Tastes, affinity
from transforms.simulation.visits import ALBUM, ARTIST, CHART, RADIO, REPEAT, SHELF, Visits

CENTRE, SCALE = 0.5, 0.2
NEW_RELEASE_DAYS = 21
PAUSE_BETWEEN_SESSIONS_MS = 35 * 60_000
_BLOCK_TRACK, _BLOCK_ARTIST = 0.012, 0.003


@dataclass(frozen=True)
class Plays:
    """The clean log, by listener and time; arrays of one value a play."""

    key: np.ndarray
    row: np.ndarray
    session: np.ndarray
    run: np.ndarray
    at: np.ndarray
    track: np.ndarray
    kind: np.ndarray
    fresh: np.ndarray  # not a repeat
    match: np.ndarray  # z above
    started: np.ndarray  # ms since 1970-01-01
    elapsed: np.ndarray  # ms played
    skipped: np.ndarray
    completed: np.ndarray
    blocks_track: np.ndarray
    blocks_artist: np.ndarray
    session_start: np.ndarray  # ms, one a session, overlaps resolved

    def take(self, keep: np.ndarray) -> dict[str, np.ndarray]:
        """The play-wise arrays of some plays."""
        return {k: v[keep] for k, v in vars(self).items() if k != "session_start"}


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x))."""
    return 1.0 / (1.0 + np.exp(-x))


def shelf_item(
    settings: SimulationSettings,
    catalog: SimulatedCatalog,
    tastes: Tastes,
    *,
    row: np.ndarray,
    day: np.ndarray,
    at: np.ndarray,
) -> np.ndarray:
    """The track an older, cruder recommender put at a place of a listener's weekly discovery shelf."""
    key = child(child(tastes.key[row], 1_000_000 + (settings.first_day + day + 3) // 7), at)
    interest = pick(key, "shelf interest", np.exp(tastes.base[row, :INTERESTS]))
    popular = catalog.artist_in_genre(key, "shelf popular", tastes.genre[row, interest])
    dear = tastes.favourites[row, interest, zipf_rank(key, "shelf favourite", WINDOW)]
    kin = catalog.related[dear, (uniform(key, "shelf kin") * RELATED).astype(np.int64)]
    way = uniform(key, "shelf way")
    artist = np.where(way < 0.45, kin, np.where(way < 0.85, popular, _anybody(catalog, key)))
    return catalog.track_of_artist(key, "shelf track", artist)


def chart_item(
    settings: SimulationSettings,
    catalog: SimulatedCatalog,
    tastes: Tastes,
    *,
    row: np.ndarray,
    day: np.ndarray,
    at: np.ndarray,
) -> np.ndarray:
    """The track at a place of the week's chart of a listener's market."""
    week = root(settings.seed, "chart") ^ child(root(settings.seed, "market"), tastes.market[row])
    key = child(child(week, (settings.first_day + day + 3) // 7), at)
    return catalog.track_of_artist(key, "chart track", _anybody(catalog, key))


def _anybody(catalog: SimulatedCatalog, key: np.ndarray) -> np.ndarray:
    at = np.searchsorted(catalog.genre_mass, uniform(key, "anybody") * catalog.genre_mass[-1], side="right") - 1
    return catalog.genre_artists[np.clip(at, 0, len(catalog.genre_artists) - 1)]


def _walk(
    catalog: SimulatedCatalog, visits: Visits, runs: np.ndarray, seed_artist: np.ndarray, artist: np.ndarray
) -> None:
    """Fill `artist` (a value a play) along the radio runs: stay, move to a relative, or return to the seed's kin."""
    current, seed = seed_artist.copy(), seed_artist
    for step in range(int(visits.run_length[runs].max(initial=0))):
        live = visits.run_length[runs] > step
        runs, current, seed = runs[live], current[live], seed[live]
        play = visits.run_first[runs] + step
        if step:
            key = visits.play_key[play]
            move = uniform(key, "move")
            near = (zipf_rank(key, "near", RELATED + 1) - 1) % RELATED
            kin = catalog.related[np.where(move < 0.85, current, seed), near]
            current = np.where(move < 0.45, current, kin)
        artist[play] = current


def _fresh_tracks(
    settings: SimulationSettings, catalog: SimulatedCatalog, tastes: Tastes, visits: Visits
) -> tuple[np.ndarray, np.ndarray]:
    """Track of every play that is not a repeat (-1 where there is none), and each run's kind."""
    session = visits.run_session
    row, day = visits.session_row[session], visits.session_day[session]
    key, kind = visits.run_key, visits.run_kind.copy()
    dear = tastes.favourite(row, visits.run_interest, zipf_rank(key, "favourite", WINDOW), day)
    anybody = catalog.artist_in_genre(key, "explore", tastes.genre[row, visits.run_interest])
    explores = uniform(key, "explores") < 0.35 * tastes.novelty[row]
    artist = np.where(explores, anybody, dear)

    seed_track = catalog.track_of_artist(key, "seed", artist)
    album = catalog.album_of[seed_track].astype(np.int64)
    newest, age = catalog.newest_album(artist, settings.first_day + day)
    is_new = (age <= NEW_RELEASE_DAYS) & (uniform(key, "new release") < 0.6) & np.isin(kind, (ALBUM, ARTIST))
    kind = np.where(is_new, ALBUM, kind)
    album = np.where(is_new, newest, album)
    opening = np.where(is_new | (uniform(key, "opening") < 0.65), 0, catalog.track_no[seed_track] - 1)

    run, at = visits.play_run, visits.play_at
    play_kind = kind[run]
    play_artist = artist[run].copy()
    radio = np.flatnonzero(kind == RADIO)
    _walk(catalog, visits, radio, artist[radio], play_artist)
    track = np.full(len(run), -1, dtype=np.int64)

    mine = np.flatnonzero(play_kind == ALBUM)
    place = opening[run[mine]] + at[mine]
    of = album[run[mine]]
    track[mine] = np.where(place < catalog.album_size[of], catalog.album_start[of] + place, -1)
    mine = np.flatnonzero((play_kind == ARTIST) | (play_kind == RADIO))
    track[mine] = catalog.track_of_artist(visits.play_key[mine], "track", play_artist[mine])
    for shelf, item in ((SHELF, shelf_item), (CHART, chart_item)):
        mine = np.flatnonzero(play_kind == shelf)
        track[mine] = item(settings, catalog, tastes, row=row[run[mine]], day=day[run[mine]], at=at[mine])

    market, explicit_ok = tastes.market[row[run]], tastes.explicit_ok[row[run]]
    found = track >= 0
    ok = catalog.playable(np.maximum(track, 0), settings.first_day + day[run], market, explicit_ok)
    return np.where(found & ok, track, -1), kind


def _versions(catalog: SimulatedCatalog, key: np.ndarray, track: np.ndarray, playable: np.ndarray) -> np.ndarray:
    """Sometimes another version of the track is what gets played."""
    offered = np.flatnonzero(catalog.version >= 0)
    if not len(offered):
        return track
    order = offered[np.argsort(catalog.original[offered], kind="stable")]
    originals = catalog.original[order]
    low = np.searchsorted(originals, track)
    high = np.searchsorted(originals, track, side="right")
    at = low + np.floor(uniform(key, "which version") * (high - low)).astype(np.int64)
    other = order[np.minimum(at, len(order) - 1)]
    return np.where((high > low) & (uniform(key, "version") < 0.25) & playable[other], other, track)


def _repeats(visits: Visits, kind: np.ndarray, listener_first: np.ndarray) -> np.ndarray:
    """For every play the earlier play it copies in the end, or itself."""
    source = np.arange(len(visits.play_run))
    runs = np.flatnonzero(kind == REPEAT)
    first, length = visits.run_first[runs], visits.run_length[runs]
    known = first - listener_first[visits.session_row[visits.run_session[runs]]]
    least = np.maximum(length, 8)
    possible = known > least
    lag = least + np.floor((known - least) * uniform(visits.run_key[runs], "lag") ** 3.0).astype(np.int64)
    shift = np.zeros(len(kind), dtype=np.int64)
    shift[runs] = np.where(possible, lag, 0)
    source -= shift[visits.play_run]
    while True:
        further = source[source]
        if (further == source).all():
            return source
        source = further


def first_in_session(session: np.ndarray, track: np.ndarray, alive: np.ndarray, tracks: int) -> np.ndarray:
    """Marks the first play of each track in each session."""
    mine = np.flatnonzero(alive)
    _, first = np.unique(session[mine] * tracks + track[mine], return_index=True)
    out = np.zeros(len(session), dtype=bool)
    out[mine[first]] = True
    return out


def after_block(marks: np.ndarray, row: np.ndarray, target: np.ndarray, size: int) -> np.ndarray:
    """Plays of a listener's target that come after the listener blocked it. Plays are in time order."""
    code = row * size + target
    blocked, first = np.unique(code[marks], return_index=True)
    if not len(blocked):
        return np.zeros(len(row), dtype=bool)
    since = np.flatnonzero(marks)[first]
    at = np.minimum(np.searchsorted(blocked, code), len(blocked) - 1)
    return (blocked[at] == code) & (np.arange(len(row)) > since[at])


def listen(settings: SimulationSettings, catalog: SimulatedCatalog, tastes: Tastes, visits: Visits) -> Plays:
    """The clean log of a block of listeners, within the simulated days."""
    fresh_track, kind = _fresh_tracks(settings, catalog, tastes, visits)
    run, key = visits.play_run, visits.play_key
    session = visits.run_session[run]
    row, day = visits.session_row[session], visits.session_day[session]
    # On a shelf or an album, the version meant is the one played.
    loose = np.flatnonzero((fresh_track >= 0) & np.isin(kind[run], (ARTIST, RADIO)))
    safe = (catalog.released <= settings.first_day) & (catalog.markets == catalog.markets.max())
    fresh_track[loose] = _versions(catalog, key[loose], fresh_track[loose], safe)

    # How new plays please.
    new = np.flatnonzero(fresh_track >= 0)
    fit = np.zeros(len(run))
    fit[new] = (
        affinity(settings, catalog, tastes, row=row[new], track=fresh_track[new], day=day[new]) - CENTRE
    ) / SCALE
    guest = visits.run_interest[run] == GUEST
    liked = (uniform(key, "liked") < sigmoid(1.0 + 2.5 * fit)) & ~guest

    listener_first = np.searchsorted(row, np.arange(len(tastes.key)))
    source = _repeats(visits, kind, listener_first)
    fresh = source == np.arange(len(source))
    track, match = fresh_track[source], fit[source]
    alive = (track >= 0) & (fresh | liked[source])
    fresh_play = fresh.copy()

    skip_logit = -0.4 - 2.5 * match - tastes.patience[row] - 1.2 * ~fresh_play - 2.0 * guest
    skipped = uniform(key, "skipped") < sigmoid(skip_logit)
    sour = skipped & fresh_play & alive & (match < -0.3)
    blocks_track = sour & (uniform(key, "block track") < _BLOCK_TRACK)
    blocks_artist = sour & (uniform(key, "block artist") < _BLOCK_ARTIST)
    alive &= ~after_block(blocks_track, row, track, catalog.tracks)
    artist = catalog.artist_of[np.maximum(track, 0)].astype(np.int64)
    alive &= ~after_block(blocks_artist, row, artist, len(catalog.artist_id))
    again = uniform(key, "again") < 0.02
    alive &= again | first_in_session(session, track, alive, catalog.tracks)

    keep = np.flatnonzero(alive)
    key, run, session, row, track, skipped = key[keep], run[keep], session[keep], row[keep], track[keep], skipped[keep]
    duration = catalog.duration_ms[track].astype(np.int64)
    last = np.concatenate([session[1:] != session[:-1], [True]]) if len(keep) else np.zeros(0, bool)
    stopped = ~skipped & (uniform(key, "stopped") < np.where(last, 0.2, 0.01))
    partial = np.minimum(np.exp(np.log(18_000) + 1.1 * normal(key, "partial")), 0.92 * duration)
    ends = (duration * (0.05 + 0.9 * uniform(key, "ends"))).astype(np.int64)
    elapsed = np.where(skipped, partial.astype(np.int64) + 500, np.where(stopped, ends, duration))
    pause = geometric(key, "gap", 700.0) + np.where(
        uniform(key, "pause") < 0.03, (uniform(key, "pause length") * 1_200_000).astype(np.int64), 0
    )
    took = elapsed + pause
    ahead = np.cumsum(took) - took
    opens = np.concatenate([[True], session[1:] != session[:-1]]) if len(keep) else np.zeros(0, bool)
    within = ahead - np.repeat(ahead[opens], np.diff(np.append(np.flatnonzero(opens), len(keep))))
    length = np.bincount(session, weights=took, minlength=len(visits.session_row)).astype(np.int64)
    length += PAUSE_BETWEEN_SESSIONS_MS
    session_start = without_overlap(visits.session_start, length, visits.session_row)
    started = session_start[session] + within
    low, high = settings.window_ms
    plays = Plays(
        key=key,
        row=row,
        session=session,
        run=run,
        at=visits.play_at[keep],
        track=track,
        kind=kind[run],
        fresh=fresh_play[keep],
        match=match[keep],
        started=started,
        elapsed=elapsed,
        skipped=skipped,
        completed=~skipped & ~stopped,
        blocks_track=blocks_track[keep],
        blocks_artist=blocks_artist[keep],
        session_start=session_start,
    )
    inside = np.flatnonzero((started >= low) & (started < high))
    return Plays(**plays.take(inside), session_start=session_start)


def without_overlap(wished: np.ndarray, length: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Session starts, pushed back so that a listener's sessions never overlap.

    A start is the latest, over the sessions up to it, of wished start plus all that has to be played in between; with
    running sums that is a running maximum.

    Args:
        wished: wished starts in ms, ascending within a listener.
        length: time each session takes up, in ms.
        row: the listener of each, ascending.
    """
    before = np.cumsum(length) - length
    # Listeners are told apart by a step larger than any time.
    step = row.astype(np.int64) << 45
    return np.maximum.accumulate(wished - before + step) - step + before
