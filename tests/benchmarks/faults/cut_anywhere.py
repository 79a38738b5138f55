"""Every other command and job, killed at points drawn over all that it changes, and given again.

A change is a rename into the warehouse or the deletion of a folder. An undisturbed run counts them; a fault kills the command
before the change that lies so many percent on the way. What counts is what an undisturbed run of the same left.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, partial
from pathlib import Path

from pipelines.runtime.config import Settings
from pipelines.runtime.settings_file import to_yaml
from tests.benchmarks.faults.case import FIRST, LAST, Case, Fault
from tests.benchmarks.faults.damage import emptied, file_of
from tests.pipelines import test_exclusions, test_experiment, tiny, world
from tests.pipelines.test_kill import assert_readable
from tests.pipelines.world import LIGHT, hashes, manifests
from transforms.tables.upkeep import check_table
from transforms.tables.warehouse import Warehouse

PERCENT = (10, 30, 50, 70, 90)
# Settings are LIGHT: what TensorFlow fits goes on after its last epoch (`tests/pipelines/test_checkpoints.py`).
LOOSE = Settings.model_validate({"gates": {"enforce": False}})
READ = test_experiment.START + timedelta(10)
LIVED = ["--days", "2", "--listeners", "20", "--tracks", "120", "--history", "8", "--fit-every", "2"]


@dataclass(frozen=True, eq=False)
class Subject:
    """A command to kill.

    Attributes:
        start: makes the warehouse that it begins with, in a folder of its own.
        words: of the command, for a warehouse; `after`: of what its message or operations.md names as the next step.
        settings: None = the command takes none.
        inside: where the warehouse is, below what is given as one.
        begins_damaged: so that not every table can be read until the end.
        outdates: other tables are out of date afterwards, as they should be.
    """

    command: str
    start: Callable[[Case], None]
    words: Callable[[str], list[str]]
    after: Callable[[str], list[str]] | None = None
    settings: Settings | None = None
    inside: str = ""
    begins_damaged: bool = False
    outdates: bool = False


def of_stage(stage: str, then: Callable[[Case], None] | None = None) -> Callable[[Case], None]:
    """Begin with the log of four days."""

    def start(case: Case) -> None:
        case.start(stage)
        if then is not None:
            then(case)

    return start


def half_a_day(case: Case) -> None:
    """The last date's listens are others than its night was made of."""
    warehouse = Warehouse(str(case.url))
    rows = warehouse.read("listens", LAST)
    tiny.put(warehouse, "listens", LAST, rows.gather_every(2), shards=warehouse.need("listens", LAST).shards)


def damaged(case: Case) -> None:
    """Files of every date are empty."""
    for day in (FIRST, FIRST + timedelta(1), FIRST + timedelta(2), LAST):
        emptied(file_of(case, "sessions", day))


def abandoned(case: Case) -> None:
    """A fold was killed when its files were written and no run was finished, so they belong to nobody."""
    case.run("features", ("kill", "*/_manifest.json", "1"))
    assert case.codes[-1] != 0, "it was not killed"


def twice(case: Case) -> None:
    """The last date was made again by other settings, so there is a run before the current one."""
    path = case.folder / "other.yaml"
    path.write_text(to_yaml(Settings.model_validate({"sessions": {"gap_minutes": 60}})))
    at = ["--warehouse", str(case.url), "--config", str(path)]
    case.done(["features", "--from", str(LAST), "--to", str(LAST), *at])


def of_hand(build: Callable[[Path], Warehouse]) -> Callable[[Case], None]:
    """Begin with a warehouse that is written by hand."""

    def start(case: Case) -> None:
        made = build(case.folder)
        shutil.move(made.url, case.url)

    return start


def excluding(folder: Path) -> Warehouse:
    made = test_exclusions.six_days(folder)
    for day, target in ((test_exclusions.FIRST, "t1"), (tiny.NIGHT, "t2")):
        test_exclusions.say(made, day, test_exclusions.act(test_exclusions.ANN, day, target))
    return made


def night_of(folder: Path) -> Path:
    """A small world and its night, made once for all commands that need one."""
    done = folder / "night-is-made"
    if done.exists():
        return folder / "night"
    for name in ("simulated", "night"):
        shutil.rmtree(folder / name, ignore_errors=True)
    log = world.simulated(
        folder / "simulated"
    )  # of fewer listeners its machines would be too large a share for the checks
    made = world.ingested(log, folder / "night", LIGHT)
    prompts = folder / "prompts.jsonl"
    asked = ("10 pop songs", "30 minutes of rock, nothing explicit", "songs I have not heard")
    prompts.write_text("\n".join(json.dumps({"prompt_id": f"p{n}", "text": text}) for n, text in enumerate(asked)))
    from pipelines.file_prompts import file_prompts
    from pipelines.nightly import night

    file_prompts(made.url, world.NIGHT, str(prompts), settings=LIGHT)
    night(made.url, world.NIGHT, LIGHT)
    done.touch()
    return folder / "night"


def of_night(*without: str) -> Callable[[Case], None]:
    """Begin with a night, but for some tables of its date."""

    def start(case: Case) -> None:
        shutil.copytree(night_of(case.log.parent), case.url)
        for table in without:
            Warehouse(str(case.url)).store.delete(f"{table}/date={world.NIGHT}")

    return start


def job(name: str, day: object = world.NIGHT) -> Callable[[str], list[str]]:
    return lambda url: [f"job:{name}", str(day), "SETTINGS"]


def cli(*words: str, settings: bool = False) -> Callable[[str], list[str]]:
    more = ["--config", "SETTINGS"] if settings else []
    return lambda url: [*(word.replace("BESIDE", str(Path(url).parent)) for word in words), "--warehouse", url, *more]


FOUR = ["--from", str(FIRST), "--to", str(LAST)]
SCORED = ("candidates", "draws", "removed", "listener_embeddings", "market_defaults", "shelves")
SUBJECTS = (
    Subject("backfill", of_stage("features", half_a_day), cli("backfill", *FOUR)),
    Subject("repair", of_stage("features", damaged), cli("repair"), cli("features", *FOUR), begins_damaged=True),
    Subject("clean", of_stage("ingest", abandoned), cli("clean", "--abandoned")),
    Subject("rollback", of_stage("features", twice), cli("rollback", "sessions", "--date", str(LAST)), outdates=True),
    Subject("evaluate", of_hand(tiny.build), cli("evaluate", "--date", str(tiny.NIGHT), "--days", "7")),
    Subject(
        "export",
        of_hand(tiny.build),
        cli("export", "--date", str(tiny.NIGHT), "--to", "jsonl:BESIDE/w/apps", settings=True),
        settings=LOOSE,
    ),
    Subject("exclusions", of_hand(excluding), job("exclusions", tiny.NIGHT), settings=Settings(shards=4)),
    Subject(
        "experiment",
        of_hand(test_experiment.planted),
        cli("experiment", "read", "cap", "--date", str(READ), settings=True),
        settings=test_experiment.settings(least=50),
    ),
    Subject("prompt", of_night("intents", "playlists"), job("prompt"), settings=LIGHT),
    Subject("blend", of_night("blend_shelves"), job("blend"), settings=LIGHT),
    Subject("outcomes", of_night("outcomes"), job("outcomes"), settings=LIGHT),
    Subject(
        "train",
        of_night("models", "track_embeddings", "semantic_ids", "session_sample"),
        job("train"),
        settings=LIGHT,
    ),
    Subject("train_ranker", of_night("rankers"), job("train_ranker"), settings=LIGHT),
    Subject("score", of_night(*SCORED), job("score"), settings=LIGHT),
    Subject(
        "live",
        lambda case: None,
        lambda url: ["live", "--out", url, *LIVED, "--config", "SETTINGS"],
        settings=LIGHT,
        inside="warehouse",
    ),
)


def given(subject: Subject, case: Case, words: Callable[[str], list[str]]) -> list[str]:
    """The words of a command for a case, its settings in a file beside it."""
    path = case.folder / "settings.yaml"
    if subject.settings is not None:
        path.write_text(to_yaml(subject.settings))
    return [str(path) if word == "SETTINGS" else word for word in words(str(case.url))]


def readable(subject: Subject, url: Path) -> None:
    """Ask whether every committed table can be read.

    Raises:
        AssertionError: one cannot, or is out of date where none should be.
    """
    warehouse = Warehouse(str(url / subject.inside))
    if not subject.outdates:
        assert_readable(warehouse)
    for key, manifest in manifests(warehouse).items():
        assert check_table(warehouse, manifest) == [], key


def left(subject: Subject, url: Path) -> dict[str, object]:
    """What readers find: every committed table, and files that a pointer leads to."""
    found: dict[str, object] = dict(hashes(Warehouse(str(url / subject.inside))))
    pointer = url / "apps" / "_current.json"
    if pointer.exists():
        from transforms.serving.jsonl import Lines

        lines = Lines(str(pointer.parent))
        now = lines.pointer()[0]
        assert now is not None
        found["apps"] = (now, sorted((f.shard, f.sha256) for f in lines.files(now.now).files))
    return found


@cache
def undisturbed(subject: Subject, log: Path, made: tuple[tuple[str, Path], ...]) -> tuple[Path, int, dict[str, object]]:
    """Where it begins, how many changes it makes, and what it leaves."""
    start = Case(log.parent / f"start-{subject.command}", log, dict(made))
    whole = Case(log.parent / f"whole-{subject.command}", log, dict(made))
    if not (whole.folder / "whole").exists():
        _live_through(subject, start, whole)
    changes = len((whole.folder / "changes").read_text().splitlines())
    return start.url, changes, left(subject, whole.url)


def _live_through(subject: Subject, start: Case, whole: Case) -> None:
    """Make both warehouses; the mark `whole` says that they are there."""
    for case in (start, whole):
        shutil.rmtree(case.folder, ignore_errors=True)
        case.folder.mkdir()
    subject.start(start)
    if start.url.exists():
        shutil.copytree(start.url, whole.url, symlinks=True)
    whole.run(given(subject, whole, subject.words), ("count", "(change)", "0"))
    assert whole.codes[-1] in (0, 2) if subject.after else whole.codes[-1] == 0, f"ended with {whole.codes[-1]}"
    if subject.after:
        whole.done(given(subject, whole, subject.after))
    (whole.folder / "whole").touch()


def cut(subject: Subject, what: str, percent: int, case: Case) -> str:
    """Kill it there, give it again, then the next step."""
    start, changes, expected = undisturbed(subject, case.log, tuple(case.made.items()))
    if start.exists():
        shutil.copytree(start, case.url, symlinks=True)
    at = max(1, -(-changes * percent // 100))
    words = given(subject, case, subject.words)
    said = case.run(words, (what, "(change)", str(at)))
    assert case.codes[-1] != 0, "it was not cut short"
    if what == "term":
        said = f"{said}; gone after {case.since_told():.0f} s"
    if (case.url / subject.inside).exists() and not subject.begins_damaged:
        readable(subject, case.url)
    again = case.run(words)
    assert case.codes[-1] in (0, 2) if subject.after else case.codes[-1] == 0, f"{case.codes[-1]}: {again}"
    if subject.after:
        case.done(given(subject, case, subject.after))
    readable(subject, case.url)
    found = left(subject, case.url)
    assert found.keys() == expected.keys(), f"{sorted(found.keys() ^ expected.keys())}"
    other = [key for key in expected if found[key] != expected[key]]
    assert not other, f"{', '.join(other[:3])} differ"
    return f"{said} (change {at} of {changes})"


def of_commands(commands: Sequence[str] = ()) -> Iterator[Subject]:
    """All subjects, or those of some commands."""
    return (one for one in SUBJECTS if not commands or one.command in commands)


def faults() -> Iterator[Fault]:
    """Every command at five points, and told to end at one."""
    for subject in of_commands():
        for what, word, points in (("kill", "SIGKILL", PERCENT), ("term", "SIGTERM", (60, 10, 30, 50, 90))):
            for percent in points:
                name = f"{word} {percent}% on the way"
                yield Fault(name, "cut short", subject.command, partial(cut, subject, what, percent))
