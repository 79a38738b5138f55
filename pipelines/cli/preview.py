"""A preview: some shelves or some listeners of a night, scored with what stands there, for somebody to look at.

It folds no date, fits nothing and commits nothing, so no table moves and no date closes: it is what a shelf in the settings would
look like, with the library of the night and the models and ranker of the fit date. Its rows stand in the folders of runs that
no manifest names, which `clean --abandoned` deletes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import click
import polars as pl

from pipelines.recommender.champion import is_bootstrap
from pipelines.runtime.identity import ids_of_file, known_as
from pipelines.runtime.progress import stage
from transforms.common.errors import UserError
from transforms.tables.as_of import as_of
from transforms.tables.runs import Run
from transforms.tables.warehouse import Warehouse

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

SHOWN = 3


def preview(
    warehouse: str,
    day: date,
    fit: date,
    settings: Settings,
    *,
    shelves: Sequence[str] = (),
    listeners_file: str | None = None,
    pseudonym_key_file: str | None = None,
    greedy: bool = False,
    against: bool = False,
    beam_args: Sequence[str] = (),
) -> None:
    """Score and print a preview.

    Args:
        against: also print what differs from the stored night, by shelf and for the listeners who are shown.

    Raises:
        UserError: nothing is stored to compare with, a shelf that the settings do not have, a fit date later than the night, the
            date is not folded, there are no models of the fit date, or the file names nobody who is known.
    """
    if fit > day:
        raise UserError(f"--fit-date {fit} is later than the night {day}; a night may only learn from its past")
    if not set(shelves) <= {s.shelf_id for s in settings.shelves.shelves}:
        offered = ", ".join(s.shelf_id for s in settings.shelves.shelves)
        raise UserError(f"unknown shelf among {', '.join(shelves)}; the settings have: {offered}")
    opened = Warehouse(warehouse)
    require_made(opened, day, fit)
    if against and opened.current("shelves", day) is None:
        raise UserError(f"--against compares with the stored night, and there are no shelves of {day}; leave it out")
    asked = list(
        dict.fromkeys(known_as(warehouse, ids_of_file(listeners_file), pseudonym_key_file) if listeners_file else [])
    )
    known = known_among(opened, asked, day)
    if asked:
        known_of = f"{len(known):,} of {len(asked):,} listeners are known"
        if not known:
            raise UserError(
                f"{known_of} on {day}; expected ids as they came with the log, one a line (with pseudonyms, and their key)"
            )
        click.echo(known_of)
    from pipelines.recommender.night import Asked
    from pipelines.score import score

    with stage(f"preview {day}") as at:
        runs = score(
            warehouse,
            day,
            settings=settings,
            asked=Asked(fit, greedy=greedy, shelves=shelves, only=known),
            beam_args=beam_args,
        )
        made = {run.table: rows_of(opened, run) for run in runs}
        at.rows(made["shelves"].height)
    for run in runs:
        click.echo(f"preview, not committed: {warehouse}/{run.folder} ({made[run.table].height:,} rows)")
    _print(opened, day, made["shelves"], known)
    if against:
        _print_changes(opened, day, made["shelves"], known)


def require_made(warehouse: Warehouse, day: date, fit: date) -> None:
    """Refuse a preview of what no night has made.

    Raises:
        UserError: the date is not folded, or there are no models of the fit date.
    """
    if warehouse.current("library", day) is None:
        folded = warehouse.newest("library", day)
        other = f", or preview {folded.date}, the newest night before it that is folded" if folded else ""
        raise UserError(
            f"a preview uses what a night has made, and {day} is not folded; make it with `nightshelf run --date {day}`{other}"
        )
    if warehouse.current("models", fit) is None or is_bootstrap(warehouse, fit):
        usable = [d for d in warehouse.dates("models") if d <= day and not is_bootstrap(warehouse, d)]
        other = f", or score it by an earlier night's with --fit-date {usable[-1]}" if usable else ""
        raise UserError(
            f"a preview uses what a night has made, and there are no models of {fit}; make them with "
            f"`nightshelf run --date {fit}`{other}"
        )


def known_among(warehouse: Warehouse, asked: Sequence[str], day: date) -> list[str]:
    """Those of some listeners whom a night scores: who is in its library or had joined by then, in the order asked."""
    from pipelines.cli.show import of_listeners

    if not asked:
        return []
    who, past = ["listener_id"], as_of(warehouse.url, day)
    found = {one for part in past.library() for one in of_listeners(warehouse, part, asked, who)["listener_id"]}
    listeners = past.listeners()
    if listeners is not None:
        rows = of_listeners(warehouse, listeners, asked, [*who, "joined_on"])
        found |= set(rows.filter((pl.col("joined_on") <= day).fill_null(True))["listener_id"]) if rows.height else set()
    return [one for one in asked if one in found]


def rows_of(warehouse: Warehouse, run: Run) -> pl.DataFrame:
    """The rows of a run that was not committed, in the order of its files."""
    paths = [path for path in warehouse.store.paths(run.folder) if path.endswith(".parquet")]
    frames = [pl.DataFrame(pl.from_arrow(warehouse.open_parquet(path).read())) for path in paths]
    return pl.concat(frames, how="diagonal") if frames else pl.DataFrame()


def _print(warehouse: Warehouse, day: date, shelves: pl.DataFrame, known: Sequence[str]) -> None:
    """A line a shelf, and the shelves of the first listeners of the file, who are named by their place in it."""
    from rich.console import Console

    from pipelines.cli.show import shelf_tables

    if not shelves.height:
        return
    counted = shelves.group_by("shelf_id", "status").len().sort("shelf_id", "status")
    for (shelf,), parts in counted.group_by("shelf_id", maintain_order=True):
        known_of = ", ".join(f"{number:,} {status}" for _, status, number in parts.iter_rows())
        click.echo(f"{shelf}: {known_of}")
    console = Console()
    for number, who in enumerate(known[:SHOWN], start=1):
        click.echo(f"\nlistener {number} of {len(known):,} who are known")
        for table in shelf_tables(warehouse, day, shelves.filter(pl.col("listener_id") == who)):
            console.print(table)


def _print_changes(warehouse: Warehouse, day: date, now: pl.DataFrame, known: Sequence[str]) -> None:
    """What differs from the stored night: a line a shelf, and the tracks that came and went for the listeners shown."""
    from pipelines.cli.show import of_listeners, titles
    from transforms.common.printable import plain
    from transforms.shelves.difference import by_shelf, changes

    manifest = warehouse.need("shelves", day)
    columns = ["listener_id", "shelf_id", "status", "items"]
    stored = of_listeners(warehouse, manifest, known, columns) if known else warehouse.read_manifest(manifest, columns)
    if not stored.height or not now.height:
        return
    changed = changes(stored, now.select(columns))
    click.echo(f"\nbeside the stored night (version {manifest.version}):")
    for shelf, listeners, other, status, came in by_shelf(changed).iter_rows():
        known_of = f", {status:,} have another status" if status else ""
        click.echo(
            f"{shelf}: {other:,} of {listeners:,} listeners see another shelf{known_of}; {came:.1f} items came a listener"
        )
    lists = pl.col("came").list.len() + pl.col("went").list.len() > 0
    for number, who in enumerate(known[:SHOWN], start=1):
        mine = changed.filter((pl.col("listener_id") == who) & lists)
        if not mine.height:
            continue
        both = pl.concat([frame.filter(pl.col("listener_id") == who) for frame in (stored, now.select(columns))])
        names = titles(warehouse, day, both.with_columns(spares="items"))
        click.echo(f"\nlistener {number} of {len(known):,} who are known")
        for shelf, came, went in mine.select("shelf_id", "came", "went").iter_rows():
            click.echo(f"  {shelf}")
            for sign, tracks in (("+", came), ("-", went)):
                for track in tracks:
                    click.echo(f"    {sign} {plain(names.get(track, track))}")
