"""What a night keeps of what comes next in a session: sums of pairs of tracks and weights, no session of anybody.

Rules are sums over sessions, repeats are chances by distance, the order is one weight a feature; together with the
sessions of table `session_sample`, which are data, they make the sources of `continuation`.

    >>> model = NextModel(sources.rules, sources.repeats, order, settings)      # doctest: +SKIP
    >>> model.save("next_in_session.npz")                                       # doctest: +SKIP
    >>> again = NextModel.load("next_in_session.npz", settings)                 # doctest: +SKIP
    >>> continuation(again.sources(log), again.order, prefixes, 20)             # doctest: +SKIP
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from transforms.common.arrays import from_csr, load_arrays, save_arrays, to_csr
from transforms.next_in_session.neighbours import SessionIndex
from transforms.next_in_session.repeats import Repeats
from transforms.next_in_session.rules import Rules
from transforms.next_in_session.sessions import SessionLog
from transforms.next_in_session.shortlist import Order
from transforms.next_in_session.sources import NextSettings, Sources

_RULES = ("soon", "right", "company")


class NextModelSettings(NextSettings, frozen=True, extra="forbid"):
    """Settings of what a night learns of sessions."""

    sessions: int = Field(
        30_000,
        ge=1,
        description="sessions learned from and kept as neighbours at most (about), the newest dates' by hash",
    )
    per_source: int = Field(30, ge=1, description="candidates taken from each source")
    prefixes: int = Field(1_200, ge=1, description="prefixes the ranker learns from at most, a hashed sample")


@dataclass(frozen=True)
class NextModel:
    """Fitted parts that hold no session.

    Attributes:
        rules, repeats: the sources that are sums.
        order: the ranker over all sources.
        settings: of scoring, usually those of the fit.
    """

    rules: Rules
    repeats: Repeats
    order: Order
    settings: NextSettings

    def sources(self, log: SessionLog, allowed: bool = True) -> Sources:
        """All sources, neighbours being looked up in `log`.

        Where the settings ask for repeats further back than was counted, those do not come again.

        Args:
            allowed: False = no track of the session comes again, whatever the settings say.
        """
        n_items, settings = len(self.rules.plays), self.settings
        repeating = settings.repeats.model_copy(update={"allowed": allowed and settings.repeats.allowed})
        settings = settings.model_copy(update={"repeats": repeating})
        plays = min(settings.repeats.plays, len(self.repeats.again) - 1)
        repeats = Repeats(self.repeats.again, n_items, settings.repeats.model_copy(update={"plays": plays}))
        rules = Rules(self.rules.soon, self.rules.right, self.rules.company, self.rules.plays, settings.rules)
        return Sources(SessionIndex.fit(log, n_items, settings.neighbours), rules, repeats, settings)

    def save(self, path: str | Path) -> None:
        """Write one npz without pickles; equal models give equal bytes."""
        names = sorted(self.order.weights)
        arrays = {
            "plays": self.rules.plays,
            "again": self.repeats.again,
            "order.names": np.array(names, dtype=np.str_),
            "order.weights": np.array([self.order.weights[name] for name in names], np.float64).reshape(-1, 3),
        }
        for name in _RULES:
            arrays |= from_csr(name, getattr(self.rules, name))
        save_arrays(path, arrays)

    @classmethod
    def load(cls, path: str | Path, settings: NextSettings) -> NextModel:
        """Read what `save` wrote."""
        found = load_arrays(path)
        soon, right, company = (to_csr(name, found) for name in _RULES)
        named = zip(found["order.names"].tolist(), found["order.weights"].tolist(), strict=True)
        plays = found["plays"]
        return cls(
            Rules(soon, right, company, plays, settings.rules),
            Repeats(found["again"], len(plays), settings.repeats),
            Order({name: (mean, deviation, weight) for name, (mean, deviation, weight) in named}),
            settings,
        )
