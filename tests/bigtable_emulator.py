"""Bigtable's emulator, the one that Google's Go client ships, as a process of its own; `make emulators` builds it."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.emulators import PROJECT

BINARY = Path(__file__).parent.parent / "build" / "bigtable-emulator"
INSTANCE, HOST = "apps", "BIGTABLE_EMULATOR_HOST"


@contextmanager
def running_bigtable() -> Iterator[str]:
    """Start an emulator and stop it again; yields its address, which clients find by an environment variable.

    Where it was not built, the tests are skipped; in continuous integration they fail.
    """
    if not BINARY.exists():
        said = f"{BINARY} is not there; `make emulators` builds it with Go"
        pytest.fail(said) if os.environ.get("CI") else pytest.skip(said)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([str(BINARY), "-host", "127.0.0.1", "-port", str(port)], stdout=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        else:
            pytest.fail("Bigtable's emulator does not answer")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(HOST, f"127.0.0.1:{port}")
            yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def new_table() -> str:
    """The name of a target that nobody has written to."""
    return f"bigtable:{PROJECT}/{INSTANCE}/t{uuid.uuid4().hex[:12]}"
