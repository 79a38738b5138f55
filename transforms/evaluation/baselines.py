"""Simple recommenders to be beaten: popularity, the listener's own top, item neighbours, what follows the last track.

Nearest-neighbour and count models beat most neural ones when both are tuned (Ferrari Dacrema et al., TOIS 2021), so
they stand in every report and are chosen on an earlier origin in time, like our own. They are written apart from the
candidate sources on purpose: a fault in a source must not pull its yardstick down with it. Only the loop that multiplies
and keeps the best is shared, which a test compares with scipy's product.

    most-popular     listeners who ever played the item
    recent-popular   listener-days of the item, halved every 7 days of age
    own-top          the listener's own plays, halved every `own_half_life` days
    item-knn         cosine of items over sessions (each divided by length^1.5) or over listeners, the best `neighbours`
                     of each item, summed over the listener's history with log(1 + plays), halved by age
    last-tracks      sequential rules (Ludewig & Jannach, 2018): b played d places after a counts 1/d, summed from the
                     listener's ten last plays, the j-th last counting 1/j

Items are recordings in hash order, so a column's number means nothing and equal scores stand in hash order.

    >>> plays = pl.DataFrame({"listener_id": ["a", "a", "b"], "item": ["x", "y", "x"], "session_id": ["1", "1", "2"],
    ...     "started_at": [datetime(2026, 1, n) for n in (1, 2, 3)]})
    >>> training = Training.build(plays, date(2026, 1, 3))
    >>> recommend(most_popular(training), training, ["b"], "unheard", k=5).rows()
    [('b', 'y', 1)]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Literal

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field
from scipy import sparse

from transforms.common.hashing import stable_hash
from transforms.evaluation.best_places import Scored, best_of, best_places, keep_best

Target = Literal["unheard", "repeat", "all"]
Similarities = dict[tuple[str, int, float], sparse.csr_matrix]  # by what `item_similarity` is asked for


class BaselineSettings(BaseModel):
    """How the simple recommenders are computed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recent_half_life: float = Field(default=7.0, gt=0, description="half-life of a play in recent-popular, days")
    own_half_life: float = Field(default=60.0, gt=0, description="half-life of a play in own-top, days")
    knn_rows: Literal["session", "listener"] = Field(default="session", description="what item-knn compares items over")
    knn_half_life: float = Field(default=30.0, gt=0, description="half-life of a history item in item-knn, days")
    knn_neighbours: int = Field(default=100, ge=1, description="neighbours kept of each item")
    knn_shrink: float = Field(default=0.0, ge=0, description="added to the denominator of item-knn's cosine")
    last_tracks: int = Field(default=10, ge=1, description="latest plays that last-tracks starts from")


@dataclass(frozen=True)
class Training:
    """Plays up to a night as integers.

    Attributes:
        as_of: the night.
        listener_ids: row number -> listener, sorted.
        items: column number -> item, in hash order.
        plays: row, item, session (int32) and age (days before the night's end, float64), by row and time.
        heard: CSR bool [listeners, items], what counts as heard.
    """

    as_of: date
    listener_ids: pl.Series
    items: pl.Series
    plays: pl.DataFrame
    heard: sparse.csr_matrix

    @property
    def shape(self) -> tuple[int, int]:
        """(listeners, items)."""
        return len(self.listener_ids), len(self.items)

    @cached_property
    def history(self) -> pl.DataFrame:
        """row, item, plays, age of the latest; one row a pair, sorted."""
        return self.plays.group_by("row", "item").agg(pl.len().alias("plays"), pl.col("age").min()).sort("row", "item")

    def coded(self, frame: pl.DataFrame) -> pl.DataFrame:
        """row, column of those rows of a frame whose listener_id and item are known, in no order."""
        rows = frame.join(_codes("listener_id", self.listener_ids, "row"), on="listener_id")
        return rows.join(_codes("item", self.items, "column"), on="item").select("row", "column")

    @classmethod
    def build(cls, plays: pl.DataFrame, as_of: date) -> Training:
        """Encode plays.

        Args:
            plays: listener_id, item, started_at, session_id, and maybe heard (else every play counts as heard). Plays
                that start after the night are left out.
        """
        end = datetime(as_of.year, as_of.month, as_of.day) + timedelta(days=1)
        started = (
            pl.col("started_at").cast(pl.Datetime("us")) if plays["started_at"].dtype != pl.Datetime("us") else None
        )
        plays = plays.with_columns(started_at=started) if started is not None else plays
        heard = pl.col("heard") if "heard" in plays.columns else pl.lit(True)
        plays = plays.filter(pl.col("started_at") < end).with_columns(heard=heard)
        listeners = plays["listener_id"].unique().sort()
        items = plays["item"].unique().sort()
        items = items.gather(np.lexsort((np.arange(len(items)), stable_hash(items)))) if len(items) else items
        coded = (
            plays.join(_codes("listener_id", listeners, "row"), on="listener_id")
            .join(_codes("item", items, "column"), on="item")
            .select(
                "row",
                pl.col("column").alias("item"),
                pl.col("session_id").rank("dense").cast(pl.Int32).sub(1).alias("session"),
                ((pl.lit(end) - pl.col("started_at")).dt.total_seconds() / 86_400).alias("age"),
                "heard",
            )
            .sort(["row", "age", "item"], descending=[False, True, False])
        )
        said = coded.filter("heard")
        matrix = sparse.csr_matrix(
            (np.ones(len(said), dtype=np.float32), (said["row"].to_numpy(), said["item"].to_numpy())),
            shape=(len(listeners), len(items)),
        )
        matrix.data[:] = 1.0
        return cls(as_of, listeners, items, coded, matrix)


def _codes(name: str, values: pl.Series, code: str) -> pl.DataFrame:
    return pl.DataFrame({name: values, code: np.arange(len(values), dtype=np.int32)})


@dataclass(frozen=True)
class Baseline:
    """A name and `scores(rows int32[B], k)`: a matrix [B, items] that is positive where there is evidence, two to multiply, or
    items best first, the same for everyone."""

    name: str
    scores: Callable[[np.ndarray, int], Scored]


def _matrix(training: Training, rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> sparse.csr_matrix:
    matrix = sparse.csr_matrix((values, (rows, columns)), shape=training.shape)
    matrix.sum_duplicates()
    return matrix


def _global(name: str, values: np.ndarray) -> Baseline:
    """One score an item, the same for everyone."""
    order = np.lexsort((np.arange(len(values)), -values))
    order = order[values[order] > 0]
    return Baseline(name, lambda rows, k: order)


def most_popular(training: Training) -> Baseline:
    """By the number of listeners."""
    pairs = training.plays.select("row", "item").unique()
    counts = np.bincount(pairs["item"].to_numpy(), minlength=training.shape[1])
    return _global("most-popular", counts.astype(np.float64))


def recent_popular(training: Training, half_life: float = 7.0) -> Baseline:
    """By listener-days, halved every `half_life` days: what is on the rise."""
    days = (
        training.plays.select("row", "item", pl.col("age").floor().cast(pl.Int32)).unique().sort("item", "row", "age")
    )
    weight = np.exp2(-days["age"].to_numpy() / half_life)
    values = np.bincount(days["item"].to_numpy(), weights=weight, minlength=training.shape[1])
    return _global("recent-popular", values)


def own_top(training: Training, half_life: float = 60.0) -> Baseline:
    """By the listener's own plays, halved every `half_life` days."""
    plays = training.plays
    weight = np.exp2(-plays["age"].to_numpy() / half_life)
    own = _matrix(training, plays["row"].to_numpy(), plays["item"].to_numpy(), weight)
    return Baseline("own-top", lambda rows, k: own[rows])


def item_similarity(training: Training, over: str, neighbours: int, shrink: float = 0.0) -> sparse.csr_matrix:
    """CSR [items, items]: the best `neighbours` cosines of every item, itself left out.

    Args:
        over: "session", each weighing length^-1.5 (a long session says little of any pair in it), or "listener", each
            weighing 1 / sqrt(items).
    """
    Y = weighted_rows(training, over)
    columns = Y.T.tocsr()
    norms = np.sqrt(np.asarray(columns.multiply(columns).sum(axis=1)).ravel())
    if not shrink:
        scale = sparse.diags(1 / np.where(norms > 0, norms, 1))
        itself = sparse.identity(len(norms), np.float32, "csr")
        return best_of(scale @ columns, Y @ scale, neighbours, itself)
    parts, step = [], 4096
    for start in range(0, columns.shape[0], step):
        together = (columns[start : start + step] @ Y).tocsr()
        here = np.repeat(np.arange(together.shape[0]) + start, np.diff(together.indptr))
        together.data /= norms[here] * norms[together.indices] + shrink
        together.data[here == together.indices] = 0.0
        parts.append(keep_best(together, neighbours))
    empty = sparse.csr_matrix((training.shape[1], training.shape[1]))
    return sparse.vstack(parts, format="csr") if parts else empty


def weighted_rows(training: Training, over: str) -> sparse.csr_matrix:
    """CSR [sessions or listeners, items] whose columns' cosines are `item_similarity`."""
    owner = "session" if over == "session" else "row"
    pairs = training.plays.select(owner, "item").unique().sort(owner, "item")
    owners, items = pairs[owner].to_numpy(), pairs["item"].to_numpy()
    lengths = np.bincount(owners).astype(np.float64)
    power = 1.5 if over == "session" else 0.5
    weight = np.sqrt(lengths[owners] ** -power)  # the root, since a pair meets it twice
    return sparse.csr_matrix((weight, (owners, items)), shape=(len(lengths), training.shape[1]))


def item_knn(training: Training, settings: BaselineSettings, known: Similarities | None = None) -> Baseline:
    """Neighbours of the items in a listener's history, its later ones weighing more.

    Args:
        known: similarities of this training that were computed before; what is computed now is added.
    """
    known, wanted = {} if known is None else known, (settings.knn_rows, settings.knn_neighbours, settings.knn_shrink)
    similar = known[wanted] if wanted in known else known.setdefault(wanted, item_similarity(training, *wanted))
    own = faded_history(training, settings.knn_half_life)
    return Baseline("item-knn", lambda rows, k: (own[rows], similar))


def faded_history(training: Training, half_life: float) -> sparse.csr_matrix:
    """CSR [listeners, items]: log(1 + plays), halved every `half_life` days since the last one."""
    history = training.history
    weight = np.log1p(history["plays"].to_numpy()) * np.exp2(-history["age"].to_numpy() / half_life)
    return _matrix(training, history["row"].to_numpy(), history["item"].to_numpy(), weight)


def last_tracks(training: Training, reach: int = 10) -> Baseline:
    """Rules a -> b from plays at most `reach` places apart in one session, applied to the latest plays."""
    plays = training.plays
    row, item, session = (plays[c].to_numpy() for c in ("row", "item", "session"))
    starts, ends, counts = [], [], []
    for distance in range(1, reach + 1):
        same = (
            np.flatnonzero(session[:-distance] == session[distance:]) if len(session) > distance else np.zeros(0, int)
        )
        a, b = item[same], item[same + distance]
        starts.append(a[a != b])
        ends.append(b[a != b])
        counts.append(np.full(int((a != b).sum()), 1.0 / distance))
    n = training.shape[1]
    rules = sparse.csr_matrix((np.concatenate(counts), (np.concatenate(starts), np.concatenate(ends))), shape=(n, n))
    from_end = len(row) - 1 - np.arange(len(row))
    newest = np.zeros(training.shape[0], dtype=np.int64)
    np.maximum.at(newest, row, np.arange(len(row)))
    place = newest[row] - (len(row) - 1 - from_end)
    late = place < reach
    query = _matrix(training, row[late], item[late], 1.0 / (1.0 + place[late]))
    return Baseline("last-tracks", lambda rows, k: (query[rows], rules))


def all_baselines(
    training: Training, settings: BaselineSettings | None = None, known: Similarities | None = None
) -> list[Baseline]:
    """Every baseline, fitted; `known` as in `item_knn`."""
    settings = settings or BaselineSettings()
    return [
        most_popular(training),
        recent_popular(training, settings.recent_half_life),
        own_top(training, settings.own_half_life),
        item_knn(training, settings, known),
        last_tracks(training, settings.last_tracks),
    ]


def recommend(
    baseline: Baseline, training: Training, listener_ids: Sequence[str] | pl.Series, target: Target, k: int
) -> pl.DataFrame:
    """The best k items of each listener.

    Args:
        listener_ids: whom for; listeners without training have no rows.
        target: "unheard" leaves out what was heard, "repeat" keeps only that, "all" takes everything.

    Returns:
        listener_id, item, rank (from 1), sorted by listener_id and rank.
    """
    wanted = pl.DataFrame({"listener_id": pl.Series(listener_ids, dtype=pl.String).unique().sort()})
    rows = wanted.join(_codes("listener_id", training.listener_ids, "row"), on="listener_id")["row"].to_numpy()
    found = recommended(baseline, training, rows, target, k)
    return found.select(
        training.listener_ids.gather(found["row"]).alias("listener_id"),
        training.items.gather(found["column"]).alias("item"),
        "rank",
    )


def recommended(baseline: Baseline, training: Training, rows: np.ndarray, target: Target, k: int) -> pl.DataFrame:
    """As `recommend`, for rows of the training: row, column, rank."""
    local, columns = best_places(baseline.scores(rows, k), training.heard[rows], target, k)
    first = np.searchsorted(local, np.arange(len(rows)))
    ranks = np.arange(len(local)) - first[local] + 1
    return pl.DataFrame({"row": rows[local], "column": columns, "rank": ranks.astype(np.int32)})


def candidates_to_tune(settings: BaselineSettings) -> list[BaselineSettings]:
    """Variants of item-knn, the strongest of these, among which an earlier origin chooses."""
    return [
        settings.model_copy(update={"knn_rows": over, "knn_half_life": half_life})
        for over in ("session", "listener")
        for half_life in (30.0, 90.0, 36_500.0)
    ]
