"""CPU of assembling every default shelf: what a listener costs, and that memory follows the block.

    .venv/bin/python -m tests.benchmarks.assembling --listeners 256 --candidates 500

A block of listeners over a catalog of 20,000 tracks by 4,000 artists, with embeddings, tags and markets; 500 ranked candidates
each, of which 40% were heard, with sessions, a library of 800 tracks and yesterday's shelves. The first block compiles and
is not counted. `cpu_ms_a_listener` is processor time of the whole process: a busy machine moves it little.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import resource
import time

import numpy as np
import polars as pl

from transforms.shelves.assemble import Given, assemble
from transforms.shelves.history import Embeddings, TrackSide
from transforms.shelves.popularity import Popular
from transforms.shelves.settings import NightContext, ShelvesSettings
from transforms.shelves.tracks import Tracks

MONDAY = dt.date(2024, 5, 6)
TRACKS, ARTISTS, DIMS, TAGS = 20_000, 4_000, 64, 60
SOURCES = ("als", "two_tower", "content", "adjacent_artists", "similar_listeners", "artists", "albums", "new_releases")


def catalog(rng: np.random.Generator) -> pl.DataFrame:
    """Table `tracks`: one in seven by two artists, one in ten restricted to two markets."""
    first = rng.integers(0, ARTISTS, TRACKS)
    guests = rng.integers(0, ARTISTS, TRACKS)
    return pl.DataFrame(
        {
            "track_id": [f"track-{n}" for n in range(TRACKS)],
            "recording_id": [f"recording-{n - n % 9 // 8}" for n in range(TRACKS)],
            "artist_ids": [
                [f"artist-{a}", f"artist-{b}"] if n % 7 == 0 else [f"artist-{a}"]
                for n, (a, b) in enumerate(zip(first, guests, strict=True))
            ],
            "album_id": [f"album-{n // 10}" for n in range(TRACKS)],
            "released_on": [MONDAY - dt.timedelta(days=int(d)) for d in rng.integers(0, 4000, TRACKS)],
            "markets": [["DE", "FR"] if n % 10 == 0 else None for n in range(TRACKS)],
            "explicit": [n % 12 == 0 for n in range(TRACKS)],
            "tags": [[f"tag-{t}" for t in rng.integers(0, TAGS, 3)] for _ in range(TRACKS)],
        }
    )


def block(rng: np.random.Generator, listeners: int, candidates: int) -> dict[str, pl.DataFrame]:
    """Candidates, roster, library, plays and sessions of some listeners."""
    ids = [f"listener-{n:06}" for n in range(listeners)]
    picked = np.concatenate([np.sort(rng.choice(TRACKS, candidates, replace=False)) for _ in ids])
    who = np.repeat(ids, candidates)
    n = len(picked)
    heard = rng.random(n) < 0.4
    noon = dt.datetime(2024, 5, 6, 12, tzinfo=dt.UTC)
    rows = pl.DataFrame(
        {
            "listener_id": who,
            "track_id": [f"track-{t}" for t in picked],
            "heard_before": heard,
            "ranker_score": rng.normal(size=n).astype(np.float32),
            "plays": np.where(heard, rng.integers(1, 30, n), 0),
            "saved": rng.random(n) < 0.02,
            "activation": rng.normal(size=n).astype(np.float32),
            "decayed_plays": np.where(heard, rng.random(n) * 10, 0).astype(np.float32),
            "score_next_tracks": np.where(rng.random(n) < 0.3, rng.random(n), 0).astype(np.float32),
            **{f"rank_{name}": np.where(rng.random(n) < 0.3, rng.integers(1, 300, n), 0) for name in SOURCES},
        }
    ).with_columns(pl.col(f"rank_{name}").replace(0, None) for name in SOURCES)
    library = pl.DataFrame(
        {
            "listener_id": np.repeat(ids, 800),
            "track_id": [f"track-{t}" for t in rng.integers(0, TRACKS, 800 * listeners)],
            "heard": True,
            "last_heard_at": [noon - dt.timedelta(days=int(d)) for d in rng.integers(0, 300, 800 * listeners)],
        }
    )
    plays = rows.filter("heard_before").select("listener_id", "track_id", "decayed_plays")
    times = [noon - dt.timedelta(hours=int(h)) for h in rng.integers(0, 700, 30 * listeners)]
    sessions = pl.DataFrame(
        {
            "listener_id": np.repeat(ids, 30),
            "started_at": times,
            "daypart": [("night", "morning", "afternoon", "evening")[t.hour // 6] for t in times],
            "tracks": [[{"track_id": f"track-{t}"} for t in rng.choice(picked, 12)] for _ in times],
            "age_days": [(noon - t).days + 0.5 for t in times],
        }
    )
    roster = pl.DataFrame(
        {
            "listener_id": ids,
            "market": rng.choice(["DE", "FR", "US"], listeners),
            "explicit_ok": True,
            "time_zone": "Europe/Berlin",
        }
    )
    return {"candidates": rows, "roster": roster, "library": library, "plays": plays, "sessions": sessions}


def measure(listeners: int, candidates: int, repeats: int) -> dict[str, float]:
    """Milliseconds of CPU a listener, the least of several blocks, and the process's largest memory in MB."""
    rng = np.random.default_rng(0)
    tracks = Tracks.build(catalog(rng))
    unit = rng.normal(size=(TRACKS, DIMS)).astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    side = TrackSide.of(
        tracks, Embeddings(unit, np.arange(TRACKS, dtype=np.int32)), rng.integers(0, 200, TRACKS).astype(np.float32)
    )
    markets = [(m, t) for m in ("", "DE", "FR", "US") for t in rng.choice(TRACKS, 500, replace=False)]
    pops = pl.DataFrame({"market": [m for m, _ in markets], "track_id": [f"track-{t}" for _, t in markets]})
    popular = Popular.of(pops.with_columns(score=pl.int_range(pl.len(), 0, -1).cast(pl.Float64)), tracks)
    one = block(rng, listeners, candidates)
    settings, spent, previous = ShelvesSettings(), [], None
    for n in range(repeats + 1):
        given = Given(
            tracks,
            popular,
            side,
            previous=previous,
            library=one["library"],
            plays=one["plays"],
            sessions=one["sessions"],
        )
        began = time.process_time()
        made = assemble(
            one["candidates"],
            one["roster"],
            given,
            night=NightContext(MONDAY + dt.timedelta(days=n), "v"),
            settings=settings,
        )
        spent.append((time.process_time() - began) * 1000 / listeners)
        previous = made.shelves if previous is None else previous
    return {
        "listeners": listeners,
        "candidates": candidates,
        "shelves": len(settings.shelves),
        "personal_share": round(float((made.shelves["status"] == "personal").mean() or 0), 3),
        "cpu_ms_a_listener": round(min(spent[1:]), 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--listeners", type=int, default=256)
    parser.add_argument("--candidates", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.listeners, arguments.candidates, arguments.repeats)))
