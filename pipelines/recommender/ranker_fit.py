"""Fitting a night's ranker on one worker: examples, choice of the kind, promotion, the model's files.

It runs without Beam, in a notebook too:

    for written in RankerFit(warehouse, pairs, 7, settings.ranker, settings.seed, replaced).fit(run):
        print(written)
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from models.registry import read_entry, write_entry
from models.threads import DEFAULT, compute_with
from pipelines.recommender import promotion
from pipelines.recommender.artefacts import fetch, store_folder
from pipelines.recommender.ranker_choice import (
    BLEND,
    DISCOVERIES,
    REPEATS,
    SOURCE,
    Choice,
    Judged,
    alone,
    choose,
    figures_of,
    gain_of,
    mean_of,
)
from pipelines.recommender.ranker_examples import Pair, examples, judged
from transforms.common.clock import Clock, count
from transforms.common.counters import add
from transforms.tables.manifest import FileEntry, Manifest
from transforms.tables.records import used
from transforms.tables.runs import Run, Written
from transforms.tables.warehouse import Warehouse

if TYPE_CHECKING:
    from models.settings import RankerSettings


@dataclass(frozen=True)
class RankerFit:
    """What a worker needs to fit the ranker of a night. Picklable.

    Attributes:
        pairs: stored nights and their outcomes of `horizon` days, oldest first.
        labels: outcomes that rewards are declared of, each of which gets a head.
        replaced: the manifest of the ranker that was at work on the last of these nights, and so has seen nothing after it;
            None = there is none.
        threads: that TensorFlow computes with.
    """

    warehouse: str
    pairs: Sequence[Pair]
    horizon: int
    settings: RankerSettings
    seed: int
    replaced: Manifest | None
    labels: Sequence[str] = ()
    threads: int = DEFAULT

    def fit(self, run: Run) -> Iterator[Written]:
        """Files of the run: those of what promotion decided on, new, old or the untrained blend; then figures and counts."""
        compute_with(self.threads)
        clock = Clock()
        with clock.part("examples"):
            asked, own = self.settings, Warehouse(self.warehouse)
            data = examples(own, self.pairs, self.horizon, asked.examples, self.seed, lists=asked.lists)
        names = [c for c in data.columns if c.startswith("f_")]
        with clock.part("choice of the ranker", data.height):
            choices = choose(data, self._night, names, self.settings, self.seed)
        old = self._old(run.day)
        with clock.part("promotion"):
            used_one, before = self._decide(choices[DISCOVERIES], data, names, old)
        with clock.part("ranker", data.height):
            entries = self._kept(run) if used_one == "old" else self._fitted(run, data, names, choices)
        for entry in entries:
            yield Written(run.table, run.day.isoformat(), entry)
        count(clock.drain())
        said = promotion.counts(choices, used_one, before, old[1] if old else None)
        add("ranker", said)
        yield Written(run.table, run.day.isoformat(), counts={**said, "rows": data.height})
        yield used()

    def _night(self, number: int) -> Judged:
        """The whole lists of a stored night; together no more than `judged` candidates."""
        most = max(1, self.settings.judged // max(len(self.pairs) - 1, 1))
        return Judged(*judged(Warehouse(self.warehouse), self.pairs[number], self.horizon, most, self.seed))

    def _decide(
        self, choice: Choice, data: pl.DataFrame, names: list[str], old: tuple[Any, date] | None
    ) -> tuple[promotion.Used, float | None]:
        """What the night gets, and the figure of the ranker at work on the last closed night, if it can be compared."""
        from models.rankers.kinds import fit

        proven = choice.used != BLEND
        if old is None or not choice.figures or not self._new_to(old[1]):
            return ("new" if proven else "blend"), None
        last = self._night(len(self.pairs) - 1).only(DISCOVERIES)
        theirs = figures_of(old[0], last)
        if theirs is None:
            return ("new" if proven else "blend"), None
        rest = data.filter(pl.col("night") < len(self.pairs) - 1)
        settings: Any = self.settings

        def figures(kind: str) -> pl.DataFrame:
            return last.by_listener(
                fit(rest, names, settings.model_copy(update={"kind": kind}), self.seed).score(last.matrix(names))
            )

        gain, new = gain_of(theirs, figures(BLEND)), mean_of(figures(choice.used)) if proven else None
        sources = {name: last.ndcg(ranks) for name, ranks in alone(last).items()}
        before = mean_of(theirs)
        return promotion.decide(new, proven, before, gain.low > 0, sources, self.settings.promote_tolerance), before

    def _old(self, day: date) -> tuple[Any, date] | None:
        """The ranker at work and its fit date."""
        from models.rankers.kinds import load

        if self.replaced is None:
            return None
        folder = fetch(self.warehouse, self.replaced, day)
        return load(folder), read_entry(folder, verify=False).fit_date

    def _new_to(self, fit: date) -> bool:
        """Whether everything that the last night is measured by happened after a ranker was fitted."""
        return self.pairs[-1][0].date >= fit

    def _kept(self, run: Run) -> list[FileEntry]:
        """The old ranker's files, as they are, in the new run."""
        assert self.replaced is not None
        return store_folder(run, fetch(self.warehouse, self.replaced, run.day))

    def _fitted(self, run: Run, data: pl.DataFrame, names: list[str], choices: Mapping[str, Choice]) -> list[FileEntry]:
        """The new ranker, fitted on all nights: of each list the kind that was chosen for it."""
        from models.rankers.kinds import fit
        from models.rankers.reward_heads import RewardHeads

        kind, figures = choices[DISCOVERIES].used, choices[DISCOVERIES].figures
        settings: Any = self.settings.model_copy(update={"kind": kind})
        ranker = fit(data, names, settings, self.seed, repeats=choices[REPEATS].used)
        with tempfile.TemporaryDirectory() as scratch:
            ranker.save(Path(scratch))
            RewardHeads.fit(data, names, self.labels, self.seed).save(scratch)
            write_entry(
                scratch,
                name="ranker",
                kind=kind,
                version=run.version,
                fit_date=run.day,
                inputs=run.inputs,
                settings=self.settings.model_dump(mode="json"),
                seed=self.seed,
                metrics={f"ndcg@50 {name}": value for name, value in figures.items() if not name.startswith(SOURCE)},
            )
            return store_folder(run, Path(scratch))
