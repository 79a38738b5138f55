"""What all faults of a process share, opened when first asked for and closed at the end."""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import cache
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


@cache
def kept(opens: Callable[[Path], AbstractContextManager[T]]) -> T:
    """What `opens` gives of a folder of its own."""
    held = ExitStack()
    atexit.register(held.close)
    return held.enter_context(opens(Path(held.enter_context(tempfile.TemporaryDirectory()))))
