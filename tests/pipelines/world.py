"""A small simulated world and the nights made of it: what the whole-night tests share.

SETTINGS  a night with every model and the choice between rankers: where their bytes, or what only they make, is looked at
LIGHT     the same night without the models that TensorFlow fits: where something else is, such as a kill, a table or a command
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from pipelines.ingest import ingest
from pipelines.nightly import night
from pipelines.runtime.config import Settings
from pipelines.simulate import simulate
from transforms.simulation.files import log_of
from transforms.tables.manifest import Manifest
from transforms.tables.upkeep import tables
from transforms.tables.warehouse import Warehouse

END = date(2026, 1, 31)
NIGHT = END - timedelta(3)  # events of three later days are in the log, and the night must not know them
SETTINGS = Settings.model_validate(
    {
        "shards": 2,
        "models": {
            "als": {"factors": 16, "iterations": 3},
            "two_tower": {"dims": 8, "hidden": 16, "epochs": 1, "batch": 64},
            "sequence": {
                "dims": 8,
                "layers": 1,
                "length": 10,
                "epochs": 1,
                "batch": 64,
                "windows": 256,
                "negatives": 64,
            },
            "use_adjacent_artists": True,
            "use_generative": True,
            "semantic_ids": {"dims": 8, "levels": 2, "codes": 8, "iterations": 3},
            "decoder": {
                "dims": 8,
                "hidden": 8,
                "length": 10,
                "batch": 64,
                "windows": 256,
                "negatives": 64,
                "beams": 16,
                "most": 60,
                "cold": 5,
            },
            "sample_listeners": 100,
        },
        "candidates": {"per_source": 40, "keep_all_below": 100},
        "bootstrap": {"nights": 2, "days_apart": 3, "listeners": 100},
        "outcomes": {"horizons": [3]},
        "ranker": {"kind": "best", "cross": {"epochs": 1}},
    }
)
LIGHT = Settings.model_validate(
    {
        **SETTINGS.model_dump(),
        "models": {
            **SETTINGS.models.model_dump(),
            **dict.fromkeys(("use_two_tower", "use_sequence", "use_generative", "use_adjacent_artists"), False),
        },
        "ranker": {"kind": "linear"},
    }
)


def simulated(out: Path, listeners: int = 80, tracks: int = 600, days: int = 24) -> Path:
    """Simulate a world into a folder."""
    simulate(listeners, tracks, days, str(out), 3, end_date=END)
    return out


def ingested(world: Path, warehouse: Path, settings: Settings = SETTINGS, beam_args: tuple[str, ...] = ()) -> Warehouse:
    """The world's log and its tables in a new warehouse."""
    ingest(
        str(warehouse),
        "csv",
        **log_of(world),
        impressions=str(world / "impressions.parquet"),
        end_date=END,
        settings=settings,
        beam_args=beam_args,
    )
    return Warehouse(str(warehouse))


@dataclass(frozen=True)
class World:
    """Folders of the log, of a warehouse that holds it, and of one with the night made; none of them to be changed.

    `copy` gives one to change.
    """

    log: Path
    ingested: Path
    made: Path

    @property
    def warehouse(self) -> Warehouse:
        """The warehouse with the night."""
        return Warehouse(str(self.made))

    @staticmethod
    def copy(folder: Path, to: Path) -> Warehouse:
        """A copy of a warehouse."""
        shutil.copytree(folder, to)
        return Warehouse(str(to))


def begun(folder: Path, listeners: int = 80) -> World:
    """Simulate and ingest; the night is still to be made."""
    world = World(simulated(folder / "world", listeners), folder / "ingested", folder / "made")
    ingested(world.log, world.ingested)
    return world


def build(folder: Path, listeners: int = 80) -> World:
    """Simulate, ingest, make the night."""
    world = begun(folder, listeners)
    make(world.ingested, world.made, SETTINGS)
    return world


def make(start: Path, to: Path, settings: Settings) -> None:
    """The night, in a copy of a warehouse that holds the log."""
    night(World.copy(start, to).url, NIGHT, settings)


def manifests(warehouse: Warehouse) -> dict[str, Manifest]:
    """Every current manifest, by `table@date`."""
    found = [m for t in tables(warehouse) for d in warehouse.dates(t) if (m := warehouse.current(t, d)) is not None]
    return {f"{m.table}@{m.date}": m for m in found}


def hashes(warehouse: Warehouse) -> dict[str, list[tuple[str, str]]]:
    """By `table@date`: name inside its run and sha256 of every file. Content alone, whatever the attempt is called."""
    return {
        key: sorted((f.path.split("/run=")[1].partition("/")[2], f.sha256) for f in m.files)
        for key, m in manifests(warehouse).items()
    }


def without(warehouse: Warehouse, day: date) -> None:
    """Take out what a night made of its date and the two before: the log itself stays, and so do the earlier nights."""
    for table in tables(warehouse):
        if table not in ("listens", "feedback", "impressions", "blends", "rejects"):
            for n in range(3):
                warehouse.store.delete(f"{table}/date={day - timedelta(n)}")
