"""What a report tells of the loop: readouts of experiments through its date, and what is believed to last.

readouts_of(warehouse, day)     the terminal's lines of each experiment that was read as of the date
believed(warehouse, day)        the prior, and the tracks with the highest beliefs, of the newest beliefs up to it
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl

from transforms.reporting.readouts import readout_lines
from transforms.tables.warehouse import Warehouse

SHOWN = 10


@dataclass(frozen=True)
class Believed:
    """A long-term reward as it is believed in.

    Attributes:
        days: days after a first play that count.
        prior, spread: days with a play as believed of a track of which nothing is known, and how tracks differ (deviation).
        tracks: how many are believed in by their own first plays; traces: these first plays.
        best: title, days as believed, their deviation, first plays, of the highest.
    """

    days: int
    prior: float
    spread: float
    tracks: int
    traces: int
    best: tuple[tuple[str, float, float, int], ...]


def readouts_of(warehouse: Warehouse, day: date) -> tuple[tuple[str, ...], ...]:
    """Lines of each experiment that was read as of the date."""
    manifest = warehouse.current("readouts", day)
    if manifest is None:
        return ()
    rows = warehouse.read_manifest(manifest)
    names = rows["experiment"].unique().sort().to_list()
    return tuple(tuple(readout_lines(rows.filter(experiment=name), day)) for name in names)


def believed(warehouse: Warehouse, day: date) -> Believed | None:
    """What is believed as of the newest beliefs up to the date; None where nothing is."""
    manifest = warehouse.newest("beliefs", day)
    rows = warehouse.read_manifest(manifest).filter(pl.col("shelf_id") == "") if manifest else pl.DataFrame()
    if rows.is_empty():
        return None
    prior = rows.filter(pl.col("track_id") == "").row(0, named=True)
    own = rows.filter(pl.col("track_id") != "", pl.col("traces") > 0)
    best = own.sort("mean", "track_id", descending=[True, False]).head(SHOWN)
    catalog = warehouse.newest("tracks", day)
    known = warehouse.read_manifest(catalog, ["track_id", "title"]) if catalog else None
    titles = (
        dict(known.filter(pl.col("track_id").is_in(best["track_id"].implode())).iter_rows())
        if known is not None
        else {}
    )
    best_tracks = tuple(
        (titles.get(track) or track, mean, variance**0.5, traces)
        for track, mean, variance, traces in best.select("track_id", "mean", "variance", "traces").iter_rows()
    )
    spread = prior["prior_variance"] ** 0.5
    return Believed(prior["days"], prior["prior_mean"], spread, own.height, int(own["traces"].sum()), best_tracks)
