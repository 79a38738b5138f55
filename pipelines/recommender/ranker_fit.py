"""Fitting a night's ranker on one worker: examples, choice of the kind, promotion, the model's files.

It runs without Beam, in a notebook too:

    for written in RankerFit(warehouse, pairs, 7, settings.ranker, settings.seed, replaced).fit(run):
        print(written)
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from models.registry import read_entry, write_entry
from pipelines.recommender import promotion
from pipelines.recommender.artefacts import fetch, store_folder
from pipelines.recommender.ranker_choice import Judged, choose, figure_of, source_figures
from pipelines.recommender.ranker_examples import examples, judged
from transforms.common.clock import Clock, count
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
        replaced: the manifest of the ranker that was at work on the last of these nights, and so has seen nothing after it;
            None = there is none.
    """

    warehouse: str
    pairs: Sequence[tuple[Manifest, Manifest]]
    horizon: int
    settings: RankerSettings
    seed: int
    replaced: Manifest | None

    def fit(self, run: Run) -> Iterator[Written]:
        """Files of the run: the new ranker's, or those of the old one where promotion says so; then figures and counts."""
        clock = Clock()
        with clock.part("examples"):
            warehouse = Warehouse(self.warehouse)
            data = examples(warehouse, self.pairs, self.horizon, self.settings.examples, self.seed)
            last = Judged(*judged(warehouse, self.pairs[-1], self.horizon, self.settings.judged, self.seed))
        names = [c for c in data.columns if c.startswith("f_")]
        with clock.part("choice of the ranker", last.candidates.height):
            rest = data.filter(pl.col("night") < len(self.pairs) - 1)
            kind, figures = choose(rest, last, names, self.settings, self.seed)
        old, sources = self._old(run.day), source_figures(last) if figures else {}
        before = figure_of(old[0], last) if old and figures and self._new_to(old[1]) else None
        verdict = promotion.decide(figures.get(kind), before, sources, self.settings.promote_tolerance)
        with clock.part("ranker", data.height):
            entries = self._kept(run) if verdict.keep else self._fitted(run, data, names, kind, figures)
        for entry in entries:
            yield Written(run.table, run.day.isoformat(), entry)
        count(clock.drain())
        counts = {f"ndcg50_ppm_{name}": round(value * 1e6) for name, value in figures.items()}
        counts |= promotion.counts(verdict, before, sources, old[1] if old else None)
        counts |= {f"chosen_{kind}": 1, "rows": data.height}
        yield Written(run.table, run.day.isoformat(), counts=counts)
        yield used()

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

    def _fitted(
        self, run: Run, data: pl.DataFrame, names: list[str], kind: str, figures: dict[str, float]
    ) -> list[FileEntry]:
        """The new ranker, fitted on all nights."""
        from models.rankers.kinds import fit

        settings: Any = self.settings.model_copy(update={"kind": kind})
        ranker = fit(data, names, settings, self.seed)
        with tempfile.TemporaryDirectory() as scratch:
            ranker.save(Path(scratch))
            write_entry(
                scratch,
                name="ranker",
                kind=kind,
                version=run.version,
                fit_date=run.day,
                inputs=run.inputs,
                settings=self.settings.model_dump(mode="json"),
                seed=self.seed,
                metrics={f"ndcg@50 {name}": value for name, value in figures.items()},
            )
            return store_folder(run, Path(scratch))
