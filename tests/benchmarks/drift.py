"""Monitoring over nights: how often a stationary world raises an alarm, and whether planted faults are named the same night.

A simulated world is ingested and nights are made day after day, models fitted anew every seventh. Every night from the tenth on
is asked for alarms: nothing is wrong, so each is a false one. Then the last day comes once more for each fault, in a copy of the
warehouse as it stood the evening before: in its log, or in the program. A fault is caught where a check of that very night (WARN
or FAIL) has one of the names that the fault should move.

    python -m tests.benchmarks.drift --work FOLDER [--listeners 150] [--nights 26] [--seed 3] [--only WORD]
    python -m tests.benchmarks.drift --work FOLDER --stored    # the nights that stand there, by what today's code says of drift
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl

from pipelines.ingest import ingest
from pipelines.nightly import night
from pipelines.simulate import simulate
from tests.pipelines.world import SETTINGS as SMALL
from transforms.gates.check import Check
from transforms.gates.drift import DriftSettings, check_drift
from transforms.gates.history import CHECKS
from transforms.gates.observed import of_manifest
from transforms.simulation.files import log_of
from transforms.tables.warehouse import Warehouse

END, FIRST_ASKED, FIT_EVERY = date(2026, 1, 31), 10, 7
# one process: what replaces a part of the program is not seen by others
SETTINGS = SMALL.model_copy(update={"processes": 1, "ranker": SMALL.ranker.model_copy(update={"kind": "linear"})})
Change = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class Fault:
    """A fault of the last day.

    Attributes:
        moves: words of which one stands in the name of a check that catches it.
        log: what becomes of the day's log.
        program: attributes of the program that are replaced while the night is made, by dotted name.
    """

    name: str
    moves: tuple[str, ...]
    log: Change = lambda rows: rows
    program: tuple[tuple[str, Callable[..., Any]], ...] = ()


def faults(people: pl.DataFrame) -> tuple[Fault, ...]:
    """The faults; `people` is table `listeners`, for whose market is lost."""
    largest = people["market"].drop_nulls().value_counts().sort("count", "market", descending=True)["market"][0]
    gone = people.filter(market=largest)["listener_id"]
    c = pl.col
    return (
        Fault(
            "a source finds nothing",
            ("source sequence",),
            program=(("transforms.candidates.sequence.last_listens", _nothing),),
        ),
        Fault(
            "track ids are hashed anew",
            ("input tracks", "unknown tracks"),
            lambda r: r.with_columns(track="x" + c("track")),
        ),
        Fault(
            "listener ids are hashed anew",
            ("input listeners", "roster"),
            lambda r: r.with_columns(user="x" + c("user")),
        ),
        Fault("a market is lost", ("input market",), lambda r: r.filter(~c("user").is_in(gone.implode()))),
        Fault(
            "lengths in seconds", ("log ms_played",), lambda r: r.with_columns((c("ms_played") / 1000).cast(pl.Int64))
        ),
        Fault("clocks are nine hours behind", ("log hour",), _clock),
        Fault(
            "skips are no longer logged",
            ("log skipped", "nulls"),
            lambda r: r.with_columns(skipped=pl.lit(None, pl.Boolean)),
        ),
        Fault(
            "platforms have other names", ("log platform",), lambda r: r.with_columns(platform="new " + c("platform"))
        ),
        Fault("the log comes twice", ("listens of the date", "plays of a listener", "volume"), _twice),
        Fault(
            "the ranker is inverted",
            ("score ranker_score", "score shift"),
            program=(("pipelines.recommender.scoring.scored_by", _inverted),),
        ),
        Fault(
            "a feature is all zeros",
            ("feature f_like_sessions",),
            program=(("transforms.candidates.features._like_sessions", _zeros),),
        ),
        Fault(
            "nothing found has a reason",
            ("shelf reason",),
            program=(("pipelines.recommender.scoring.explain", _speechless),),
        ),
    )


def _clock(rows: pl.DataFrame) -> pl.DataFrame:
    """Each play nine hours earlier, around the same date."""
    day = pl.col("ts") - pl.col("ts") % 86_400_000
    return rows.with_columns(ts=day + (pl.col("ts") - day - 9 * 3_600_000) % 86_400_000)


def _twice(rows: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([rows, rows.with_columns(pl.col("ts") + 61_000)])


def _inverted(*given: Any) -> pl.DataFrame:
    from pipelines.recommender.ranked import scored_by

    return scored_by(*given).with_columns(-pl.col("ranker_score"))


def _nothing(block: Any, length: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((len(block), length), np.int32), np.full((len(block), length), np.nan)


def _zeros(block: Any, directions: Any, rows: Any, items: Any) -> Any:
    return 0.0 * rows


def _speechless(*given: Any) -> pl.DataFrame:
    from transforms.candidates.reasons import explain

    return explain(*given).with_columns(reason=pl.lit("popular_now"), reason_ref=pl.lit(None, pl.String))


@contextmanager
def program(fault: Fault) -> Iterator[None]:
    """The program with its fault."""
    patches = [patch(name, new) for name, new in fault.program]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in patches:
            one.stop()


def alarms(warehouse: Warehouse, day: date) -> list[str]:
    """Names and details of a night's checks that do not pass."""
    checks = [Check.from_dict(c) for c in warehouse.need("shelves", day).extra[CHECKS]]
    return [f"{c.name}: {c.detail}" for c in checks if c.state in ("WARN", "FAIL")]


def drifted(warehouse: Warehouse, day: date, settings: DriftSettings) -> list[str]:
    """What today's code says of the drift of a stored night."""
    before = [d for d in warehouse.dates("shelves") if d < day][-settings.past_nights :]
    *past, tonight = (of_manifest(warehouse, warehouse.need("shelves", d)) for d in [*before, day])
    assert tonight is not None
    checks = check_drift(tonight, [one for one in past if one is not None], settings)
    return [f"{c.name}: {c.detail}" for c in checks if c.state == "WARN"]


def measure(
    work: Path, listeners: int, tracks: int, nights: int, seed: int, only: str = ""
) -> tuple[dict[date, list[str]], dict[str, list[str]]]:
    """Alarms of the stationary nights that were asked, by date, and those of every fault, by its name.

    Nights that an earlier call made in the folder are not made again.
    """
    world, first = work / "world", END - timedelta(nights - 1)
    if not world.exists():
        simulate(listeners, tracks, nights + 34, str(world), seed, end_date=END, format="parquet")
    log = pl.concat([pl.read_parquet(p) for p in sorted((world / "listens").glob("*.parquet"))])
    stamp = (pl.col("ts") // 86_400_000).cast(pl.Int32).cast(pl.Date)
    told: dict[str, Any] = {**log_of(world, "parquet"), "impressions": str(world / "impressions.parquet")}

    def deliver(url: str, rows: pl.DataFrame, day: date, name: str, extra: dict[str, Any]) -> None:
        path = work / f"{name}.parquet"
        rows.write_parquet(path)
        given = {**extra, "inputs": [str(path)], "mapping": told["mapping"]}
        ingest(url, "parquet", end_date=day, settings=SETTINGS, accept_gates=True, **given)

    def make(url: str, day: date) -> None:
        since = (day - first).days
        night(url, day, SETTINGS, fit_date=day - timedelta(since % FIT_EVERY), accept_gates=True)

    url, quiet = str(work / "warehouse"), dict[date, list[str]]()
    also = {k: told[k] for k in ("tracks", "listeners_file", "feedback", "impressions")}
    if not Path(url).exists():
        deliver(url, log.filter(stamp < END), END - timedelta(1), "history", also)
    for n in range(nights - 1):
        day = first + timedelta(n)
        if Warehouse(url).current("shelves", day) is None:
            make(url, day)
        if n >= FIRST_ASKED:
            quiet[day] = alarms(Warehouse(url), day)
            print(f"{day}: {len(quiet[day])} alarms {quiet[day]}", flush=True)
    caught = {}
    people = pl.read_parquet(told["listeners_file"])
    for fault in (Fault("nothing is wrong", ()), *(one for one in faults(people) if only in one.name)):
        copy = work / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(url, copy)
        deliver(str(copy), fault.log(log.filter(stamp == END)), END, "day", {})
        with program(fault):
            make(str(copy), END)
        caught[fault.name] = alarms(Warehouse(str(copy)), END)
        named = [a for a in caught[fault.name] if any(m in a.partition(":")[0] for m in fault.moves)]
        verdict = "caught" if named else "missed" if fault.moves else f"{len(caught[fault.name])} alarms"
        print(f"{fault.name}: {verdict}: {named or caught[fault.name]} (of {len(caught[fault.name])})", flush=True)
    quiet[END] = caught.pop("nothing is wrong")
    return quiet, caught


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--listeners", type=int, default=150)
    parser.add_argument("--tracks", type=int, default=1200)
    parser.add_argument("--nights", type=int, default=26)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--stored", action="store_true", help="make nothing: judge the nights that stand there")
    parser.add_argument("--only", default="", help="the faults with this in their names")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    if given.stored:
        made = Warehouse(str(given.work / "warehouse"))
        said = {day: drifted(made, day, SETTINGS.gates.drift) for day in made.dates("shelves")[FIRST_ASKED:]}
        print(
            f"stored nights that drifted: {sum(map(bool, said.values()))} of {len(said)} {[s for s in said.values() if s]}"
        )
        sys.exit()
    quiet, caught = measure(given.work, given.listeners, given.tracks, given.nights, given.seed, given.only)
    every = faults(pl.read_parquet(given.work / "world" / "listeners.parquet"))
    names = {fault.name: fault.moves for fault in every if fault.name in caught}
    hits = sum(any(m in a.partition(":")[0] for a in caught[n] for m in moves) for n, moves in names.items())
    print(f"stationary nights with an alarm: {sum(map(bool, quiet.values()))} of {len(quiet)}")
    print(f"faults caught the same night, by name: {hits} of {len(names)}")
