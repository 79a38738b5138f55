"""The thin Beam shell of beliefs: discoveries of chunks -> sums of their traces by track and shelf -> rows of table `beliefs`.

Sums are of integers, so any split of days, shards and workers gives the same belief to the bit. An arm is a track on a shelf, or
a track wherever it was found (shelf_id empty); the row without a track is the prior.

    discoveries -> partials (arm, {entries known: (traces, sum by entry)}) -> CombineTraces by arm -> ForPrior -> prior -> beliefs
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

import apache_beam as beam
import numpy as np
import polars as pl

from transforms.common.hashing import hash_text
from transforms.outcomes.beliefs import Posterior, Prior, TraceSums, entries, entries_known, entry_weights
from transforms.outcomes.discoveries import traces
from transforms.outcomes.rewards import RewardSettings
from transforms.tables.chunks import Chunk, shard_of
from transforms.tables.schema import TABLES

SEPARATOR = "\x1f"  # between track and shelf in a key; no id holds it
SQUARES = -1  # among an arm's sums: that of z z' over its whole traces, of arms that may teach the prior
Sums = dict[int, np.ndarray]  # entries known -> int64[1 + entries]: traces, and their sum by entry


def horizon(settings: RewardSettings, first: date, day: date) -> int:
    """Days of a trace that can be believed in: those declared, fewer where the log is too young to know any whole trace.

    Of discoveries since `first`, the oldest third has whole traces.

    >>> horizon(RewardSettings(), date(2026, 1, 1), date(2026, 1, 31))
    20
    """
    span = (day - first).days
    return max(1, min(settings.days or 1, 2 * span // 3))


def partials(discoveries: pl.DataFrame, day: date, days: int, share: float) -> Iterator[tuple[str, Sums]]:
    """Sums of a chunk's traces by arm.

    Args:
        discoveries: of any listeners.
        day: the date that they are known up to.
        days: of the reward.
        share: of the tracks that may teach the prior, by hash.
    """
    age = discoveries.select(age=(pl.lit(day) - pl.col("discovered_on")).dt.total_days())["age"].to_numpy()
    whole, known = entries_known(days), entries_known(np.minimum(age, days))
    rows = entries(traces(discoveries["days_heard"].to_numpy(), days).astype(np.int64))
    rows[np.arange(whole)[None, :] >= known[:, None]] = 0
    yield SEPARATOR, {}  # nothing is known of it: the prior
    for names in (["track_id"], ["track_id", "shelf_id"]):
        keyed = discoveries.select(names).with_row_index("at")
        if "shelf_id" in names:
            keyed = keyed.filter(pl.col("shelf_id") != "")
        for key, group in keyed.group_by(names, maintain_order=True):
            out: Sums = {}
            at = group["at"].to_numpy()
            for t in np.unique(known[at]).tolist():
                mine = rows[at[known[at] == t]]
                out[int(t)] = np.concatenate([[len(mine)], mine.sum(axis=0)])
            if "shelf_id" not in names and whole in out and _teaches(str(key[0]), share):
                complete = rows[at[known[at] == whole]]
                out[SQUARES] = (complete.T @ complete).astype(np.int32)  # one an arm is held while the prior is fitted
            yield SEPARATOR.join([*map(str, key), ""][:2]), out


def _teaches(track: str, share: float) -> bool:
    """Whether a track is one of the hashed share that the prior may be fitted on."""
    return hash_text(f"prior/{track}") < share * 2**64


class CombineTraces(beam.CombineFn):
    """Sums of traces by days known, added up: exact, in any order."""

    def create_accumulator(self) -> Sums:
        return {}

    def add_input(self, total: Sums, more: Sums) -> Sums:
        return self.merge_accumulators([total, more])

    def merge_accumulators(self, parts: Iterable[Sums]) -> Sums:
        out: Sums = {}
        for part in parts:
            for t, values in part.items():
                out[t] = out[t] + values if t in out else values
        return out

    def extract_output(self, total: Sums) -> Sums:
        return total


def track_shard(key: str, shards: int) -> int:
    """The shard of table `beliefs` that an arm stands in."""
    return int(shard_of(pl.Series([key.partition(SEPARATOR)[0]]), shards)[0])


def trace_sums(sums: Sums, days: int) -> TraceSums:
    """An arm's sums as `beliefs` reads them; squares are kept for all arms together."""
    out = TraceSums.none(entries_known(days))
    for t, values in sums.items():
        if t == SQUARES:
            continue
        out.counts[t] += values[0]
        out.sums[t] += values[1:]
    return out


def arms_for_prior(arms: Iterable[tuple[str, Sums]], days: int, settings: RewardSettings) -> list[tuple[str, Sums]]:
    """Arms with enough whole traces; beyond `prior_arms` those of the smallest hash."""
    whole = entries_known(days)
    enough = [
        (key, {whole: sums[whole], SQUARES: sums[SQUARES]})
        for key, sums in arms
        if SQUARES in sums and sums[whole][0] >= settings.least_traces
    ]
    return sorted(enough, key=lambda arm: (hash_text(arm[0]), arm[0]))[: settings.prior_arms]


class ForPrior(beam.CombineFn):
    """What the prior is fitted on: `arms_for_prior` of any split of the arms."""

    def __init__(self, days: int, settings: RewardSettings) -> None:
        self._days, self._settings = days, settings

    def create_accumulator(self) -> list[tuple[str, Sums]]:
        return []

    def add_input(self, known: list[tuple[str, Sums]], arm: tuple[str, Sums]) -> list[tuple[str, Sums]]:
        known = [*known, *arms_for_prior([arm], self._days, self._settings)]
        return self._cut(known) if len(known) > 2 * self._settings.prior_arms else known

    def merge_accumulators(self, parts: Iterable[list[tuple[str, Sums]]]) -> list[tuple[str, Sums]]:
        return self._cut([arm for part in parts for arm in part])

    def extract_output(self, known: list[tuple[str, Sums]]) -> list[tuple[str, Sums]]:
        return self._cut(known)

    def _cut(self, known: list[tuple[str, Sums]]) -> list[tuple[str, Sums]]:
        return arms_for_prior(known, self._days, self._settings)


def prior_of(known: list[tuple[str, Sums]], days: int) -> Prior | None:
    """The prior; None where fewer than two arms have enough whole traces."""
    if len(known) < 2:
        return None
    arm_sums = np.stack([sums[entries_known(days)] for _, sums in known]).astype(np.float64)
    squares = np.sum([sums[SQUARES] for _, sums in known], axis=0).astype(np.float64)
    return Prior.of_sums(arm_sums[:, 0], arm_sums[:, 1:], squares, entry_weights(np.ones(days)))


def beliefs_of(
    shard: int, arms: Iterable[tuple[str, Sums]], known: list[tuple[str, Sums]], days: int, reward: str
) -> Chunk:
    """Rows of table `beliefs` of some arms; none where there is no prior."""
    prior, rows, every = prior_of(known, days), [], entries_known(days)
    if prior is not None:
        believe = Posterior(prior)
        nothing = believe.of(TraceSums.none(every))
        for key, sums in sorted(arms, key=lambda arm: arm[0]):
            belief, whole = believe.of(trace_sums(sums, days)), int(sums[every][0]) if every in sums else 0
            track, _, shelf = key.partition(SEPARATOR)
            rows.append(
                {
                    **{"reward": reward, "track_id": track, "shelf_id": shelf, "days": days},
                    **{"prior_mean": nothing.mean, "prior_variance": nothing.variance},
                    **{"mean": belief.mean, "variance": belief.variance},
                    **{"traces": int(belief.traces), "complete": whole},
                }
            )
    frame = pl.DataFrame(rows, schema=TABLES["beliefs"].polars)
    return Chunk(shard, {"beliefs": frame.sort(TABLES["beliefs"].key)})
