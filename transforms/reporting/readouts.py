"""A readout in words: a table a treatment, for the terminal and the report.

>>> readout_lines(pl.DataFrame(schema={"experiment": pl.String}), date(2026, 1, 1))
['nothing to read through 2026-01-01: fewer than two arms have exposed listeners']
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl

WORDS = {
    "plays": "recordings heard",
    "active_days": "days active",
    "plays_attributed": "heard from a shelf",
    "saves": "saves",
    "skip_share": "share of plays skipped",
    "attributed_skip_share": "share skipped, from shelves",
}
ROLES = ("success", "guardrail", "watched")
LONG = re.compile(r"(?P<metric>[a-z_]+?)_(?P<days>\d+)(?P<seen>_seen)?")  # long-term metrics, implied or seen


def readout_lines(rows: pl.DataFrame, through: date) -> list[str]:
    """Lines of text: the decision first, then every metric with its interval.

    Args:
        rows: of table `readouts`, one experiment.
    """
    if rows.is_empty():
        return [f"nothing to read through {through}: fewer than two arms have exposed listeners"]
    out = []
    for (experiment, arm), part in rows.group_by("experiment", "arm", maintain_order=True):
        first = part.row(0, named=True)
        out.append(f"{experiment}, arm {arm}, through {through}: {first['decision'].upper()}: {first['why']}")
        out.append(f"  {first['n']:,} exposed listeners; dealt as planned: p = {first['sample_ratio_p']:.2g}")
        decided = part.filter(pl.col("role").is_in(ROLES))
        order = decided.with_columns(_at=pl.col("role").replace_strict({r: n for n, r in enumerate(ROLES)})).sort(
            "_at", "metric"
        )
        for row in order.iter_rows(named=True):
            change = f" ({row['difference'] / row['base']:+.1%})" if row["base"] else ""
            out.append(
                f"  {row['role']:9} {WORDS.get(row['metric'], row['metric']):28} {row['base']:9.4g} to {row['mean']:9.4g}  "
                f"{row['difference']:+.4g}{change}, {row['low']:+.4g} to {row['high']:+.4g}, p = {row['p']:.2g}: {row['verdict']}"
            )
        for row in part.filter(~pl.col("role").is_in(ROLES)).sort("metric").iter_rows(named=True):
            out += _long(row)
    return out


def _long(row: Mapping[str, Any]) -> list[str]:
    """What the early days imply for the long term, or what it was; with how far off such an implication is."""
    long_term = LONG.fullmatch(row["metric"])
    name = (
        row["metric"]
        if long_term is None
        else f"{WORDS.get(long_term['metric'], long_term['metric'])} in {long_term['days']} days"
    )
    change = f" ({row['difference'] / row['base']:+.1%})" if row["base"] else ""
    knows = f", explains {row['explained']:.0%} of what listeners differ in" if row["role"] == "implied" else ""
    return [
        f"  {row['role']:9} {name:28} {row['base']:9.4g} to {row['mean']:9.4g}  "
        f"{row['difference']:+.4g}{change}, {row['low']:+.4g} to {row['high']:+.4g}: {row['verdict']}; "
        f"{row['n']:,} listeners{knows}",
        f"            {row['why']}",
    ]
