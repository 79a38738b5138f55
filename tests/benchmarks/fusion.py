"""What the untrained blend would order if it summed its sources otherwise, on stored nights of several logs at once.

    python -m tests.benchmarks.fusion --night LOG WAREHOUSE DATE AHEAD [--night LOG WAREHOUSE DATE AHEAD ...]

LOG is any name; nights of one log are averaged by listener. AHEAD are the days after the night that it is measured by, which the
warehouse must hold (what `real_data --work` leaves behind does). Targets are recordings that somebody had played by the night
and the listener heard first in those days. Candidates and scores are those stored; each score is standardised over the stored
candidates of its listener, which is nearly what the night did before it cut them.

Prints one JSON line an entrant: NDCG@50 a log, the difference from the simpler entrant that it would replace as a share of each
log's plain sum, and the same pooled over logs with its 95% interval (docs/decisions/ranking.md has the rule)."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from pipelines.recommender.ranker_choice import Judged
from pipelines.recommender.registry import sources as every_source
from tests.benchmarks.crossfit import BLEND, LISTENS, _names, _wanted, pooled
from tests.benchmarks.real_splits import Split
from transforms.candidates.features import RANK_WEIGHT, standardise
from transforms.common.hashing import stable_hash
from transforms.listening.plays import is_heard
from transforms.outcomes.join import with_recording
from transforms.tables.warehouse import Warehouse

RETRIEVED = 300


@dataclass(frozen=True)
class Sums:
    """What is summed of a night's unheard candidates, by blended source: float64 [n] each.

    Attributes:
        scores: standardised.
        roots: square roots of the scores, standardised.
        ranks: 1 - log(rank) / log(301), 0 where the source did not find the track.
        places: the ranks from 1, infinite where it did not.
    """

    scores: dict[str, np.ndarray]
    roots: dict[str, np.ndarray]
    ranks: dict[str, np.ndarray]
    places: dict[str, np.ndarray]

    def weighted(self, rank: float = RANK_WEIGHT, artists: float = 1.0, roots: bool = False) -> np.ndarray:
        """Scores and `rank` times ranks, those of `artists` so many times."""
        scores = self.roots if roots else self.scores
        parts = [(artists if n == "artists" else 1.0) * (scores[n] + rank * self.ranks[n]) for n in scores]
        return np.asarray(np.sum(parts, axis=0))

    def agreement(self) -> np.ndarray:
        """How many sources found the track."""
        return np.asarray(np.sum([rank > 0 for rank in self.ranks.values()], axis=0, dtype=np.float64))

    def reciprocal(self, k: float) -> np.ndarray:
        """Sum of 1 / (k + place) (Cormack, Clarke & Buettcher, SIGIR 2009)."""
        return np.asarray(np.sum([1 / (k + place) for place in self.places.values()], axis=0))


ENTRANTS: dict[str, tuple[Callable[[Sums], np.ndarray], str]] = {  # name -> (order, the simpler one it would replace)
    BLEND: (lambda s: s.weighted(), BLEND),
    "scores alone": (lambda s: s.weighted(rank=0), BLEND),
    "rank 4": (lambda s: s.weighted(rank=4), BLEND),
    "rank 16": (lambda s: s.weighted(rank=16), BLEND),
    "reciprocal rank, 60": (lambda s: s.reciprocal(60), BLEND),
    "roots of scores": (lambda s: s.weighted(roots=True), BLEND),
    "roots of scores, rank 4": (lambda s: s.weighted(rank=4, roots=True), BLEND),
    "agreement +2": (lambda s: s.weighted() + 2 * s.agreement(), BLEND),
    "artists twice": (lambda s: s.weighted(artists=2), BLEND),
    "artists three times": (lambda s: s.weighted(artists=3), "artists twice"),
    "artists four times": (lambda s: s.weighted(artists=4), "artists three times"),
}


def sums(candidates: pl.DataFrame) -> Sums:
    """Of candidates with `list`, `score_*` and `rank_*`; sources that found nothing for anybody are left out."""
    groups = candidates["list"].rank("dense").cast(pl.Int64).to_numpy() - 1
    out = Sums({}, {}, {}, {})
    for kind in every_source():
        name = kind.name
        if not kind.blended or kind.retrieves == "heard" or f"rank_{name}" not in candidates.columns:
            continue
        place = candidates[f"rank_{name}"].cast(pl.Float64).fill_null(np.inf).to_numpy()
        score = candidates[f"score_{name}"].fill_null(0).cast(pl.Float64).to_numpy()
        if not np.isfinite(place).any():
            continue
        out.scores[name] = standardise(score, groups).astype(np.float64)
        out.roots[name] = standardise(np.sqrt(np.maximum(score, 0)), groups).astype(np.float64)
        found = np.isfinite(place)
        out.ranks[name] = np.where(found, 1 - np.log(np.where(found, place, 1)) / np.log(1 + RETRIEVED), 0.0)
        out.places[name] = place
    return out


def measured(url: str, night: date, ahead: int) -> dict[str, pl.DataFrame]:
    """By entrant: listener_id, ndcg@50 of discoveries of everyone who had one."""
    warehouse, split = Warehouse(url), Split("", url, night, ahead)
    days = [d for d in warehouse.dates("listens") if d <= night + timedelta(ahead)]
    plays = pl.concat([warehouse.read("listens", d, LISTENS).with_columns(date=pl.lit(d)) for d in days])
    names = _names(split)
    wanted = _wanted(plays.with_columns(heard=is_heard()), names, night, ahead)
    unheard = warehouse.read("candidates", night).filter(~pl.col("heard_before"))
    unheard = with_recording(unheard.join(wanted, on="listener_id", how="semi"), names)
    unheard = _numbered(unheard.rename({"recording_id": "item"})).sort("list", "item")
    judged = Judged(
        unheard.select("list", "item", "heard_before"), _numbered(wanted).select("list", "item", heard_before=False)
    )
    said = sums(unheard)
    return {name: judged.by_listener(order(said)) for name, (order, _) in ENTRANTS.items()}


def _numbered(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(list=pl.Series(stable_hash(frame["listener_id"])).reinterpret(signed=True))


def compared(logs: dict[str, list[dict[str, pl.DataFrame]]]) -> list[dict[str, object]]:
    """A line an entrant."""
    lines: list[dict[str, object]] = []
    for name, (_, than) in ENTRANTS.items():
        line: dict[str, object] = {"entrant": name, "than": than}
        line["ndcg50"] = {
            log: [round(float(n[name]["ndcg@50"].mean()), 4) for n in nights] for log, nights in logs.items()
        }  # type: ignore[arg-type]
        line["share"] = {log: [round(v, 4) for v in pooled({log: nights}, name, than)] for log, nights in logs.items()}
        line["pooled"] = [round(v, 4) for v in pooled(logs, name, than)]
        lines.append(line)
    return lines


def main(argv: Sequence[str] | None = None) -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--night", nargs=4, action="append", required=True, metavar=("LOG", "WAREHOUSE", "DATE", "AHEAD")
    )
    logs: dict[str, list[dict[str, pl.DataFrame]]] = {}
    for log, url, day, ahead in parser.parse_args(argv).night:
        logs.setdefault(log, []).append(measured(url, date.fromisoformat(day), int(ahead)))
    for line in compared(logs):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
