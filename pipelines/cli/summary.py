"""What a command made, in a few lines at its end: a night's shelves by status, an evaluation's ranker beside what it must beat.

    night 2026-01-24: 200 listeners, made in 1 min 40 s
      shelf             personal  fallback  empty
      discover-weekly        180        20      0
    next  nightshelf show LISTENER --why   (ids to try: nightshelf listeners --sample 5)

Everything is read from manifests and table `evaluation`, so a summary costs nothing whatever the audience.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl

from pipelines.recommender import preference, promotion
from pipelines.recommender.champion import note_of
from transforms.tables.manifest import made_from
from transforms.tables.warehouse import Warehouse

STATUSES = ("personal", "fallback", "empty")
FEW = 10  # listeners below which an interval by listener says nothing
EVALUATED = (("unheard", "new to them"), ("repeat", "heard before"))


def statuses(counts: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Listeners by shelf and status, of what a night measured.

    >>> statuses({"status on-repeat personal": 7, "rows": 9})
    {'on-repeat': {'personal': 7}}
    """
    found: dict[str, dict[str, int]] = {}
    for name, n in counts.items():
        kind, _, rest = name.partition(" ")
        if kind == "status":
            shelf, _, status = rest.rpartition(" ")
            found.setdefault(shelf, {})[status] = n
    return found


def of_night(warehouse: Warehouse, day: date, took: str) -> dict[str, Any]:
    """Listeners, shelves by status and what its models and ranker have to say, of a committed night made in `took`."""
    manifest = warehouse.need("shelves", day)
    counts: dict[str, int] = manifest.extra.get("measured", {}).get("counts", {})
    blends = warehouse.current("blend_shelves", day)
    shelves = statuses({**counts, **(blends.extra if blends else {})})
    when = made_from(manifest, "rankers")
    ranker = warehouse.current("rankers", when) if when else None
    note = promotion.sentence(ranker.extra) if ranker else None
    facts = {"night": str(day), "listeners": counts.get("listeners", 0), "took": took, "shelves": shelves}
    said = {"models": note_of(warehouse, manifest), "decoder": preference.note_of(warehouse, manifest), "ranker": note}
    return facts | {name: words for name, words in said.items() if words}


def night_lines(made: Mapping[str, Any], warehouse: str) -> list[str]:
    """`of_night` for people, with the command that comes next."""
    shelves: dict[str, dict[str, int]] = made["shelves"]
    width = max([5, *(len(shelf) for shelf in shelves)])
    head = "  ".join(f"{status:>8}" for status in STATUSES)
    rows = [
        f"  {shelf:<{width}}  " + "  ".join(f"{by.get(status, 0):>8,}" for status in STATUSES)
        for shelf, by in shelves.items()
    ]
    where = "" if warehouse == "./warehouse" else f" --warehouse {warehouse}"
    return [
        f"night {made['night']}: {made['listeners']:,} listeners, made in {made['took']}",
        f"  {'shelf':<{width}}  {head}",
        *rows,
        *(f"{name}  {made[name]}" for name in ("models", "decoder", "ranker") if made.get(name)),
        f"next  nightshelf show LISTENER --why{where}   (ids to try: nightshelf listeners --sample 5{where})",
    ]


def of_evaluation(warehouse: Warehouse, day: date) -> dict[str, Any]:
    """By target the ranker's NDCG@50, the baseline it must beat, and the paired difference, each with its interval."""
    rows = warehouse.read("evaluation", day).filter(metric="ndcg@50", segment="all")
    found: dict[str, Any] = {"night": str(day), "days": warehouse.need("evaluation", day).settings.get("days")}
    for target, _ in EVALUATED:
        own = rows.filter(target=target)
        alone = own.filter(pl.col("versus").is_null())
        # what every other model is compared with is the baseline that was chosen on an earlier origin
        chosen = own.filter(pl.col("versus").is_not_null() & (pl.col("model") != "ranker"))["versus"].unique().sort()
        best = chosen[0] if len(chosen) else None
        pair = own.filter(model="ranker", versus=best) if best else own.clear()
        found[target] = {
            "ranker": _value(alone.filter(model="ranker")),
            "blend": _value(alone.filter(model="blend")),
            "baseline": best,
            "of_baseline": _value(alone.filter(model=best)) if best else None,
            "difference": _value(pair),
        }
    return found


def _value(rows: pl.DataFrame) -> dict[str, float] | None:
    return rows.select("value", "low", "high", "n").row(0, named=True) if rows.height else None


def evaluation_lines(made: Mapping[str, Any], report: str) -> list[str]:
    """`of_evaluation` for people, and where the report is or how it is made."""
    out = [f"night {made['night']} against the {made['days']} days after it: NDCG@50, 95% intervals by listener"]
    for target, words in EVALUATED:
        found = made[target]
        if found["ranker"] is None:
            out.append(f"  {words}: nothing to find")
            continue
        out.append(f"  {words}, {found['ranker']['n']:,} listeners")
        out.append(f"    ranker      {_shown(found['ranker'])}")
        if found["baseline"]:
            out.append(f"    baseline    {_shown(found['of_baseline'])}  {found['baseline']}")
        if found["difference"]:
            verdict = _verdict(found["difference"])
            out.append(f"    difference  {_shown(found['difference'], signed=True)}  {verdict}")
    return [*out, f"report  {report}"]


def _shown(value: Mapping[str, float], signed: bool = False) -> str:
    mark = "+" if signed else ""
    between = "" if value["low"] is None else f" ({value['low']:{mark}.4f} to {value['high']:{mark}.4f})"
    return f"{value['value']:{mark}.4f}{between}"


def _verdict(value: Mapping[str, float]) -> str:
    if value["n"] < FEW:
        return "too few listeners to tell"
    if value["low"] is None or value["low"] <= 0 <= value["high"]:
        return "not told apart"
    return "the ranker is ahead" if value["low"] > 0 else "the ranker is behind"
