"""A log that costs a second a million plays to make: for measuring how cost grows with the audience, not what is recommended.

    made = cheap_log(folder, listeners=50_000, tracks=20_000, days=4, plays=4.0, seed=1, end=date(2026, 1, 31))
    ingest(warehouse, "parquet", **made, end_date=end, settings=settings)

Tracks lie on a line of 200 genres, popular ones first within each; a listener has three genres and plays sessions of four tracks
of one of them. No dirt, no feedback, no groups: those of the simulator cost a thousand times as much to make.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

GENRES, LONG, FILE = 200, 4, 2_000_000
MAPPING = """columns:
  listener_id: user
  track_id: track
  started_at: ts
  ms_played: ms
time: unix_ms
"""


def cheap_log(
    folder: Path, listeners: int, tracks: int, days: int, plays: float, seed: int, end: date
) -> dict[str, Any]:
    """Write a world's log, catalog and listeners; what `ingest` is told of them, by argument.

    Args:
        plays: of a listener and day, on average.
    """
    (folder / "listens").mkdir(parents=True)
    (folder / "mapping.yaml").write_text(MAPPING)
    track_ids = pl.Series([f"t{n:08d}" for n in range(tracks)])
    pl.DataFrame({"track_id": track_ids, "artist_ids": [[f"a{n // 8:07d}"] for n in range(tracks)]}).with_columns(
        duration_ms=pl.lit(200_000, dtype=pl.Int32), released_on=pl.lit(date(2020, 1, 1))
    ).write_parquet(folder / "tracks.parquet")
    people = pl.Series([f"u{n:09d}" for n in range(listeners)])
    market = pl.Series(["SE", "DE", "US", "BR"]).gather(np.arange(listeners) % 4)
    pl.DataFrame({"listener_id": people, "market": market}).with_columns(
        time_zone=pl.lit("UTC"), explicit_ok=pl.lit(True), joined_on=pl.lit(date(2024, 1, 1))
    ).write_parquet(folder / "listeners.parquet")
    draw = np.random.default_rng(seed)
    own = draw.integers(0, GENRES, (listeners, 3))
    start = datetime.combine(end - timedelta(days - 1), datetime.min.time(), tzinfo=UTC).timestamp() * 1000
    left, number = round(listeners * days * plays), 0
    while left > 0:
        sessions = max(1, min(left, FILE) // LONG)
        who = draw.integers(0, listeners, sessions)
        genre = own[who, draw.integers(0, 3, sessions)]
        begin = (start + draw.random(sessions) * (days * 86_400_000 - 3_600_000)).astype(np.int64)
        place = (tracks // GENRES * draw.random((sessions, LONG)) ** 2).astype(np.int64)
        track = (genre[:, None] * (tracks // GENRES) + place).reshape(-1)
        ms = draw.integers(5_000, 200_000, sessions * LONG).astype(np.int32)
        at = (begin[:, None] + 210_000 * np.arange(LONG)).reshape(-1)
        rows = {"user": people.gather(np.repeat(who, LONG)), "track": track_ids.gather(track), "ts": at, "ms": ms}
        pl.DataFrame(rows).write_parquet(folder / "listens" / f"part-{number:05d}.parquet")
        left, number = left - sessions * LONG, number + 1
        if left < LONG:
            break
    return {
        "inputs": [str(folder / "listens" / "*.parquet")],
        "mapping": str(folder / "mapping.yaml"),
        "tracks": str(folder / "tracks.parquet"),
        "listeners_file": str(folder / "listeners.parquet"),
    }
