"""Choices about the ranker on all logs at hand at once, cross-fitted over listeners and time, by the rule that was written first.

    python -m tests.benchmarks.crossfit --data DIR --work DIR [--set lfm-80 --set music-4] [--entrant linear ...]

The rule stands in docs/decisions/ranking.md. Sets are lfm1b-500u cut at 60%/80% and at 80%/100% of a listener's sessions
(lfm-60, lfm-80), 30music's windows 3 and 4 (music-3, music-4) and a simulated world (simulated). Of each, the nights are made
that the product makes before its first ranker, and the test night; only listeners who have something to find are scored, since
others teach nothing and count nowhere. An entrant is fitted on the earlier nights' lists of one half of the listeners (by hash)
and orders the test night's lists of the other half. `--work` keeps what was made.

Prints one JSON line a set and entrant (NDCG@50 of discoveries, difference from the blend with its 95% interval, bootstrap over
listeners), then the pooled differences as shares of each log's blend, and what the rule chooses.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.ingest import ingest
from pipelines.nightly import NIGHT
from pipelines.recommender.night import Asked, plan_scoring
from pipelines.recommender.ranker_choice import Judged
from pipelines.runtime.config import Settings
from pipelines.runtime.schedule import Night, bootstrap_nights
from tests.benchmarks.real_splits import WINDOWS, Split, lfm_split, music_split, simulated_split
from transforms.common.hashing import stable_hash, uniform
from transforms.listening.plays import is_heard
from transforms.metrics.intervals import bootstrap_means, paired_difference
from transforms.outcomes.join import with_recording
from transforms.tables.as_of import as_of
from transforms.tables.chunks import read_chunks
from transforms.tables.warehouse import Warehouse

SETS: dict[str, Callable[[Path, Path], Split]] = {
    "lfm-60": lambda data, work: lfm_split(data, work, 0.6, 0.8),
    "lfm-80": lambda data, work: lfm_split(data, work, 0.8, 1.0),
    "music-3": lambda data, work: music_split(data, work, *WINDOWS[0]),
    "music-4": lambda data, work: music_split(data, work, *WINDOWS[1]),
    "simulated": lambda data, work: simulated_split(work, date(2026, 1, 24), 200),
}
LOGS = {"lfm-60": "lfm1b-500u", "lfm-80": "lfm1b-500u", "music-3": "30music", "music-4": "30music"}
ENTRANTS: dict[str, dict[str, object]] = {  # from simple to less so
    "linear": {"kind": "linear"},
    "linear averaged with trees": {"kind": "ensemble"},
}
BLEND = "blend"
LISTENS = ("listener_id", "track_id", "started_at", "ms_played", "skipped", "completed")


@dataclass(frozen=True)
class Lists:
    """A night's lists with what their listeners went on to hear for the first time.

    Attributes:
        candidates: list, item, listened, features; unheard ones alone.
        wanted: list, item.
    """

    candidates: pl.DataFrame
    wanted: pl.DataFrame

    def half(self, which: int) -> Lists:
        """The lists of the listeners that a hash deals to half 0 or 1."""
        return Lists(
            *(
                f.filter(pl.Series(uniform(0, "halves", f["list"]) < 0.5) == (which == 0))
                for f in (self.candidates, self.wanted)
            )
        )

    def ndcg(self, scores: np.ndarray) -> pl.DataFrame:
        """listener_id, ndcg@50."""
        return Judged(self.candidates, self.wanted).by_listener(scores)


def make(name: str, data: Path, work: Path, stored: bool = False) -> tuple[list[Lists], Lists]:
    """The nights to learn from, oldest first, and the test night of a set; `stored`: of those that `work` holds alone."""
    split = SETS[name](data, work)
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    plays = _plays(split, folder)
    earlier, apart = bootstrap_nights(Warehouse(split.warehouse), split.night, Settings())
    out = []
    for day, ahead in [*((d, apart) for d in earlier), (split.night, split.ahead)]:
        kept = folder / f"night-{(split.night - day).days}.parquet"
        if stored and not kept.exists():
            continue
        names = _names(split)
        wanted = _wanted(plays, names, day, ahead)
        if not kept.exists():
            _candidates(split, day, wanted["listener_id"].unique().sort().to_list()).write_parquet(kept)
        out.append(_lists(pl.read_parquet(kept), names, wanted))
    return out[:-1], out[-1]


def _plays(split: Split, folder: Path) -> pl.DataFrame:
    """Everything played before and after the night, with `date`; what came after is ingested beside the night's warehouse."""
    end = split.night + timedelta(split.ahead)
    test = next(Path(split.warehouse).parent.glob("test.*"), None)
    places = [Warehouse(split.warehouse)]
    if test is not None:
        after = Warehouse(str(folder / "after"))
        if not after.dates("listens"):
            form = {"mapping": str(test.parent / "mapping.yaml")} if test.suffix != ".csv" else {}
            ingest(after.url, "sessions" if test.suffix == ".csv" else "csv", [str(test)], end_date=end, **form)
        places.append(after)
    frames = [
        place.read("listens", d, LISTENS).with_columns(date=pl.lit(d))
        for number, place in enumerate(places)
        for d in place.dates("listens")
        if d <= end and (len(places) == 1 or (d > split.night) == (number == 1))
    ]
    return pl.concat(frames).with_columns(heard=is_heard())


def _names(split: Split) -> pl.DataFrame:
    warehouse = Warehouse(split.warehouse)
    tracks = warehouse.newest("tracks", split.night)
    empty = pl.DataFrame(schema={"track_id": pl.String, "recording_id": pl.String})
    return warehouse.read_manifest(tracks, ["track_id", "recording_id"]) if tracks else empty


def _wanted(plays: pl.DataFrame, names: pl.DataFrame, day: date, ahead: int) -> pl.DataFrame:
    """listener_id, item: recordings that somebody had played by the night and the listener heard first in the days after."""
    before = with_recording(plays.filter(pl.col("date") <= day), names).rename({"recording_id": "item"})
    later = plays.filter("heard", pl.col("date").is_between(day + timedelta(1), day + timedelta(ahead)))
    later = with_recording(later, names).rename({"recording_id": "item"}).select("listener_id", "item").unique()
    mine = before.filter("heard").select("listener_id", "item").unique()
    known = later.join(before.select("item").unique(), on="item", how="semi")
    return known.join(before.select("listener_id").unique(), on="listener_id", how="semi").join(
        mine, on=["listener_id", "item"], how="anti"
    )


def _candidates(split: Split, day: date, only: Sequence[str]) -> pl.DataFrame:
    """Candidates of a night with everything as of its date, of these listeners; nothing of them is committed."""
    night = Night(split.warehouse, split.night, split.night, Settings(), 7).earlier(day)
    for step in NIGHT:
        if step.earlier and step.start is not None and step.job != "score":
            step.start(night)
    plan = plan_scoring(
        as_of(split.warehouse, day), night.settings, Asked(fit_date=day, candidates_only=True), "crossfit"
    )
    assert plan is not None
    scorer = replace(plan.work, what=replace(plan.work.what, only=tuple(only), sample=1.0)).scorer()
    made = [m["candidates"] for spec in plan.specs for chunk in read_chunks(spec) for m in scorer.score(chunk)]
    return pl.concat(made, how="diagonal")


def _lists(candidates: pl.DataFrame, names: pl.DataFrame, wanted: pl.DataFrame) -> Lists:
    fresh = with_recording(candidates.filter(~pl.col("heard_before")), names).rename({"recording_id": "item"})
    found = fresh.join(
        wanted.with_columns(listened=True), on=["listener_id", "item"], how="left", maintain_order="left"
    )
    found = found.with_columns(pl.col("listened").fill_null(False), heard_before=False).sort("listener_id", "track_id")
    features = [c for c in found.columns if c.startswith("f_") and c != "f_heard"]

    def numbered(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(list=pl.Series(stable_hash(frame["listener_id"])).reinterpret(signed=True))

    return Lists(
        numbered(found).select("list", "item", "heard_before", "listened", *features),
        numbered(wanted).select("list", "item", heard_before=False),
    )


def order(train: Sequence[Lists], test: Lists, settings: Mapping[str, object], seed: int = 1) -> np.ndarray:
    """Scores of the test lists by an entrant fitted on the others; negatives thinned to a third, which weigh for the rest."""
    from models.rankers.kinds import fit
    from models.settings import RankerSettings

    names = [c for c in test.candidates.columns if c.startswith("f_")]
    frames = []
    for number, lists in enumerate(train):
        rows = lists.candidates
        drawn = pl.Series(uniform(seed, "crossfit", rows["list"], rows["item"]) < 1 / 3)
        weight = pl.when("listened").then(1.0).otherwise(3.0)
        group = pl.struct(pl.lit(number), "list").rank("dense").cast(pl.Int64) + 10**6 * number
        frames.append(rows.with_columns(weight=weight, group=group, owner="list").filter(pl.col("listened") | drawn))
    ranker = fit(pl.concat(frames, how="diagonal"), names, RankerSettings.model_validate(settings), seed)
    return ranker.score(test.candidates.select(names).to_numpy().astype(np.float32))


def measured(train: Sequence[Lists], test: Lists, wanted: Sequence[str]) -> dict[str, pl.DataFrame]:
    """By entrant, and for the blend: listener_id, ndcg@50, of every listener by what was fitted on the other half."""
    out: dict[str, list[pl.DataFrame]] = {}
    for which in (0, 1):
        mine, others = test.half(which), [lists.half(1 - which) for lists in train]
        out.setdefault(BLEND, []).append(mine.ndcg(mine.candidates["f_blend"].to_numpy()))
        for name in wanted:
            out.setdefault(name, []).append(mine.ndcg(order(others, mine, ENTRANTS[name])))
    return {name: pl.concat(frames).sort("listener_id") for name, frames in out.items()}


def pooled(
    logs: Mapping[str, Sequence[dict[str, pl.DataFrame]]], ours: str, than: str, draws: int = 1000
) -> list[float]:
    """Mean over logs of ours minus another, as a share of the log's blend, with its 95% interval."""
    shares, means = [], []
    for sets in logs.values():
        joined = [
            s[ours].join(s[than], on="listener_id", suffix="_than").join(s[BLEND], on="listener_id", suffix="_blend")
            for s in sets
        ]
        each = pl.concat(joined).group_by("listener_id").mean().sort("listener_id")
        gap = (each["ndcg@50"] - each["ndcg@50_than"]).to_numpy() / float(each["ndcg@50_blend"].mean())  # type: ignore[arg-type]
        shares.append(float(gap.mean()))
        means.append(bootstrap_means(each["listener_id"].cast(pl.String), gap[:, None], draws)[:, 0])
    low, high = np.quantile(np.mean(means, axis=0), [0.025, 0.975])
    return [float(np.mean(shares)), float(low), float(high)]


def main(argv: Sequence[str] | None = None) -> None:
    """Parse, make what is missing, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the real logs")
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps warehouses and nights")
    parser.add_argument("--set", action="append", choices=tuple(SETS), help="default: all")
    parser.add_argument("--entrant", action="append", choices=tuple(ENTRANTS), help="default: all")
    parser.add_argument("--stored", action="store_true", help="make no night: those that --work holds")
    args = parser.parse_args(argv)
    args.work.mkdir(parents=True, exist_ok=True)
    entrants = [name for name in ENTRANTS if name in (args.entrant or ENTRANTS)]
    logs: dict[str, list[dict[str, pl.DataFrame]]] = {}
    for name in args.set or SETS:
        train, test = make(name, args.data, args.work, args.stored)
        found = measured(train, test, entrants)
        logs.setdefault(LOGS.get(name, name), []).append(found)
        for entrant, values in found.items():
            both = values.join(found[BLEND], on="listener_id", suffix="_blend")
            gap = paired_difference(
                both["listener_id"].cast(pl.String), both["ndcg@50"].to_numpy(), both["ndcg@50_blend"].to_numpy()
            )
            _say(
                set=name,
                nights=len(train),
                entrant=entrant,
                n=both.height,
                ndcg50=values["ndcg@50"].mean(),
                gain=[gap.value, gap.low, gap.high],
            )
    stands = BLEND
    for name in entrants:
        gain = pooled(logs, name, stands)
        passed = gain[1] > 0
        _say(pooled=name, than=stands, share=gain, takes_its_place=passed)
        stands = name if passed else stands
    _say(chosen=stands)


def _say(**line: object) -> None:
    print(json.dumps({k: _rounded(v) for k, v in line.items()}), flush=True)


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value, 4)
    return [_rounded(v) for v in value] if isinstance(value, list) else value


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main()
