"""The candidates of a block: the best k unheard tracks of every source, and each one's score by every source.

A track that one source found is scored by all of them, because agreement is what the ranker learns most from.
Unheard tracks are counted to k after leaving out what was heard (any version of the recording); heard tracks come from
sources that retrieve them. `heard_before` tells the two groups apart: they are ranked apart.

    >>> sources = [CoSessions(neighbours), Popular(popularity), Library()]
    >>> retrieve_block(block, catalog, sources, k=300).columns[:6]
    ['row', 'item', 'listener_id', 'track_id', 'recording', 'heard_before']
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

from transforms.candidates import loops
from transforms.candidates.base import Candidates, Source, SparseScores, Traits, pair_keys
from transforms.candidates.blocks import Block, Catalog
from transforms.common.clock import Clock


def retrieve_block(
    block: Block, catalog: Catalog, sources: Sequence[Source], k: int = 300, clock: Clock | None = None
) -> pl.DataFrame:
    """Union of the sources' best.

    Args:
        block: listeners as of the night.
        catalog: the vocabulary's tracks.
        sources: all sources, some that retrieve heard tracks among them if these are wanted.
        k: tracks a source and listener.
        clock: told what each source takes, as part `source <name>`; its rows are listeners.

    Returns:
        One row a pair, sorted by row and item: `row`, `item`, `listener_id`, `track_id`, `recording`, `heard_before`,
        and for every source `rank_<name>` (int32 from 1; null = not among its k) and `score_<name>` (float32; 0 = no
        evidence). A NaN or infinite score counts as no evidence.
    """
    heard = block.heard(catalog)
    n = len(catalog)
    clock, scored, found = clock or Clock(), {}, {}
    for source in sources:
        with clock.part(f"source {source.name}", len(block)):
            scores = scored[source.name] = source.score(block)
            found[source.name] = scores.top(k, heard if source.retrieves == "unheard" else None)
    keys = np.sort(np.concatenate([np.zeros(0, np.int64), *(pair_keys(c.rows, c.items, n) for c in found.values())]))
    keys = keys[np.r_[True, keys[1:] != keys[:-1]]] if len(keys) else keys  # sorting whole numbers beats hashing them
    rows, items = (keys // n).astype(np.int32), (keys % n).astype(np.int32)
    bounds = np.searchsorted(rows, np.arange(len(block) + 1))
    columns: dict[str, pl.Series | np.ndarray] = {
        "row": rows,
        "item": items,
        "listener_id": pl.Series(block.listener_ids, dtype=pl.String).gather(rows),
        "track_id": catalog.ids.gather(items),
        "recording": catalog.recording[items],
        "heard_before": SparseScores(heard).of(rows, items) > 0,
    }
    for name, scores in scored.items():
        columns[f"rank_{name}"] = _ranks(found[name], bounds, items, n)
        with clock.part(f"source {name}"):
            columns[f"score_{name}"] = np.nan_to_num(scores.of(rows, items), nan=0.0, posinf=0.0, neginf=0.0)
    return pl.DataFrame(columns)


def popular_alone(candidates: pl.DataFrame, sources: Iterable[Traits]) -> pl.Series:
    """bool a row: whether no personal source speaks for any of its listener's candidates.

    There is then no evidence to rank by: features of the track alone would put an order learned from people with
    histories in the place of popularity. What a source found that is not ranked is no evidence, since no ranker weighs it.
    """
    personal = [c for s in sources if s.personal and s.ranked and (c := f"rank_{s.name}") in candidates.columns]
    found = pl.any_horizontal(pl.col(c).is_not_null() for c in personal) if personal else pl.lit(False)
    return candidates.select(alone=~found.any().over("row")).to_series()


def _ranks(found: Candidates, bounds: np.ndarray, items: np.ndarray, n: int) -> pl.Series:
    ranks = np.zeros(len(items), np.int32)
    own = np.searchsorted(found.rows, np.arange(len(bounds)))
    ranks[loops.places_of(own, found.items, bounds, items, n)] = found.ranks()
    return pl.Series(ranks).set(pl.Series(ranks == 0), None)
