"""What shelves do for new listeners and new tracks: histories and audiences cut down, targets unchanged.

    python -m tests.benchmarks.cold_start --data DIR [--cut .8 1] [--work DIR] [--markdown]
    python -m tests.benchmarks.cold_start --set simulated [--listeners 1000] [--config FILE]

listeners   Of every listener only the latest 0, 1, 5, 20 plays (and all) are known while scoring; models and ranker stay.
            What they saved, followed or blocked is cut with it, their market is not.
            They are still in the models: where few play a track, one play of it gives its listener away.
strangers   The same of a hash-chosen fifth of the listeners, with models fitted without them.
tracks      Of up to 300 hash-chosen recordings with more than five listeners, the plays of all but 0, 1, 2, 5 listeners are
            taken from the log before models are fitted again; the ranker stays. Targets are what people went on to hear
            of these recordings (no target is a play that was taken out).

Targets are those of the whole log in every row. A truncated listener is offered what they know: on `unheard` such tracks are
taken out of every list, popularity's too, as they cannot be targets. That leaves little of a published shelf of fifty, so
shelves (spares after items) are asked of `all` too, what was played next, known or not. The gap is the model's NDCG@50
(Recall@50 for tracks) minus popularity's, paired by listener, 95%. One JSON line a result.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

import models  # noqa: F401  (sets the Keras version before TensorFlow is imported)
from pipelines.ingest import ingest
from pipelines.night.fold import fold_to
from pipelines.recommender.artefacts import fetch
from pipelines.recommender.fitting import Fitted
from pipelines.recommender.scoring import Scorer
from pipelines.recommender.scoring_plan import Plan
from pipelines.runtime.config import Settings
from pipelines.runtime.settings_file import load
from pipelines.train import train
from tests.benchmarks.real_data import workplace
from tests.benchmarks.real_splits import WORLD, WORLD_NIGHTS, Split, lfm_split, run_night, simulated_split
from tests.benchmarks.real_tables import cold_markdown
from transforms.common.hashing import stable_hash, uniform
from transforms.evaluation.baseline_tuning import with_sessions
from transforms.evaluation.baselines import Training, most_popular, recommend
from transforms.evaluation.facts import MeasureFacts
from transforms.evaluation.measure import night_lists, of_target, popularity_partial, wanted
from transforms.formats.columns import PLAY_COLUMNS
from transforms.listening.library import day_library, first_plays, merge, saved_library
from transforms.listening.plays import is_heard
from transforms.listening.sessions import sessionize
from transforms.metrics.intervals import intervals, paired_difference
from transforms.metrics.ranking import score_lists
from transforms.outcomes.join import with_recording
from transforms.outcomes.nights import recordings
from transforms.tables.as_of import all_tracks, as_of
from transforms.tables.chunks import Chunk, split
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse

KEPT: tuple[int | None, ...] = (0, 1, 5, 20, None)
PARTS = ("listeners", "strangers", "tracks")
AUDIENCES = (0, 1, 2, 5)
FLOOR, MOST = 5, 300
STRANGERS = 0.2  # share of listeners
NOBODY = pl.Series([], dtype=pl.String)
DEEP = 2_000  # places read of a list, before what was heard is taken out
Say = Callable[..., None]
Lists = dict[tuple[str, str], pl.DataFrame]


@dataclass(frozen=True)
class Log:
    """A night's log, and what came after it.

    Attributes:
        before: table `listens` up to the night.
        plays: `before` with item (the recording), session_id and heard, as baselines read it.
        heard: listener_id, item heard by the night.
        targets: kind -> listener_id, item.
        names: track_id, recording_id.
        settings: of the night.
    """

    split: Split
    before: pl.DataFrame
    plays: pl.DataFrame
    heard: pl.DataFrame
    targets: dict[str, pl.DataFrame]
    names: pl.DataFrame
    settings: Settings = field(default_factory=Settings)

    @classmethod
    def read(cls, split: Split, settings: Settings | None = None) -> Log:
        """Read a split's warehouse."""
        warehouse = Warehouse(split.warehouse)
        names = recordings(split.warehouse, as_of(warehouse.url, split.night).catalog())
        days = [d for d in warehouse.dates("listens") if d <= split.night + timedelta(split.ahead)]
        before = pl.concat([warehouse.read("listens", d) for d in days if d <= split.night], how="diagonal")
        after = pl.concat([warehouse.read("listens", d) for d in days if d > split.night], how="diagonal")
        plays = as_plays(before, names)
        heard = plays.filter("heard").select("listener_id", "item").unique()
        facts = MeasureFacts(names, popularity_partial(before, names), pl.DataFrame(), plays["listener_id"].n_unique())
        rows = wanted(after, heard, facts, split.night, split.ahead)
        rows = rows.join(plays.select("listener_id").unique(), on="listener_id", how="semi")
        kinds = {kind: of_target(rows, kind).select("listener_id", "item") for kind in ("unheard", "repeat", "all")}  # type: ignore[arg-type]
        return cls(split, before, plays, heard, kinds, names, settings or Settings())

    def popular(self, plays: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Most popular by some plays: what its reader has not heard for `unheard`, else everything."""
        training = Training.build(plays, self.split.night)
        one = recommend(most_popular(training), training, training.listener_ids.head(1), "all", DEEP)
        people = self.plays.select("listener_id").unique().sort("listener_id")
        everything = people.join(one.select("item", "rank"), how="cross")  # the same for all, strangers too
        return {"unheard": self.unheard(everything), "repeat": everything, "all": everything}

    def unheard(self, listed: pl.DataFrame) -> pl.DataFrame:
        """A list without what its listener has heard in the whole log."""
        return listed.join(self.heard, on=["listener_id", "item"], how="anti")


def as_plays(listens: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    """Listens as baselines read them: listener_id, item, started_at, session_id, heard."""
    listens = listens.select("listener_id", "track_id", "started_at", "ms_played", "skipped", "completed")
    plays = with_recording(with_sessions(listens).with_columns(is_heard()), names)
    return plays.select("listener_id", "started_at", "session_id", "heard", item="recording_id")


def latest(listens: pl.DataFrame, count: int | None) -> pl.DataFrame:
    """The latest so many plays of each listener (None = all), ties by hash of the track.

    >>> frame = pl.DataFrame({"listener_id": ["ann"] * 3, "track_id": ["x", "y", "z"], "started_at": [1, 3, 2]})
    >>> latest(frame, 2)["track_id"].to_list()
    ['y', 'z']
    """
    if count is None:
        return listens
    ordered = listens.with_columns(_tie=stable_hash(listens["track_id"])).sort(
        "listener_id", "started_at", "_tie", "track_id", descending=[False, True, False, False]
    )
    return ordered.filter(pl.int_range(pl.len()).over("listener_id") < count).drop("_tie")


def thinned(listens: pl.DataFrame, names: pl.DataFrame, held: pl.Series, audience: int) -> pl.DataFrame:
    """Listens without those of `held` recordings by all but so many of their listeners, chosen by hash.

    >>> frame = pl.DataFrame({"listener_id": ["ann", "bob", "bob"], "track_id": ["x", "x", "y"]})
    >>> names = pl.DataFrame({"track_id": ["x", "y"], "recording_id": ["x", "y"]})
    >>> thinned(frame, names, pl.Series(["x"]), 1).height, thinned(frame, names, pl.Series(["x"]), 0)["track_id"].to_list()
    (2, ['y'])
    """
    rows = with_recording(listens, names)
    here = rows.filter(pl.col("recording_id").is_in(held.implode()))
    pairs = here.select("listener_id", "recording_id").unique()
    pairs = pairs.with_columns(_order=stable_hash(pairs["recording_id"], pairs["listener_id"], purpose="audience"))
    out = pairs.filter(pl.col("_order").rank("ordinal").over("recording_id") > audience)
    return rows.join(out, on=["listener_id", "recording_id"], how="anti").drop("recording_id")


def held_out(log: Log) -> pl.Series:
    """Recordings whose audience is cut: up to MOST of those with more than FLOOR listeners, by hash."""
    counted = log.plays.group_by("item").agg(n=pl.col("listener_id").n_unique())
    items = counted.filter(pl.col("n") > FLOOR)["item"].sort()
    return items.gather(np.argsort(stable_hash(items, purpose="cold"), kind="stable")[:MOST])


def feedback_of(warehouse: Warehouse, night: date) -> pl.DataFrame:
    """All feedback up to the night."""
    frames = [warehouse.read("feedback", d) for d in warehouse.dates("feedback") if d <= night]
    return pl.concat(frames, how="diagonal") if frames else TABLES["feedback"].empty()


def known_of(warehouse: Warehouse, night: date, listens: pl.DataFrame, tracks: pl.DataFrame, whole: bool) -> Chunk:
    """What scoring would read of everyone if the log had held these listens alone; feedback only if it is whole."""
    settings = Settings()
    listed = as_of(warehouse.url, night).listeners()
    people = warehouse.read_manifest(listed) if listed else TABLES["listeners"].empty()
    feedback = feedback_of(warehouse, night) if whole else TABLES["feedback"].empty()
    plays = listens.with_columns(date=pl.col("started_at").dt.date())
    sessions = sessionize(
        plays.with_columns(new=first_plays(plays)),
        timedelta(minutes=settings.sessions.gap_minutes),
        through=night,
        durations=tracks.select("track_id", "duration_ms"),
        max_length=timedelta(hours=settings.sessions.max_hours),
        time_zones=people,
    )
    recent = sessions.filter(pl.col("date") > night - timedelta(settings.candidates.session_days)).drop("date")
    frames = {
        "listeners": people,
        "library": merge([day_library(listens), saved_library(feedback)]),
        "sessions": recent.sort("listener_id", "started_at", "session_id"),
        "feedback": feedback,
        "exclusions": TABLES["exclusions"].empty(),
        "suspects": TABLES["suspects"].empty(),
    }
    return Chunk(0, frames)


def scored(scoring: Scorer, known: Chunk) -> list[Chunk]:
    """Everyone scored, shard by shard as the night does: with nothing cut, the night's own rows."""
    shards = Settings().shards
    parts = {name: dict(split(frame, shards)) for name, frame in known.tables.items()}
    chunks = [Chunk(s, {t: parts[t].get(s, known[t].clear()) for t in parts}) for s in range(shards)]
    return [made for chunk in chunks for made in scoring.score(chunk)]


def scorer(warehouse: Warehouse, ranked_by: Warehouse, night: date, tracks: pl.DataFrame, settings: Settings) -> Scorer:
    """The night's models and another warehouse's ranker, shelves as published."""
    sample = warehouse.current("session_sample", night)
    fitted, ranker = warehouse.need("models", night), ranked_by.current("rankers", night)
    plan = Plan(
        day=night,
        seed=settings.seed,
        k=settings.candidates.per_source,
        keep=1.0,
        sample=1.0,
        shelves=True,
        greedy=False,
        model_version=fitted.version,
        ranker_version=ranker.version if ranker else None,
        versions={},
        settings=settings.shelves,
        sources=settings.candidates.sources,
        continuation=settings.candidates.continuation,
    )
    from models.rankers.kinds import load as load_ranker

    loaded = load_ranker(fetch(ranked_by.url, ranker, night)) if ranker else None
    sessions = warehouse.read_manifest(sample) if sample else None
    return Scorer(plan, Fitted.load(fetch(warehouse.url, fitted, night), settings.models), loaded, tracks, sessions)


def lists_of(log: Log, made: Sequence[Chunk]) -> Lists:
    """(model, target) -> listener_id, item, rank; without what was heard in the whole log where that cannot be a target."""
    candidates = pl.concat([m["candidates"] for m in made], how="diagonal")
    shelves = pl.concat([m["shelves"] for m in made], how="diagonal")
    kept = [c for c in candidates.columns if c.startswith(("rank_", "score_")) or c == "f_blend"]
    candidates = candidates.select("listener_id", "track_id", "heard_before", "ranker_score", *kept)
    out: Lists = {}
    for (model, target), listed in night_lists(candidates, shelves, DEEP).items():
        if listed.height and (target == "unheard" or model.startswith("shelf:")):
            items = with_recording(listed, log.names).select("listener_id", "rank", item="recording_id")
            out[model, target] = log.unheard(items) if target == "unheard" else items
            if model.startswith("shelf:"):
                out[model, "all"] = items
    return out


def report(
    lists: Lists, popular: dict[str, pl.DataFrame], targets: dict[str, pl.DataFrame], metric: str, say: Say
) -> None:
    """Mean of every list and its paired gap to popularity; a model that lists nothing for a listener scores 0."""
    for target, wanted_rows in targets.items():
        if not wanted_rows.height:
            continue
        base = score_lists(popular[target], wanted_rows, (50,))
        found = intervals(base["listener_id"], base.select(metric).to_numpy())[0]
        say(target=target, model="most-popular", n=found.n, value=[found.value, found.low, found.high])
        for (model, kind), listed in lists.items():
            if kind != target:
                continue
            own = score_lists(listed, wanted_rows, (50,))[metric].to_numpy()
            mean = intervals(base["listener_id"], own[:, None])[0]
            gap = paired_difference(base["listener_id"], own, base[metric].to_numpy())
            value = [mean.value, mean.low, mean.high]
            say(target=target, model=model, n=mean.n, value=value, gap=[gap.value, gap.low, gap.high])


def cold_listeners(log: Log, say: Say, kept: Sequence[int | None] = KEPT, strangers_in: Path | None = None) -> None:
    """Truncate every history while scoring; with a folder for the refitted models, strangers' histories alone."""
    warehouse, night = Warehouse(log.split.warehouse), log.split.night
    tracks = all_tracks(warehouse, as_of(warehouse.url, night).catalog())
    people = log.before["listener_id"].unique().sort()
    part, fitted_on, models_at = "listeners", log.before, warehouse
    if strangers_in is not None:
        part, people = "strangers", people.filter(pl.Series(uniform(0, "strangers", people) < STRANGERS))
        fitted_on = log.before.filter(~pl.col("listener_id").is_in(people.implode()))
        models_at = refitted(warehouse, fitted_on, log, strangers_in, people=people)
    theirs = pl.col("listener_id").is_in(people.implode())
    scoring = scorer(models_at, warehouse, night, tracks, log.settings)
    popular = log.popular(as_plays(fitted_on, log.names))
    targets = {kind: rows.filter(theirs) for kind, rows in log.targets.items()}
    for count in kept:
        chunk = known_of(warehouse, night, latest(log.before, count), tracks, whole=count is None)
        chunk = Chunk(0, {name: frame.filter(theirs) for name, frame in chunk.tables.items()})
        lists = lists_of(log, scored(scoring, chunk))
        name = "all" if count is None else count

        def line(named: int | str = name, **values: object) -> None:
            say(part, kept=named, metric="ndcg@50", **values)

        report(lists, popular, targets, "ndcg@50", line)


def cold_tracks(log: Log, work: Path, say: Say, audiences: Sequence[int] = AUDIENCES) -> None:
    """Take all but a few listeners of some tracks out of the log and fit again."""
    warehouse, night = Warehouse(log.split.warehouse), log.split.night
    tracks = all_tracks(warehouse, as_of(warehouse.url, night).catalog())
    held = held_out(log)
    rows = log.targets["unheard"].filter(pl.col("item").is_in(held.implode()))
    for audience in (*audiences, None):
        if audience is None:
            models_at, before = warehouse, log.before
        else:
            before = thinned(log.before, log.names, held, audience)
            models_at = refitted(warehouse, before, log, work / f"{cold_name(log)}-audience-{audience}", items=held)
        chunk = known_of(models_at, night, before, tracks, whole=True)
        lists = lists_of(log, scored(scorer(models_at, warehouse, night, tracks, log.settings), chunk))
        name = "all" if audience is None else audience

        def line(named: int | str = name, **values: object) -> None:
            say("tracks", kept=named, tracks=len(held), targets=rows.height, metric="recall@50", **values)

        discover = {key: listed for key, listed in lists.items() if key[1] == "unheard"}
        report(discover, log.popular(as_plays(before, log.names)), {"unheard": rows}, "recall@50", line)


def cold_name(log: Log) -> str:
    """A folder's name for what is refitted beside a split's warehouse."""
    return f"cold-{Path(log.split.warehouse).parent.name}"


def refitted(
    warehouse: Warehouse,
    before: pl.DataFrame,
    log: Log,
    folder: Path,
    *,
    items: pl.Series = NOBODY,
    people: pl.Series = NOBODY,
) -> Warehouse:
    """A warehouse of a thinned log, with features and models as of the night; no feedback on or by what is held out."""
    folder.mkdir(parents=True, exist_ok=True)
    night, files = log.split.night, {}
    gone = log.names.filter(pl.col("recording_id").is_in(items.implode()))["track_id"]
    frames = {"feedback": feedback_of(warehouse, night).filter(~pl.col("target").is_in(gone.implode()))}
    for name in ("tracks", "listeners"):
        listed = as_of(warehouse.url, night).newest_or_first(name)
        frames[name] = warehouse.read_manifest(listed) if listed else TABLES[name].empty()
    for name, whole in frames.items():
        frame = whole.filter(~pl.col("listener_id").is_in(people.implode())) if name != "tracks" else whole
        if frame.height:
            frame.write_parquet(folder / f"{name}.parquet")
            files[name] = str(folder / f"{name}.parquet")
    before.select([c for c in PLAY_COLUMNS if c in before.columns]).write_parquet(folder / "listens.parquet")
    made, settings = Warehouse(str(folder / "warehouse")), log.settings
    ingest(
        made.url,
        "parquet",
        [str(folder / "listens.parquet")],
        tracks=files.get("tracks"),
        listeners_file=files.get("listeners"),
        feedback=files.get("feedback"),
        end_date=night,
    )
    fold_to(made.url, night, settings, ())
    train(made.url, night, settings=settings)
    return made


def main() -> None:
    """Make the night where it is not there, cut, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the real logs")
    parser.add_argument("--set", choices=("lfm1b-500u", "simulated"), default="lfm1b-500u")
    parser.add_argument("--cut", nargs=2, type=float, default=(0.8, 1.0), help="lfm1b-500u: shares of the sessions")
    parser.add_argument("--listeners", type=int, default=WORLD["listeners"], help="of the simulated world")
    parser.add_argument("--part", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--config", help="settings of the night that are not the defaults")
    parser.add_argument("--work", help="folder to keep the warehouses in; default: a temporary one")
    parser.add_argument("--markdown", action="store_true", help="print tables instead of JSON lines")
    args = parser.parse_args()
    if args.set != "simulated" and not args.data:
        parser.error("--data names the folder of the real logs; --set simulated needs none")
    out, lines = sys.stdout, []

    def say(part: str, **values: object) -> None:
        rounded = {k: [round(x, 5) for x in v] if isinstance(v, list) else v for k, v in values.items()}
        lines.append({"set": args.set, "cut": made.name, "part": part} | rounded)
        if not args.markdown:
            print(json.dumps(lines[-1]), file=out, flush=True)

    with workplace(args.work) as work, contextlib.redirect_stdout(sys.stderr):
        if args.set == "simulated":
            made = simulated_split(work, WORLD_NIGHTS[-1], args.listeners)
        else:
            made = lfm_split(args.data, work, *args.cut)
        settings = load(Settings, args.config)
        run_night(made, settings)
        log = Log.read(made, settings)
        if "listeners" in args.part:
            cold_listeners(log, say)
        if "strangers" in args.part:
            cold_listeners(log, say, strangers_in=work / f"{cold_name(log)}-strangers")
        if "tracks" in args.part:
            cold_tracks(log, work, say)
    if args.markdown:
        print(cold_markdown(lines))


if __name__ == "__main__":
    main()
