"""What a reader should know of a night before anything else: whether it passed its checks, and what is out of the ordinary.

>>> verdict([Check("volume", "PASS"), Check("overlap", "SKIP")], [], []).words
'The night passed its checks: 1 of 1; 1 could not be made.'
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from transforms.gates.check import Check

MUCH = 0.1  # a shelf that is empty for a larger share of listeners with a history is told in the header


@dataclass(frozen=True)
class Verdict:
    """A sentence that says whether all is well, and what is not, a sentence each."""

    kind: Literal["good", "bad", "plain"]
    words: str
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True)
class EmptyShelf:
    """A shelf that stays empty for some listeners with a history.

    Attributes:
        listeners: of those with a history, how many have the shelf.
        empty: for how many of them it is empty.
        reason: the commonest of the reasons that their rows give.
    """

    shelf: str
    title: str
    listeners: int
    empty: int
    reason: str

    @property
    def share(self) -> float:
        """Of listeners with a history."""
        return self.empty / self.listeners if self.listeners else 0.0

    def __str__(self) -> str:
        return (
            f"{self.title} is empty for {self.empty:,} of {self.listeners:,} listeners with a history "
            f"({self.share:.0%}): {self.reason}"
        )


def verdict(
    checks: Sequence[Check], accepted: Sequence[str], empty: Sequence[EmptyShelf], remarks: Sequence[str] = ()
) -> Verdict:
    """The verdict on a night.

    Args:
        checks: those it was held to when it was committed; none where it was not checked.
        accepted: names of those that failed and that somebody accepted.
        empty: every shelf with its empty rows.
        remarks: other sentences that should not be overlooked, as of a ranker that was not promoted.
    """
    alarms = [f"{c.name}: {c.detail}, expected {c.expected}" for c in checks if c.state == "FAIL"]
    alarms += [f"{c.name}: {c.detail}" for c in checks if c.state == "WARN"]
    alarms += [str(one) for one in sorted(empty, key=lambda e: (-e.share, e.shelf)) if one.share > MUCH]
    alarms += remarks
    passed, failed, skipped = (sum(c.state == state for c in checks) for state in ("PASS", "FAIL", "SKIP"))
    judged = passed + failed
    if not checks:
        return Verdict("plain", "This night was not checked.", tuple(alarms))
    rest = f"; {skipped} could not be made" if skipped else ""
    if passed == judged:
        return Verdict("good", f"The night passed its checks: {passed} of {judged}{rest}.", tuple(alarms))
    why = f", because somebody accepted: {', '.join(accepted)}" if accepted else ""
    return Verdict(
        "bad", f"The night failed {judged - passed} of {judged} checks and was committed{why}.", tuple(alarms)
    )
