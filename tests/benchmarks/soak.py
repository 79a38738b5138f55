"""Many nights in a row of a small living world, with a fault drawn every few nights; the last night is that of a quiet world.

    python -m tests.benchmarks.soak --nights 60
    python -m tests.benchmarks.soak --nights 12 --listeners 20 --tracks 120      # the short form

`nightshelf live` is given again and again. Each time something goes wrong at a drawn change of the warehouse: a kill, a signal,
Ctrl-C once or twice, no space, a disk that fails, no rights, a `clean --abandoned` beside it. In between a file is damaged and
made again by what `repair` names, or a stranger leaves a file. At the end every committed table and every truth must be that of
the same world without faults, nothing may be abandoned, and what a night of each half costs is told: bytes committed of a date,
processor seconds.

A JSON line a fault, one for the costs, one for the end; exits with 1 where a world did not survive.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from statistics import median

from pipelines.live import END
from pipelines.runtime.settings_file import to_yaml
from tests.benchmarks.faults.case import QUIET
from tests.benchmarks.faults.cut_anywhere import LIGHT
from tests.benchmarks.faults.damage import cut, emptied, flipped
from tests.benchmarks.faults.warm import Forked
from tests.pipelines.test_kill import assert_readable
from tests.pipelines.world import hashes, manifests
from transforms.tables.upkeep import tables
from transforms.tables.warehouse import Warehouse

WRONG = ("kill", "term", "int", "int twice", "ENOSPC", "EIO", "EACCES", "hold")
ENDING = ("kill", "term", "int", "int twice")  # after the others a command may go on to the last night
DAMAGE = {"emptied": emptied, "cut in half": cut, "with flipped bytes": flipped, "deleted": Path.unlink}


class World:
    """A living world in a folder, and the commands that are given to it."""

    def __init__(self, folder: Path, size: Mapping[str, int]) -> None:
        folder.mkdir()
        self.folder, self.out, self.settings = folder, folder / "w", folder / "settings.yaml"
        self.settings.write_text(to_yaml(LIGHT))
        self._words = ["live", "--out", str(self.out), "--config", str(self.settings)]
        self._words += [word for name, value in size.items() for word in (f"--{name}", str(value))]

    @property
    def warehouse(self) -> Warehouse:
        """Its warehouse."""
        return Warehouse(str(self.out / "warehouse"))

    def live(self, wrong: tuple[str, str, str] = QUIET) -> tuple[int, str]:
        """Give the command; its exit code and what it said last."""
        return self.give(self._words, wrong)

    def held(self, wrong: tuple[str, str, str]) -> tuple[int, str]:
        """Give the command; once it is at a change, `clean --abandoned` goes all the way, then it goes on."""
        late = Forked(self.folder, str(self.out), wrong, self._words)
        if late.reached():
            code, said = self.give(["clean", "--abandoned", "--warehouse", self.warehouse.url])
            assert code == 0, said
            late.go_on()
        code, _, errors = late.ended(None)
        return code, errors.splitlines()[-1] if errors else f"exit {code}"

    def give(self, words: list[str], wrong: tuple[str, str, str] = QUIET) -> tuple[int, str]:
        """Give any command."""
        code, out, errors = Forked(self.folder, str(self.out), wrong, words).ended(None)
        said = [line for line in (errors + "\n" + out).splitlines() if line.startswith("nightshelf:")]
        return code, (said or [f"exit {code}"])[-1]

    def changes(self) -> int:
        """Changes that were counted."""
        return len((self.folder / "changes").read_text().splitlines())


def damaged(world: World, draw: random.Random) -> str:
    """Damage a file of the newest sessions, and have it made again as `repair` says."""
    warehouse = world.warehouse
    day = warehouse.dates("sessions")[-1]
    path = Path(warehouse.url) / draw.choice(warehouse.need("sessions", day).files).path
    name = draw.choice(sorted(DAMAGE))
    DAMAGE[name](path)
    for words in (["repair"], ["features", "--from", str(day), "--to", str(day), "--config", str(world.settings)]):
        code, said = world.give([*words, "--warehouse", warehouse.url])
        assert code in (0, 2), said
    return f"a file of sessions {name}"


def stranger(world: World, draw: random.Random) -> str:
    """Somebody leaves a file."""
    day = world.warehouse.dates("listens")[-1]
    path = Path(world.warehouse.url) / draw.choice(
        (f"listens/date={day}/notes.txt", "runs/x.json", "sessions/.DS_Store")
    )
    path.write_bytes(b"half a rec")
    return "a stranger's file"


def with_faults(world: World, changes: int, nights: int, seed: int) -> int:
    """Live to the end with a fault every few nights; returns how many there were."""
    draw, count, each = random.Random(seed), 0, max(1, changes // nights)
    while True:
        late = len(world.warehouse.dates("shelves")) > 0.75 * nights
        wrong = (draw.choice(WRONG if late else ENDING), "(change)", str(draw.randint(each // 2, 5 * each)))
        held = wrong[0] == "hold"
        code, said = world.held(wrong) if held else world.live(wrong)
        if code == 0:
            return count + held
        told = [f"{wrong[0]} at change {wrong[2]}"]
        if draw.random() < 0.5 and world.warehouse.dates("sessions"):
            told.append(draw.choice((damaged, stranger))(world, draw))
        count += len(told)
        print(json.dumps({"fault": count, "what": "; ".join(told), "said": said}), flush=True)
        assert count < 20 * nights, "it gets no further"


def costs(warehouse: Warehouse, first: date) -> list[tuple[date, int, float]]:
    """Bytes committed of each lived date, and processor seconds of its jobs."""
    size: dict[date, int] = defaultdict(int)
    for manifest in manifests(warehouse).values():
        size[manifest.date] += sum(file.bytes for file in manifest.files)
    spent: dict[date, float] = defaultdict(float)
    for path in Path(warehouse.url, "runs").glob("*.json"):
        try:
            record = json.loads(path.read_bytes())
            spent[date.fromisoformat(record["date"])] += record["cpu_seconds"]
        except (ValueError, KeyError, TypeError):  # a stranger's
            continue
    return [(day, size[day], round(spent[day], 2)) for day in sorted(size) if day >= first]


def on_disk(world: World) -> float:
    """Everything below the warehouse, in MB of 2**20 bytes."""
    sizes = (path.stat().st_size for path in Path(world.warehouse.url).rglob("*") if path.is_file())
    return round(sum(sizes) / 2**20, 1)


def halves(values: list[float]) -> tuple[float, float]:
    """Medians of the first and of the second half."""
    middle = len(values) // 2
    return median(values[:middle]), median(values[middle:])


def truth(world: World) -> dict[str, bytes]:
    """What the world was, beside the warehouse."""
    folder = world.out / "truth"
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}


def soak(nights: int, size: Mapping[str, int], seed: int, scratch: Path) -> None:
    """Live both worlds and compare.

    Raises:
        AssertionError: they are not equal, or something is abandoned.
    """
    quiet = World(scratch / "quiet", {"days": nights, **size})
    code, said = quiet.live(("count", "(change)", "0"))
    assert code == 0, said
    print(json.dumps({"quiet": nights, "changes": quiet.changes()}), flush=True)
    faulty = World(scratch / "faulty", {"days": nights, **size})
    count = with_faults(faulty, quiet.changes(), nights, seed)
    assert_readable(faulty.warehouse)
    code, said = faulty.give(["clean", "--abandoned", "--warehouse", faulty.warehouse.url])
    assert code == 0, said
    made, expected = hashes(faulty.warehouse), hashes(quiet.warehouse)
    assert made.keys() == expected.keys(), sorted(made.keys() ^ expected.keys())[:5]
    assert [key for key in expected if made[key] != expected[key]] == []
    assert truth(faulty) == truth(quiet)
    held = {(m.table, m.date, m.run_id) for m in manifests(faulty.warehouse).values()}
    left = [
        str(folder.relative_to(faulty.warehouse.url))
        for table in tables(faulty.warehouse)
        for folder in Path(faulty.warehouse.url, table).glob("date=*/run=*")
        if not (folder / "_manifest.json").exists()
    ]
    assert left == [], f"abandoned after clean: {left[:3]}"
    lived = costs(quiet.warehouse, END - timedelta(nights - 1))[:-1]  # the last date has no night yet
    bytes_halves, cpu_halves = halves([float(b) for _, b, _ in lived]), halves([c for _, _, c in lived])
    print(
        json.dumps({"bytes a date, halves": bytes_halves, "processor seconds a date, halves": cpu_halves}), flush=True
    )
    print(json.dumps({"MB on the disk": {w.folder.name: on_disk(w) for w in (quiet, faulty)}}), flush=True)
    print(
        json.dumps({"nights": nights, "faults": count, "tables": len(held), "equal": True, "abandoned": 0}), flush=True
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for option, default in (
        ("nights", 60),
        ("listeners", 40),
        ("tracks", 300),
        ("history", 14),
        ("fit-every", 7),
        ("seed", 1),
    ):
        parser.add_argument(f"--{option}", type=int, default=default)
    asked = parser.parse_args()
    measures = {
        name: getattr(asked, name.replace("-", "_")) for name in ("listeners", "tracks", "history", "fit-every")
    }
    with tempfile.TemporaryDirectory(prefix="nightshelf-soak-") as folder:
        try:
            soak(asked.nights, measures, asked.seed, Path(folder))
        except AssertionError as error:
            print(json.dumps({"equal": False, "why": str(error)[:500]}), flush=True)
            sys.exit(1)
