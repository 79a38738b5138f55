"""What came of a `forget`, in numbers and in words for the terminal; it names nobody."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Done:
    """What a `forget` did; it names nobody. `nowhere` are ids, new to the list, that no table held.

    `beside`: another job was at work meanwhile.
    """

    listeners: int
    files: int
    rows: int
    texts: int
    published: int
    published_rows: int
    nowhere: int = 0
    beside: bool = False

    def __str__(self) -> str:
        who = f"forgot {self.listeners:,} listener{'' if self.listeners == 1 else 's'}" if self.listeners else "done"
        lines = [f"{who}: {self.rows:,} rows taken out of {self.files:,} files, {self.texts:,} other files cleared"]
        if self.published:
            lines.append(f"published: {self.published_rows:,} rows taken out of {self.published:,} tables")
        if self.nowhere:
            what = "1 id was" if self.nowhere == 1 else f"{self.nowhere:,} ids were"
            lines.append(f"{what} found in no table; check {'it' if self.nowhere == 1 else 'them'}")
        if self.beside:
            lines.append(
                "another job is at work in this warehouse, and may have read them before: its commit will be refused; when it "
                "has ended, run `nightshelf forget` once more, with no name"
            )
        return "\n".join(lines)
