"""A stored night's whole lists and what became of them, shard by shard: in memory is one chunk of listeners at a time.

    counted(warehouse, night)                   how many lists were kept whole, and their rows
    for candidates, outcomes in whole_lists(warehouse, night, outcome, horizon=7, share=.2, seed=1): ...

A list is a listener's candidates of a night, kept whole for a hashed share of listeners (`transforms.common.sample`). A share of
them is taken of whole shards first, since these are hashes of listeners too, and by listener only in what is left of the share:
so a large night is not read to the end for a sample of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

import polars as pl

from transforms.common.sample import in_sample
from transforms.tables.chunks import read_chunks
from transforms.tables.manifest import Heading
from transforms.tables.specs import a_few, specs
from transforms.tables.warehouse import Warehouse

Also = Callable[[pl.DataFrame, date], pl.DataFrame]  # candidates of a night and its date -> them with more columns
LABELS = ("listened", "completed", "saved", "returned")
REWARDED = ("skipped", "adopted")  # of rewards alone; the rankers' own heads do not learn them
_OUTCOME = (
    *("night", "horizon", "listener_id", "track_id", "stage", "origin", "rank", "propensity", "heard_before"),
    *LABELS,
    *REWARDED,
)
_STORED = ("listener_id", "track_id", "heard_before", "inclusion", "stage")


@dataclass(frozen=True)
class Counted:
    """Whole lists of a night, and the candidates on them."""

    lists: int
    rows: int


def counted(warehouse: Warehouse, night: Heading) -> Counted:
    """How many lists a night kept whole: exact of up to `FEW` shards, beyond what so many of them say of all."""
    every = specs(warehouse, night.shards, {"candidates": [night]})
    looked_at = a_few(every)
    lists = rows = 0
    for spec in looked_at:
        for chunk in read_chunks(spec, {"candidates": ("listener_id", "stage")}):
            found = chunk["candidates"]
            whole = found.filter(pl.col("stage") == "candidate").select("listener_id").unique()
            lists += whole.height
            rows += found.join(whole, on="listener_id", how="semi").height
    return Counted(*(n * night.shards // len(looked_at) for n in (lists, rows)))


def whole_lists(
    warehouse: Warehouse,
    night: Heading,
    outcome: Heading,
    horizon: int,
    share: float = 1.0,
    seed: int = 0,
    also: Also | None = None,
    features: bool = True,
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """The candidates on a share of a night's whole lists, and everything of these listeners in its outcomes.

    Args:
        share: of the lists, by hash of the listener.
        also: adds columns to the candidates.
        features: read the ranker's features; they are most of a list.

    Yields:
        Rows of table `candidates` with the ranker's features, and rows of table `outcomes` of the night and horizon, one a
        listener and track; each a chunk of listeners, in the order of shards and listeners.
    """
    every = specs(warehouse, night.shards, {"candidates": [night], "outcomes": [outcome]})
    taken = every[: max(1, math.ceil(share * night.shards))]
    named = features_of(warehouse, night) if features else ()
    columns = {"candidates": (*_STORED, *named), "outcomes": _OUTCOME}
    for chunk in (chunk for spec in taken for chunk in read_chunks(spec, columns)):
        rows, became = chunk["candidates"], chunk["outcomes"]
        # what nobody placed was kept of whole lists only
        whole = rows.filter(pl.col("stage") == "candidate").group_by("listener_id").agg(kept=pl.col("inclusion").min())
        if share < 1:
            within = share * night.shards / len(taken)
            whole = whole.filter(in_sample(whole["listener_id"], within * whole["kept"].to_numpy(), seed))
        people = whole.select("listener_id")
        mine = rows.drop("stage").join(people, on="listener_id", how="semi", maintain_order="left")
        became = (
            became.filter((pl.col("night") == night.date) & (pl.col("horizon") == horizon))
            .join(people, on="listener_id", how="semi", maintain_order="left")
            .unique(["listener_id", "track_id"], keep="first", maintain_order=True)
        )
        yield (mine if also is None or not mine.height else also(mine, night.date)), became


def features_of(warehouse: Warehouse, night: Heading) -> list[str]:
    """The features that a night's candidates have; a night is made by one code, so any of its files tells."""
    first = next((file.path for file in warehouse.whole(night).files if file.rows), None)
    names = warehouse.open_parquet(first).schema_arrow.names if first else []
    return [name for name in names if name.startswith("f_")]
