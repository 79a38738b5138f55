"""A warehouse of twelve listeners and twenty tracks, written by hand: what a night would have left behind."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import polars as pl

from transforms.evaluation.measure import EvaluationSettings
from transforms.listening.library import day_library
from transforms.outcomes.join import OutcomeSettings
from transforms.shelves.settings import ShelvesSettings
from transforms.tables.chunks import split
from transforms.tables.runs import Written, finish, plan, with_extra
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse
from transforms.tables.writing import write_frame

NIGHT = date(2026, 1, 20)
LISTENERS = [f"listener-{n}" for n in range(12)]
TRACKS = [f"t{n}" for n in range(20)]
SETTINGS = SimpleNamespace(
    seed=1,
    shards=4,
    outcomes=OutcomeSettings(horizons=(1, 7)),
    evaluation=EvaluationSettings(draws=100),
    shelves=ShelvesSettings(),
)


def put(warehouse: Warehouse, table: str, day: date, frame: pl.DataFrame, shards: int = 4) -> None:
    """Commit a table of one date, as a job would."""
    run = plan(warehouse, table, day, shards=shards, inputs={}, settings={}, step_version="test")
    assert run is not None
    if table == "library":  # a base of its own
        run = with_extra(run, chain=[{"date": day.isoformat(), "run_id": run.run_id}])
    by = TABLES[table].sharded_by
    parts = split(frame, shards, by) if by else [(0, frame)]
    entries = [write_frame(run, shard, part) for shard, part in parts]
    finish(run, [Written(table, day.isoformat(), entry) for entry in entries])


def frame(table: str, rows: list[dict]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=TABLES[table].polars)


def listens_of(day: date) -> pl.DataFrame:
    """Every listener plays three neighbouring tracks a day, moving on by one a day: tomorrow's are partly new."""
    rows = []
    for n, who in enumerate(LISTENERS):
        for k in range(3):
            at = datetime(day.year, day.month, day.day, 9, 4 * k, tzinfo=UTC)
            track = TRACKS[(n + day.day + k) % len(TRACKS)]
            row = {"listener_id": who, "track_id": track, "started_at": at, "ms_played": 200_000, "ingested_at": at}
            rows.append({**row, "late": False, "listen_id": f"{who}{at}", "completed": k != 2, "skipped": None})
    return frame("listens", rows)


def candidates_of() -> pl.DataFrame:
    rows = []
    for n, who in enumerate(LISTENERS):
        for place in range(1, 9):
            track = (n + NIGHT.day + place) % len(TRACKS)
            rows.append(
                {
                    "listener_id": who,
                    "track_id": TRACKS[track],
                    "heard_before": place <= 2,
                    "stage": "placed" if place == 3 else "candidate",
                    "inclusion": 1.0,
                    "ranker_score": 1.0 / place,
                    "ranker_rank": place,
                    "rank_als": 9 - place,
                    "score_als": float(place),
                }
            )
    extra = {"rank_als": pl.Int32, "score_als": pl.Float32}
    return pl.DataFrame(rows, schema_overrides=extra).with_columns(
        pl.lit(None, dtype=pl.Float32).alias(c) for c in ("p_listened", "p_completed", "p_saved", "p_returned")
    )


def shelves_of() -> pl.DataFrame:
    start = datetime(2026, 1, 21, tzinfo=UTC)
    rows = []
    for n, who in enumerate(LISTENERS):
        item = {"position": 1, "track_id": TRACKS[(n + NIGHT.day + 3) % len(TRACKS)], "propensity": 0.5}
        rows.append(
            {
                **{"run_date": NIGHT, "version": "v", "listener_id": who, "surface": "home", "title": "Discover"},
                **{"shelf_id": "discover-weekly", "status": "personal", "data_cutoff": start, "refresh_date": NIGHT},
                **{"valid_from": start, "valid_until": start + timedelta(7), "model_version": "m"},
                **{"items": [item], "spares": []},
            }
        )
    return frame("shelves", rows)


def build(folder: Path) -> Warehouse:
    """Ten days of listens up to the night and seven after it; the night's candidates and shelves; no feedback."""
    warehouse = Warehouse(str(folder / "warehouse"))
    for n in range(-9, 8):
        put(warehouse, "listens", NIGHT + timedelta(n), listens_of(NIGHT + timedelta(n)))
    past = pl.concat([listens_of(NIGHT - timedelta(n)) for n in range(10)])
    put(warehouse, "library", NIGHT, day_library(past))
    tracks = [{"track_id": t, "recording_id": t, "artist_ids": [f"artist-{n % 5}"]} for n, t in enumerate(TRACKS)]
    put(warehouse, "tracks", NIGHT - timedelta(9), frame("tracks", tracks))
    put(warehouse, "candidates", NIGHT, candidates_of())
    put(warehouse, "shelves", NIGHT, shelves_of())
    return warehouse
