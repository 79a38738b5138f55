"""Judging: which rule, if any, keeps each row off a shelf.

Rules that always hold are judged once a block, the others once for every set of parameters. Each row has a fate: 0 while it
may stand on the shelf, else the code of the first rule that removed it, in the order in which the rules are told here. The
codes are those of `NAMES`; filling adds what became of the rows that passed.

Example: a row of an explicit, heard track on a shelf of unheard music has the fate `explicit`, which is judged first.
"""

from __future__ import annotations

import numpy as np

from transforms.shelves.facts import TrackFacts
from transforms.shelves.rules.registry import every_rule
from transforms.shelves.settings import ShelfSettings

PLACED, SPARE, ON_SURFACE, OTHER_VERSION = "placed", "spare", "on_surface", "other_version"
NO_EVIDENCE, KEPT_OFF, NO_SOURCE, QUOTA_FULL = "no_evidence", "kept_off", "no_source", "quota"
_FIXED = ("", PLACED, SPARE, ON_SURFACE, OTHER_VERSION, NO_EVIDENCE, KEPT_OFF, NO_SOURCE, QUOTA_FULL)
SAYS = {
    ON_SURFACE: "an earlier shelf of the same surface has it",
    OTHER_VERSION: "another version of the recording stands higher",
    NO_EVIDENCE: "nothing that the shelf requires speaks for it",
    NO_SOURCE: "none of the shelf's sources found it",
    QUOTA_FULL: "enough of its source on the shelf",
    KEPT_OFF: "what the shelf prefers speaks against it",
}


class Judge:
    """The rules over a block's rows."""

    def __init__(self, facts: TrackFacts) -> None:
        self.facts = facts
        self.names = (*_FIXED, *every_rule())
        self.code = {name: np.int16(number) for number, name in enumerate(self.names)}
        self._masks: dict[tuple[str, str, str], np.ndarray] = {}
        self.always = np.zeros(len(facts.rows), np.int16)
        for one in every_rule().values():
            if one.always and one.removes is not None:
                removed = one.removes(facts, one.parameters(), "")
                self.always[removed & (self.always == 0)] = self.code[one.name]

    def fates(self, shelf: ShelfSettings, carried: bool = False) -> np.ndarray:
        """int16 by row: 0 where no rule removes it, else the rule's code.

        Args:
            shelf: whose rules.
            carried: of what stands on the shelf already: only what always holds and what is judged again.
        """
        out = self.always.copy()
        for name, parameters in shelf.judged_by().items():
            if carried and not every_rule()[name].again:
                continue
            removed = self._removed(name, parameters, shelf.shelf_id)
            out[removed & (out == 0)] = self.code[name]
        if carried:
            return out
        if shelf.sources:
            out[(self.facts.first_source(tuple(shelf.sources)) < 0) & (out == 0)] = self.code[NO_SOURCE]
        if shelf.requires:
            some = np.zeros(len(out), np.bool_)
            for column in shelf.requires:
                some |= self.facts.column(column) > 0
            out[~some & (out == 0)] = self.code[NO_EVIDENCE]
        if shelf.preferred is not None:
            out[(self.facts.column(shelf.preferred) < 0) & (out == 0)] = self.code[KEPT_OFF]
        return out

    def _removed(self, name: str, parameters: dict[str, object], shelf_id: str) -> np.ndarray:
        one = every_rule()[name]
        assert one.removes is not None
        key = (name, repr(sorted(parameters.items())), shelf_id if one.of_shelf else "")
        if key not in self._masks:
            self._masks[key] = one.removes(self.facts, one.parameters(**parameters), shelf_id)
        return self._masks[key]
