"""Commands in forks of a process that has loaded everything: a fault costs its own work, not the loading of libraries.

The standard library's fork server is that process. Nothing of it has run but imports, so what a fork lacks of its threads is
missed by nobody. Commands that ask for surroundings of their own (an environment, a shell) start an interpreter of their own.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.benchmarks.faults.loaded"])


class Forked:
    """A command at work in a fork; `wrong` is what goes wrong in it, see `beside`."""

    def __init__(
        self,
        folder: Path,
        warehouse: str,
        wrong: Sequence[str],
        words: Sequence[str],
        env: Mapping[str, str] | None = None,
    ) -> None:
        number = len(list(folder.glob("told-*")))
        self._told = folder / f"told-{number}"
        self._told.mkdir()
        os.mkfifo(self._told / "in")
        told = (str(self._told), warehouse, list(wrong), list(words), dict(env or {}))
        self._process = _FORKS.Process(target=_command, args=told)
        self._process.start()

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process.pid is not None
        return self._process.pid

    def reached(self) -> bool:
        """Wait until the command is held; False if it ended before."""
        while self._process.exitcode is None:
            if "reached" in self._text("out"):
                return True
            time.sleep(0.05)
        return False

    def go_on(self) -> None:
        """Let a held command go on."""
        handle = os.open(self._told / "in", os.O_RDWR)
        os.write(handle, b"go on\n")
        self._held = handle  # closed with us: the line waits in the pipe until it is read

    def ended(self, seconds: float | None = 600) -> tuple[int, str, str]:
        """Wait for the end; exit code, stdout, stderr.

        Raises:
            AssertionError: it is still at work after so many seconds.
        """
        self._process.join(seconds)
        if self._process.exitcode is None:
            self._process.kill()
        assert self._process.exitcode is not None, f"still at work after {seconds} seconds"
        return self._process.exitcode, self._text("out"), self._text("err")

    def _text(self, name: str) -> str:
        path = self._told / name
        return path.read_text(errors="replace") if path.exists() else ""


def _command(told: str, warehouse: str, wrong: list[str], words: list[str], env: dict[str, str]) -> None:
    """In the fork."""
    from tests.benchmarks.faults.beside import main

    os.environ.update(env)
    if "FAULTS_WIRE" in env:
        from tests.benchmarks.faults.wire import install

        install(env["FAULTS_WIRE"])
    user = env.get("FAULTS_AS_USER")
    if user:
        for name in ("in", ""):
            os.chown(f"{told}/{name}", int(user), int(user))
        os.setgroups([])
        os.setgid(int(user))
        os.setuid(int(user))
    for number, name, flags in (
        (0, "in", os.O_RDWR),
        (1, "out", os.O_WRONLY | os.O_CREAT),
        (2, "err", os.O_WRONLY | os.O_CREAT),
    ):
        handle = os.open(f"{told}/{name}", flags, 0o644)
        os.dup2(handle, number)
        os.close(handle)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
    main(wrong[0], warehouse, *wrong[1:], *words)
