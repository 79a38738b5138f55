"""Filling a shelf in order under a cap for every credited artist, and without repeats on its surface.

A collaboration counts for each of its artists: caps that count only the first let an artist return through features.
A track that does not fit now never fits later (counts and what is taken only grow), so one walk down the order is
exact, and the walk stops when the shelf is full.

Example, cap 1: [a: Ann], [b: Ann & Bob], [c: Bob] gives a, c: b is refused for Ann and leaves Bob free.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Facts:
    """What placing needs to know of rows 0..n-1, as plain lists (a walk reads single values).

    Attributes:
        recording: code of the recording.
        artists: codes of the credited artists of all rows, laid end to end.
        bounds: row i's artists are artists[bounds[i]:bounds[i + 1]].
    """

    recording: list[int]
    artists: list[int]
    bounds: list[int]


@dataclass
class Tray:
    """One listener's shelf while it is being filled.

    Attributes:
        order: rows, best first.
        taken: recordings already on the surface; shared by the surface's shelves.
        cap: tracks of one artist; None = any number.
        counts: tracks placed so far by artist.
        cursor: everything in `order` before it is placed or will never fit.
        ahead: rows that `best` found beyond the cursor, up to `reach`.
    """

    facts: Facts
    order: list[int]
    taken: set[int]
    cap: int | None
    counts: dict[int, int] = field(default_factory=dict)
    cursor: int = 0
    ahead: list[int] = field(default_factory=list)
    reach: int = 0

    def fits(self, row: int) -> bool:
        """Whether the row breaks neither the cap nor the rule against repeats."""
        if self.facts.recording[row] in self.taken:
            return False
        if self.cap is None:
            return True
        bounds = self.facts.bounds
        # A loop, since it is run for every row looked at and a generator would double its time.
        for artist in self.facts.artists[bounds[row] : bounds[row + 1]]:  # noqa: SIM110
            if self.counts.get(artist, 0) >= self.cap:
                return False
        return True

    def place(self, row: int) -> None:
        """Count the row as placed."""
        self.taken.add(self.facts.recording[row])
        for artist in set(self.facts.artists[self.facts.bounds[row] : self.facts.bounds[row + 1]]):
            self.counts[artist] = self.counts.get(artist, 0) + 1

    def fill(self, number: int) -> list[int]:
        """Place the next best rows that fit, at most `number`, and return them."""
        placed: list[int] = []
        while len(placed) < number and self.cursor < len(self.order):
            row = self.order[self.cursor]
            self.cursor += 1
            if self.fits(row):
                self.place(row)
                placed.append(row)
        return placed

    def best(self, number: int) -> list[int]:
        """The best rows, at most `number`, that would each fit next; nothing is placed."""
        found = [row for row in self.ahead if self.fits(row)][:number]
        reach = max(self.reach, self.cursor)
        while len(found) < number and reach < len(self.order):
            row = self.order[reach]
            reach += 1
            if self.fits(row):
                found.append(row)
        self.ahead, self.reach = found, reach
        return found
