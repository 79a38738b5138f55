"""What popularity should count: plays, listener-days, or listeners by how lately they played; NDCG@50 of one list for all.

    python -m tests.benchmarks.popularity --sessions FILE [--cut .4 .6] [--cut .6 .8]
    python -m tests.benchmarks.popularity --warehouse W --date D [--days 7]

Each variant gives one list (a list a market where the log has markets: the market's sum plus a tenth of everyone's) to
every listener, as a newcomer would get it. Targets are what people went on to hear: tracks new to them (what a listener had heard
is taken out of their list), and everything. Differences are paired by listener against decayed plays, 95%; cuts of a file
are pooled by listener. Prints a markdown table.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from tests.benchmarks.offline import END, dated, read_sessions
from transforms.candidates.popular import ELSEWHERE
from transforms.common.hashing import stable_hash
from transforms.listening.plays import is_heard
from transforms.metrics.intervals import interval, paired_difference
from transforms.metrics.ranking import score_lists
from transforms.tables.warehouse import Warehouse

BASE = "plays, half-life 30"
DEEP = 2_000  # places of a list, before what was heard is taken out
COLUMNS = ("listener_id", "track_id", "started_at", "ms_played", "skipped", "completed")


@dataclass(frozen=True)
class Log:
    """Heard plays up to a night and after it.

    Attributes:
        before, after: listener_id, track_id, date.
        markets: listener_id, market ("" unknown) of everyone.
    """

    night: date
    before: pl.DataFrame
    after: pl.DataFrame
    markets: pl.DataFrame


def of_sessions(sessions: pl.DataFrame, a: float, b: float) -> Log:
    """A cut of a file of sessions: the first a of a listener's sessions train, those up to b test."""
    edge, stop = ((pl.col("count") * share).round().cast(pl.Int32) for share in (a, b))
    plays = ("listener_id", "track_id", "date")
    later = sessions.filter((pl.col("number") >= edge) & (pl.col("number") < stop))
    people = sessions.select("listener_id").unique().with_columns(market=pl.lit(""))
    return Log(END, dated(sessions.filter(pl.col("number") < edge)).select(plays), dated(later).select(plays), people)


def of_warehouse(path: str, night: date, days: int) -> Log:
    """The listens of a warehouse, and its listeners' markets."""
    warehouse = Warehouse(path)
    dates = [d for d in warehouse.dates("listens") if d <= night + timedelta(days)]
    plays = pl.concat([warehouse.read("listens", d, COLUMNS).with_columns(date=pl.lit(d)) for d in dates])
    plays = plays.with_columns(is_heard()).filter("heard").select("listener_id", "track_id", "date")
    listed = [d for d in warehouse.dates("listeners") if d <= night] or warehouse.dates("listeners")[:1]
    known = warehouse.read("listeners", listed[-1], ("listener_id", "market")) if listed else pl.DataFrame()
    people = plays.select("listener_id").unique()
    markets = people.join(known, on="listener_id", how="left") if known.height else people.with_columns(market=None)
    markets = markets.with_columns(pl.col("market").cast(pl.String).fill_null(""))
    return Log(night, plays.filter(pl.col("date") <= night), plays.filter(pl.col("date") > night), markets)


def variants(log: Log) -> dict[str, pl.DataFrame]:
    """Name -> listener_id, track_id, value: what a listener adds to a track's count."""
    age = (pl.lit(log.night) - pl.col("date")).dt.total_days()
    daily = log.before.group_by("listener_id", "track_id", age=age).agg(plays=pl.len().clip(upper_bound=10))
    last = daily.group_by("listener_id", "track_id").agg(pl.col("age").min())

    def halved(days: float) -> pl.Expr:
        return pl.lit(0.5).pow(pl.col("age") / days)

    return {
        BASE: daily.with_columns(value=pl.col("plays") * halved(30)),
        "listener-days, half-life 30": daily.with_columns(value=halved(30)),
        "listeners": last.with_columns(value=pl.lit(1.0)),
        **{f"listeners, half-life {d} since the last play": last.with_columns(value=halved(d)) for d in (3, 7, 14, 30)},
    }


def lists(log: Log, counted: pl.DataFrame) -> pl.DataFrame:
    """listener_id, item, rank of everyone."""
    rows = counted.join(log.markets, on="listener_id")
    everywhere = rows.group_by("track_id").agg(everywhere=pl.col("value").sum())
    parts = []
    for (market,), people in log.markets.partition_by("market", as_dict=True).items():
        here = rows.filter(pl.col("market") == market).group_by("track_id").agg(here=pl.col("value").sum())
        both = everywhere.join(here, on="track_id", how="left").with_columns(pl.col("here").fill_null(0.0))
        score = pl.col("here") + pl.col("everywhere") / ELSEWHERE if market else pl.col("everywhere")
        # rounded, so that the order of a sum decides nothing
        ranked = both.select("track_id", score=score.round(9), tie=pl.Series(stable_hash(both["track_id"])))
        ranked = ranked.sort("score", "tie", "track_id", descending=[True, False, False]).head(DEEP)
        rank = pl.int_range(1, pl.len() + 1, dtype=pl.Int32)
        parts.append(people.select("listener_id").join(ranked.select(item="track_id", rank=rank), how="cross"))
    return pl.concat(parts)


def measure(log: Log) -> dict[tuple[str, str], pl.DataFrame]:
    """(variant, target) -> listener_id, ndcg@50."""
    heard = log.before.select("listener_id", item="track_id").unique()
    played = log.after.select("listener_id", item="track_id").unique()
    played = played.join(heard.select("item").unique(), on="item", how="semi")
    fresh = played.join(heard, on=["listener_id", "item"], how="anti")
    out = {}
    for name, counted in variants(log).items():
        every = lists(log, counted)
        left = every.join(heard, on=["listener_id", "item"], how="anti").sort("listener_id", "rank")
        left = left.with_columns(rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("listener_id"))
        for target, listed, wanted in (("unheard", left, fresh), ("everything", every, played)):
            out[name, target] = score_lists(listed, wanted, (50,)).select("listener_id", "ndcg@50")
    return out


def table(logs: Sequence[Log]) -> str:
    """Markdown: a line a target and variant, a listener's cuts averaged."""
    found = [measure(log) for log in logs]
    pooled = {
        key: pl.concat([f[key] for f in found]).group_by("listener_id").mean().sort("listener_id") for key in found[0]
    }
    lines = ["| target | counted | NDCG@50 | minus decayed plays |", "| --- | --- | --- | --- |"]
    for (name, target), own in sorted(pooled.items(), key=lambda pair: pair[0][1], reverse=True):
        base = own.join(pooled[BASE, target], on="listener_id", suffix="_base", maintain_order="left")
        gap = paired_difference(own["listener_id"], base["ndcg@50"].to_numpy(), base["ndcg@50_base"].to_numpy())
        mean = interval(own["listener_id"], own["ndcg@50"].to_numpy())
        said = "" if name == BASE else f"{gap.value:+.4f} ({gap.low:+.4f} to {gap.high:+.4f})"
        lines.append(f"| {target} | {name} | {mean.value:.4f} | {said} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", help="file of sessions, one a line")
    parser.add_argument("--cut", nargs=2, type=float, action="append", help="shares of a listener's sessions")
    parser.add_argument("--warehouse", help="warehouse with a log")
    parser.add_argument("--date", type=date.fromisoformat, help="the night")
    parser.add_argument("--days", type=int, default=7, help="days of listening after it")
    args = parser.parse_args(argv)
    if args.sessions:
        sessions = read_sessions(args.sessions)
        print(table([of_sessions(sessions, a, b) for a, b in args.cut or [(0.4, 0.6), (0.6, 0.8)]]))
    elif args.warehouse and args.date:
        print(table([of_warehouse(args.warehouse, args.date, args.days)]))
    else:
        parser.error("expected --sessions, or --warehouse with --date; found neither")


if __name__ == "__main__":
    main()
