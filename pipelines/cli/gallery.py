"""The gallery of a night, gathered from the warehouse and written beside its report.

shelves of the night and of the one before, removed, listeners, library, tracks, artists -> reports/date=D/gallery/
"""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from pipelines.cli.show import of_listeners
from pipelines.runtime.night_ahead import LAST_OF
from transforms.common.hashing import stable_hash
from transforms.gates.history import measured_in
from transforms.reporting.gallery import GalleryFacts, named_tracks
from transforms.reporting.gallery_page import site
from transforms.reporting.standing import MACHINE, Standing, statuses_of
from transforms.reporting.trends import Point, trends
from transforms.reporting.verdict import Verdict
from transforms.tables.as_of import as_of
from transforms.tables.manifest import Manifest
from transforms.tables.records import read_record
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse, folder

INDEX = "gallery/index.html"
NIGHTS = 90  # stored nights that trends look back over
OF_SHELVES = (
    *("listener_id", "surface", "shelf_id", "title", "subtitle", "home_position", "status", "status_reason"),
    *("refresh_date", "items", "spares"),
)


def write_gallery(warehouse: Warehouse, shelves: Manifest, stands: Standing, verdict: Verdict, most: int) -> str:
    """Write the gallery of a night with shelves.

    Args:
        stands: what stands on its shelves, as the report tells it.
        most: listeners it shows; of more, a sample by the hash of their ids.

    Returns:
        Where it stands beside the report.
    """
    facts = gather_gallery(warehouse, shelves, stands, most)
    shown = trends(list(_points(warehouse, shelves.date)))
    base = f"{folder('reports', shelves.date)}/gallery"
    for name, text in site(facts, verdict, shown, warehouse=warehouse.url):
        warehouse.store.write(f"{base}/{name}", text.encode())
    return INDEX


def gather_gallery(warehouse: Warehouse, shelves: Manifest, stands: Standing, most: int) -> GalleryFacts:
    """Everything that the gallery shows of some listeners."""
    ids = stands.rows["listener_id"].unique().sort()
    order = pl.DataFrame({"listener_id": ids, "_hash": stable_hash(ids, purpose="gallery")}).sort(
        "_hash", "listener_id"
    )
    chosen = order["listener_id"].head(most).sort().to_list()
    rows = of_listeners(warehouse, shelves, chosen, OF_SHELVES)
    before = warehouse.newest("shelves", shelves.date - timedelta(1))
    columns = ["listener_id", "shelf_id", "items"]
    earlier = of_listeners(warehouse, before, chosen, columns) if before else rows.select(columns).clear()
    kept_off = warehouse.current("removed", shelves.date)
    removed = of_listeners(warehouse, kept_off, chosen) if kept_off else pl.DataFrame()
    removed = removed if removed.height else TABLES["removed"].empty()
    earlier = earlier if earlier.height else rows.select(columns).clear()
    return GalleryFacts(
        day=shelves.date,
        before=before.date if before else None,
        shelves=rows,
        earlier=earlier.select(columns),
        removed=removed,
        people=_people(warehouse, shelves.date, rows, chosen),
        titles=_titles(warehouse, shelves.date, named_tracks(rows, earlier, removed)),
        everybody=stands.listeners,
    )


def _people(warehouse: Warehouse, day: date, rows: pl.DataFrame, chosen: list[str]) -> pl.DataFrame:
    """listener_id, market, tracks in the library, suspect."""
    past = as_of(warehouse.url, day)
    who = pl.DataFrame({"listener_id": chosen}, schema={"listener_id": pl.String})
    known = past.listeners()
    markets = of_listeners(warehouse, known, chosen, ["listener_id", "market"]) if known else None
    library = past.newest("library")
    parts = past.library(library.date) if library else []
    pairs = [of_listeners(warehouse, m, chosen, ["listener_id", "track_id"]) for m in parts]
    heard = pl.concat([TABLES["library"].empty().select("listener_id", "track_id"), *(p for p in pairs if p.height)])
    counted = heard.unique().group_by("listener_id").agg(tracks=pl.len().cast(pl.Int32))
    machines = rows.filter(pl.col("status_reason").str.starts_with(MACHINE)).select("listener_id").unique()
    out = who.join(counted, on="listener_id", how="left").with_columns(pl.col("tracks").fill_null(0))
    out = out.join(machines.with_columns(suspect=pl.lit(True)), on="listener_id", how="left")
    if markets is None or not markets.height:
        markets = pl.DataFrame(schema={"listener_id": pl.String, "market": pl.String})
    out = out.join(markets.unique("listener_id"), on="listener_id", how="left")
    return out.select("listener_id", "market", "tracks", pl.col("suspect").fill_null(False))


def _titles(warehouse: Warehouse, day: date, wanted: pl.Series) -> pl.DataFrame:
    """track_id, title (the id where the catalog has none), artists, of these tracks, sorted by id."""
    known = warehouse.read_newest("tracks", day, ["track_id", "title", "artist_ids"])
    known = known.filter(pl.col("track_id").is_in(wanted.implode()))
    names = warehouse.read_newest("artists", day, ["artist_id", "name"])
    credits = known.select("track_id", artist_id="artist_ids").explode("artist_id").drop_nulls("artist_id")
    called = credits.join(names, on="artist_id", how="left", maintain_order="left")
    artists = called.group_by("track_id").agg(artists=pl.coalesce("name", "artist_id").str.join(", "))
    out = pl.DataFrame({"track_id": wanted}).join(known.select("track_id", "title"), on="track_id", how="left")
    out = out.join(artists, on="track_id", how="left").sort("track_id")
    return out.select("track_id", pl.coalesce("title", "track_id").alias("title"), pl.col("artists").fill_null(""))


def _points(warehouse: Warehouse, day: date) -> list[Point]:
    """What is known of the stored nights up to `day`, from manifests, job records and table `evaluation`."""
    nights = [d for d in warehouse.dates("shelves") if d <= day][-NIGHTS:]
    return [Point(night, _values(warehouse, night)) for night in nights]


def _values(warehouse: Warehouse, night: date) -> dict[str, float]:
    shelves = warehouse.need("shelves", night)
    found: dict[str, float] = {}
    measured = measured_in(shelves)
    counts = measured.counts if measured else {}
    by_shelf = statuses_of(counts)
    rows = sum(n for states in by_shelf.values() for n in states.values())
    if rows:
        found["fill"] = sum(states.get("personal", 0) for states in by_shelf.values()) / rows
    if counts.get("chosen items"):
        found["churn"] = 1 - counts.get("same chosen items", 0) / counts["chosen items"]
    if counts.get("reasons"):
        untrue = sum(n for name, n in counts.items() if name.startswith("untrue "))
        found["reasons"] = 1e6 * untrue / counts["reasons"]
    if warehouse.current("evaluation", night):
        kept = warehouse.read("evaluation", night).filter(
            pl.col("versus").is_null(), model="ranker", target="unheard", metric="ndcg@50", segment="all"
        )
        if kept.height:
            found["quality"] = kept["value"][0]
    made = [m for table in LAST_OF.values() if (m := warehouse.current(table, night))]
    records = [r for m in made if (r := read_record(warehouse, f"runs/{m.run_id}.json"))]
    if counts.get("listeners") and records:
        found["cost"] = 1000 * sum(r.get("cpu_seconds", 0.0) for r in records) / counts["listeners"]
    return found
