"""A job held at a point while something else happens: every file of a warehouse comes to its name by a rename."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest


def before(patch: pytest.MonkeyPatch, root: Path, pattern: str, act: Callable[[], Any], n: int = 1) -> list[str]:
    """Do something, once, before the n-th rename below `root` to a path that matches; returns where it was done."""
    rename, seen, done = os.replace, iter(range(1, 1 << 30)), list[str]()

    def replace(source: Any, target: Any, **more: Any) -> None:
        path = Path(target)
        inside = path.is_relative_to(root) and fnmatch(path.relative_to(root).as_posix(), pattern)
        if inside and not done and next(seen) == n:
            done.append(path.relative_to(root).as_posix())
            act()
        rename(source, target, **more)

    patch.setattr(os, "replace", replace)
    return done


def full() -> None:
    """What a write meets where there is no room."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
