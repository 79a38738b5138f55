"""Google Cloud Storage, emulated in its own process, and the environment that points the real clients at it.

`make emulators` makes the emulator's environment. It knows neither resumable uploads' hashes nor access rights nor
preconditions; what the tests ask of it is objects: written, listed, read. `Strict` adds the preconditions.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import requests

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


class Strict(requests.Session):
    """A client's connection that answers as the service does where `ifGenerationMatch` does not match: 412."""

    is_mtls = False

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        parts = urlsplit(str(url))
        wanted = parse_qs(parts.query).get("ifGenerationMatch")
        if wanted is None:
            return super().request(method, url, *args, **kwargs)
        if parts.path.startswith("/upload/"):
            found = re.search(rb'"name": ?"([^"]+)"', kwargs.get("data") or args[1])
            assert found is not None, "an upload names its object"
            name = quote(found[1].decode(), safe="")
        else:
            name = parts.path.rpartition("/o/")[2]
        bucket = parts.path.partition("/b/")[2].partition("/")[0]
        now = super().request("GET", f"{parts.scheme}://{parts.netloc}/storage/v1/b/{bucket}/o/{name}")
        if int(wanted[0]) == (int(now.json()["generation"]) if now.ok else 0):
            return super().request(method, url, *args, **kwargs)
        refused = requests.Response()
        refused.status_code, refused.url, refused.request = 412, str(url), requests.Request(method, url).prepare()
        refused._content = b'{"error": {"code": 412, "message": "conditionNotMet"}}'
        return refused


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
