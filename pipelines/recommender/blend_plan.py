"""What making a night's blends reads and loads: planned at the launch, loaded once a process, without Beam.

plan = plan_blends(past, settings, step_version)     None where there are no groups, or their shelves are current
blender = plan.work.blender()                        catalog and embeddings
blender.rows(parts)                                  rows of some groups' members
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import numpy as np
import polars as pl

from pipelines.recommender.artefacts import fetch
from pipelines.recommender.champion import made_with
from pipelines.recommender.fitting import Fitted
from pipelines.recommender.settings import ModelSettings
from transforms.candidates.features import Directions
from transforms.ingest.artists import with_artist_names
from transforms.shelves.blend.making import Parts, blend_rows
from transforms.shelves.blend.settings import BlendSettings
from transforms.shelves.history import Embeddings
from transforms.shelves.settings import NightContext
from transforms.shelves.tracks import Tracks
from transforms.tables.as_of import AsOf, all_tracks
from transforms.tables.chunks import Spec
from transforms.tables.manifest import Heading, Manifest
from transforms.tables.runs import Run, plan
from transforms.tables.specs import specs
from transforms.tables.upkeep import inputs_of
from transforms.tables.warehouse import Warehouse

TABLE = "blend_shelves"
COLUMNS = {
    "candidates": ["listener_id", "track_id", "stage", "ranker_score"],
    "listeners": ["listener_id", "market", "explicit_ok"],
    "listener_embeddings": ["listener_id", "model", "vector"],
}


class BlendingSettings(Protocol):
    """The settings that blends are made by."""

    @property
    def shards(self) -> int: ...
    @property
    def models(self) -> ModelSettings: ...
    @property
    def blend(self) -> BlendSettings: ...


@dataclass(frozen=True)
class Blending:
    """What a worker needs to make blends. Picklable; `artists` is None where the warehouse has no names."""

    warehouse: str
    day: date
    version: str
    settings: BlendSettings
    model_settings: ModelSettings
    models: Manifest
    catalog: Heading | None
    artists: Heading | None
    ranked_by: str

    def blender(self) -> Blender:
        """Load everything, once a process.

        Raises:
            UserError: a file is damaged, or a model is later than the night.
        """
        warehouse = Warehouse(self.warehouse)
        fitted = Fitted.load(fetch(self.warehouse, self.models, self.day), self.model_settings)
        artists = warehouse.read_manifest(self.artists) if self.artists else None
        tracks = with_artist_names(all_tracks(warehouse, self.catalog), artists)
        night = NightContext(self.day, self.version, 0, self.ranked_by)
        return Blender.of(fitted, tracks, self.settings, night)


@dataclass(frozen=True)
class Blender:
    """Catalog and embeddings of a process."""

    tracks: Tracks
    embeddings: Embeddings
    settings: BlendSettings
    night: NightContext

    @classmethod
    def of(cls, fitted: Fitted, tracks: pl.DataFrame, settings: BlendSettings, night: NightContext) -> Blender:
        """Embeddings are those of iALS, of which listeners have vectors too."""
        catalog = fitted.catalog(tracks)
        known = Tracks.build(tracks, catalog.track_ids[1:].tolist())
        directions = Directions(np.asarray(fitted["als"].item_factors))
        item = np.zeros(len(known), np.int32)
        of_item = known.rows(catalog.ids)
        item[of_item[1:]] = np.arange(1, len(of_item))
        unit = directions.vectors * directions.inverse_lengths[:, None]
        has = (item > 0) & (directions.inverse_lengths[item] > 0)
        return cls(known, Embeddings(unit, np.where(has, item, -1).astype(np.int32)), settings, night)

    def rows(self, parts: Parts) -> pl.DataFrame:
        """Rows of table `blend_shelves`."""
        return blend_rows(parts, self.tracks, self.embeddings, self.settings, self.night)


@dataclass(frozen=True)
class BlendPlan:
    """Blends that are to be made: the run, shards, and the worker's part."""

    run: Run
    specs: Sequence[Spec]
    work: Blending


def blending(past: AsOf, settings: BlendingSettings, version: str) -> Blending:
    """The worker's part of a view's date.

    Raises:
        UserError: the night is not made yet.
    """
    shelves = past.need("shelves")
    models = past.need("models", made_with(shelves))
    ranker = next((v for k, v in shelves.inputs.items() if k.startswith("rankers@")), "blend")
    catalog, artists = past.catalog(), past.artists()
    return Blending(past.url, past.day, version, settings.blend, settings.models, models, catalog, artists, ranker)


def plan_blends(past: AsOf, settings: BlendingSettings, step_version: str) -> BlendPlan | None:
    """Plan the blends of a view's date; None where nobody asked for one by then, or where they are current.

    Raises:
        UserError: the night is not made yet, or the table is pinned.
    """
    blends = past.every("blends")
    if not blends:
        return None
    work = blending(past, settings, "")
    listeners = past.listeners()
    tables: dict[str, Sequence[Heading]] = {
        "listeners": [listeners] if listeners else [],
        "blends": blends,
        "candidates": [past.need("candidates")],
        "listener_embeddings": [past.need("listener_embeddings")],
        "feedback": past.every("feedback"),
    }
    run = plan(
        past.warehouse,
        TABLE,
        past.day,
        shards=settings.shards,
        inputs=inputs_of(work.models, work.catalog, work.artists, *(m for found in tables.values() for m in found)),
        settings={"blend": settings.blend.model_dump(mode="json")},
        step_version=step_version,
    )
    if run is None:
        return None
    work = blending(past, settings, run.version)
    return BlendPlan(run, specs(past.warehouse, settings.shards, tables), work)
