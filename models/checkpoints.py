"""Where a fit keeps what it has after each epoch; known without TensorFlow, so that settings need not import it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Checkpoints:
    """A place for checkpoints.

    Attributes:
        folder: folder or URL.
        saved: called after each checkpoint is complete.
    """

    folder: str
    saved: Callable[[], None] | None = None

    @classmethod
    def of(cls, given: Checkpoints | str | Path | None) -> Checkpoints | None:
        """What was given, a plain folder included."""
        return given if given is None or isinstance(given, cls) else cls(str(given))

    def under(self, name: str) -> Checkpoints:
        """The same for one model among several that share the folder."""
        return Checkpoints(f"{self.folder.rstrip('/')}/{name}", self.saved)
