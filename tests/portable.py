"""A portable job service and a pool of fresh worker processes on this machine: nothing may lean on the launching process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as s:
        s.bind(("localhost", 0))
        return int(s.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes], seconds: float = 180) -> None:
    """Return once something listens; raise if the process ends first."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with socket.socket() as s:
            if s.connect_ex(("localhost", port)) == 0:
                return
        if process.poll() is not None:
            raise RuntimeError(f"the process behind port {port} ended with {process.returncode}")
        time.sleep(0.1)
    raise RuntimeError(f"nothing listened on port {port} after {seconds} s")


@contextmanager
def portable_args(folder: Path) -> Iterator[list[str]]:
    """Beam options for a job service and an external worker pool that live as long as the block."""
    jobs, pool = free_port(), free_port()
    env = "apache_beam.runners"
    with open(folder / "portable.log", "wb") as log:
        commands = [
            (
                jobs,
                [f"{env}.portability.local_job_service_main", f"--port={jobs}", f"--staging_dir={folder / 'staged'}"],
            ),
            (pool, [f"{env}.worker.worker_pool_main", f"--service_port={pool}"]),
        ]
        started = []
        # The pool starts workers as `python`; the search path makes that this interpreter.
        here = str(Path(sys.executable).parent)
        environment = {**os.environ, "PATH": f"{here}{os.pathsep}{os.environ.get('PATH', '')}"}
        environment.pop("PYTHONPATH", None)
        try:
            for port, command in commands:
                # The working directory is not the project's: workers find only the installed package.
                process = subprocess.Popen(
                    [sys.executable, "-m", *command], cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
                )
                started.append(process)
                wait_for(port, process)
            yield [
                "--runner=PortableRunner",
                f"--job_endpoint=localhost:{jobs}",
                "--environment_type=EXTERNAL",
                f"--environment_config=localhost:{pool}",
            ]
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait(timeout=20)
