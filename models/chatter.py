"""TensorFlow imported without its chatter.

While it is imported, its native code writes of what the machine lacks ("Could not find cuda drivers") straight to stderr, before
any setting of its logs can hold it back. Such lines are taken out of the stream, and everything else passes. With
NIGHTSHELF_DEBUG nothing is taken out.

    import models                # from now on
    import tensorflow as tf      # says nothing, whoever imports it first
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

STDERR = 2
_CHATTER = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\) |[IWE]\d{4} \d\d:\d\d:\d\d\.|[IWE]0000 00:00:"
)
_MAY_BEGIN_ONE = re.compile(rb"(?:W|WARNING:.{0,60}|[IWE]\d{0,4}(?: [\d:.]*)?)$", re.DOTALL)


@contextmanager
def without_chatter() -> Iterator[None]:
    """Pass on what is written to stderr inside the block, but for lines in the form of native logs below fatal ones."""
    if os.environ.get("NIGHTSHELF_DEBUG"):
        yield
        return
    try:
        kept = os.dup(STDERR)
    except OSError:  # there is none
        yield
        return
    read, write = os.pipe()
    sys.stderr.flush()
    os.dup2(write, STDERR)
    os.close(write)
    passing = threading.Thread(target=_pass_on, args=(read, kept), name="import's stderr", daemon=True)
    passing.start()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, STDERR)  # the pipe's last writer: its reader ends
        passing.join()
        os.close(kept)


def _pass_on(read: int, out: int) -> None:
    """Copy a stream until it ends. A piece is held back only as long as it may still turn out to be chatter."""
    held = b""
    with os.fdopen(read, "rb", buffering=0) as stream:
        while piece := stream.read(1 << 16):
            *lines, held = (held + piece).split(b"\n")
            for line in lines:
                if not _CHATTER.match(line):
                    _write(out, line + b"\n")
            if held and not _CHATTER.match(held) and not _MAY_BEGIN_ONE.match(held):
                _write(out, held)
                held = b""
    if held and not _CHATTER.match(held):
        _write(out, held)


def _write(out: int, data: bytes) -> None:
    try:
        while data:
            data = data[os.write(out, data) :]
    except OSError:  # nobody reads it
        return


class _Finder(MetaPathFinder):
    """Finds one package as the others do, once, and has it run without chatter."""

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != self._package:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def quietly(module: ModuleType) -> None:
                with without_chatter():
                    run(module)

            spec.loader.exec_module = quietly  # type: ignore[method-assign]
        return spec


def quiet(package: str) -> None:
    """Have a package be imported without chatter, when somebody imports it."""
    if package not in sys.modules:
        sys.meta_path.insert(0, _Finder(package))
