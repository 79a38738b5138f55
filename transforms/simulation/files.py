"""The files of a simulated world, as bytes: what stands in each, apart from where it is put.

listens/part-00000-of-00004.csv        the log, one file a block of listeners
listens-late/part-00000-of-00004.csv   events of earlier days that are delivered afterwards
mapping.yaml                           which column of the log is which of ours
tracks.parquet listeners.parquet feedback.parquet impressions.parquet blends.parquet
truth/                                 true tastes, tracks and artists, counts of dirt; never read by a night
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.simulation import listening, tastes
from transforms.simulation.block import simulate_block
from transforms.simulation.catalog import SimulatedCatalog
from transforms.simulation.catalog_table import tracks_frame, true_artists_frame, true_tracks_frame
from transforms.simulation.raw_log import COLUMNS, MAPPING, csv_lines
from transforms.simulation.settings import SimulationSettings

# Tables every block adds to; they are merged into one file each.
MERGED = ("listeners", "feedback", "impressions", "blends", "truth/listeners", "truth/dirt")
ROW_GROUP = 131_072


def log_of(world: Path, form: str = "csv") -> dict[str, Any]:
    """What `ingest` is told of a simulated world: its log, mapping, catalog, listeners, feedback and groups, by argument."""
    return {
        "inputs": [str(world / "listens" / f"*.{form}")],
        "mapping": str(world / "mapping.yaml"),
        "tracks": str(world / "tracks.parquet"),
        "listeners_file": str(world / "listeners.parquet"),
        "feedback": str(world / "feedback.parquet"),
        "blends": str(world / "blends.parquet"),
    }


def parquet_bytes(frame: pl.DataFrame) -> bytes:
    """A frame as zstd-compressed Parquet."""
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", row_group_size=ROW_GROUP, use_compliant_nested_type=True)
    return sink.getvalue()


def merge_parquet(parts: list[bytes]) -> bytes:
    """Parquet files of one schema as one, in the order given."""
    tables = (pq.read_table(pa.BufferReader(part)) for part in parts)
    sink, writer = io.BytesIO(), None
    for table in tables:
        writer = writer or pq.ParquetWriter(sink, table.schema, compression="zstd", use_compliant_nested_type=True)
        writer.write_table(table, row_group_size=ROW_GROUP)
    if writer:
        writer.close()
    return sink.getvalue()


def read_counts(content: bytes) -> dict[str, int]:
    """Sum over the blocks of every count in truth/dirt.parquet."""
    frame = pl.DataFrame(pl.from_arrow(pq.read_table(pa.BufferReader(content)))).drop("block")
    return {name: int(frame[name].sum()) for name in frame.columns}


def part_name(settings: SimulationSettings, folder: str, number: int, suffix: str) -> str:
    """Name of a block's file in a folder."""
    return f"{folder}/part-{number:05d}-of-{settings.blocks:05d}.{suffix}"


def block_files(settings: SimulationSettings, catalog: SimulatedCatalog, number: int, form: str) -> dict[str, bytes]:
    """The files one block makes: its two logs, and under parts/ its share of every merged table."""
    block = simulate_block(settings, catalog, number)
    files = {}
    broken = {"broken": 0, "broken_late": 0}
    for folder, rows, kind in (("listens", block.log, "broken"), ("listens-late", block.late, "broken_late")):
        if form == "csv":
            content, broken[kind] = csv_lines(settings, rows, late=kind == "broken_late")
        else:
            content = parquet_bytes(rows.select(*COLUMNS))
        files[part_name(settings, folder, number, form)] = content
    counts = {"block": number, **block.counts, **broken, "rows": block.log.height, "rows_late": block.late.height}
    tables = (block.listeners, block.feedback, block.impressions, block.blends, block.truth, pl.DataFrame([counts]))
    for name, table in zip(MERGED, tables, strict=True):
        files[part_name(settings, f"parts/{name}", number, "parquet")] = parquet_bytes(table)
    return files


def world_files(settings: SimulationSettings, catalog: SimulatedCatalog, form: str) -> dict[str, bytes]:
    """The files that do not depend on listeners: mapping, catalog and its truth."""
    model = {
        "affinity": "log(sum_k w_k exp(beta <u_k, v_t>)) / beta + appeal * appeal_t, "
        "w = softmax(log_weights + drift * (day - middle_day) / drift_days)",
        "beta": tastes.BETA,
        "appeal": tastes.APPEAL,
        "drift_days": tastes.DRIFT_DAYS,
        "middle_day": settings.days / 2,
        "centre": listening.CENTRE,
        "scale": listening.SCALE,
        "settings": settings.model_dump(mode="json"),
    }
    return {
        "mapping.yaml": mapping_yaml(form).encode(),
        "tracks.parquet": parquet_bytes(tracks_frame(settings, catalog)),
        "truth/tracks.parquet": parquet_bytes(true_tracks_frame(catalog)),
        "truth/artists.parquet": parquet_bytes(true_artists_frame(catalog)),
        "truth/model.json": (json.dumps(model, indent=2) + "\n").encode(),
    }


def mapping_yaml(form: str) -> str:
    """The mapping file for ingest: our column <- column of the log."""
    lines = ["columns:", *(f"  {ours}: {theirs}" for ours, theirs in MAPPING.items()), "time: unix_ms"]
    if form == "csv":
        lines += ['delimiter: ","', "header: true"]
    return "\n".join(lines) + "\n"
