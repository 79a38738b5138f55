"""What a listener gets who joined after the night: the shelves of somebody of whom only the market is known.

    market_defaults(scorer)  ->  a row for each market, explicit tracks allowed or not, and shelf

A newcomer of each market is scored as every listener is, with no history, no feedback and no experiment, so these rows are what
such a listener would have got had they been on the roster. Market "" stands for all that have no rows of their own.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from itertools import product

import polars as pl

from pipelines.recommender.night import Scoring
from pipelines.recommender.scoring import Scorer
from transforms.common.clock import Clock
from transforms.experiments.settings import ExperimentsSettings
from transforms.tables.chunks import Chunk
from transforms.tables.schema import TABLES

TABLE = "market_defaults"
_READ = ("library", "sessions", "feedback", "exclusions", "suspects")


@dataclass(frozen=True)
class MarketDefaults:
    """Makes the table on a worker; see `transforms.tables.once`. Picklable."""

    work: Scoring
    table: str = TABLE

    def rows(self) -> pl.DataFrame:
        """The rows, with everything in memory that scoring needs."""
        return market_defaults(self.work.scorer())


def market_defaults(scorer: Scorer) -> pl.DataFrame:
    """Table `market_defaults` of the scorer's night.

    Args:
        scorer: of a night with shelves; it is left as it was.
    """
    own = copy(scorer)  # what a scorer notes of the chunk at work is its own
    own.clock = Clock()
    home = scorer.plan.settings.home.model_copy(update={"learned": False})  # whose order is drawn is somebody
    settings = scorer.plan.settings.model_copy(update={"home_swap": 0.0, "home": home})
    own.plan = replace(scorer.plan, settings=settings, experiments=ExperimentsSettings(), only=(), sample=1.0)
    markets = ["", *(m for m in scorer.fitted.learned.popularity.markets.tolist() if m)]
    who = pl.DataFrame(
        [(f"{n}", market or None, may) for n, (market, may) in enumerate(product(markets, (False, True)))],
        schema={"listener_id": pl.String, "market": pl.String, "explicit_ok": pl.Boolean},
        orient="row",
    )
    rest = [pl.lit(None, dtype=t).alias(c) for c, t in TABLES["listeners"].polars.items() if c not in who.columns]
    nobody = {table: TABLES[table].empty() for table in _READ}
    made = [part["shelves"] for part in own.score(Chunk(0, {"listeners": who.with_columns(rest), **nobody}))]
    rows = pl.concat(made).join(who.with_columns(pl.col("market").fill_null("")), on="listener_id")
    schema = TABLES[TABLE].polars
    return rows.select(pl.col(name).cast(kind) for name, kind in schema.items()).sort(*TABLES[TABLE].key)
