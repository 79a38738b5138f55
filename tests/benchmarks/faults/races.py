"""Races of commands that bring others' data (a later day, a forgetting, two of them), and of a night's jobs with them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

from tests.benchmarks.faults.case import END, GONE, LISTENERS, Case, Fault
from tests.benchmarks.faults.cut_anywhere import Subject, given, night_of, of_commands
from tests.benchmarks.faults.rows import same_rows
from tests.pipelines import world
from tests.pipelines.byte_search import found
from tests.pipelines.test_kill import assert_readable
from tests.pipelines.world import hashes
from transforms.tables.warehouse import Warehouse

OTHER = LISTENERS[7]
WRITES, COMMITS = "listens/*.parquet", "listens/*/_current.json"
TRAIN, SCORE = of_commands(("train", "score"))


def later(case: Case) -> list[str]:
    """An ingest of the day after the log's last, by everybody."""
    path = case.folder / "later.csv"
    rows = [f"{who},t{n},{END}T09:{n:02}:00Z,200000" for n, who in enumerate(LISTENERS)]
    path.write_text("\n".join(["u,t,at,ms", *rows]) + "\n")
    return case.words("ingest", path)


def ends(case: Case, *commands: str | list[str]) -> None:
    """Give commands that must end well."""
    for command in commands:
        case.done(command)


def undisturbed(case: Case, stage: str, *commands: str | list[str]) -> Path:
    """What commands one after the other leave, of which the names are: their words, in a case of their own."""
    other = Case(case.folder / "one after the other", case.log, case.made)
    other.folder.mkdir()
    other.start(stage)
    for command in commands:
        words = other.words(command) if isinstance(command, str) else command
        other.done([str(other.url) if word == str(case.url) else word for word in words])
    return other.url


def forgotten_while_ingesting(pattern: str, case: Case) -> str:
    """A listener is forgotten while a file with a play of theirs is read or committed."""
    case.start("ingest")
    ingest = later(case)
    said = case.held(ingest, pattern, lambda: case.run("forget"))
    if "nothing was committed here" in said:  # it waited for the commit, and gave up
        assert case.codes[-1] in (0, 4)
    if case.codes[-1]:
        ends(case, "forget")
    case.run(ingest)
    ends(case, ingest, ["forget", "--warehouse", str(case.url)])
    assert found(case.url, [GONE]) == [], "an id stays"
    same_rows(case.url, undisturbed(case, "ingest", "forget", ingest))
    return said


def two_forgotten(pattern: str, case: Case) -> str:
    """Two forgettings of two listeners."""
    case.start("features")
    other = ["forget", OTHER, "--warehouse", str(case.url)]
    said = case.held("forget", pattern, lambda: case.run(other))
    case.run("forget")
    ends(case, other, "forget")
    assert found(case.url, [GONE, OTHER]) == [], "an id stays"
    same_rows(case.url, undisturbed(case, "features", "forget", other))
    return said


def later_day(pattern: str, case: Case) -> str:
    """A later day arrives while the days before are folded."""
    case.start("ingest")
    ingest = later(case)
    said = case.held("features", pattern, lambda: case.run(ingest))
    case.run("features")
    ends(case, "features", ingest)
    whole = Warehouse(str(undisturbed(case, "ingest", "features", ingest)))
    same_rows(case.url, Path(whole.url))
    made, expected = hashes(Warehouse(str(case.url))), hashes(whole)
    folded = [key for key in expected if key.startswith(("sessions@", "library@", "co_listens@"))]
    assert folded and [key for key in folded if made.get(key) != expected[key]] == []
    return said


def beside_a_job(subject: Subject, pattern: str, other: str, case: Case) -> str:
    """A night's job is held while another command goes all the way; the night is then what it is without."""
    subject.start(case)
    who = sorted(Warehouse(str(case.url)).read("library", world.NIGHT, ["listener_id"])["listener_id"].unique())[5]
    path = case.folder / "later.csv"
    path.write_text(f"u,t,at,ms\n{who},track,{world.END}T09:00:00Z,200000\n")
    meanwhile = {
        "ingest": case.words("ingest", path),
        "clean": case.words("clean"),
        "forget": ["forget", who, "--warehouse", str(case.url)],
    }[other]
    meanwhile = [str(world.END + timedelta(1)) if word == str(END) else word for word in meanwhile]
    words = given(subject, case, subject.words)
    said = case.held(words, pattern, lambda: case.run(meanwhile))
    case.run(words)
    ends(case, words)
    warehouse = Warehouse(str(case.url))
    if other == "forget":
        if "nothing was committed here" in said:  # it waited for the commit, and gave up
            ends(case, meanwhile)
        ends(case, ["forget", "--warehouse", str(case.url)])
        assert found(case.url, [who]) == [], "an id stays"
        assert who not in set(warehouse.read("shelves", world.NIGHT, ["listener_id"])["listener_id"])
        assert_readable(warehouse)
        return said
    whole = Warehouse(str(night_of(case.log.parent)))
    made, expected = hashes(warehouse), hashes(whole)
    of_night_ = [key for key in expected if key.endswith(f"@{world.NIGHT}")]
    assert of_night_ and [key for key in of_night_ if made.get(key) != expected[key]] == []
    return said


def left_by_a_kill(case: Case) -> str:
    """A fit that was killed left checkpoints and half a run; a report shows the listener; then they are forgotten."""
    TRAIN.start(case)
    who = sorted(Warehouse(str(case.url)).read("library", world.NIGHT, ["listener_id"])["listener_id"].unique())[5]
    ends(case, ["report", "--date", str(world.NIGHT), "--warehouse", str(case.url)])
    case.run(given(TRAIN, case, TRAIN.words), ("kill", "models/*/_manifest.json", "1"))
    assert case.codes[-1] != 0, "it was not killed"
    (case.url / "sessions" / f"date={world.NIGHT}" / ".half-written.tmp").write_bytes(who.encode())
    forget = ["forget", who, "--warehouse", str(case.url)]
    said = case.run(forget)
    ends(case, forget)
    assert found(case.url, [who]) == [], "an id stays"
    ends(case, given(TRAIN, case, TRAIN.words))
    assert found(case.url, [who]) == [], "an id comes back"
    return said


def faults() -> Iterator[Fault]:
    """By what is brought meanwhile."""
    for pattern in (WRITES, COMMITS, "tracks/*/_current.json"):
        name = f"forget while an ingest of a play of theirs is at {pattern}"
        yield Fault(name, "race", "forget, ingest", partial(forgotten_while_ingesting, pattern))
    for pattern in (WRITES, "listens/*/_manifest.json", "library/*/_current.json"):
        yield Fault(
            f"forget of another while forget is at {pattern}", "race", "forget", partial(two_forgotten, pattern)
        )
    for pattern in ("sessions/*.parquet", "sessions/*/_current.json", "library/*/_current.json"):
        name = f"ingest of a later day while features is at {pattern}"
        yield Fault(name, "race", "ingest, features", partial(later_day, pattern))
    for other in ("clean", "ingest", "forget"):
        for pattern in ("shelves/*.parquet", "shelves/*/_current.json"):
            do = partial(beside_a_job, SCORE, pattern, other)
            yield Fault(f"{other} while a run scores, at {pattern}", "race", f"{other}, run", do)
    do = partial(beside_a_job, TRAIN, "models/*/_manifest.json", "clean")
    yield Fault("clean while a run fits models", "race", "clean, run", do)
    yield Fault("a fit killed, a report, a half-written file, then forget", "race", "forget, run", left_by_a_kill)
