"""The BigQuery emulator, in its own environment and process, and a client whose wire can be read and cut.

`make emulators` makes the environment. The emulator looks for DuckDB's spatial extension in its home, so it is given a
home of its own with the packaged one.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

ENVIRONMENT = Path(__file__).parent.parent / ".venv-emulators"
PROJECT = "nightshelf-test"


class Killed(BaseException):
    """The process is no more: nothing catches it, nothing is cleaned up over the wire."""


@dataclass
class Request:
    """What went over the wire."""

    method: str
    path: str
    body: dict[str, Any]


class Wire(requests.Session):
    """Keeps every request; dies before (or, the answer lost, after) the one numbered `cut`, from 0."""

    def __init__(self, cut: int | None = None, after: bool = False) -> None:
        super().__init__()
        self.sent: list[Request] = []
        self.cut, self.after, self.is_mtls = cut, after, False

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        data = kwargs.get("data", args[1] if len(args) > 1 else None)
        try:
            body = json.loads(data) if data else {}
        except (ValueError, TypeError):
            body = {}
        here = len(self.sent)
        self.sent.append(Request(method, url.split("?", maxsplit=1)[0].rsplit("/bigquery/v2", maxsplit=1)[-1], body))
        if here == self.cut and not self.after:
            raise Killed
        answer = super().request(method, url, *args, **kwargs)
        if here == self.cut:
            raise Killed
        return answer


@dataclass
class Emulator:
    """A running emulator; `bucket` is the folder that `gs://bucket` stands for."""

    url: str
    bucket: Path
    datasets: list[str] = field(default_factory=list)

    def client(self, wire: Wire | None = None) -> bigquery.Client:
        options = {"api_endpoint": self.url}
        return bigquery.Client(
            PROJECT, credentials=AnonymousCredentials(), client_options=options, _http=wire or Wire()
        )

    def dataset(self) -> str:
        """A new, empty dataset."""
        name = f"d{len(self.datasets)}"
        self.datasets.append(name)
        self.client().create_dataset(name)
        return name


@contextmanager
def bigquery_emulator(folder: Path) -> Iterator[Emulator]:
    """Start the emulator, wait until it answers, end it."""
    program = ENVIRONMENT / "bin" / "bqemulator"
    if not program.exists():
        pytest.fail("no emulator to test against; run `make emulators` first")
    home, bucket = folder / "home", folder / "gcs" / "bucket"
    bucket.mkdir(parents=True)
    for found in ENVIRONMENT.glob("lib/*/site-packages/duckdb_extension_spatial/extensions/*/spatial.duckdb_extension"):
        for platform in ("linux_amd64", "linux_arm64", "osx_amd64", "osx_arm64"):
            place = home / ".duckdb" / "extensions" / found.parent.name / platform
            place.mkdir(parents=True)
            shutil.copy(found, place)
    ports = free_ports(2)
    command = [program, "start", "--rest-port", ports[0], "--grpc-port", ports[1], "--project", PROJECT]
    environment = {**os.environ, "HOME": str(home), "BQEMU_GCS_LOCAL_ROOT": str(folder / "gcs")}
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen([str(part) for part in command], env=environment, cwd=folder, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{ports[0]}"
    try:
        wait_for(f"{url}/bigquery/v2/projects/{PROJECT}/datasets", process, folder / "log")
        yield Emulator(url, bucket)
    finally:
        process.kill()
        process.wait()


def free_ports(n: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once an emulator answers at a URL; the test fails if it ends or stays silent."""
    for _ in range(1_200):
        if process.poll() is not None:
            pytest.fail(f"the emulator ended at once: {log.read_text()[-500:]}")
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    pytest.fail(f"the emulator does not answer: {log.read_text()[-500:]}")
