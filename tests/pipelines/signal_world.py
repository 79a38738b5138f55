"""A small simulated world with planted signals: some tell tastes, one tells nothing, one knows the future.

style   category of a listen: which of STYLES directions the track's true vector points in most; never read by the simulator
noise   number of a listen: drawn
plan    category of a listener, from a table: which of STYLES directions the listener's own plays point in most
affinity  number of a pair, from a table: how well listener and track truly go together, with some noise, known all along
hint    number of a pair, from a table: plays in the days after, written down under the day before them
review  number of a listener, from a table: written down after the night that is compared
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.ingest import ingest
from pipelines.nightly import night
from pipelines.runtime.config import Settings
from tests.pipelines.world import END, NIGHT, SETTINGS, simulated
from transforms.simulation.files import log_of
from transforms.tables.warehouse import Warehouse

STYLES = 8
AHEAD = 3
MADE = Settings.model_validate(
    {
        **SETTINGS.model_dump(exclude={"models"}),
        "models": {
            **SETTINGS.models.model_dump(),
            **{
                f"use_{name}": False
                for name in ("two_tower", "sequence", "generative", "next_in_session", "adjacent_artists")
            },
        },
        "candidates": {**SETTINGS.candidates.model_dump(), "keep_all_below": 1000},
        "bootstrap": {**SETTINGS.bootstrap.model_dump(), "listeners": 1000},
        "ranker": {"kind": "linear"},
    }
)
MAPPING = """
signals:
  style: {column: style, kind: category, of: listen}
  noise: {column: noise, kind: number, of: listen}
  plan: {column: plan, kind: category, of: listener}
  wish: {column: wish, kind: number, of: pair}
  hint: {column: hint, kind: number, of: pair}
  review: {column: review, kind: number, of: listener}
"""


@dataclass(frozen=True)
class Planted:
    """Files of the world, and the warehouse with its night."""

    log: Path
    tables: tuple[Path, ...]
    mapping: Path
    warehouse: Warehouse


def planted(folder: Path, listeners: int = 120, seed: int = 7) -> Planted:
    """Simulate, plant, ingest, make the night."""
    world = simulated(folder / "world", listeners)
    truth = pl.read_parquet(world / "truth" / "tracks.parquet")
    rng = np.random.default_rng(seed)
    vectors = np.array(truth["vector"].to_list())
    pointing = np.argmax((vectors - vectors.mean(axis=0)) @ rng.standard_normal((vectors.shape[1], STYLES)), axis=1)
    styles = pl.DataFrame({"track": truth["track_id"], "style": [f"style {n}" for n in pointing]})
    plays = []
    for path in sorted((world / "listens").glob("*.csv")):
        lines = pl.read_csv(path, infer_schema=False, truncate_ragged_lines=True, ignore_errors=True)
        lines = lines.join(styles, on="track", how="left", maintain_order="left")
        lines = lines.with_columns(noise=pl.Series(rng.normal(50, 10, lines.height)).round(2).cast(pl.String))
        lines.write_csv(path)
        plays.append(lines.select("user", "track", "style", at=pl.col("ts").cast(pl.Int64, strict=False)))
    every = pl.concat(plays).drop_nulls().with_columns(day=pl.from_epoch("at", time_unit="ms").dt.date())
    mapping = folder / "mapping.yaml"
    mapping.write_text((world / "mapping.yaml").read_text() + MAPPING)
    tables = (
        plans(every, folder / "plans.csv"),
        wishes(every, folder / "wishes.csv", rng),
        hints(every, folder / "hints.csv"),
        reviews(every, folder / "reviews.csv"),
    )
    warehouse = Warehouse(str(folder / "warehouse"))
    log = {**log_of(world), "mapping": str(mapping)}
    for table in tables:  # the second time the log is known
        ingest(warehouse.url, "csv", **log, signals=str(table), end_date=END, settings=MADE)
    night(warehouse.url, NIGHT, MADE)
    return Planted(world, tables, mapping, warehouse)


def plans(plays: pl.DataFrame, path: Path) -> Path:
    """Each listener's commonest style, held since before the log."""
    most = plays.group_by("user", "style").len().sort("user", "len", "style", descending=[False, True, False])
    first = most.unique("user", keep="first", maintain_order=True)
    begin = plays["day"].min()
    assert isinstance(begin, date)
    first.select(listener_id="user", plan="style", at=pl.lit(f"{begin - timedelta(9)}T00:00:00Z")).write_csv(path)
    return path


def hints(plays: pl.DataFrame, path: Path) -> Path:
    """Plays of each pair in the AHEAD days after each day, written down under that day."""
    days = plays.select(pl.col("user"), pl.col("track"), pl.col("day"))
    parts = [days.with_columns(at=pl.col("day") - timedelta(n)) for n in range(1, AHEAD + 1)]
    counted = pl.concat(parts).group_by("user", "track", "at").len("hint").sort("user", "track", "at")
    noon = pl.col("at").cast(pl.Datetime("us")) + pl.duration(hours=12)
    counted.select(
        listener_id="user", track_id="track", hint="hint", at=noon.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    ).write_csv(path)
    return path


def wishes(plays: pl.DataFrame, path: Path, rng: np.random.Generator) -> Path:
    """A list that each listener wrote before the log: some of what they go on to play, and as many tracks drawn."""
    played = plays.select("user", "track").unique().sort("user", "track")
    wished = played.filter(pl.Series(rng.random(played.height) < 0.4))
    others = wished.with_columns(
        track=plays["track"].unique().sort().sample(wished.height, with_replacement=True, seed=1)
    )
    begin = plays["day"].min()
    assert isinstance(begin, date)
    rows = pl.concat([wished, others]).unique().sort("user", "track").select(listener_id="user", track_id="track")
    rows.with_columns(wish=pl.lit(1), at=pl.lit(f"{begin - timedelta(9)}T00:00:00Z")).write_csv(path)
    return path


def reviews(plays: pl.DataFrame, path: Path) -> Path:
    """A number of each listener that is written down on the night itself, after the one that is compared."""
    people = plays["user"].unique().sort()
    numbers = pl.DataFrame({"listener_id": people, "review": np.arange(len(people))})
    numbers.with_columns(at=pl.lit(f"{NIGHT}T12:00:00Z")).write_csv(path)
    return path
