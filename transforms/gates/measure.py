"""What the gates look at, counted in a chunk: sums of integers, so that chunks, shards and batches add up in any order.

    >>> add([{"rows": 2}, {"rows": 3, "null country": 1}])
    {'null country': 1, 'rows': 5}

Examples are of tracks and shelves, never of listeners: at most three a chunk and kind.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl

from transforms.common.typed_names import NullsOf, ScoreBin, ShelfStatus
from transforms.gates.moving import watched_listens
from transforms.signals.declared import NUMBER, TEXT

BINS_A_UNIT = 8
EXAMPLES = 3
Counts = dict[str, int]


def add(parts: Iterable[Mapping[str, int]]) -> Counts:
    """Sum of counts, by name."""
    total: Counts = {}
    for part in parts:
        for name, n in part.items():
            total[name] = total.get(name, 0) + int(n)
    return dict(sorted(total.items()))


@dataclass(frozen=True)
class Measured:
    """Counts by name, and examples of what looks wrong by kind."""

    counts: Counts = field(default_factory=dict)
    examples: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def dumps(self) -> str:
        """As JSON, to travel through a pipeline."""
        return json.dumps([self.counts, self.examples], sort_keys=True)

    @classmethod
    def loads(cls, text: str | bytes) -> Measured:
        """Back from `dumps`."""
        counts, examples = json.loads(text)
        return cls(counts, {kind: tuple(shown) for kind, shown in examples.items()})

    @classmethod
    def total(cls, parts: Iterable[Measured]) -> Measured:
        """Counts added up, the first few examples of each kind; the same in any order of parts."""
        known = list(parts)
        kinds = sorted({k for p in known for k in p.examples})
        shown = {k: tuple(sorted({e for p in known for e in p.examples.get(k, ())})[:EXAMPLES]) for k in kinds}
        return cls(add(p.counts for p in known), shown)


def listens(rows: pl.DataFrame) -> Counts:
    """Rows, nulls of every column that may hold them, and what is watched of them.

    A signal's nulls are told where there are none, too, which says that the signal was there.
    """
    counted = {name: rows[name].null_count() for name in rows.columns}
    nulls = {str(NullsOf(name)): n for name, n in counted.items() if n or name.startswith((NUMBER, TEXT))}
    return {"rows": rows.height, **nulls, **watched_listens(rows)}


def inputs(chunk: Mapping[str, pl.DataFrame], day: date, known: pl.Series) -> Measured:
    """Who a chunk's listeners are, and what of the night's date the models can work with.

    Args:
        chunk: listeners, library, sessions.
        day: the night.
        known: tracks that candidates are drawn from.

    Returns:
        `roster`, `active` (played on the date), `plays`, `repeated plays`, `unknown plays`; examples `unknown`.
    """
    joined = pl.col("joined_on").is_null() | (pl.col("joined_on") <= day)
    ids = [chunk["listeners"].filter(joined), chunk["library"], chunk["sessions"]]
    roster = pl.concat([f.select("listener_id") for f in ids])["listener_id"].n_unique()
    today = chunk["sessions"].filter(pl.col("started_at").dt.date() == day).select("listener_id", "tracks")
    plays = today.filter(pl.col("tracks").list.len() > 0).explode("tracks")
    plays = plays.select("listener_id", pl.col("tracks").struct.field("track_id", "started_at"))
    tracks = plays["track_id"]
    unknown = tracks.filter(~tracks.is_in(known.implode()))
    most = unknown.value_counts().sort("count", "track_id", descending=[True, False])["track_id"]
    counts = {"roster": roster, "active": today["listener_id"].n_unique(), "plays": plays.height}
    counts["repeated plays"] = plays.height - plays.select("listener_id", "track_id", "started_at").n_unique()
    counts["unknown plays"] = len(unknown)
    return Measured(counts, {"unknown": tuple(f"track {t}" for t in most.head(EXAMPLES))} if len(most) else {})


def shelves(rows: pl.DataFrame, earlier: pl.DataFrame | None, day: date, shard: int) -> Measured:
    """What stands on the shelves, and how much of it stood there before.

    Args:
        rows: table `shelves` of some listeners.
        earlier: table `shelves` of the night before, of the same listeners or more; None = there is none.
        day: the night.
        shard: where, for the examples.

    Returns:
        `listeners`, `rows`, `repeated rows`; by shelf `status <shelf> <status>`; `items`, `null items`,
        `repeated items`, `scoreless items`; `chosen items` and `carried items` of personal shelves that have an
        earlier row, and of those `same chosen items`, `same carried items`.
    """
    key = ["listener_id", "shelf_id"]
    status = rows.group_by("shelf_id", "status").len().sort("shelf_id", "status")
    counts: Counts = {str(ShelfStatus(shelf, state)): n for shelf, state, n in status.iter_rows()}
    counts |= {"listeners": rows["listener_id"].n_unique(), "rows": rows.height}
    counts["repeated rows"] = rows.height - rows.select(key).n_unique()
    items = _items(rows)
    counts["items"] = items.height
    counts["null items"] = items["track_id"].null_count()
    again = items.select(*key, "track_id").is_duplicated()
    counts["repeated items"] = items.height - items.select(*key, "track_id").n_unique()
    scoreless = items["score"].fill_nan(None).is_null() & (items["status"] == "personal")
    counts["scoreless items"] = int(scoreless.sum())
    wrong = {"repeated items": again, "scoreless items": scoreless}
    examples = {
        kind: tuple(f"shelf {s} in shard {shard}" for s in items.filter(mask)["shelf_id"].unique().sort()[:EXAMPLES])
        for kind, mask in wrong.items()
        if mask.any()
    }
    if earlier is not None and earlier.height:
        counts |= _overlap(items.filter(pl.col("status") == "personal"), earlier, day)
    return Measured(counts, examples)


def removed(rows: pl.DataFrame) -> Measured:
    """How many tracks each rule kept off each shelf: `removed <shelf> <rule>`, of table `removed`."""
    counted = rows.group_by("shelf_id", "rule").agg(pl.col("removed").sum()).sort("shelf_id", "rule")
    return Measured({f"removed {shelf} {rule}": int(n) for shelf, rule, n in counted.iter_rows()})


def removed_by_shelf(counts: Mapping[str, int | float]) -> dict[str, list[tuple[str, int]]]:
    """By shelf what each rule removed, most first, of a night's counts.

    >>> removed_by_shelf({"removed on-repeat heard": 7, "removed on-repeat artist_cap": 9, "rows": 3})
    {'on-repeat': [('artist_cap', 9), ('heard', 7)]}
    """
    out: dict[str, list[tuple[str, int]]] = {}
    for name, number in counts.items():
        kind, _, rest = name.partition(" ")
        shelf, _, rule = rest.partition(" ")
        if kind == "removed" and rule:
            out.setdefault(shelf, []).append((rule, int(number)))
    return {shelf: sorted(found, key=lambda one: (-one[1], one[0])) for shelf, found in sorted(out.items())}


def _items(rows: pl.DataFrame) -> pl.DataFrame:
    """One row an item: listener_id, shelf_id, status, refresh_date, track_id, score."""
    wide = rows.select("listener_id", "shelf_id", "status", "refresh_date", "items").filter(
        pl.col("items").list.len() > 0
    )
    return wide.explode("items").select(
        pl.exclude("items"),
        track_id=pl.col("items").struct.field("track_id"),
        score=pl.col("items").struct.field("score").cast(pl.Float64),
    )


def _overlap(items: pl.DataFrame, earlier: pl.DataFrame, day: date) -> Counts:
    key = ["listener_id", "shelf_id"]
    before = _items(earlier.filter(pl.col("status") == "personal")).select(*key, "track_id").unique()
    held = items.join(before.select(key).unique(), on=key, how="semi")
    same = held.join(before, on=[*key, "track_id"], how="semi")
    out: Counts = {}
    for prefix, frame in (("", held), ("same ", same)):
        fresh = int((frame["refresh_date"] == day).sum())
        out |= {f"{prefix}chosen items": fresh, f"{prefix}carried items": frame.height - fresh}
    return out


def scores(candidates: pl.DataFrame, kind: str, shard: int) -> Measured:
    """How the ranker's scores are spread.

    Args:
        candidates: ranker_score, track_id.
        kind: of ranker; scores of two kinds are on two scales.
        shard: where, for the examples.

    Returns:
        `scores`, `not finite`, and `score <kind> <bin>`: bins of 1/8 of asinh(score), even around 0, logarithmic away.
    """
    values = candidates["ranker_score"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    finite = np.isfinite(values)
    bins, n = np.unique(np.floor(np.arcsinh(values[finite]) * BINS_A_UNIT).astype(np.int64), return_counts=True)
    spread = {str(ScoreBin(kind, b)): c for b, c in zip(bins.tolist(), n.tolist(), strict=True)}
    bad = candidates.filter(pl.Series(~finite, dtype=pl.Boolean))["track_id"].unique().sort()[:EXAMPLES]
    examples = {"not finite": tuple(f"track {t} in shard {shard}" for t in bad)} if len(bad) else {}
    return Measured({"scores": len(values), "not finite": int((~finite).sum()), **spread}, examples)
