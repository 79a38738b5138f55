"""`nightshelf compare`: two nights, two rankers or two settings on the same listeners, paired."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.declare import DAY
from pipelines.cli.options import as_date, config_option, day_option, settings_of, standing_option
from transforms.common.errors import UserError

if TYPE_CHECKING:
    import polars as pl

    from pipelines.recommender.compared import Side

BLEND = "blend"


@click.command()
@day_option
@click.option("--with", "other", type=DAY, help="Another night, each against the days after it.")
@click.option("--with-warehouse", help="The night, or that of --with, as another warehouse has it.")
@click.option(
    "--ranker-of", help="The night's candidates as the ranker of this date orders them, or `blend`, the untrained sum."
)
@click.option(
    "--with-config", type=click.Path(), help="The night as these settings make it: scored anew, not committed."
)
@click.option("--days", type=click.IntRange(1, 28), default=7, show_default=True, help="Days after a night.")
@click.option(
    "--listeners",
    type=click.IntRange(1, 20_000),
    default=2000,
    show_default=True,
    help="With --with-config, listeners scored anew at most, by hash.",
)
@click.option("--json", "in_json", is_flag=True, help="One JSON object a line.")
@standing_option
@config_option
def compare(day: datetime, warehouse: str, config: str | None, in_json: bool, **o: Any) -> None:
    """Compare two nights, rankers or settings on the same listeners.

    What is compared with the night of --date is named by one of --with, --with-warehouse, --ranker-of, --with-config. Both are
    measured on the whole ranking, against what was listened to in the days after, and differences are paired by listener.
    """
    settings = settings_of(config)
    found, names, n = compared(warehouse, day.date(), settings, Against(**{**o, "other": as_date(o["other"])}))
    if in_json:
        for row in found.iter_rows(named=True):
            click.echo(json.dumps({**row, "of": {"a": names[0], "b": names[1]}}))
        return
    for line in lines_of(found, names, n):
        click.echo(line)


@dataclass(frozen=True)
class Against:
    """What a night is compared with, as the command's options name it."""

    other: date | None = None
    with_warehouse: str | None = None
    ranker_of: str | None = None
    with_config: str | None = None
    days: int = 7
    listeners: int = 2000


def compared(warehouse: str, day: date, settings: Any, against: Against) -> tuple[pl.DataFrame, tuple[str, str], int]:
    """The paired rows, the names of the two sides, and how many listeners both have.

    Raises:
        UserError: not one of the four kinds is asked for, a night is not stored, or nothing is logged after it.
    """
    from pipelines.recommender.compared import METRICS
    from transforms.evaluation.paired import side_by_side

    kinds = (against.other or against.with_warehouse, against.ranker_of, against.with_config)
    if sum(map(bool, kinds)) != 1:
        raise UserError(
            "say what the night is compared with, by one of --with DATE and --with-warehouse, --ranker-of, --with-config"
        )
    a, b = sides(warehouse, day, settings, against)
    of_a, of_b = a.rows, b.rows
    if against.ranker_of:  # the rest is the same on both sides
        of_a, of_b = (rows.filter(model="ranker") for rows in (of_a, of_b))
    found = side_by_side(of_a, of_b, METRICS, draws=settings.evaluation.draws, seed=settings.seed)
    both = of_a.join(of_b, on="listener_id", how="semi")["listener_id"].n_unique() if of_a.height and of_b.height else 0
    if not found.height:
        raise UserError(f"no listener is in both: {a.name} and {b.name}")
    return found, (a.name, b.name), both


def sides(warehouse: str, day: date, settings: Any, against: Against) -> tuple[Side, Side]:
    """What is compared, the night of the date first."""
    from pipelines.recommender import compared as kinds
    from transforms.common.sample import in_sample
    from transforms.tables.warehouse import Warehouse, standing

    night = kinds.stored(warehouse, day, against.days, settings)
    if against.ranker_of:
        fit = None if against.ranker_of == BLEND else _date(against.ranker_of)
        own = Warehouse(warehouse).need("shelves", day).settings.get("fit_date") or day.isoformat()
        now = kinds.reordered(
            night, kinds.ranker_of(warehouse, day, date.fromisoformat(own)), f"ranker of {own} on the night of {day}"
        )
        named = "untrained blend" if fit is None else f"ranker of {fit}"
        return now, kinds.reordered(night, kinds.ranker_of(warehouse, day, fit) if fit else None, named)
    if against.with_config:
        manifest = Warehouse(warehouse).need("shelves", day)
        who = night.rows["listener_id"].unique().sort()
        sample = who.filter(in_sample(who, min(1.0, against.listeners / max(1, len(who))), settings.seed))
        other_settings = settings_of(against.with_config)
        anew = kinds.remade(night, manifest, other_settings, sample, f"night of {day} by {against.with_config}")
        return night, anew
    where = against.with_warehouse or warehouse
    standing(where)
    at = f" in {where}" if against.with_warehouse else ""
    theirs = kinds.stored(where, against.other or day, against.days, settings, f"night of {against.other or day}{at}")
    return replace(night, name=f"night of {day}{f' in {warehouse}' if against.with_warehouse else ''}"), theirs


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(
            f"--ranker-of expects the date of a ranker as YYYY-MM-DD, or `{BLEND}`; found {text!r}"
        ) from None


def lines_of(found: pl.DataFrame, names: tuple[str, str], both: int) -> Iterator[str]:
    """The table for a terminal of 80 columns: rankings and shelves that both have, which of the two is ahead, by how much."""
    import polars as pl

    yield f"A  {names[0]}"
    yield f"B  {names[1]}"
    yield f"{both:,} listeners in both; A - B is paired by listener, with its 95% interval"
    yield "ahead  list, target, metric                     A     B difference"
    shown = found.filter((pl.col("metric") != "hit@10") & ~pl.col("model").str.starts_with("source:"))
    for row in shown.iter_rows(named=True):
        ahead = "A" if row["low"] > 0 else "B" if row["high"] < 0 else " "
        named = f"{row['model']} {row['target']} {row['metric']}"
        gap = f"{_short(row['difference'], True)} ({_short(row['low'], True)} to {_short(row['high'], True)})"
        yield f"{ahead}  {named:<39} {_short(row['a'])} {_short(row['b'])} {gap}"


def _short(value: float, signed: bool = False) -> str:
    """Four decimals, and no zero before them."""
    return f"{value:{'+' if signed else ''}.4f}".replace("0.", ".", 1)


COMMANDS = (compare,)
