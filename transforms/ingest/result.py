"""What came of an ingest, in numbers and in words for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from transforms.listening.feedback import KINDS, UNKNOWN


@dataclass
class Ingested:
    """What came of an ingest. `batch` is None, and all counts 0, where every file was there already.

    `known` and `empty` are files that were left out and files without a line; `late` are listens of dates that a night had
    closed, by the date they are filed under; `unread` are cells that held something that could not be read, by column.
    """

    batch: str | None = None
    known: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    rows: int = 0
    listens: int = 0
    duplicates: int = 0
    rejects: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    unread: dict[str, int] = field(default_factory=dict)
    late: dict[str, int] = field(default_factory=dict)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0
    peak_mb: float = 0.0

    def __str__(self) -> str:
        lines = [f"already ingested, left out: {name}" for name in self.known]
        lines += [f"warning: no lines in {name}" for name in self.empty]
        if self.batch is None:
            return "\n".join([*lines, "nothing new to ingest"])
        lines.append(
            f"batch {self.batch}: {self.rows:,} rows = {self.listens:,} listens + {self.duplicates:,} duplicates + "
            f"{self.rejects:,} rejects{_listed(self.reasons)}"
        )
        lines += _unread("the log", self.unread)
        lines += [
            f"  {n:,} of them late, filed under {day}: their own dates were closed by a night that is made already"
            for day, n in self.late.items()
        ]
        for name, t in self.tables.items():
            lines.append(
                f"  {name}: {t['rows']:,} rows = {t['listens']:,} kept + {t['duplicates']:,} duplicates + "
                f"{t['rejects']:,} rejects{_listed(t['reasons'])}"
            )
            lines += _unread(name, t.get("unread", {}))
            lines += [f"  known kinds of feedback: {', '.join(KINDS)}"] * (
                name == "feedback" and UNKNOWN in t["reasons"]
            )
        return "\n".join(lines)

    def counted(self, done: Mapping[str, Any], seconds: float, peak_mb: float) -> Ingested:
        """The same with what the ledger says of the batch, and what the job took."""
        counts = {k: done[k] for k in ("rows", "listens", "duplicates", "rejects", "reasons", "tables")}
        counts |= {"late": done.get("late", {}), "unread": done.get("unread", {})}
        return replace(self, **counts, seconds=seconds, peak_mb=peak_mb)


def _listed(counts: Mapping[str, int]) -> str:
    """Counts in brackets behind their sum; nothing where there are none."""
    return f" ({', '.join(f'{name} {n:,}' for name, n in counts.items())})" if counts else ""


def _unread(name: str, cells: Mapping[str, int]) -> list[str]:
    """The line that says which cells could not be read, and what they count as."""
    if not cells:
        return []
    closed = "; an explicit_ok that cannot be read counts as no" if "explicit_ok" in cells else ""
    return [f"  {name}: cells that could not be read count as unknown{_listed(cells)}{closed}"]
