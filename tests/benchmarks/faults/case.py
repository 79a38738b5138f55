"""What a fault is done to: a log of four days, the warehouses that commands leave, and the three questions asked afterwards.

After the documented remedy every committed table must be readable and equal to that of an undisturbed warehouse; nothing may be
lost or doubled (equal includes that); and what was said must name what to do.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from tests.benchmarks.faults.warm import Forked
from tests.pipelines.test_kill import assert_readable
from tests.pipelines.world import hashes
from transforms.tables.warehouse import Warehouse

ROOT = Path(__file__).parents[3]
FIRST, LAST, END = date(2026, 1, 5), date(2026, 1, 8), date(2026, 1, 9)
LISTENERS = [f"listener {n}" for n in range(12)]
GONE = LISTENERS[3]
QUIET = ("nothing", "-", "0")  # nothing goes wrong, see `beside`
REMEDY = re.compile(r"again|`nightshelf|make room|mend|bring back|chmod|set |name another|ingest it|give |expected")
PATIENCE = 30.0  # seconds that whoever ends a container waits before it is killed
CODES = {-9: "killed", -15: "ended by the signal", 137: "killed", 143: "ended by the signal"}


@dataclass(frozen=True)
class Fault:
    """One fault: its name, its kind, the command it is done to, and how; `do` returns what was said."""

    name: str
    kind: str
    command: str
    do: Callable[[Case], str]


@dataclass
class Case:
    """A folder for one fault. `made` are warehouses that an undisturbed command left, by the command."""

    folder: Path
    log: Path
    made: Mapping[str, Path]
    codes: list[int] = field(default_factory=list)

    @property
    def url(self) -> Path:
        """The warehouse that the fault is done to."""
        return self.folder / "w"

    def start(self, stage: str | None) -> None:
        """Begin with what an undisturbed command left, or with nothing."""
        if stage is not None:
            shutil.copytree(self.made[stage], self.url, symlinks=True)

    def words(self, command: str, log: Path | None = None) -> list[str]:
        """A command's words."""
        at = ["--warehouse", str(self.url)]
        inputs = [
            "--input",
            str(log or self.log / "*.csv"),
            "--mapping",
            str(self.log / "mapping.yaml"),
            "--end-date",
            str(END),
        ]
        return {
            "ingest": ["ingest", "--format", "csv", *inputs, *at],
            "features": ["features", "--from", str(FIRST), "--to", str(LAST), *at],
            "forget": ["forget", GONE, *at],
            "rollback": ["rollback", "library", "--date", str(LAST), *at],
            "repair": ["repair", *at],
            "clean": ["clean", "--abandoned", *at],
            "status": ["status", *at],
            "backfill": ["backfill", "--from", str(FIRST), "--to", str(LAST), *at],
            "evaluate": ["evaluate", "--date", "2026-01-20", "--days", "7", *at],
        }[command]

    def run(
        self,
        command: str | Sequence[str],
        wrong: Sequence[str] = QUIET,
        *,
        env: Mapping[str, str] | None = None,
        shell: str = "",
        log: Path | None = None,
        within: Mapping[str, str] | None = None,
    ) -> str:
        """Run a command with something going wrong in it; returns what it said last.

        Args:
            env: variables that an interpreter of its own starts with; `within`: that a fork is given.
        """
        words = self.words(command, log) if isinstance(command, str) else list(command)
        if not env and not shell:
            return self.noted(*Forked(self.folder, str(self.url), wrong, words, within).ended())
        line = [
            sys.executable,
            "-m",
            "tests.benchmarks.faults.beside",
            wrong[0],
            str(self.url),
            *wrong[1:],
            "--",
            *words,
        ]
        if shell:
            line = ["bash", "-c", shell.replace("CMD", '"$@"'), "bash", *line]
        done = subprocess.run(
            line, cwd=ROOT, env={**os.environ, **(env or {})}, capture_output=True, text=True, errors="replace"
        )
        return self.noted(done.returncode, done.stdout, done.stderr)

    def since_told(self) -> float:
        """Seconds from the signal that a command was sent to its end, just now.

        Raises:
            AssertionError: they are more than an orchestrator waits.
        """
        from tests.benchmarks.faults.beside import TOLD

        seconds = time.monotonic() - float((self.folder / TOLD).read_text())
        assert seconds < PATIENCE, f"{seconds:.0f} seconds from the signal to the end"
        return seconds

    def done(self, command: str | Sequence[str], within: Mapping[str, str] | None = None) -> str:
        """Run a command that must end well.

        Raises:
            AssertionError: it did not.
        """
        said = self.run(command, within=within)
        assert self.codes[-1] == 0, f"{command} ended with {self.codes[-1]}: {said}"
        return said

    def noted(self, code: int, out: str, errors: str) -> str:
        """Note how a command ended; what it said to whoever gave it."""
        self.codes.append(code)
        said = [s for s in (errors + "\n" + out).splitlines() if s.startswith(("nightshelf:", "damaged:", "batch"))]
        return (said or [CODES.get(code, f"exit {code}")])[0]

    def held(
        self,
        command: str | Sequence[str],
        pattern: str,
        meanwhile: Callable[[], str],
        n: int = 1,
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Hold a command at a point, do something else, let it go on; returns what both said."""
        words = self.words(command) if isinstance(command, str) else list(command)
        late = Forked(self.folder, str(self.url), ("hold", pattern, str(n)), words, env)
        if not late.reached():
            raise AssertionError(f"{command} never came to {pattern}: {late.ended()[2]}")
        other = meanwhile()
        late.go_on()
        code, _, errors = late.ended()
        self.codes.append(code)
        own = [s for s in errors.splitlines() if s.startswith("nightshelf:")]
        return "; ".join([*own, other])

    def equal(self, stage: str) -> None:
        """Ask whether the warehouse is what the undisturbed command left.

        Raises:
            AssertionError: it is not, or a table cannot be read.
        """
        warehouse, whole = Warehouse(str(self.url)), Warehouse(str(self.made[stage]))
        assert_readable(warehouse)
        made, expected = hashes(warehouse), hashes(whole)
        assert made.keys() == expected.keys(), f"tables {sorted(made.keys() ^ expected.keys())}"
        other = [key for key in expected if made[key] != expected[key]]
        assert not other, f"{', '.join(other[:3])} differ"


def write_log(folder: Path) -> Path:
    """Twelve listeners, four days, three files."""
    folder.mkdir(parents=True)
    (folder / "mapping.yaml").write_text("columns: {listener_id: u, track_id: t, started_at: at, ms_played: ms}\n")
    lines = []
    for day in range(4):
        for n, who in enumerate(LISTENERS):
            for k in range(4):
                at = datetime(FIRST.year, FIRST.month, FIRST.day, 8 + n % 5, 5 * k, tzinfo=UTC) + timedelta(day)
                lines.append(f"{who},t{(n * 3 + day * 2 + k) % 25},{at.isoformat()},200000")
    for n in range(3):
        (folder / f"log-{n}.csv").write_text("\n".join(["u,t,at,ms", *lines[n::3]]) + "\n")
    return folder


def stages(folder: Path) -> tuple[Path, dict[str, Path]]:
    """The log, and the warehouses that undisturbed commands leave."""
    done = folder / "stages-are-made"
    log = folder / "log" if done.exists() else write_log(folder / "log")
    made: dict[str, Path] = {}
    before = None
    for command in ("ingest", "features", "forget"):
        case = Case(folder / command, log, made)
        if done.exists():
            made[command] = case.url
            continue
        case.folder.mkdir()
        case.start(before)
        case.run(command)
        assert case.codes == [0], f"{command} without any fault ended with {case.codes}"
        made[command] = case.url
        before = command
    done.touch()
    return log, made
