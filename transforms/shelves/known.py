"""What a listener did with each recording, over all its tracks, and what they said of it.

Everything is kept by piece, the number of a listener's recording among a block's rows, so that a remaster of a heard
track is heard. Of what no row is about nothing needs to be known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from transforms.common.compiled import compiled
from transforms.common.text import name_key
from transforms.shelves.feedback import ON_ARTISTS, ON_TRACKS, OWNED
from transforms.shelves.gathering import CANDIDATE, Inputs, Rows

NEVER = -1


@dataclass(frozen=True)
class Known:
    """By piece.

    Attributes:
        heard: any track of the recording was heard, or is owned.
        sampled: last play that was no more than sampled, microseconds since 1970; `NEVER`.
        last_heard: last play that was heard, likewise.
        acts: by kind of feedback on tracks, whether there is one.
        artist_acts: by kind of feedback on artists, listener * artists + code of each, ascending.
        has_history: bool by listener, whether there is anything to be personal about.
        since: int64 by listener, the first play that was heard, microseconds since 1970; `NEVER`.
        usual: int64 by listener, the median of when tracks that were heard more than once were last heard, likewise.
    """

    heard: np.ndarray
    sampled: np.ndarray
    last_heard: np.ndarray
    acts: dict[str, np.ndarray]
    artist_acts: dict[str, np.ndarray]
    has_history: np.ndarray
    since: np.ndarray
    usual: np.ndarray

    def any_artist(self, rows: Rows, keys: np.ndarray) -> np.ndarray:
        """bool by row: whether listener * artists + code of any credited artist is among the ascending keys."""
        bag = rows.tracks.artists
        return _any_code(rows.listener, rows.track, bag.bounds, bag.codes, keys, max(len(bag.names), 1))


def known_of(inputs: Inputs, rows: Rows) -> Known:
    """Fold candidates, library and feedback.

    Without a library the listener's candidates must tell who has a history, and any that is not merely popular does.
    """
    pieces, listeners = rows.pieces, len(rows.listener_ids)
    heard = np.zeros(pieces, np.bool_)
    sampled, last_heard = np.full(pieces, NEVER, np.int64), np.full(pieces, NEVER, np.int64)
    history = np.zeros(listeners, np.bool_)

    here = rows.within(CANDIDATE)
    piece, listener = rows.piece[here], rows.listener[here]
    before = rows.column("heard_before")[here] > 0
    heard[piece[before]] = True
    history[listener[before]] = True
    for name, into in (("sampled_at", sampled), ("last_heard_at", last_heard)):
        if name in rows.times:
            at = rows.times[name]
            np.maximum.at(into, piece, at)
            history[listener[at > NEVER]] = True

    tracks, blocks = inputs.tracks, inputs.blocks
    acts = {}
    for kind in ON_TRACKS:
        said = blocks.filter(pl.col("kind") == kind)
        who = said["listener"].to_numpy()
        about = _recordings(tracks.rows(said["target"]), tracks.recording)
        found = rows.find(who, about)
        acts[kind] = np.zeros(pieces, np.bool_)
        acts[kind][found[found >= 0]] = True
        if kind == OWNED:
            history[who] = True
    heard |= acts[OWNED]
    artist_acts = {}
    for kind in ON_ARTISTS:
        said = blocks.filter(pl.col("kind") == kind)
        code = tracks.artists.code(said.select(name_key(pl.col("target"))).to_series())
        keys = said["listener"].to_numpy().astype(np.int64) * max(len(tracks.artists.names), 1) + code
        artist_acts[kind] = np.unique(keys[code >= 0])

    if inputs.library is None:
        found = (rows.texts[0]["source"].ne_missing("popular")).to_numpy()
        history[listener[found]] = True
    else:
        _add_library(inputs.library, inputs, rows, heard, sampled, last_heard)
        history[inputs.library["listener"].to_numpy()] = True
    times = (_since(inputs.library, listeners), _usual(inputs.library, listeners))
    return Known(heard, sampled, last_heard, acts, artist_acts, history, *times)


def _since(library: pl.DataFrame | None, listeners: int) -> np.ndarray:
    since = np.full(listeners, NEVER, np.int64)
    if library is not None and "first_heard_at" in library.columns:
        first = library.group_by("listener").agg(pl.col("first_heard_at").min()).drop_nulls()
        since[first["listener"].to_numpy()] = first["first_heard_at"].dt.epoch("us").to_numpy()
    return since


def _usual(library: pl.DataFrame | None, listeners: int) -> np.ndarray:
    usual = np.full(listeners, NEVER, np.int64)
    if library is not None and {"again", "last_heard_at"} <= set(library.columns):
        found = library.filter("again").group_by("listener").agg(pl.col("last_heard_at").dt.epoch("us").median())
        found = found.drop_nulls()
        usual[found["listener"].to_numpy()] = found["last_heard_at"].cast(pl.Int64).to_numpy()
    return usual


def _add_library(
    library: pl.DataFrame, inputs: Inputs, rows: Rows, heard: np.ndarray, sampled: np.ndarray, last_heard: np.ndarray
) -> None:
    tracks = inputs.tracks
    track = library["track"].to_numpy() if "track" in library.columns else tracks.rows(library["track_id"])
    piece = rows.find(library["listener"].to_numpy(), _recordings(track, tracks.recording))
    there = piece >= 0
    piece = piece[there]
    if "heard" in library.columns:
        was = library["heard"].cast(pl.Boolean).fill_null(False).to_numpy()[there]
    else:
        was = np.ones(len(piece), np.bool_)
    heard[piece[was]] = True
    for name, into in (("sampled_at", sampled), ("last_heard_at", last_heard)):
        if name in library.columns:
            np.maximum.at(into, piece, library[name].dt.epoch("us").fill_null(NEVER).to_numpy()[there])


def _recordings(track: np.ndarray, recording: np.ndarray) -> np.ndarray:
    """The recording of each track, -1 where the track is -1."""
    return np.where(track >= 0, recording[track], -1) if len(recording) else np.full(len(track), -1)


@compiled
def _any_code(
    listener: np.ndarray, track: np.ndarray, bounds: np.ndarray, codes: np.ndarray, keys: np.ndarray, count: int
) -> np.ndarray:
    """Whether listener * count + any code of the track is among the ascending keys."""
    out = np.zeros(len(listener), np.bool_)
    if len(keys) == 0:
        return out
    for row in range(len(listener)):
        low = np.searchsorted(keys, np.int64(listener[row]) * count)
        if low == len(keys) or keys[low] >= np.int64(listener[row] + 1) * count:
            continue
        for at in range(bounds[track[row]], bounds[track[row] + 1]):
            wanted = np.int64(listener[row]) * count + codes[at]
            found = np.searchsorted(keys, wanted)
            if found < len(keys) and keys[found] == wanted:
                out[row] = True
                break
    return out
