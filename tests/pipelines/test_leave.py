"""The command's last step: everything of Python is finished, and the process ends with its exit code."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipelines.runtime.leave import exit_code

PROGRAM = """
import atexit, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from pipelines.runtime.leave import leave
atexit.register(lambda: print("registered"))
ThreadPoolExecutor(1).submit(lambda: sys.stdout.write("pooled\\n"))
threading.Thread(target=lambda: (time.sleep(0.2), sys.stdout.write("thread\\n"))).start()
sys.stdout.write("begun\\n")
leave({code})
print("never")
"""


def test_threads_and_what_was_registered_are_finished_and_printed() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(code=3)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (3, "")
    assert sorted(done.stdout.split()) == ["begun", "pooled", "registered", "thread"]
    assert done.stdout.split()[-1] == "registered"


def test_a_reader_that_went_away_is_no_crash() -> None:
    code = "from pipelines.runtime.leave import leave; print(1); leave(0)"
    command = f"{sys.executable} -c '{code}' | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", f"unset PYTHONUNBUFFERED; {command}"], capture_output=True, text=True)
    assert done.stdout.strip() in ("0", "120") and done.stderr == ""


@pytest.mark.parametrize(("given", "code"), [(None, 0), (0, 0), (2, 2), ("words", 1)])
def test_exit_codes(given: object, code: int) -> None:
    assert exit_code(given) == code


@pytest.mark.parametrize(("args", "code"), [(["--help"], 0), (["config"], 0), (["nosuch"], 2), (["show", "x"], 2)])
def test_a_command_ends_with_its_code_and_everything_it_printed(tmp_path, args: list[str], code: int) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pipelines.cli.main",
            *args,
            *([f"--warehouse={tmp_path}"] if args[0] == "show" else []),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    assert (done.stderr if code else done.stdout).strip()
