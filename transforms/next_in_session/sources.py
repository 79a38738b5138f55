"""The sources of what comes next in a session, fitted together and asked together.

`around` is the score of `SessionIndex`; `after` and `right_after` are its terms of what neighbours played after the
shared track and right after it, `firm` those after it of neighbours with three tracks in common. More sources, such as
a sequence model that transforms may not know, are handed in as functions from prefixes to scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, Field
from scipy import sparse

from transforms.next_in_session.neighbours import SessionIndex, SessionNeighbourSettings, gather
from transforms.next_in_session.repeats import Repeats, RepeatSettings
from transforms.next_in_session.rules import Rules, RuleSettings
from transforms.next_in_session.sessions import Prefixes, SessionLog

Source = Callable[[Prefixes], sparse.csr_matrix]


class NextSettings(BaseModel, frozen=True, extra="forbid"):
    """Settings of what comes next in a session."""

    neighbours: SessionNeighbourSettings = SessionNeighbourSettings()
    rules: RuleSettings = RuleSettings()
    repeats: RepeatSettings = RepeatSettings()
    per_source: int = Field(50, ge=1, description="candidates taken from each source")
    held_out: float = Field(0.15, gt=0, lt=0.5, description="share of sessions, the last ones, the ranker learns from")
    prefixes: int = Field(15_000, ge=1, description="prefixes the ranker learns from at most, a hashed sample")
    l2: float = Field(100.0, ge=0, description="pull of the ranker's weights towards zero, in prefixes")


@dataclass(frozen=True)
class Sources:
    """Fitted sources.

    Attributes:
        index, rules, repeats: the fitted parts.
        settings: what they were fitted with.
        more: further sources by name.
    """

    index: SessionIndex
    rules: Rules
    repeats: Repeats
    settings: NextSettings
    more: Mapping[str, Source] = field(default_factory=dict)

    @classmethod
    def fit(
        cls, log: SessionLog, n_items: int, settings: NextSettings, more: Mapping[str, Source] | None = None
    ) -> Sources:
        """Fit all of them on the same sessions."""
        index = SessionIndex.fit(log, n_items, settings.neighbours)
        rules = Rules.fit(log, n_items, settings.rules)
        return cls(index, rules, Repeats.fit(log, n_items, settings.repeats), settings, more or {})

    def scores(self, prefixes: Prefixes) -> dict[str, sparse.csr_matrix]:
        """Scores [B, n_items] by source, indices sorted, in a fixed order of names."""
        shape, rules = (len(prefixes), self.index.n_items), self.rules
        near = self.index.around(self.index.neighbours(prefixes))
        after = near.offset > 0
        parts = {"after": after, "right_after": near.offset == 1, "firm": after & (near.shared >= 3)}
        around, *terms = gather(near.rows, near.items, near.weight, shape, list(parts.values()))
        out = {
            "around": around,
            **dict(zip(parts, terms, strict=True)),
            "last_soon": rules.last_track(prefixes, rules.soon),
            "last_right": rules.last_track(prefixes, rules.right),
            "soon": rules.decayed(prefixes, rules.soon),
            "company": rules.decayed(prefixes, rules.company),
        }
        if self.settings.repeats.allowed:
            out |= {"again": self.repeats.score(prefixes), "loop": self.repeats.loop(prefixes)}
        out |= {name: source(prefixes) for name, source in self.more.items()}
        for matrix in out.values():
            matrix.sort_indices()
        return out
