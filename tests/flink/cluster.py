"""A Flink session cluster on this machine: a job manager, two task managers, and Beam's job server.

Task managers start the Python workers themselves (`worker.py`). A worker pool would have to be one for each: task managers give
their workers equal ids, and a pool that two share stops the one for the other.

Every process is started here and stopped here, whatever happens between; each writes a log of its own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.portable import free_port, wait_for

TASK_MANAGERS = 2
SLOTS = 1  # of each task manager: more would only wait for one another on two cores
RUNTIME = "org.apache.flink.runtime"

# What Flink's own start scripts pass on Java 17.
PACKAGES = "java.lang java.net java.io java.nio java.text java.time java.util sun.nio.ch java.util.concurrent"
PACKAGES += " java.util.concurrent.atomic java.util.concurrent.locks"
OPENED = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in PACKAGES.split()]


def configuration(port: int, rest: int, folder: Path) -> dict[str, object]:
    """Flink's settings. Its scripts work a task manager's memory out; started without them, each part is named."""
    return {
        "jobmanager.rpc.address": "localhost",
        "jobmanager.rpc.port": port,
        "jobmanager.execution.failover-strategy": "full",
        "rest.address": "localhost",
        "rest.bind-address": "localhost",
        "rest.port": rest,
        # Beam's runner stands on every class path and is not taken from the job: only so does it keep workers between stages.
        "classloader.resolve-order": "parent-first",
        "taskmanager.host": "localhost",
        "taskmanager.bind-host": "localhost",
        "taskmanager.numberOfTaskSlots": SLOTS,
        "taskmanager.cpu.cores": "1.0",
        "taskmanager.memory.framework.heap.size": "128m",
        "taskmanager.memory.framework.off-heap.size": "128m",
        "taskmanager.memory.task.heap.size": "384m",
        "taskmanager.memory.task.off-heap.size": "64m",
        "taskmanager.memory.managed.size": "128m",
        "taskmanager.memory.network.min": "256m",
        "taskmanager.memory.network.max": "256m",
        "taskmanager.memory.jvm-metaspace.size": "256m",
        "taskmanager.memory.jvm-overhead.min": "192m",
        "taskmanager.memory.jvm-overhead.max": "192m",
        "parallelism.default": TASK_MANAGERS * SLOTS,
        "io.tmp.dirs": str(folder / "tmp"),
        "web.tmpdir": str(folder / "tmp"),
        "blob.storage.directory": str(folder / "tmp"),
        "restart-strategy.type": "none",
    }


@dataclass
class Processes:
    """Processes that end together, each with a log in one folder."""

    logs: Path
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, command: Sequence[str], cwd: Path) -> None:
        """Start a process in a group of its own, so that what it starts ends with it."""
        with open(self.logs / f"{name}.log", "wb") as log:
            self.started[name] = subprocess.Popen(
                command,
                cwd=cwd,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for(self, name: str, port: int) -> None:
        """Return once a started process listens on its port; raise RuntimeError naming its log if it ends first."""
        try:
            wait_for(port, self.started[name])
        except RuntimeError as error:
            raise RuntimeError(f"{name} did not start ({error}); see {self.logs / name}.log") from error

    def stop(self) -> None:
        """End every group: first asked to, then made to."""
        for process in reversed(self.started.values()):
            _signal(process, signal.SIGTERM)
        until = time.monotonic() + 15
        for process in self.started.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(0.1, until - time.monotonic()))
        for process in self.started.values():
            _signal(process, signal.SIGKILL)  # also what is left of a group whose leader has ended
            process.wait()


@dataclass(frozen=True)
class Cluster:
    """A running cluster: `options` hand a job to it; `logs` is the folder of its processes' logs."""

    options: list[str]
    logs: Path
    rest: int
    processes: Processes

    def ask(self, path: str) -> dict[str, Any]:
        """What the job manager answers."""
        with urllib.request.urlopen(f"http://localhost:{self.rest}/{path}", timeout=20) as answer:
            return dict(json.load(answer))

    def jobs(self) -> list[str]:
        """The state of every job it was given."""
        return [job["state"] for job in self.ask("jobs/overview")["jobs"]]

    def cpu_seconds(self) -> dict[str, float]:
        """Processor seconds so far of each process that was started, and of all Python workers together."""
        ticks, out = os.sysconf("SC_CLK_TCK"), {"workers": 0.0}
        names = {process.pid: name for name, process in self.processes.started.items()}
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                words = path.read_text().rpartition(")")[2].split()
                leader, (own, ended) = int(words[3]), (sum(map(int, words[n : n + 2])) / ticks for n in (11, 13))
                if leader in names:
                    mine = int(path.parent.name) == leader
                    name = names[leader] if mine else "workers"
                    out[name] = out.get(name, 0.0) + own
                    out["workers"] += ended
        return out


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


@contextmanager
def cluster(jars: Path, python: Path, folder: Path) -> Iterator[Cluster]:
    """A Flink cluster that lives as long as the block.

    Args:
        jars: a folder with the jars of Flink and of Beam's Flink runner.
        python: the interpreter that runs the workers.
        folder: where the processes work and log.

    Raises:
        RuntimeError: a process did not start.
    """
    logs, conf, tmp = folder / "logs", folder / "conf", folder / "tmp"
    for place in (logs, conf, tmp):
        place.mkdir(parents=True)
    rpc, rest, job, artifact, expansion = (free_port() for _ in range(5))
    settings = configuration(rpc, rest, folder)
    (conf / "config.yaml").write_text("".join(f"{k}: {json.dumps(v)}\n" for k, v in settings.items()))

    def java(main: str, *args: str) -> list[str]:
        # They live for minutes: what the second compiler would win, it would cost first.
        return [
            "java",
            "-Xmx512m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            *OPENED,
            "-cp",
            f"{jars}/*",
            main,
            *args,
        ]

    # `-I`: no search path from the environment, and not the script's folder; the working directory is the task manager's.
    program = Path(__file__).resolve().with_name("worker.py")
    worker = folder / "worker"
    worker.write_text(f'#!/bin/sh\nexec "{python}" -I "{program}" "$@" >"{logs}/worker-$$.log" 2>&1\n')
    worker.chmod(0o755)
    processes = Processes(logs)
    try:
        where = ("--configDir", str(conf))
        entry = f"{RUNTIME}.entrypoint.StandaloneSessionClusterEntrypoint"
        processes.start("job-manager", java(entry, *where), folder)
        processes.wait_for("job-manager", rest)
        for n in range(1, TASK_MANAGERS + 1):
            main = f"{RUNTIME}.taskexecutor.TaskManagerRunner"
            processes.start(f"task-manager-{n}", java(main, *where), folder)
        server = java(
            "org.apache.beam.runners.flink.FlinkJobServerDriver",
            f"--flink-master=localhost:{rest}",
            f"--job-port={job}",
            f"--artifact-port={artifact}",
            f"--expansion-port={expansion}",
            f"--artifacts-dir={folder / 'staged'}",
        )
        processes.start("job-server", server, folder)
        processes.wait_for("job-server", job)
        options = [
            "--runner=PortableRunner",
            f"--job_endpoint=localhost:{job}",
            "--environment_type=PROCESS",
            f"--environment_config={json.dumps({'command': str(worker)})}",
            f"--parallelism={TASK_MANAGERS * SLOTS}",
            "--environment_cache_millis=30000",  # between a job's stages; without it each starts workers anew
        ]
        running = Cluster(options, logs, rest, processes)
        _registered(running, processes)
        yield running
    finally:
        processes.stop()


def _registered(running: Cluster, processes: Processes, seconds: float = 180) -> None:
    """Return once every task manager has registered with the job manager."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended = [name for name, process in processes.started.items() if process.poll() is not None]
        if ended:
            raise RuntimeError(f"{', '.join(ended)} ended while the cluster started; see {processes.logs}")
        with suppress(OSError):
            if running.ask("overview")["taskmanagers"] == TASK_MANAGERS:
                return
        time.sleep(0.5)
    raise RuntimeError(f"{TASK_MANAGERS} task managers did not register in {seconds:.0f} s; see {processes.logs}")
