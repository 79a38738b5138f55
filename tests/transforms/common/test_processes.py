"""Other processes of this machine: what they are given, what they raise, and that none of them outlives who asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from transforms.common.errors import GateFailed, UserError
from transforms.common.processes import Used, cores, given, processes, take, taken, used, within

ROOT = Path(__file__).parent.parent.parent.parent
ORPHANS = """
import sys, time
from tests.transforms.common.test_processes import forever
from transforms.common.processes import processes
if __name__ == "__main__":
    with processes(2) as pool:
        found = [pool.submit(forever, sys.argv[1]) for _ in range(2)]
        found[0].result()
"""

LIGHT = """
from tests.transforms.common.test_processes import imported
from transforms.common.processes import processes
if __name__ == "__main__":
    with processes(1, models=False) as pool:
        print(pool.submit(imported, "apache_beam").result(), pool.submit(imported, "tensorflow").result())
"""


def imported(name: str) -> bool:
    return name in sys.modules


def reported(number: int) -> tuple[int, int, str, str, bool]:
    return number + given(), os.getpid(), os.environ["POLARS_MAX_THREADS"], os.environ["MARK"], within()


def refused(_: int) -> None:
    raise GateFailed("expected a night, found none; make one")


def dies(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def forever(folder: str) -> None:
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(600)


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False


def gone(pids: list[int]) -> bool:
    """Whether all of them end within ten seconds."""
    until = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(map(alive, pids))


def test_work_is_done_elsewhere_with_what_was_shared_and_its_share_of_the_processors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MARK", "of the moment")
    with processes(2, shared=10) as pool:
        found = list(pool.map(reported, range(4)))
        most = pool.submit(used).result()
    assert [n for n, *_ in found] == [10, 11, 12, 13]
    assert os.getpid() not in {pid for _, pid, *_ in found} and not within()
    assert {reported[2:] for reported in found} == {(str(max(1, cores() // 2)), "of the moment", True)}
    assert most.cpu_seconds > 0 and most.peak_mb > 10


def test_an_error_arrives_as_it_was_raised_and_ends_the_others(tmp_path: Path) -> None:
    with pytest.raises(GateFailed, match="make one"), processes(2) as pool:
        pool.submit(forever, str(tmp_path))
        while not list(tmp_path.iterdir()):
            time.sleep(0.05)
        pool.submit(refused, 0).result()
    assert gone([int(path.name) for path in tmp_path.iterdir()])


def test_a_process_that_the_system_ends_is_told_with_what_to_do() -> None:
    with pytest.raises(UserError, match="one of 2 processes .* set `processes`"), processes(2) as pool:
        pool.submit(dies, 0).result()


def test_nobody_outlives_a_killed_launcher(tmp_path: Path) -> None:
    script = tmp_path / "launch.py"
    script.write_text(ORPHANS)
    seen = tmp_path / "seen"
    seen.mkdir()
    launcher = subprocess.Popen(
        [sys.executable, str(script), str(seen)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    while len(list(seen.iterdir())) < 2 and launcher.poll() is None:
        time.sleep(0.05)
    launcher.kill()
    launcher.wait()
    found = [int(path.name) for path in seen.iterdir()]
    assert len(found) == 2 and gone(found)


def test_what_processes_used_is_asked_for_once() -> None:
    taken()
    take(Used(1.0, 300.0))
    take(Used(2.5, 200.0))
    assert (taken(), taken()) == (Used(3.5, 300.0), Used())


def test_a_server_for_work_without_models_does_not_import_what_models_need(tmp_path: Path) -> None:
    script = tmp_path / "light.py"
    script.write_text(LIGHT)
    run = [sys.executable, str(script)]
    done = subprocess.run(run, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "False"], done.stderr[-2000:]
