"""Discover's order beside tuned peers on a log of sessions, in memory: the harness that settings are chosen with.

    python -m tests.benchmarks.offline --sessions FILE [--cut .6 .8] [--cut .8 1] [--rankers linear cross] [--seed 0]

FILE has one session a line, `listener,track,track,...`, a listener's lines in time order. A cut (a, b) trains on each
listener's first a of their sessions and tests on what follows up to b: unheard tracks known in training, the whole
catalog ranked, NDCG@50, Recall@50 and HR@10 a listener. Rankers learn from nights earlier inside the training part,
everything refitted as of each. Only pure functions are called, those the jobs call. Prints one JSON line a model.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
from scipy import sparse

import models  # noqa: F401  (sets the Keras version before TensorFlow is imported)
from models.rankers.kinds import fit
from models.settings import RankerSettings
from pipelines.recommender.evidence import Evidence
from pipelines.recommender.fitting import fit as fit_everything
from pipelines.recommender.settings import ModelSettings
from transforms.candidates.base import Source
from transforms.candidates.blocks import Block, Catalog, build_blocks
from transforms.candidates.features import Directions, features
from transforms.candidates.history import heard_plays
from transforms.candidates.learned import Learned
from transforms.candidates.union import retrieve_block
from transforms.common.hashing import stable_hash
from transforms.listening import co_listens, track_stats
from transforms.listening.library import day_library
from transforms.listening.sessions import daypart
from transforms.metrics.intervals import paired_difference
from transforms.tables.schema import TABLES

END = date(2024, 12, 31)
TOP = 50
TOP_K = 300


def read_sessions(path: str) -> pl.DataFrame:
    """listener_id, number (0 = first), count (sessions of the listener), tracks (list of track ids)."""
    with open(path, encoding="utf-8") as file:
        lines = [line.rstrip("\n").split(",") for line in file]
    frame = pl.DataFrame({"listener_id": [x[0] for x in lines], "tracks": [x[1:] for x in lines]})
    return frame.with_columns(
        number=pl.int_range(pl.len(), dtype=pl.Int32).over("listener_id"),
        count=pl.len().over("listener_id").cast(pl.Int32),
    )


def dated(sessions: pl.DataFrame) -> pl.DataFrame:
    """Listens with invented times: each listener's last session on END, earlier ones a day apart."""
    return (
        sessions.with_columns(back=pl.col("number").max().over("listener_id") - pl.col("number"))
        .with_columns(date=pl.lit(END) - pl.duration(days=pl.col("back")))
        .with_columns(place=pl.int_ranges(pl.col("tracks").list.len()))
        .explode("tracks", "place")
        .select(
            "listener_id",
            "date",
            track_id="tracks",
            started_at=pl.col("date").cast(pl.Datetime("us", "UTC")) + pl.duration(minutes=pl.col("place") * 4),
            ms_played=pl.lit(None, pl.Int32),
            skipped=pl.lit(None, pl.Boolean),
            completed=pl.lit(None, pl.Boolean),
            country=pl.lit(None, pl.String),
        )
    )


def session_rows(listens: pl.DataFrame) -> pl.DataFrame:
    """Table `sessions` (one a listener and date) with `date`."""
    first = pl.col("started_at") == pl.col("started_at").min().over("listener_id", "track_id")
    rows = (
        listens.with_columns(new=first)
        .group_by("listener_id", "date", maintain_order=True)
        .agg(
            started_at=pl.col("started_at").min(),
            ended_at=pl.col("started_at").max(),
            tracks=pl.struct("track_id", "started_at", "ms_played", "skipped", "completed"),
            plays=pl.len().cast(pl.Int32),
            new_share=pl.col("new").mean().cast(pl.Float32),
        )
        .with_columns(open=pl.lit(False), session_id=pl.col("date").cast(pl.String))
    )
    return rows.with_columns(daypart=daypart(rows))


@dataclass
class Night:
    """Everything as of one night: blocks to score, sources and artefacts fitted on nothing later."""

    catalog: Catalog
    blocks: list[Block]
    sources: list[Source]
    learned: Learned
    histories: sparse.csr_matrix
    as_of: date
    directions: Directions

    def candidates(self, k: int = TOP_K) -> pl.DataFrame:
        """Candidates with features, all blocks; `row` becomes unique over blocks."""
        parts = []
        for block in self.blocks:
            found = retrieve_block(block, self.catalog, self.sources, k)
            parts.append(
                features(
                    block,
                    self.catalog,
                    found,
                    self.learned,
                    self.sources,
                    as_of=self.as_of,
                    k=k,
                    directions=self.directions,
                )
            )
        return pl.concat(parts)


def make_night(listens: pl.DataFrame, as_of: date, roster: list[str], settings: ModelSettings, seed: int) -> Night:
    """Fit everything on listens up to a date, with the call the training job makes."""
    known = listens.filter(pl.col("date") <= as_of)
    sessions = session_rows(known)
    library = day_library(known)
    stats = by_date(track_stats.day_partials(known))
    number = pl.col("date").cast(pl.Int32)
    tracks = TABLES["tracks"].empty()
    evidence = Evidence(
        library=library.select(
            listener=pl.Series(stable_hash(library["listener_id"])), track_id="track_id", value=pl.col("heard")
        ),
        plays=known.select(
            "track_id", "started_at", listener=pl.Series(stable_hash(known["listener_id"])), session=number
        ),
        tracks=tracks,
        pairs=co_listens.sum_window(by_date(co_listens.day_partials(sessions)), as_of),
        stats=track_stats.sum_window(stats, as_of),
        recent=track_stats.sum_window(stats, as_of, half_life_days=7.0),
    )
    fitted = fit_everything(evidence, settings, seed)
    catalog = fitted.catalog(tracks)
    blocks = list(build_blocks(pl.DataFrame({"listener_id": roster}), library, sessions, catalog, as_of))
    histories = sparse.csr_matrix(sparse.vstack([heard_plays(b) for b in blocks]))
    directions = Directions(np.asarray(fitted["als"].item_factors))
    return Night(catalog, blocks, fitted.sources(catalog, as_of), fitted.learned, histories, as_of, directions)


def by_date(frame: pl.DataFrame) -> list[tuple[date, pl.DataFrame]]:
    """Day partials as pairs."""
    return [(key[0], part) for key, part in frame.partition_by("date", as_dict=True).items()]  # type: ignore[misc]


def targets(later: pl.DataFrame, night: Night) -> pl.DataFrame:
    """listener_id, track_id of what was heard later, unheard before and known to the vocabulary."""
    known = pl.DataFrame({"track_id": night.catalog.track_ids[1:].tolist()})
    heard = pl.concat(
        [
            b.history.select(
                pl.Series(b.listener_ids, dtype=pl.String).gather(b.history["row"]).alias("listener_id"), "track_id"
            )
            for b in night.blocks
        ]
    )
    return (
        later.select("listener_id", "track_id")
        .unique()
        .join(known, on="track_id", how="semi")
        .join(heard, on=["listener_id", "track_id"], how="anti")
    )


def measure(lists: pl.DataFrame, wanted: pl.DataFrame, roster: list[str]) -> dict[str, np.ndarray]:
    """NDCG@50, Recall@50 and HR@10 a listener (NaN without targets) of `lists` (listener_id, track_id, rank)."""
    hits = lists.filter(pl.col("rank") <= TOP).join(wanted, on=["listener_id", "track_id"], how="semi")
    per = (
        pl.DataFrame({"listener_id": roster})
        .join(wanted.group_by("listener_id").len("n"), on="listener_id", how="left", maintain_order="left")
        .join(
            hits.group_by("listener_id").agg(
                gain=(1 / (pl.col("rank") + 1).cast(pl.Float64).log(2)).sum(),
                found=pl.len(),
                early=(pl.col("rank") <= 10).any().cast(pl.Float64),
            ),
            on="listener_id",
            how="left",
            maintain_order="left",
        )
    )
    n = per["n"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    ideal = np.cumsum(1 / np.log2(np.arange(2, TOP + 2)))
    best = ideal[np.clip(np.nan_to_num(n, nan=1), 1, TOP).astype(int) - 1]
    there = np.where(np.isnan(n), np.nan, 1.0)
    return {
        "ndcg@50": per["gain"].fill_null(0).to_numpy() / best * there,
        "recall@50": per["found"].fill_null(0).to_numpy() / n,
        "hr@10": per["early"].fill_null(0).to_numpy() * there,
    }


def ranked(candidates: pl.DataFrame, by: str | np.ndarray) -> pl.DataFrame:
    """Lists of unheard candidates by a column or an array, equals by item."""
    scores = candidates[by].to_numpy() if isinstance(by, str) else by
    return (
        candidates.select("listener_id", "track_id", "item", "heard_before")
        .with_columns(order=pl.Series(scores))
        .filter(~pl.col("heard_before"))
        .sort("listener_id", "order", "item", descending=[False, True, False])
        .with_columns(rank=pl.int_range(1, pl.len() + 1).over("listener_id"))
    )


def implicit_als(night: Night, factors: int, regularization: float, seed: int) -> pl.DataFrame:
    """Lists of implicit's ALS on log counts, alpha 10, the tuned peer."""
    import implicit

    history = night.histories.copy()
    history.data = np.log1p(history.data)
    model = implicit.als.AlternatingLeastSquares(
        factors=factors, regularization=regularization, alpha=10, iterations=15, random_state=seed, num_threads=2
    )
    model.fit(history, show_progress=False)
    ids, _ = model.recommend(np.arange(history.shape[0]), history, N=TOP + 1, filter_already_liked_items=True)
    rosters = [i for b in night.blocks for i in b.listener_ids]
    listeners = np.repeat(np.array(rosters, dtype=object), ids.shape[1])
    frame = pl.DataFrame({"listener_id": listeners.tolist(), "item": ids.ravel()}).filter(pl.col("item") > 0)
    return frame.with_columns(
        track_id=pl.Series(night.catalog.track_ids[frame["item"].to_numpy()].tolist()),
        rank=pl.int_range(1, pl.len() + 1).over("listener_id"),
    )


def examples(
    listens: pl.DataFrame, roster: list[str], settings: ModelSettings, args: argparse.Namespace
) -> pl.DataFrame:
    """Ranker examples of nights `args.back` days before END, labelled by the `args.horizon` days after each."""
    parts = []
    for number, days in enumerate(args.back):
        as_of = END - timedelta(days=days)
        night = make_night(listens, as_of, roster, settings, args.seed)
        later = listens.filter(pl.col("date").is_between(as_of, as_of + timedelta(days=args.horizon), closed="right"))
        wanted = later.select("listener_id", "track_id").unique().with_columns(listened=pl.lit(True))
        group = pl.struct("listener_id", "heard_before").rank("dense").cast(pl.Int64)
        parts.append(
            night.candidates()
            .join(wanted, on=["listener_id", "track_id"], how="left")
            .with_columns(pl.col("listened").fill_null(False), group=number * 2 * len(roster) + group)
        )
    return pl.concat(parts)


def run_cut(sessions: pl.DataFrame, a: float, b: float, args: argparse.Namespace, say: Callable[..., None]) -> None:
    """One cut: fit, score, compare."""
    edge = (pl.col("count") * a).round().cast(pl.Int32)
    stop = (pl.col("count") * b).round().cast(pl.Int32)
    listens = dated(sessions.filter(pl.col("number") < edge))
    future = sessions.filter((pl.col("number") >= edge) & (pl.col("number") < stop))
    future = future.explode("tracks").select("listener_id", track_id="tracks")
    roster = sessions["listener_id"].unique(maintain_order=True).to_list()
    clock = time.perf_counter()
    settings = ModelSettings(use_two_tower=args.two_tower)
    night = make_night(listens, END, roster, settings, args.seed)
    fitted = time.perf_counter()
    candidates = night.candidates()
    say(cut=[a, b], stage="night", fit_s=fitted - clock, score_s=time.perf_counter() - fitted, rows=len(candidates))
    wanted = targets(future, night)
    peer = measure(implicit_als(night, 128, 1.0, args.seed), wanted, roster)
    say(cut=[a, b], model="implicit als", **means(peer))
    covered = candidates.join(wanted, on=["listener_id", "track_id"], how="semi").height / max(len(wanted), 1)
    say(cut=[a, b], model="candidates", recall=covered, targets=len(wanted))

    def report(name: str, by: str | np.ndarray) -> None:
        own = measure(ranked(candidates, by), wanted, roster)
        gap = paired_difference(roster, own["ndcg@50"], peer["ndcg@50"])
        say(
            cut=[a, b],
            model=name,
            **means(own),
            versus_als=[round(gap.value, 4), round(gap.low, 4), round(gap.high, 4)],
        )

    for source in night.sources[:-1]:
        report(source.name, f"score_{source.name}")
    report("blend", "f_blend")
    if args.rankers:
        every = examples(listens, roster, settings, args)
        given = every if args.joint else every.filter(~pl.col("heard_before"))
        names = [c for c in given.columns if c.startswith("f_")]
        for kind in args.rankers:
            clock = time.perf_counter()
            ranker = fit(given, names, RankerSettings.model_validate({"kind": kind}), args.seed)
            order = ranker.score(candidates.select(names).to_numpy())
            report(kind, order)
            say(cut=[a, b], stage=kind, seconds=time.perf_counter() - clock, rows=len(given))
    if args.keep:
        candidates.write_parquet(f"{args.keep}/candidates-{a}-{b}.parquet")
        wanted.write_parquet(f"{args.keep}/wanted-{a}-{b}.parquet")
        if args.rankers:
            every.write_parquet(f"{args.keep}/examples-{a}-{b}.parquet")


def means(values: dict[str, np.ndarray]) -> dict[str, float]:
    """Mean over listeners with targets."""
    return {name: round(float(np.nanmean(v)), 4) for name, v in values.items()}


def main() -> None:
    """Parse, run every cut, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", required=True)
    parser.add_argument("--cut", nargs=2, type=float, action="append")
    parser.add_argument("--rankers", nargs="*", default=["linear"])
    parser.add_argument("--back", nargs="*", type=int, default=[4, 8, 12], help="training nights, days before the last")
    parser.add_argument("--horizon", type=int, default=4, help="days that label a training night")
    parser.add_argument("--joint", action="store_true", help="rankers learn from heard candidates too")
    parser.add_argument("--two-tower", action="store_true", help="train the two-tower model too")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", help="folder to keep candidates and examples in")
    args = parser.parse_args()
    sessions = read_sessions(args.sessions)
    started = datetime.now(UTC)

    def say(**line: object) -> None:
        elapsed = (datetime.now(UTC) - started).total_seconds()
        print(
            json.dumps(
                {k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()} | {"t": round(elapsed)}
            ),
            flush=True,
        )

    for a, b in args.cut or [(0.6, 0.8), (0.8, 1.0)]:
        run_cut(sessions, a, b, args, say)


if __name__ == "__main__":
    main()
