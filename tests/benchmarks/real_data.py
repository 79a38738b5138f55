"""The night on real logs, or a simulated one, beside tuned peers: rows, seconds, metrics with paired intervals.

    python -m tests.benchmarks.real_data --data DIR [--set lfm1b-500u] [--cut .6 .8 --cut .8 1] [--markdown]
    python -m tests.benchmarks.real_data --set simulated [--listeners 1000]

DIR holds lfm1b-500u/sessions.csv and 30music/events.tsv, item_tags.tsv; the simulated world needs none. Each split (see
real_splits.py) goes through ingest, the night with `greedy`, ingest of the test part and evaluate, with default settings
only. The first split is the validation: the peers' grids are settled there; the last is what is reported, and both pooled.
Targets are unheard recordings that somebody had played by the night, the whole catalog is ranked. Prints one JSON line a
result.

Intervals are 95%, by Poisson bootstrap over listeners, 1000 draws. Pooled over cuts, a listener's value is the mean of
their cuts, so that a draw takes a listener's cuts together. `--work DIR` keeps the warehouses: what is there and
current is not made again, and seconds are those of the run that made it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from tests.benchmarks.peers import at_an_edge, peers
from tests.benchmarks.real_splits import (
    WINDOWS,
    WORLD,
    WORLD_NIGHTS,
    Split,
    lfm_split,
    music_split,
    run_night,
    simulated_split,
)
from tests.benchmarks.real_tables import markdown
from transforms.evaluation.baseline_tuning import with_sessions
from transforms.evaluation.baselines import Training
from transforms.evaluation.facts import MeasureFacts
from transforms.evaluation.measure import (
    history_segment,
    night_lists,
    of_target,
    popularity_partial,
    wanted,
)
from transforms.listening.plays import is_heard
from transforms.metrics.intervals import intervals, paired_ratio
from transforms.metrics.ranking import score_lists
from transforms.outcomes.join import with_recording
from transforms.outcomes.nights import recordings
from transforms.tables.warehouse import Warehouse

METRICS = ("ndcg@50", "recall@50", "hit@10")
LISTENS = ("listener_id", "track_id", "started_at", "ms_played", "skipped", "completed")
BUCKETS = ((1, 1), (2, 2), (3, 5), (6, 10**9))
Say = Callable[..., None]


@dataclass(frozen=True)
class Asked:
    """A split's night, ready to be asked: its lists, what peers may learn from, and what came after.

    Attributes:
        lists: model -> listener_id, item, rank of unheard candidates.
        targets: listener_id, item; unheard, known.
        listeners: listener_id, segment.
        popularity: item, listeners.
    """

    split: Split
    lists: dict[str, pl.DataFrame]
    training: Training
    targets: pl.DataFrame
    listeners: pl.DataFrame
    popularity: pl.DataFrame
    facts: dict[str, object]


def ask(split: Split) -> Asked:
    """Read a night's order and the listens before and after it."""
    warehouse = Warehouse(split.warehouse)
    dates = [d for d in warehouse.dates("listens") if d <= split.night + timedelta(split.ahead)]
    names = recordings(split.warehouse, warehouse.newest("tracks", split.night))
    before = pl.concat([warehouse.read("listens", d, LISTENS) for d in dates if d <= split.night])
    after = pl.concat([warehouse.read("listens", d, LISTENS) for d in dates if d > split.night])
    plays = with_recording(with_sessions(before).with_columns(is_heard()), names)
    plays = plays.select("listener_id", "track_id", "started_at", "session_id", "heard", item="recording_id")
    popularity = popularity_partial(plays, names)
    facts = MeasureFacts(names, popularity, pl.DataFrame(), plays["listener_id"].n_unique())
    rows = wanted(after, plays.filter("heard"), facts, split.night, split.ahead)
    rows = rows.join(plays.select("listener_id").unique(), on="listener_id", how="semi")
    fresh = rows.filter(~pl.col("heard_before"))
    targets = of_target(rows, "unheard").select("listener_id", "item")
    candidates = warehouse.read("candidates", split.night)
    kept = [c for c in candidates.columns if c.startswith(("rank_", "score_")) or c == "f_blend"]
    candidates = candidates.select("listener_id", "track_id", "heard_before", "ranker_score", *kept)
    lists = {
        model: with_recording(listed, names).select("listener_id", "rank", item="recording_id")
        for (model, target), listed in night_lists(candidates, warehouse.read("shelves", split.night)).items()
        if target == "unheard" and listed.height
    }
    return Asked(
        split,
        lists,
        Training.build(plays, split.night),
        targets,
        plays.group_by("listener_id").agg(segment=history_segment(pl.len())),
        popularity,
        {
            "training_plays": plays.height,
            "training_listeners": facts.listeners,
            "training_tracks": popularity.height,
            "test_plays": after.height,
            "targets": targets.height,
            "listeners_with_targets": targets["listener_id"].n_unique(),
            "unknown_share": 1 - targets.height / max(fresh.height, 1),
            "candidates": candidates.height,
        },
    )


def costs(split: Split, say: Say, named: dict[str, object]) -> None:
    """Seconds and peak memory of each job from the records it left, and what the ranker was chosen by."""
    warehouse = Warehouse(split.warehouse)
    seen: dict[tuple[str, ...], dict[str, object]] = {}
    for path in (Path(split.warehouse) / "runs").glob("*.json"):
        body = json.loads(path.read_text())
        seen[tuple(body["run_ids"])] = body  # one record a job, written beside each of its runs
    jobs: dict[tuple[str, str], list[dict[str, object]]] = {}
    for body in sorted(seen.values(), key=lambda x: float(str(x["at"]))):
        jobs.setdefault((str(body["job"]), str(body["date"])), []).append(body)
    for (job, day), found in jobs.items():
        seconds = round(sum(float(str(x["seconds"])) for x in found), 1)
        say("stage", **named, job=job, date=day, seconds=seconds, peak_mb=max(float(str(x["peak_mb"])) for x in found))
    chosen = warehouse.current("rankers", split.night)
    say("ranker", **named, chosen=dict(chosen.extra) if chosen else None)


def evaluated(split: Split, say: Say, named: dict[str, object]) -> None:
    """What the evaluation table says of every source, shelf and baseline, all listeners."""
    table = Warehouse(split.warehouse).read("evaluation", split.night)
    rows = table.filter((pl.col("segment") == "all") & pl.col("versus").is_null() & pl.col("metric").is_in(METRICS))
    for (target, model), part in sorted(rows.partition_by("target", "model", as_dict=True).items()):
        values = {r["metric"]: [r["value"], r["low"], r["high"]] for r in part.iter_rows(named=True)}
        say("evaluation", **named, target=target, model=model, n=int(part["n"].max()), **values)  # type: ignore[arg-type]


def by_listener(asked: Asked, listed: pl.DataFrame) -> pl.DataFrame:
    """listener_id and METRICS of everyone with targets."""
    return score_lists(listed, asked.targets, (10, 50)).select("listener_id", *METRICS)


def by_listeners_of_track(asked: Asked, listed: pl.DataFrame) -> dict[str, float]:
    """Recall@50 of the targets that so many listeners had played by the night."""
    out = {}
    counted = asked.targets.join(asked.popularity, on="item")
    for low, high in BUCKETS:
        part = counted.filter(pl.col("listeners").is_between(low, high))
        name = f"{low}" if low == high else f"{low}-{high}" if high < 10**9 else f"{low}+"
        if part.height:
            recall = score_lists(listed, part.select("listener_id", "item"), (50,))["recall@50"]
            out[name] = float(recall.mean())  # type: ignore[arg-type]
    return out


def compare(scores: dict[str, list[pl.DataFrame]], say: Say, named: dict[str, object], primary: str = "ranker") -> None:
    """Means with intervals of every model, and the primary one's paired differences; a listener's cuts averaged."""
    pooled = {m: pl.concat(p).group_by("listener_id").mean().sort("listener_id") for m, p in scores.items()}
    ours = pooled[primary]
    ids = ours["listener_id"]
    for model, theirs in pooled.items():
        aligned = ours.select("listener_id").join(theirs, on="listener_id", how="left", maintain_order="left")
        values = aligned.select(METRICS).to_numpy()
        gaps = ours.select(METRICS).to_numpy() - values
        found = intervals(ids, np.column_stack([values, gaps]))
        line = {m: [i.value, i.low, i.high] for m, i in zip(METRICS, found[:3], strict=True)}
        if model != primary:
            line |= {
                f"{primary} minus it, {m}": [i.value, i.low, i.high] for m, i in zip(METRICS, found[3:], strict=True)
            }
            of = paired_ratio(ids, ours["ndcg@50"].to_numpy(), aligned["ndcg@50"].to_numpy())
            line["ndcg_ratio"] = [of.value, of.low, of.high]
        say("result", **named, model=model, n=found[0].n, **line)


def run_set(name: str, splits: list[Callable[[], Split]], say: Say) -> None:
    """Make every night; tune the peers on the first; compare on each and over all."""
    chosen: dict[str, str] = {}
    every: dict[str, list[pl.DataFrame]] = {}
    for make in splits:
        split = make()
        run_night(split)
        asked = ask(split)
        named: dict[str, object] = {"set": name, "cut": split.name}
        say("split", **named, night=str(split.night), days=split.ahead, **asked.facts)
        costs(split, say, named)
        evaluated(split, say, named)
        lists = dict(asked.lists)
        for peer in peers():
            if peer.name not in chosen:
                tried = {label: run(asked.training) for label, run in peer.variants.items()}
                gain = {label: float(by_listener(asked, got)["ndcg@50"].mean()) for label, got in tried.items()}  # type: ignore[arg-type]
                chosen[peer.name] = max(gain, key=lambda label: gain[label])
                say(
                    "tuned",
                    **named,
                    model=peer.name,
                    chosen=chosen[peer.name],
                    at_an_edge=at_an_edge(chosen[peer.name], peer.ends),
                    grid=gain,
                )
                lists[peer.name] = tried[chosen[peer.name]]
            else:
                lists[peer.name] = peer.variants[chosen[peer.name]](asked.training)
        scores = {model: by_listener(asked, listed) for model, listed in lists.items()}
        compare({m: [s] for m, s in scores.items()}, say, named)
        for model in ("ranker", "blend", "implicit-als", "co-session-knn", "listener-knn"):
            parts = scores[model].join(asked.listeners, on="listener_id").group_by("segment")
            history = {s: [n, v] for s, v, n in parts.agg(pl.col("ndcg@50").mean(), n=pl.len()).sort("segment").rows()}
            tracks = by_listeners_of_track(asked, lists[model])
            say("segments", **named, model=model, ndcg_by_history=history, recall_by_track_listeners=tracks)
        counted = asked.targets.join(asked.popularity, on="item")["listeners"]
        shares = {str(k): float((counted == k).mean()) for k in (1, 2)}  # type: ignore[arg-type]
        say("targets", **named, share_with_so_many_listeners=shares)
        for model, score in scores.items():
            every.setdefault(model, []).append(score)
    if len(splits) > 1:
        compare({m: s for m, s in every.items() if len(s) == len(splits)}, say, {"set": name, "cut": "pooled"})


@contextlib.contextmanager
def workplace(kept: str | None) -> Iterator[Path]:
    """A folder to work in, temporary unless it is to be kept."""
    if kept:
        yield Path(kept)
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield Path(scratch)


def main() -> None:
    """Parse, run every set, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the real logs")
    parser.add_argument(
        "--set", action="append", choices=("lfm1b-500u", "30music", "simulated"), help="default: both real ones"
    )
    parser.add_argument("--listeners", type=int, default=WORLD["listeners"], help="of the simulated world")
    parser.add_argument(
        "--cut", nargs=2, type=float, action="append", help="lfm1b-500u: shares of a listener's sessions"
    )
    parser.add_argument("--markdown", action="store_true", help="print tables instead of JSON lines")
    parser.add_argument("--work", help="folder to keep the warehouses in; default: a temporary one")
    args = parser.parse_args()
    sets = args.set or ["lfm1b-500u", "30music"]
    if not args.data and sets != ["simulated"]:
        parser.error("--data names the folder of the real logs; --set simulated needs none")
    cuts = args.cut or [(0.6, 0.8), (0.8, 1.0)]
    out, lines = sys.stdout, []

    def say(kind: str, **line: object) -> None:
        lines.append({"kind": kind} | {k: _rounded(v) for k, v in line.items()})
        if not args.markdown:
            print(json.dumps(lines[-1]), file=out, flush=True)

    # the jobs' own words (what ingest counted) are not results
    with workplace(args.work) as work, contextlib.redirect_stdout(sys.stderr):
        splits: dict[str, list[Callable[[], Split]]] = {
            "lfm1b-500u": [partial(lfm_split, args.data, work, *cut) for cut in cuts],
            "30music": [partial(music_split, args.data, work, *window) for window in WINDOWS],
            "simulated": [partial(simulated_split, work, night, args.listeners) for night in WORLD_NIGHTS],
        }
        for name, wanted_splits in splits.items():
            if name in sets:
                run_set(name, wanted_splits, say)
    if args.markdown:
        print(markdown(lines))


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list | tuple) else value


if __name__ == "__main__":
    main()
