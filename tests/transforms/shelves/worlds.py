"""Small worlds for the tests of shelves: candidates written as short rows, and a random block."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from transforms.shelves.assemble import Given, assemble
from transforms.shelves.output import Assembled
from transforms.shelves.popularity import Popular
from transforms.shelves.settings import NightContext, ShelfSettings, ShelvesSettings
from transforms.shelves.tracks import COLUMNS, Tracks

MONDAY = dt.date(2024, 5, 6)
TUESDAY = dt.date(2024, 5, 7)
UTC = pl.Datetime("us", "UTC")

_SCHEMA: dict[str, Any] = {
    "listener_id": pl.String,
    "track_id": pl.String,
    "recording_id": pl.String,
    "artist_ids": pl.List(pl.String),
    "heard_before": pl.Boolean,
    "sampled_at": UTC,
    "ranker_score": pl.Float32,
    "score_next_tracks": pl.Float32,
    "source": pl.String,
    "reason": pl.String,
    "reason_ref": pl.String,
    "released_on": pl.Date,
    "markets": pl.List(pl.String),
    "explicit": pl.Boolean,
    "last_heard_at": UTC,
    "plays": pl.Int32,
    "activation": pl.Float32,
    "decayed_plays": pl.Float32,
}


def days_ago(days: int, of: dt.date = MONDAY) -> dt.datetime:
    """Noon that many days before a date."""
    return dt.datetime.combine(of, dt.time(12), tzinfo=dt.UTC) - dt.timedelta(days=days)


def candidate(track: str, score: float, **facts: Any) -> dict[str, Any]:
    """One unheard candidate of ann, of a recording and an artist of its own, unless told otherwise."""
    plain = {
        "listener_id": "ann",
        "track_id": track,
        "recording_id": f"r-{track}",
        "artist_ids": [f"by-{track}"],
        "heard_before": False,
        "ranker_score": score,
        "source": "als",
        "reason": "you_keep_playing" if facts.get("source") == "library" else "because_you_played",
    }
    return plain | facts


def frame(*candidates: dict[str, Any]) -> pl.DataFrame:
    """Candidates as a frame with every column."""
    return pl.DataFrame(list(candidates), schema=_SCHEMA)


def roster(*listeners: str, market: str | None = "DE", explicit_ok: bool | None = True) -> pl.DataFrame:
    """Listeners of one market."""
    return pl.DataFrame(
        {"listener_id": listeners, "market": [market] * len(listeners), "explicit_ok": [explicit_ok] * len(listeners)},
        schema={"listener_id": pl.String, "market": pl.String, "explicit_ok": pl.Boolean},
    )


def popular(*tracks: str, market: str | None = "DE") -> pl.DataFrame:
    """Popular tracks of a market, the first the most popular."""
    n = len(tracks)
    return pl.DataFrame(
        {
            "market": [market] * n,
            "track_id": tracks,
            "recording_id": [f"r-{track}" for track in tracks],
            "artist_ids": [[f"by-{track}"] for track in tracks],
            "score": [float(n - i) for i in range(n)],
        },
        schema={
            "market": pl.String,
            "track_id": pl.String,
            "recording_id": pl.String,
            "artist_ids": pl.List(pl.String),
            "score": pl.Float64,
        },
    )


def blocks(*acts: tuple[str, str], listener: str = "ann") -> pl.DataFrame:
    """Feedback of one listener: (kind, target)."""
    return pl.DataFrame([{"listener_id": listener, "kind": kind, "target": target} for kind, target in acts])


def one_shelf(**changes: Any) -> ShelvesSettings:
    """Settings of a single Discover-like shelf without draws."""
    plain: dict[str, Any] = {"shelf_id": "discover", "title": "Discover", "size": 10, "spares": 0, "open_slots": 0}
    if "artist_cap" in changes:
        most = changes.pop("artist_cap")
        changes["rules"] = {**changes.get("rules", {}), "artist_cap": {"most": most} if most else False}
    return ShelvesSettings(shelves=(ShelfSettings(**(plain | changes)),))


def catalog_of(*frames: pl.DataFrame | None) -> pl.DataFrame:
    """Everything these frames say of tracks, the first to name a track being right."""
    known = {**_SCHEMA, "tags": pl.List(pl.String), "album_id": pl.String, "duration_ms": pl.Int32}
    facts = [c for c in COLUMNS if c in known]
    parts = [
        f.select(pl.col(c).cast(COLUMNS[c]) for c in facts if c in f.columns).unique("track_id", keep="first")
        for f in frames
        if f is not None and f.height
    ]
    every = pl.concat(parts, how="diagonal") if parts else pl.DataFrame(schema={"track_id": pl.String})
    return every.unique("track_id", keep="first", maintain_order=True)


def make(candidates: pl.DataFrame, night: NightContext | None = None, **inputs: Any) -> Assembled:
    """`assemble` with ann as the only listener and Monday as the night, unless told otherwise.

    The catalog is what candidates and popular tracks say of themselves. A `catalog` that is given lists all there is:
    what it lacks may stand on a shelf only while it is a candidate.
    """
    inputs.setdefault("roster", roster("ann"))
    pops, catalog = inputs.pop("popular", None), inputs.pop("catalog", None)
    shown = inputs.get("previous")
    others = [candidates["track_id"]] + ([] if shown is None else [_shown(shown)])
    tracks = Tracks.build(catalog_of(catalog, candidates, pops), pl.concat(others))
    listed = tracks.ids if catalog is None else catalog["track_id"]
    tracks = replace(tracks, listed=tracks.ids.is_in(listed.implode()).to_numpy())
    names = ("settings", "explain")
    own = {name: inputs.pop(name) for name in names if name in inputs}
    people = inputs.pop("roster")
    given = Given(tracks, Popular.of(pops, tracks), **inputs)
    return assemble(candidates, people, given, night=night or NightContext(MONDAY, "v1"), **own)


def _shown(previous: pl.DataFrame) -> pl.Series:
    """Tracks of earlier shelves."""
    both = previous.select(item=pl.col("items").list.concat("spares")).explode("item", keep_nulls=False)
    return both["item"].struct.field("track_id")


def shelf(made: Assembled | pl.DataFrame, shelf_id: str = "discover", listener: str = "ann") -> dict[str, Any]:
    """One row of the shelves."""
    shelves = made if isinstance(made, pl.DataFrame) else made.shelves
    return shelves.row(by_predicate=(pl.col("listener_id") == listener) & (pl.col("shelf_id") == shelf_id), named=True)


def tracks(made: Assembled | pl.DataFrame, shelf_id: str = "discover", listener: str = "ann") -> list[str]:
    """Its tracks in order."""
    return [item["track_id"] for item in shelf(made, shelf_id, listener)["items"]]


def spares(made: Assembled | pl.DataFrame, shelf_id: str = "discover", listener: str = "ann") -> list[str]:
    """Its spares in order."""
    return [item["track_id"] for item in shelf(made, shelf_id, listener)["spares"]]


def random_catalog(seed: int, n_tracks: int = 150, n_artists: int = 40) -> pl.DataFrame:
    """Random tracks: collaborations, three tracks to two recordings, markets, explicit, some not released yet."""
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "track_id": [f"t{i}" for i in range(n_tracks)],
            "recording_id": [f"r{i * 2 // 3}" for i in range(n_tracks)],
            "artist_ids": [
                sorted({f"a{a}" for a in rng.integers(0, n_artists, rng.integers(1, 4))}) for _ in range(n_tracks)
            ],
            "markets": [
                None if rng.random() < 0.7 else ["DE"] if rng.random() < 0.5 else ["FR"] for _ in range(n_tracks)
            ],
            "explicit": [i % 7 == 0 for i in range(n_tracks)],
            "released_on": [MONDAY + dt.timedelta(days=int(d)) for d in rng.integers(-500, 20, n_tracks)],
        }
    )


def random_popular(seed: int, n: int = 90) -> pl.DataFrame:
    """The first tracks of the catalog as the popular ones of DE."""
    return (
        random_catalog(seed).head(n).with_columns(market=pl.lit("DE"), score=pl.lit(float(n)) - pl.int_range(pl.len()))
    )


def random_block(seed: int, listeners: int = 6, each: int = 60) -> pl.DataFrame:
    """Random candidates of that catalog: heard, sampled and new tracks."""
    rng = np.random.default_rng(seed + 1)
    catalog = random_catalog(seed).to_dicts()
    rows = []
    for listener in range(listeners):
        for track in rng.choice(len(catalog), each, replace=False).tolist():
            heard = bool(rng.random() < 0.4)
            rows.append(
                candidate(
                    f"t{track}",
                    float(rng.normal()),
                    listener_id=f"l{listener}",
                    heard_before=heard,
                    sampled_at=days_ago(int(rng.integers(1, 200))) if rng.random() < 0.1 else None,
                    score_next_tracks=float(rng.random()) if rng.random() < 0.5 else None,
                    source="library" if heard else "als",
                    reason_ref="t1",
                    last_heard_at=days_ago(int(rng.integers(0, 200))) if heard else None,
                    plays=int(rng.integers(1, 20)) if heard else 0,
                    activation=float(rng.normal()) if heard else None,
                    decayed_plays=float(rng.random() * 10) if heard else None,
                    **{k: v for k, v in catalog[track].items() if k != "track_id"},
                )
            )
    return frame(*rows)
