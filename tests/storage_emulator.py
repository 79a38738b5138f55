"""Google Cloud Storage, emulated in its own process, and the environment that points the real clients at it.

`make emulators` makes the emulator's environment. It knows neither resumable uploads' hashes nor access rights; what the
tests ask of it is objects: written, listed, read, replaced only if their generation is the one that was read.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.emulators import ENVIRONMENT, PROJECT, free_ports, wait_for


@dataclass(frozen=True)
class Storage:
    """A running emulator with one empty bucket; `environment` is what a process needs to reach it."""

    url: str
    bucket: str

    @property
    def environment(self) -> dict[str, str]:
        return {"STORAGE_EMULATOR_HOST": self.url, "GOOGLE_CLOUD_PROJECT": PROJECT, "NO_GCE_CHECK": "true"}

    def client(self) -> Any:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        return storage.Client(PROJECT, AnonymousCredentials(), client_options={"api_endpoint": self.url})

    def upload(self, folder: Path, prefix: str) -> str:
        """Every file of a folder as an object; returns the prefix's URL."""
        bucket = self.client().bucket(self.bucket)
        for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")):
            bucket.blob(f"{prefix}/{path.relative_to(folder).as_posix()}").upload_from_filename(path)
        return f"gs://{self.bucket}/{prefix}"

    def read(self, url: str) -> bytes:
        """An object's bytes."""
        bucket, _, name = url.removeprefix("gs://").partition("/")
        return bytes(self.client().bucket(bucket).blob(name).download_as_bytes())


@contextmanager
def storage_emulator(folder: Path) -> Iterator[Storage]:
    """Start the emulator, wait until it answers, end it."""
    program = ENVIRONMENT / "bin" / "gcp-storage-emulator"
    if not program.exists():
        pytest.fail("no emulator to test against; run `make emulators` first")
    (port,) = free_ports(1)
    command = [program, "start", "--host", "127.0.0.1", "--port", port, "--in-memory", "--default-bucket", "nights"]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen([str(part) for part in command], env=os.environ, cwd=folder, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{url}/storage/v1/b/nights", process, folder / "log")
        yield Storage(url, "nights")
    finally:
        process.kill()
        process.wait()
