"""What listeners did with what was shown, read from table `evaluation`: open slots by policy, arms of an experiment.

>>> policy_tables(None), arm_tables(None)
([], [])
"""

from __future__ import annotations

from typing import Any

import polars as pl

from transforms.metrics.policies import LEAST_EFFECTIVE
from transforms.reporting.charts import number

POLICY, ARM = "policy:", "arm:"
ESTIMATES = ("mean", "snips", "ips", "dr")
KINDS = (*ESTIMATES, *(f"shelf {kind}" for kind in ESTIMATES))  # a slot by itself; all open slots of a shelf together
REWARDS = ("listened", "attributed", "saved")
METRIC_WORDS = {
    "plays": "recordings heard",
    "active_days": "days active",
    "placed_heard": "placed tracks heard",
    "new_placed_heard": "placed and new, heard",
    "attributed": "heard from a shelf",
    "saved": "placed tracks saved",
}


def policy_tables(evaluation: pl.DataFrame | None) -> list[dict[str, Any]]:
    """A table a shelf: `words`, `slots`, `rewards` (names) and `rows`; all shelves together only where there are several.

    A row has policy, estimator, cells and effective slots; with `nothing` it has a sentence for cells, since too few
    slots speak of that policy.
    """
    if evaluation is None:
        return []
    mine = evaluation.filter(pl.col("model").str.starts_with(POLICY))
    segments = sorted(set(mine["segment"]), key=lambda s: (s != "all", s))
    out = []
    for segment in segments[1:] if len(segments) == 2 else segments:
        part = mine.filter(segment=segment)
        by = {(r["model"], r["metric"]): r for r in part.iter_rows(named=True)}
        rewards = [w for w in REWARDS if any(metric.endswith(f" {w}") for _, metric in by)]
        rows = []
        for model in sorted(set(part["model"]), key=lambda m: (m != f"{POLICY}logged", m)):
            rows += _policy(model, by, rewards)
        words = "All shelves" if segment == "all" else segment.removeprefix("shelf ")
        out.append({"words": words, "slots": int(max(part["n"].to_list())), "rewards": rewards, "rows": rows})
    return out


def _policy(model: str, by: dict[tuple[str, str], dict[str, Any]], rewards: list[str]) -> list[dict[str, Any]]:
    """The rows of a policy: one an estimator, or one that says why there is none."""
    effective = by.get((model, "effective slots"))
    left = f"{effective['value']:,.1f}" if effective else "–"
    name = model.removeprefix(POLICY)
    if effective and effective["value"] < LEAST_EFFECTIVE:
        return [{"name": name, "kind": "–", "cells": [], "left": left, "nothing": _nothing(effective["value"])}]
    found = [(kind, [_cell(by.get((model, f"{kind} {w}"))) for w in rewards]) for kind in KINDS]
    return [
        {"name": name, "kind": kind, "cells": cells, "left": left, "nothing": ""}
        for kind, cells in found
        if any(value != "–" for value, _ in cells)
    ]


def _nothing(effective: float) -> str:
    """Why a policy has no estimate."""
    if not effective:
        return "cannot be told: no slot was drawn that this policy would draw"
    return f"cannot be told: the slots that this policy would draw are worth fewer than {LEAST_EFFECTIVE:g} draws"


def arm_tables(evaluation: pl.DataFrame | None) -> list[dict[str, Any]]:
    """A table an experiment: `name`, `control`, `arms` (names with listeners) and `rows` (metric, cells an arm)."""
    if evaluation is None:
        return []
    mine = evaluation.filter(pl.col("model").str.starts_with(ARM))
    out = []
    for name in sorted(set(mine["segment"])):
        part = mine.filter(segment=name)
        by = {(r["model"], r["metric"], r["versus"] is not None): r for r in part.iter_rows(named=True)}
        controls = set(part["versus"].drop_nulls())
        arms = sorted(set(part["model"]), key=lambda arm: (arm not in controls, arm))
        rows = []
        for metric, words in METRIC_WORDS.items():
            cells = [(_cell(by.get((arm, metric, False))), _cell(by.get((arm, metric, True)), True)) for arm in arms]
            if any(value != "–" for (value, _), _ in cells):
                rows.append({"words": words, "cells": cells})
        heads = [
            (arm.removeprefix(ARM), max(r["n"] for (m, _, vs), r in by.items() if m == arm and not vs)) for arm in arms
        ]
        control = next(iter(sorted(controls)), "").removeprefix(ARM)
        out.append({"name": name, "control": control, "arms": heads, "rows": rows})
    return out


def _cell(row: dict[str, Any] | None, signed: bool = False) -> tuple[str, str]:
    """A value and its interval as words; a dash where there is none."""
    if row is None:
        return "–", ""
    span = f"{number(row['low'], signed)} to {number(row['high'], signed)}" if row["low"] is not None else ""
    return number(row["value"], signed), span
