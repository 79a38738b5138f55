"""`nightshelf show`: one listener's shelves in a terminal, and with `--why` where each item came from.

One shard's file is opened, and of it only the row groups that may hold the listener. `--why` adds, for every item, the
sources that found it with their ranks, the chance it was drawn with, and what moved its score: the ranker's
contributions, or the standardised source scores that the untrained blend sums.

    Discover Weekly (home 1, personal, chosen 2026-01-26)
      1  Roads · Portishead        0.83  because you played Teardrop
           found by als #3, co_sessions #12; moved by z_als +1.20, company +0.41, t_plays -0.10
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.cli.show_words import legend
from transforms.common.errors import UserError
from transforms.common.printable import plain
from transforms.shelves.reasons import sentence
from transforms.tables.chunks import shard_of
from transforms.tables.manifest import Heading, Manifest
from transforms.tables.row_groups import groups_holding
from transforms.tables.warehouse import Warehouse

Contributions = Callable[[pl.DataFrame], pl.DataFrame]
"""Candidates (rows with the ranker's features) -> the same rows, one float column a feature that moved the score."""

MOVED_BY = 5
RANKERS = "rankers@"


def show(
    warehouse: str,
    listener: str,
    *,
    shelf: str | None = None,
    why: bool = False,
    day: date | None = None,
    contributions: Contributions | None = None,
    console: Console | None = None,
) -> None:
    """Print one listener's shelves; with `why` also what its columns mean.

    Args:
        warehouse: folder or bucket URL.
        listener: id as it came from the source.
        shelf: only this shelf.
        why: also print where each item came from and what moved its score.
        day: the night; the newest when None.
        contributions: what moved a score; that of the night's ranker when None.
        console: where to print.

    Raises:
        UserError: no such night, listener or shelf.
    """
    opened = Warehouse(warehouse)
    console = console or Console()
    night, rows = shelves_of(opened, listener, shelf, day)
    names = titles(opened, night, rows)
    moved: set[str] = set()
    for row in rows.iter_rows(named=True):
        reasons = _explained(opened, row, listener, contributions) if why and row["items"] else {}
        console.print(_table(row, names, {track: one.words for track, one in reasons.items()}))
        console.print()
        moved |= {feature for one in reasons.values() for feature in one.moved}
    if why:
        for line in legend(moved):
            console.print(Text(line, style="dim"))


def shelves_of(
    warehouse: Warehouse, listener: str, shelf: str | None = None, day: date | None = None
) -> tuple[date, pl.DataFrame]:
    """The night, and a listener's rows of it in the order of their surfaces.

    Raises:
        UserError: no such night, listener or shelf.
    """
    manifest = warehouse.newest("shelves", date.max) if day is None else warehouse.need("shelves", day)
    if manifest is None:
        raise UserError("the warehouse has no shelves yet; make a night first with `nightshelf run --date D`")
    rows = with_blends(warehouse, manifest.date, of_listener(warehouse, manifest, listener), listener)
    if rows.is_empty():
        raise UserError(
            f"no shelves of {manifest.date} are for that listener; check the id (ids are kept as they came)"
        )
    if shelf is not None:
        known = sorted(rows["shelf_id"].to_list())
        rows = rows.filter(pl.col("shelf_id") == shelf)
        if rows.is_empty():
            raise UserError(f"expected one of the shelves {', '.join(known)}, found {shelf!r}; name one of those")
    return manifest.date, rows.sort("surface", "home_position", "shelf_id")


def as_json(warehouse: Warehouse, listener: str, rows: pl.DataFrame, why: bool = False) -> Iterator[str]:
    """Rows of `shelves` as JSON, one a line: columns as docs/tables.md declares them, times in ISO 8601.

    With `why` every item has `found_by` (source -> rank and score) and `moved_by` (feature -> how far it moved the score).
    """
    for row in rows.iter_rows(named=True):
        reasons = _explained(warehouse, row, listener, None) if why and row["items"] else {}
        for item in row["items"] if why else ():
            found = reasons.get(item["track_id"], Explained({}, {}))
            item |= {"found_by": found.sources, "moved_by": found.moved}
        yield json.dumps(row, default=lambda value: value.isoformat(), ensure_ascii=False)


def with_blends(warehouse: Warehouse, day: date, rows: pl.DataFrame, listener: str) -> pl.DataFrame:
    """A listener's shelves of a night, and the shelves that groups share with them."""
    blends = warehouse.current("blend_shelves", day)
    if blends is None or rows.is_empty():
        return rows
    return pl.concat([rows, of_listener(warehouse, blends, listener)], how="diagonal_relaxed")


def shelf_tables(warehouse: Warehouse, day: date, rows: pl.DataFrame) -> list[Table]:
    """Rows of `shelves` as tables for a terminal, in the order of a listener's surfaces."""
    names = titles(warehouse, day, rows)
    return [_table(row, names, {}) for row in rows.sort("surface", "home_position", "shelf_id").iter_rows(named=True)]


def of_listener(warehouse: Warehouse, manifest: Heading, listener: str) -> pl.DataFrame:
    """A listener's rows of a listener-side table, reading only what may hold them."""
    return of_listeners(warehouse, manifest, [listener])


def of_listeners(
    warehouse: Warehouse, manifest: Heading, listeners: Sequence[str], columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """Some listeners' rows (their columns `columns`, all if None) of a listener-side table, reading only what may hold them."""
    wanted = pl.Series("listener_id", sorted(listeners), dtype=pl.String)
    shards = set(shard_of(wanted, manifest.shards).tolist())
    frames = []
    for entry in warehouse.whole(manifest).files:
        if entry.shard not in shards or not entry.rows:
            continue
        file = warehouse.open_parquet(entry.path)
        at = file.schema_arrow.get_field_index("listener_id")
        for group in groups_holding(file.metadata, wanted, at):
            frame = pl.DataFrame(pl.from_arrow(file.read_row_group(group, columns=columns)))
            frames.append(frame.filter(pl.col("listener_id").is_in(wanted.implode())))
    return pl.concat(frames, how="diagonal") if frames else pl.DataFrame(schema={"listener_id": pl.String})


def titles(warehouse: Warehouse, day: date, rows: pl.DataFrame) -> dict[str, str]:
    """Track id -> `title · main artist's name` where the catalog has a title, of everything these rows name."""
    items = rows.select(item=pl.col("items").list.concat("spares")).explode("item", keep_nulls=False).unnest("item")
    wanted = pl.concat([items["track_id"], items["reason_ref"]]).drop_nulls().unique()
    known = warehouse.read_newest("tracks", day, ["track_id", "title", "artist_ids"])
    known = known.filter(pl.col("track_id").is_in(wanted.implode()) & pl.col("title").is_not_null())
    named = known.with_columns(artist_id=pl.col("artist_ids").list.first()).join(
        warehouse.read_newest("artists", day, ["artist_id", "name"]), on="artist_id", how="left"
    )
    shown = named.select("track_id", "title", artist=pl.coalesce("name", "artist_id"))
    return {track: f"{title} · {artist}" if artist else title for track, title, artist in shown.iter_rows()}


def _table(row: dict[str, Any], names: dict[str, str], reasons: dict[str, str]) -> Table:
    table = Table(title=_heading(row), title_justify="left", show_header=bool(row["items"]), box=None, pad_edge=False)
    table.add_column("", justify="right", style="dim")
    table.add_column("track", overflow="fold")
    table.add_column("score", justify="right")
    table.add_column("why", overflow="fold")
    for item in row["items"]:
        ref = item["reason_ref"]
        reason = sentence(item["reason"], names.get(ref, ref) if ref else None)
        drawn = f" (drawn, p = {item['propensity']:.3f})" if item["explored"] and item["propensity"] is not None else ""
        score = "" if item["score"] is None else f"{item['score']:.3f}"
        # Text, not markup: a title may hold square brackets.
        track = Text(plain(names.get(item["track_id"], item["track_id"])))
        table.add_row(str(item["position"]), track, score, Text(plain(reason + drawn)))
        if item["track_id"] in reasons:
            table.add_row("", Text(""), "", Text(reasons[item["track_id"]], style="dim"))
    return table


def _heading(row: dict[str, Any]) -> Text:
    stands = f"{row['surface']} {row['home_position']}" if row["home_position"] else row["surface"]
    parts = [stands, row["status"], f"chosen {row['refresh_date']}", f"{len(row['spares'])} spares"]
    if row["arm"]:
        parts.append(f"{row['experiment']}: {row['arm']}")
    if row.get("satisfaction") is not None:
        parts.append(
            f"{row['members']} members, satisfied {row['satisfaction']:.2f}, gap {row['satisfaction_gap']:.2f}"
        )
    title = f"{row['title']}: {row['subtitle']}" if row["subtitle"] else row["title"]
    heading = Text(title, style="bold").append(f" ({', '.join(parts)})", style="dim")
    return heading.append(f"\n{row['status_reason']}", style="italic") if row["status_reason"] else heading


@dataclass(frozen=True)
class Explained:
    """Where an item came from.

    Attributes:
        sources: those that retrieved it, best rank first, with rank and score.
        moved: the features that moved its score furthest, and how far.
    """

    sources: dict[str, tuple[int, float | None]]
    moved: dict[str, float]

    @property
    def words(self) -> str:
        """Both in a line."""
        return "; ".join(part for part in (_found_by(self.sources), _moved_by(self.moved)) if part)


def _explained(
    warehouse: Warehouse, row: dict[str, Any], listener: str, contributions: Contributions | None
) -> dict[str, Explained]:
    """Track id -> which sources found it and what moved its score, as of the night that chose the shelf's items."""
    manifest = warehouse.current("candidates", row["refresh_date"]) or warehouse.current("candidates", row["run_date"])
    if manifest is None:
        return {}
    wanted = pl.Series([item["track_id"] for item in row["items"]], dtype=pl.String)
    found = of_listener(warehouse, manifest, listener)
    if found.is_empty():
        return {}
    found = found.filter(pl.col("track_id").is_in(wanted.implode()))
    explain = contributions or ranker_contributions(warehouse, manifest)
    shares = explain(found) if found.height else found
    return {
        candidate["track_id"]: Explained(found_by(candidate), moved_by(moved))
        for candidate, moved in zip(found.iter_rows(named=True), shares.iter_rows(named=True), strict=True)
    }


def found_by(candidate: dict[str, Any]) -> dict[str, tuple[int, float | None]]:
    """The sources that retrieved a candidate, best rank first, with their ranks and scores.

    >>> found_by({"rank_als": 3, "rank_popular": None, "rank_co": 1, "score_als": .5, "score_co": 2.0})
    {'co': (1, 2.0), 'als': (3, 0.5)}
    """
    ranks = sorted(
        (rank, name.removeprefix("rank_")) for name, rank in candidate.items() if name.startswith("rank_") and rank
    )
    return {name: (rank, candidate.get(f"score_{name}")) for rank, name in ranks}


def _found_by(sources: dict[str, tuple[int, float | None]]) -> str:
    parts = [f"{name} #{rank}{_in_brackets(score)}" for name, (rank, score) in sources.items()]
    return f"found by {', '.join(parts)}" if parts else ""


def _in_brackets(score: float | None) -> str:
    return "" if score is None else f" ({score:.3g})"


def moved_by(shares: dict[str, Any], most: int = MOVED_BY) -> dict[str, float]:
    """The features that moved a score furthest, and how far.

    >>> moved_by({"f_z_als": 1.2, "f_t_plays": -0.1, "f_agree": 0.0})
    {'z_als': 1.2, 't_plays': -0.1}
    """
    known = [(name.removeprefix("f_"), float(value)) for name, value in shares.items() if value is not None]
    known = sorted((pair for pair in known if abs(pair[1]) >= 0.005), key=lambda pair: (-abs(pair[1]), pair[0]))
    return dict(known[:most])


def _moved_by(moved: dict[str, float]) -> str:
    shares = ", ".join(f"{name} {value:+.2f}" for name, value in moved.items())
    return f"moved by {shares}" if shares else ""


def untrained(candidates: pl.DataFrame) -> pl.DataFrame:
    """Contributions to the untrained blend, which sums standardised scores and ranks of its sources, each weighted."""
    from pipelines.recommender.registry import sources
    from transforms.candidates.features import RANK_WEIGHT

    weights = {f"f_z_{kind.name}": kind.blend_weight for kind in sources()}
    names = [name for name in sorted(candidates.columns) if name.startswith("f_z_")]
    ranks = {name: f"f_r_{name.removeprefix('f_z_')}" for name in names}
    return candidates.select(
        (pl.col(name) + RANK_WEIGHT * pl.col(ranks[name]) if ranks[name] in candidates.columns else pl.col(name))
        * weights.get(name, 1.0)
        for name in names
    )


def ranker_contributions(warehouse: Warehouse, candidates: Manifest) -> Contributions:
    """What moved the scores of a night's candidates: its ranker's contributions, or the blend's where it had none."""
    from models.rankers.kinds import load
    from pipelines.recommender.artefacts import fetch
    from pipelines.recommender.ranked import ranker_features

    named = [
        (name.partition("@")[2], version) for name, version in candidates.inputs.items() if name.startswith(RANKERS)
    ]
    if not named:
        return untrained
    day, version = named[0]
    manifest = warehouse.current("rankers", date.fromisoformat(day))
    # Trained again since: another ranker's weights would explain scores it did not give.
    if manifest is None or manifest.version != version:
        return untrained
    ranker = load(fetch(warehouse.url, manifest, candidates.date))

    def explain(rows: pl.DataFrame) -> pl.DataFrame:
        matrix = ranker_features(rows, ranker.names)  # as the night was scored, a source that was not there included
        return pl.DataFrame(ranker.contributions(matrix), schema=list(ranker.names))

    return explain
