"""A trial of newly fitted models against earlier ones, on the newest stored night whose outcomes have closed.

    plan = plan_trial(past, settings, horizon=7, step_version)     None where there is nothing to try, or it was tried
    for written in plan.work.run(plan.run): ...                    the rows of table `model_trials`, and what its manifest says

The night is retrieved anew, as of its date, with each of the two fits and by the settings of today, for the same listeners. No
fit is later than the night, so neither has seen the days that they are measured by. The stored candidates are not taken for one
of the sides: they were found by the code and settings of their day, and by a source that only whole nights have, so what has
changed since would count for or against a fit. What is read of the night is whose lists there are, and what became of them.

A listener's figure is NDCG@50 of their discoveries, the whole list against every recording they heard for the first time in the
days after: of the sources' untrained blend, and of each source alone by its ranks. Versions of a recording are one thing, since
two fits need not know the same one. Differences are paired by listener; the 95% interval is a bootstrap over listeners
(`ranker_choice.gain_of`). The champion is kept where the blend's lies below 0: what cannot be told apart takes the newer fit.

    >>> kept(Interval(-0.02, -0.03, -0.01, 300)), kept(Interval(-0.02, -0.05, 0.01, 300))
    (True, False)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import polars as pl

from pipelines.recommender.champion import RECIPE, TABLE, kept_models, number_of, recipe, whole_fits
from pipelines.recommender.night import Asked, NightSettings, Read, Scoring, described, scoring
from pipelines.recommender.ranker_choice import BLEND, RANK, SOURCE, Judged, alone, gain_of, mean_of
from pipelines.recommender.ranker_lists import counted, whole_lists
from transforms.common.clock import Clock, count
from transforms.common.counters import add
from transforms.common.hashing import stable_hash
from transforms.metrics.intervals import Interval
from transforms.outcomes.join import with_recording
from transforms.tables.as_of import AsOf, all_tracks, as_of
from transforms.tables.chunks import read_chunks, shard_of
from transforms.tables.manifest import Heading
from transforms.tables.records import used
from transforms.tables.runs import Run, Written, plan
from transforms.tables.specs import Specs, specs
from transforms.tables.upkeep import inputs_of
from transforms.tables.warehouse import Warehouse
from transforms.tables.writing import write_frame

RETRIEVED_BY = (
    "candidates",
    "library",
    "models",
    "signals",
    "plugins",
)  # of the settings of a night, what finds candidates
Figures = dict[str, pl.DataFrame]  # `blend`, or a source's name -> listener_id, ndcg@50


@dataclass(frozen=True)
class Due:
    """What is to be tried: two fits, the champion the older, on a stored night and its outcomes."""

    night: Heading
    outcome: Heading
    champion: Heading
    challenger: Heading

    @property
    def inputs(self) -> dict[str, str]:
        """Their versions."""
        return inputs_of(self.night, self.outcome, self.champion, self.challenger)


@dataclass(frozen=True)
class Retrieval:
    """How one of the two fits retrieves the night. Picklable."""

    work: Scoring
    shards: Specs

    def candidates(self, listeners: pl.Series) -> pl.DataFrame:
        """What the sources find for these listeners, of whom only the shards are read.

        Returns:
            listener_id, track_id, heard_before, f_blend and f_r_<source>, sorted by listener and track.
        """
        what = replace(self.work.what, only=tuple(listeners.to_list()), sample=1.0, keep=1.0)
        scorer = replace(self.work, what=what).scorer()
        found = []
        for shard in sorted({int(n) for n in shard_of(listeners, len(self.shards))}):
            for chunk in read_chunks(self.shards[shard]):
                for made in scorer.score(chunk):
                    rows = made["candidates"]
                    ranks = [c for c in rows.columns if c.startswith(RANK)]
                    found.append(rows.select("listener_id", "track_id", "heard_before", "f_blend", *ranks))
        count(scorer.clock.drain())
        return pl.concat(found, how="diagonal").sort("listener_id", "track_id") if found else _NO_CANDIDATES


_NO_CANDIDATES = pl.DataFrame(
    schema={"listener_id": pl.String, "track_id": pl.String, "heard_before": pl.Boolean, "f_blend": pl.Float32}
)


@dataclass(frozen=True)
class ModelTrial:
    """What a worker needs to try two fits. Picklable; it names no listener.

    Attributes:
        catalog: table `tracks`, of which the recordings are read.
        most: listeners of the night, about.
    """

    warehouse: str
    due: Due
    horizon: int
    most: int
    seed: int
    catalog: Heading | None
    champion: Retrieval
    challenger: Retrieval

    def run(self, run: Run) -> Iterator[Written]:
        """The table's one file, then what its manifest's `extra` says."""
        clock = Clock()
        with clock.part("listeners"):
            heard = self._heard()
        ours, theirs = (self._figures(side, heard) for side in (self.challenger, self.champion))
        rows, gain = compared(ours, theirs)
        entry = write_frame(run, 0, rows.with_columns(self._of_trial()))
        count(clock.drain())
        said = counts(self.due, gain, mean_of(ours[BLEND]), mean_of(theirs[BLEND]))
        add("models", {name: said[name] for name in ("kept", "listeners", "difference_ppm")})
        yield Written(run.table, run.day.isoformat(), entry, said)
        yield used()

    def _of_trial(self) -> list[pl.Expr]:
        """What all rows of the table have in common."""
        due = self.due
        return [
            pl.lit(due.night.date).alias("night"),
            pl.lit(self.horizon, dtype=pl.Int32).alias("horizon"),
            pl.lit(due.champion.date).alias("champion_fit"),
            pl.lit(due.challenger.date).alias("challenger_fit"),
        ]

    def _heard(self) -> pl.DataFrame:
        """listener_id, recording_id: what was heard for the first time in the horizon, by at most about `most` listeners."""
        warehouse, due = Warehouse(self.warehouse), self.due
        share = min(1.0, self.most / max(counted(warehouse, due.night).lists, 1))
        lists = whole_lists(warehouse, due.night, due.outcome, self.horizon, share, self.seed, features=False)
        first = [became.filter(pl.col("listened") & ~pl.col("heard_before")) for _, became in lists]
        rows = [frame.select("listener_id", "track_id") for frame in first]
        found = pl.concat(rows) if rows else _NO_CANDIDATES.select("listener_id", "track_id")
        return self._by_recording(found).unique().sort("listener_id", "recording_id")

    def _by_recording(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows with recording_id in place of track_id."""
        names = all_tracks(Warehouse(self.warehouse), self.catalog).select("track_id", "recording_id")
        return with_recording(rows, names).drop("track_id")

    def _figures(self, side: Retrieval, heard: pl.DataFrame) -> Figures:
        """NDCG@50 by listener, of the blend and of each source of one fit."""
        if not heard.height:
            return {BLEND: pl.DataFrame(schema={"listener_id": pl.Int64, "ndcg@50": pl.Float64})}
        found = side.candidates(heard["listener_id"].unique().sort()).filter(~pl.col("heard_before"))
        lists = self._by_recording(found).with_columns(pl.col("^f_r_.*$").fill_null(0.0))
        return figures_of(Judged(_coded(lists), _coded(heard.with_columns(heard_before=pl.lit(False)))))


def _coded(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows as `Judged` reads them: `list`, a number of the listener, and `item`, the recording."""
    number = pl.Series(stable_hash(rows["listener_id"])).reinterpret(signed=True)
    return rows.with_columns(list=number).rename({"recording_id": "item"}).drop("listener_id")


@dataclass(frozen=True)
class TrialPlan:
    """A trial that has something to make: its run, and the worker's part."""

    run: Run
    work: ModelTrial


def plan_trial(past: AsOf, settings: NightSettings, horizon: int, step_version: str) -> TrialPlan | None:
    """Plan the trial of a view's date; None where nothing is to be tried (`due_by`), or it is current.

    Raises:
        UserError: the night to try on has no library any more, or the table is pinned.
    """
    due = due_by(past, settings, horizon)
    if due is None:
        return None
    then = as_of(past.url, due.night.date)
    sides, inputs = [], due.inputs
    for models in (due.champion, due.challenger):
        asked = Asked(fit_date=models.date, candidates_only=True, models_of=models.date)
        read = Read.of(then, settings, asked)
        work = scoring(then, settings, asked, read, {})
        sides.append(Retrieval(work, specs(past.warehouse, settings.shards, read.tables)))
        inputs |= read.inputs
    catalog = past.catalog()
    by = described("candidates", settings, asked, due.challenger.date, due.night.date, read.signals)
    run = plan(
        past.warehouse,
        TABLE,
        past.day,
        shards=1,
        inputs=inputs | inputs_of(catalog),
        settings={
            **{name: by[name] for name in RETRIEVED_BY if name in by},
            "trial": settings.trial.model_dump(mode="json"),
            "horizon": horizon,
            RECIPE: recipe(due.challenger),
        },
        step_version=step_version,
        seed=settings.seed,
    )
    if run is None:
        return None
    most, seed = settings.trial.listeners, settings.seed
    return TrialPlan(run, ModelTrial(past.url, due, horizon, most, seed, catalog, *sides))


def due_by(past: AsOf, settings: NightSettings, horizon: int) -> Due | None:
    """What is to be tried by a view's date.

    The challenger is the newest fit up to the newest whole night that has closed, the champion the one that the newest earlier
    trial kept, else the fit before the challenger. None where trials are switched off, where one of these is not there, and where
    the newest earlier trial was of the same night and the same two fits.
    """
    pair = closed_night(past, horizon) if settings.trial.listeners else None
    if pair is None:
        return None
    before = past.newest(TABLE, before=past.day)
    fits = whole_fits(past, pair[0].date)
    challenger = next(fits, None)
    champion = (kept_models(past, before) if before is not None else None) or next(fits, None)
    if challenger is None or champion is None or champion.date >= challenger.date:
        return None
    due = Due(*pair, champion, challenger)
    told = {key for key in due.inputs if not key.startswith("outcomes@")}
    if before is not None and all(before.inputs.get(key) == due.inputs[key] for key in told):
        return None
    return due


def closed_night(past: AsOf, horizon: int) -> tuple[Heading, Heading] | None:
    """The newest whole stored night whose outcomes of `horizon` days are there, and these; None without one.

    A night that was made for the first ranker is none: its models lack what a whole night needs.
    """
    for day in reversed(past.dates("candidates")):
        closed = day + timedelta(horizon)
        night = past.heading("candidates", day) if closed <= past.day else None
        if night is None or not night.rows or night.settings.get("candidates_only"):
            continue
        outcome = past.heading("outcomes", closed)
        if outcome is not None and outcome.rows and horizon in outcome.settings.get("horizons", (horizon,)):
            return night, outcome
    return None


def figures_of(lists: Judged) -> Figures:
    """NDCG@50 of the blend, and of each source alone that finds anything."""
    scores = {BLEND: lists.candidates["f_blend"].to_numpy(), **alone(lists)}
    return {name.removeprefix(SOURCE): lists.by_listener(values) for name, values in scores.items()}


def compared(ours: Mapping[str, pl.DataFrame], theirs: Mapping[str, pl.DataFrame]) -> tuple[pl.DataFrame, Interval]:
    """The challenger beside the champion, by model; a source that one of them lacks finds nothing there.

    Returns:
        model, champion, challenger, difference, low, high, listeners; and the blend's difference with its interval.
    """
    rows, gains = [], {}
    nothing = ours[BLEND].with_columns(pl.lit(0.0).alias("ndcg@50"))
    for name in sorted({*ours, *theirs}):
        new, old = ours.get(name, nothing), theirs.get(name, nothing)
        gain = gains[name] = gain_of(new, old)
        figures = {"champion": mean_of(old), "challenger": mean_of(new), "difference": gain.value}
        rows.append({"model": name, **figures, "low": gain.low, "high": gain.high, "listeners": gain.n})
    return pl.DataFrame(rows), gains[BLEND]


def kept(gain: Interval) -> bool:
    """Whether the champion is kept: it is surely better. Of too few listeners the interval is everything (`gain_of`)."""
    return gain.high < 0


def counts(due: Due, gain: Interval, ours: float, theirs: float) -> dict[str, int]:
    """The verdict and what it rests on, as the numbers that a manifest's `extra` holds; figures in millionths."""
    figures = {"challenger": ours, "champion": theirs, "difference": gain.value, "low": gain.low, "high": gain.high}
    return {
        "kept": int(kept(gain)),
        "night": number_of(due.night.date),
        "champion_fit_date": number_of(due.champion.date),
        "challenger_fit_date": number_of(due.challenger.date),
        "listeners": gain.n,
        **{f"{name}_ppm": round(value * 1e6) for name, value in figures.items()},
    }
