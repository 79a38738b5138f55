"""The nights that close on a date, and a chunk of their listeners joined with what was logged since.

Which tables are read, what the log can tell at all, and the join of `transforms.outcomes.join` for each of several nights.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta
from functools import partial

import polars as pl

from transforms.common.errors import UserError
from transforms.common.typed_names import NewListens
from transforms.outcomes.join import Known, join_outcomes, with_recording
from transforms.outcomes.looks import looks
from transforms.tables.as_of import AsOf
from transforms.tables.chunks import Chunk
from transforms.tables.manifest import Heading
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse

COLUMNS = {
    "candidates": ("listener_id", "track_id", "heard_before", "stage", "inclusion", "ranker_rank"),
    "shelves": (
        *(
            "listener_id",
            "shelf_id",
            "surface",
            "version",
            "home_position",
            "home_context",
            "refresh_date",
            "valid_from",
            "valid_until",
        ),
        *("items", "spares"),
    ),
    "listens": ("listener_id", "track_id", "started_at", "ms_played", "skipped", "completed", "shelf_id"),
    "library": ("listener_id", "track_id", "heard", "saved"),
    "suspects": ("listener_id",),
}
DATED = ("candidates", "shelves", "library", "suspects")


def closing(past: AsOf, horizons: Collection[int]) -> dict[int, date]:
    """Horizon in days -> the stored night whose horizon closes on the view's date.

    Raises:
        UserError: no stored night closes then.
    """
    nights = {h: past.day - timedelta(h) for h in sorted(set(horizons))}
    nights = {h: night for h, night in nights.items() if past.current("candidates", night)}
    if not nights:
        raise UserError(
            f"no stored night closes on {past.day}; run a night some days before it, or choose a later date"
        )
    return nights


def tables_of(past: AsOf, nights: Mapping[int, date]) -> dict[str, list[Heading]]:
    """The manifests to read: the nights' own tables, and what was logged in the days after the earliest of them.

    `feedback` is there only if the log has any; without it, whether a track was saved cannot be known.
    """
    own = sorted(set(nights.values()))
    since = own[0] + timedelta(1)
    # a base is compacted from what came before it, so each night reads its own
    libraries = {m.run_id: m for n in own if past.current("library", n) for m in past.library(n)}
    found: dict[str, list[Heading]] = {
        "candidates": [past.need("candidates", n) for n in own],
        "shelves": [m for n in own if (m := past.current("shelves", n))],
        "library": list(libraries.values()),
        "listens": past.between("listens", since),
        "impressions": past.between("impressions", since),
        "suspects": past.between("suspects", since),
    }
    if past.holds("feedback"):
        found["feedback"] = past.between("feedback", since)
    return found


def read_of(past: AsOf, tables: Mapping[str, Sequence[Heading]]) -> list[Heading]:
    """What the version of the outcomes depends on: the tables, with a night's draws for its shelves where none was shown.

    An impression names the version of a row of shelves, so its version matters. Without any, only what was drawn does, which no
    shelf's title changes: neither the outcomes nor the ranker that learns from them are then made again for a title.
    """
    shown = any(m.rows for m in tables["impressions"])
    out = []
    for table, manifests in tables.items():
        for m in manifests:
            drawn = past.current("draws", m.date) if table == "shelves" and not shown else None
            out.append(drawn or m)
    return out


def what_log_knows(warehouse: Warehouse, listens: Sequence[Heading]) -> Known:
    """Whether any play says that it was completed or skipped, from the files' statistics alone."""
    said = dict.fromkeys(("completed", "skipped"), False)
    for entry in (f for m in listens for f in warehouse.whole(m).files if f.rows):
        meta = warehouse.open_parquet(entry.path).metadata
        where = {meta.schema.column(i).path: i for i in range(meta.num_columns)}
        for name in said:
            for group in range(meta.num_row_groups):
                part = meta.row_group(group)
                stats = part.column(where[name]).statistics
                said[name] |= stats is None or stats.null_count < part.num_rows
        if all(said.values()):
            break
    return Known(**said)


def recordings(warehouse: str, catalog: Heading | None) -> pl.DataFrame:
    """track_id, recording_id of a catalog; none where there is no catalog, so that every track stands for itself."""
    names = ["track_id", "recording_id"]
    if catalog is None:
        return pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    return Warehouse(warehouse).read_manifest(catalog, names)


def join_nights(
    chunk: Chunk, nights: Mapping[int, date], recordings: pl.DataFrame, known: Known, feedback: bool
) -> pl.DataFrame:
    """Rows of table `outcomes` of a chunk's listeners, horizon by horizon.

    Of a listener whose plays looked like a machine's on any date of a horizon there are none: nothing learns from them.

    Args:
        chunk: tables of `tables_of`, those of DATED with their `date`.
        nights: horizon in days -> night.
        recordings: track_id, recording_id.
        known: what the log can tell.
        feedback: whether the log has any; without it `saved` is null.
    """
    library = with_recording(chunk["library"].filter((pl.col("heard") > 0) | pl.col("saved")), recordings)
    shelved = set(chunk["shelves"]["date"].drop_nulls())
    made = []
    for horizon, night in nights.items():
        after = pl.col("date").is_between(night, night + timedelta(horizon), closed="right")
        machines = chunk["suspects"].filter(after).select("listener_id").unique()
        people = partial(_without, machines)
        made.append(
            join_outcomes(
                night,
                horizon,
                people(chunk["candidates"]).filter(pl.col("date") == night),
                people(chunk["listens"]),
                recordings,
                shelves=people(chunk["shelves"]).filter(pl.col("date") == night) if night in shelved else None,
                impressions=people(chunk["impressions"]),
                feedback=people(chunk["feedback"]) if feedback else None,
                heard=library.filter(pl.col("date") <= night),
                known=known,
            )
        )
    return pl.concat(made)


def looks_of(chunk: Chunk, nights: Mapping[int, date], horizon: int | None, visible: int | None) -> pl.DataFrame:
    """Rows of table `looks` of a chunk's listeners, of the night that a horizon looks at; none without such a night.

    Whoever was suspected of being a machine on a date of the horizon looks at nothing.
    """
    night = nights.get(horizon) if horizon is not None else None
    if night is None:
        return TABLES["looks"].empty()
    after = pl.col("date").is_between(night, night + timedelta(horizon or 0), closed="right")
    people = partial(_without, chunk["suspects"].filter(after).select("listener_id").unique())
    own = people(chunk["shelves"]).filter(pl.col("date") == night)
    return looks(night, horizon or 0, own, people(chunk["impressions"]), people(chunk["listens"]), visible)


def _without(machines: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    return frame.join(machines, on="listener_id", how="anti", maintain_order="left") if machines.height else frame


def new_listens(outcomes: pl.DataFrame) -> dict[str, int]:
    """How many candidates never heard were listened to, by horizon: what the ranker's chances are held against."""
    heard = outcomes.filter("listened", ~pl.col("heard_before"), pl.col("stage") != "missed")
    return {str(NewListens(days)): n for days, n in heard.group_by("horizon").len().sort("horizon").iter_rows()}
