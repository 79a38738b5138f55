"""`publish` against an emulated BigQuery: killed, told to end, refused for a while, and raced by rollbacks and a forgetting."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import polars as pl

from tests.benchmarks.faults.case import QUIET, Case, Fault
from tests.benchmarks.faults.kept import kept
from tests.emulators import PROJECT, Emulator, bigquery_emulator
from tests.pipelines import tiny
from tests.pipelines.byte_search import found
from tests.pipelines.test_kill import assert_readable
from transforms.tables.warehouse import Warehouse, days

NIGHT, NEXT = days(tiny.NIGHT, tiny.NIGHT.fromordinal(tiny.NIGHT.toordinal() + 1))
GONE = tiny.LISTENERS[3]
POINTS = (10, 30, 50, 70, 90)


def emulator() -> Emulator:
    """One for all faults of this process."""
    return kept(bigquery_emulator)


class Place:
    """A warehouse with two nights' shelves, and a dataset of its own that shows the first."""

    def __init__(self, case: Case) -> None:
        self.case, self.dataset = case, emulator().dataset()
        made = tiny.build(case.folder)
        Path(made.url).rename(case.url)
        warehouse = Warehouse(str(case.url))
        tiny.put(warehouse, "shelves", NEXT, tiny.shelves_of().with_columns(run_date=pl.lit(NEXT)))
        self.env = {"BIGQUERY_EMULATOR_HOST": emulator().url}
        self.give("publish", "--date", str(NIGHT))

    def words(self, *more: str) -> list[str]:
        """A command's words."""
        to = ["--published" if more[0] == "forget" else "--to", f"bigquery:{PROJECT}.{self.dataset}"]
        accept = ["--accept-gates"] if more[0] == "publish" and "--rollback" not in more else []
        at = [] if "--rollback" in more else ["--warehouse", str(self.case.url)]
        return [*more, *to, *accept, *at]

    def run(self, wrong: tuple[str, str, str], *more: str) -> str:
        """A command with something going wrong."""
        return self.case.run(self.words(*more), wrong, within=self.env)

    def give(self, *more: str) -> str:
        """A command that must end well."""
        said = self.run(QUIET, *more)
        assert self.case.codes[-1] == 0, f"{more} ended with {self.case.codes[-1]}: {said}"
        return said

    def shown(self) -> tuple[int, set[str], set[str]]:
        """Rows of the view, its dates and its listeners."""
        asked = f"SELECT listener_id, run_date FROM `{PROJECT}.{self.dataset}.shelves`"
        rows = [dict(row) for row in emulator().client().query(asked).result()]
        return len(rows), {str(r["run_date"]) for r in rows}, {r["listener_id"] for r in rows}

    def whole(self, *nights: object) -> None:
        """The view shows one of the nights, whole.

        Raises:
            AssertionError: it shows another, or a mix.
        """
        rows, dates, who = self.shown()
        assert rows == len(who) == len(tiny.LISTENERS), f"{rows} rows of {len(who)} listeners"
        assert len(dates) == 1 and dates <= {str(n) for n in nights}, f"it shows {dates}"


def requests_of(place: Place, *more: str) -> int:
    """How many requests that change something an undisturbed command sends, in a place of the same past."""
    place.run(("count", "(request)", "0"), *more)
    assert place.case.codes[-1] == 0
    return len((place.case.folder / "changes").read_text().splitlines())


def cut(what: str, percent: int, case: Case) -> str:
    """Ended at a request, given again."""
    other = Case(case.folder / "undisturbed", case.log, case.made)
    other.folder.mkdir()
    count = requests_of(Place(other), "publish", "--date", str(NEXT))
    place, at = Place(case), max(1, -(-count * percent // 100))
    said = place.run((what, "(request)", str(at)), "publish", "--date", str(NEXT))
    assert case.codes[-1] != 0, "it was not cut short"
    if what == "term":
        said = f"{said}; gone after {case.since_told():.0f} s"
    place.whole(NIGHT, NEXT)
    place.give("publish", "--date", str(NEXT))
    place.whole(NEXT)
    assert_readable(Warehouse(str(case.url)))
    return f"{said} (request {at} of {count})"


def raced(first: tuple[str, ...], second: tuple[str, ...], at: int, case: Case) -> str:
    """One is held at a request while the other goes all the way; then the night is published, and taken back."""
    place = Place(case)
    place.give("publish", "--date", str(NEXT))
    if first[0] == "publish" and "--rollback" not in first:
        place.give("publish", "--rollback", "--date", str(NEXT))
    said = case.held(place.words(*first), "(request)", lambda: place.run(QUIET, *second), at, env=place.env)
    place.whole(NIGHT, NEXT)
    place.give("publish", "--date", str(NEXT))
    place.whole(NEXT)
    place.give("publish", "--rollback", "--date", str(NEXT))
    place.whole(NIGHT)
    assert_readable(Warehouse(str(case.url)))
    return said


def forgotten(at: int, case: Case) -> str:
    """A listener is forgotten, here and there, while a publish is at a request."""
    place = Place(case)
    again = place.words("forget", GONE)
    said = case.held(
        place.words("publish", "--date", str(NEXT)),
        "(request)",
        lambda: place.run(QUIET, "forget", GONE),
        at,
        env=place.env,
    )
    place.run(QUIET, "publish", "--date", str(NEXT))
    place.give("publish", "--date", str(NEXT))
    case.done(again, place.env)
    assert found(case.url, [GONE]) == [], "an id stays in the warehouse"
    client = emulator().client()
    for table in client.list_tables(place.dataset):
        rows = client.query(f"SELECT listener_id FROM `{PROJECT}.{place.dataset}.{table.table_id}`").result()
        assert GONE not in {row["listener_id"] for row in rows}, f"an id stays in {table.table_id}"
    return said


def faults() -> Iterator[Fault]:
    """Kills, signals, races."""
    for what, word in (("kill", "SIGKILL"), ("term", "SIGTERM")):
        for percent in POINTS:
            yield Fault(f"{word} {percent}% on the way", "cut short", "publish", partial(cut, what, percent))
    publish, back = ("publish", "--date", str(NEXT)), ("publish", "--rollback", "--date", str(NEXT))
    for at in (1, 2, 3):
        yield Fault(f"rollback while publish is at request {at}", "race", "publish", partial(raced, publish, back, at))
    yield Fault("publish while rollback is at request 1", "race", "publish", partial(raced, back, publish, 1))
    for at in (1, 4):
        yield Fault(f"forget while publish is at request {at}", "race", "forget, publish", partial(forgotten, at))
