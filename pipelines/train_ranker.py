"""The job `train_ranker`: candidates of stored nights + their outcomes -> rankers/date=D.

Rankers share one interface. The kinds are fitted on all stored nights but the last and measured on the last; the one the
settings name (or, for `best`, the one that did best there) is fitted again on all of them and committed, and the others'
figures stand beside it in the manifest. If it is worse than what it replaces, the old one is committed again
(`pipelines.recommender.promotion`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import numpy as np
import polars as pl

from models.registry import read_entry, write_entry
from pipelines.recommender import promotion
from pipelines.recommender.artefacts import fetch, store_folder
from pipelines.runtime import logs
from pipelines.runtime.jobs import launch
from transforms.common.clock import Clock, count
from transforms.common.errors import UserError
from transforms.common.hashing import uniform
from transforms.metrics.ranking import score_lists
from transforms.tables.beam import Commit
from transforms.tables.manifest import FileEntry, Manifest
from transforms.tables.records import used
from transforms.tables.runs import Run, Written, plan
from transforms.tables.upkeep import inputs_of
from transforms.tables.warehouse import Warehouse

if TYPE_CHECKING:
    from models.settings import RankerSettings
    from pipelines.runtime.config import Settings

STEP = "4"
RANK = "f_r_"  # a source's own rank, as a feature: 1 at the top, 0 where it did not find the track
LABELS = ("listened", "completed", "saved", "returned")
ATTRIBUTED = ("attributed", "attributed_weight", "position")
_OUTCOME = (
    *("night", "horizon", "listener_id", "track_id", "stage", "origin", "rank", "propensity"),
    *LABELS,
)


def train_ranker(
    warehouse: str, day: date, *, settings: Settings, horizon: int = 7, beam_args: Sequence[str] = ()
) -> None:
    """Fit the rankers as of `day` on nights whose outcomes of `horizon` days have closed by then.

    Without such a night, or with nobody in any, there is no ranker, and the sources' untrained blend orders the candidates.

    Raises:
        UserError: a stored night was scored with models later than itself.
    """
    place = Warehouse(warehouse)
    nights = [d for d in place.dates("candidates") if d + timedelta(horizon) <= day][
        -settings.bootstrap.ranker_nights :
    ]
    pairs = [
        (made, outcome)
        for d in nights
        if (made := place.need("candidates", d)).rows
        and (outcome := place.current("outcomes", d + timedelta(horizon)))
        and outcome.rows
    ]
    if not pairs:
        return
    for night, _ in pairs:
        refuse_leaks(night)
    replaced = place.newest("rankers", day - timedelta(1))
    run = plan(
        place,
        "rankers",
        day,
        shards=1,
        inputs=inputs_of(replaced, *(m for pair in pairs for m in pair)),
        settings={**settings.model_dump(mode="json", include={"ranker"}), "horizon": horizon},
        step_version=STEP,
        seed=settings.seed,
    )
    if run is None:
        return
    job = _Fit(warehouse, pairs, horizon, settings.ranker, settings.seed, replaced)

    def define(root: beam.Pipeline) -> None:
        written = (
            root
            | "Ranker" >> beam.Create([run], reshuffle=False)
            | "Fit" >> beam.ParDo(job).with_output_types(Written).with_resource_hints(min_ram="16GB")
        )
        _ = root | "Done" >> Commit([run], written)

    done = launch("train_ranker", place, define, beam_args, [run])
    if done.finished and (told := promotion.sentence(place.need("rankers", day).extra)):
        logs.say("WARN", f"WARN ranker {day}: {told}", date=day.isoformat())


def refuse_leaks(night: Manifest) -> None:
    """A night scored with anything later than itself teaches a ranker the future.

    Raises:
        UserError: it was.
    """
    late = [
        key for key in night.inputs if "@" in key and key.split("@")[0] in ("models", "rankers", "library", "sessions")
    ]
    worst = max((key.split("@")[1] for key in late), default="")
    if worst > night.date.isoformat():
        raise UserError(
            f"candidates of {night.date} were made with inputs of {worst}, later than the night; make that night again"
        )


def examples(
    place: Warehouse, pairs: Sequence[tuple[Manifest, Manifest]], horizon: int, most: int, seed: int
) -> pl.DataFrame:
    """Ranker examples of stored nights: features, labels, `group` (night x listener x heard_before), `weight`, `night`.

    All candidates count, never shown items only; a night's outcomes are joined by listener and track. Beyond about `most`
    rows every positive is kept, and of the others a hashed share whose weight makes up for the rest.
    """
    share = min(1.0, most / max(sum(night.rows for night, _ in pairs), 1))

    def sampled(frame: pl.DataFrame) -> pl.DataFrame:
        positive = pl.col("listened").fill_null(False)
        drawn = pl.Series(uniform(seed, "ranker examples", frame["listener_id"], frame["track_id"]) < share)
        weight = pl.when(positive).then(1.0).otherwise(1 / share) / pl.col("inclusion")
        return frame.filter(positive | drawn).with_columns(weight=weight.cast(pl.Float32))

    frames = []
    for number, (night, outcome) in enumerate(pairs):
        joined = [
            part.filter(
                (pl.col("night") == night.date)
                & (pl.col("horizon") == horizon)
                & pl.col("stage").is_in(["candidate", "placed", "shown"])
            )
            for file in outcome.files
            for part in place.read_files([file], _OUTCOME)
        ]
        if not joined:
            continue
        labels = attributed(pl.concat(joined).unique(["listener_id", "track_id"], keep="first", maintain_order=True))
        for file in night.files:
            columns = [c for c in place.open_parquet(file.path).schema_arrow.names if c.startswith("f_")]
            (rows,) = place.read_files([file], ("listener_id", "track_id", "heard_before", "inclusion", *columns))
            known = rows.join(
                labels.select("listener_id", "track_id", *LABELS, *ATTRIBUTED),
                on=["listener_id", "track_id"],
                maintain_order="left",
            )
            frames.append(sampled(known).with_columns(night=pl.lit(number, dtype=pl.Int32)))
    every = pl.concat(frames, how="diagonal")
    if not every["attributed"].any():  # nothing was played from a shelf, or the log cannot tell: no such head
        every = every.drop(ATTRIBUTED)
    return every.with_columns(
        group=pl.struct("night", "listener_id", "heard_before").rank("dense").cast(pl.Int64),
        f_heard=pl.col("heard_before").cast(pl.Float32),
    ).drop("listener_id", "track_id", "inclusion")


def attributed(outcomes: pl.DataFrame) -> pl.DataFrame:
    """Outcomes with ATTRIBUTED, what the rankers' attributed head learns from.

    Only items that were shown can be played from their shelf: of others the label is unknown. A drawn item weighs
    1 / propensity, which undoes that the draw favoured it (the models clip at 20); one that was not drawn weighs 1. Its
    position enters the training only, so that the head answers for a track wherever it will stand.
    """
    shown = pl.col("stage") == "shown"
    played = pl.col("listened") & (pl.col("origin") == "attributed").fill_null(False)
    return outcomes.with_columns(
        attributed=pl.when(shown).then(played),
        attributed_weight=pl.when(shown).then(1 / pl.col("propensity")).fill_null(1.0).cast(pl.Float32),
        position=pl.when(shown).then("rank").fill_null(0).cast(pl.Int32),
    )


def choose(
    data: pl.DataFrame, names: Sequence[str], settings: RankerSettings, seed: int
) -> tuple[str, dict[str, float]]:
    """The kind to use, and NDCG@50 of unheard candidates on the last night of the kinds fitted on those before.

    `best` measures all of them; a kind that the settings name is measured beside the blend.
    """
    from models.rankers.ranker import fit

    last = data["night"].max()
    held, rest = data.filter(pl.col("night") == last), data.filter(pl.col("night") < last)
    wanted = ("blend", "linear", "cross") if settings.kind == "best" else tuple({"blend": 0, settings.kind: 0})
    if not rest.height:
        return ("linear" if settings.kind == "best" else settings.kind), {}
    unheard = held.filter(~pl.col("heard_before"))
    matrix, groups = unheard.select(names).to_numpy().astype(np.float32), unheard["group"]
    scores = {kind: fit(rest, names, settings.model_copy(update={"kind": kind}), seed).score(matrix) for kind in wanted}
    if settings.kind == "best":
        # What `average` would be, without fitting its two members a second time.
        pair = [scores[kind] / spread(scores[kind], groups) for kind in ("linear", "cross")]
        scores["average"] = np.sum(pair, axis=0)
    found: dict[str, float] = {str(kind): ndcg(unheard, values) for kind, values in scores.items()}
    return (max(found, key=lambda kind: found[kind]) if settings.kind == "best" else settings.kind), found


def figure_of(ranker: Any, data: pl.DataFrame) -> float | None:
    """NDCG@50 of a fitted ranker on the last night's unheard candidates; None if they lack a feature it reads."""
    unheard = last_unheard(data)
    if not set(ranker.names) <= set(unheard.columns):
        return None
    return ndcg(unheard, ranker.score(unheard.select(ranker.names).to_numpy().astype(np.float32)))


def source_figures(data: pl.DataFrame) -> dict[str, float]:
    """NDCG@50 of each source alone on the last night's unheard candidates, in the order of its own ranks."""
    unheard = last_unheard(data)
    named = {c.removeprefix(RANK): c for c in unheard.columns if c.startswith(RANK)}
    ranks = {name: unheard[column].to_numpy() for name, column in sorted(named.items())}
    return {name: ndcg(unheard, np.where(rank > 0, rank, np.nan)) for name, rank in ranks.items()}


def last_unheard(data: pl.DataFrame) -> pl.DataFrame:
    """The candidates of the last night that were never heard before it."""
    return data.filter((pl.col("night") == pl.col("night").max()) & ~pl.col("heard_before"))


def spread(scores: np.ndarray, groups: pl.Series) -> float:
    """Standard deviation of scores around their group's mean; 1 where they do not differ."""
    frame = pl.DataFrame({"group": groups, "score": scores})
    centred = frame.select(pl.col("score") - pl.col("score").mean().over("group")).to_series()
    return float(centred.std() or 1.0)  # type: ignore[arg-type]


def ndcg(candidates: pl.DataFrame, scores: np.ndarray) -> float:
    """Mean NDCG@50 over groups with a listened candidate, of the order by score (equals in the order given; NaN = not listed)."""
    frame = candidates.select(listener_id="group", item=pl.int_range(pl.len()), hit=pl.col("listened").fill_null(False))
    listed = frame.with_columns(pl.Series("score", scores).fill_nan(None)).filter(pl.col("score").is_not_null())
    ranked = listed.with_columns(rank=pl.col("score").rank("ordinal", descending=True).over("listener_id"))
    measured = score_lists(ranked, frame.filter("hit").select("listener_id", "item"), (50,))
    return float(measured["ndcg@50"].mean() or 0.0)  # type: ignore[arg-type]


class _Fit(beam.DoFn):
    def __init__(
        self,
        warehouse: str,
        pairs: Sequence[tuple[Manifest, Manifest]],
        horizon: int,
        settings: RankerSettings,
        seed: int,
        replaced: Manifest | None,
    ) -> None:
        self._warehouse, self._pairs, self._horizon = warehouse, list(pairs), horizon
        self._settings, self._seed, self._replaced = settings, seed, replaced

    def process(self, run: Run) -> Iterator[Written]:
        clock = Clock()
        with clock.part("examples"):
            data = examples(Warehouse(self._warehouse), self._pairs, self._horizon, self._settings.examples, self._seed)
        names = [c for c in data.columns if c.startswith("f_")]
        with clock.part("choice of the ranker", data.height):
            kind, figures = choose(data, names, self._settings, self._seed)
        old, sources = self._old(run.day), source_figures(data) if figures else {}
        before = figure_of(old[0], data) if old and figures and self._new_to(old[1]) else None
        verdict = promotion.judge(figures.get(kind), before, sources, self._settings.promote_tolerance)
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
        from models.rankers.ranker import load

        if self._replaced is None:
            return None
        folder = fetch(self._warehouse, self._replaced, day)
        return load(folder), read_entry(folder, verify=False).fit_date

    def _new_to(self, fit: date) -> bool:
        """Whether the last night's outcomes closed after a ranker was fitted, so that it cannot have learned from them."""
        return self._pairs[-1][0].date + timedelta(self._horizon) > fit

    def _kept(self, run: Run) -> list[FileEntry]:
        """The old ranker's files, as they are, in the new run."""
        assert self._replaced is not None
        return store_folder(run, fetch(self._warehouse, self._replaced, run.day))

    def _fitted(
        self, run: Run, data: pl.DataFrame, names: list[str], kind: str, figures: dict[str, float]
    ) -> list[FileEntry]:
        """The new ranker, fitted on all nights."""
        from models.rankers.ranker import fit

        settings: Any = self._settings.model_copy(update={"kind": kind})
        ranker = fit(data, names, settings, self._seed)
        with tempfile.TemporaryDirectory() as scratch:
            ranker.save(Path(scratch))
            write_entry(
                scratch,
                name="ranker",
                kind=kind,
                version=run.version,
                fit_date=run.day,
                inputs=run.inputs,
                settings=self._settings.model_dump(mode="json"),
                seed=self._seed,
                metrics={f"ndcg@50 {name}": value for name, value in figures.items()},
            )
            return store_folder(run, Path(scratch))
