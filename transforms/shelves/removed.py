"""How many tracks each rule kept off each shelf, and for kept listeners which.

Of every row exactly one thing is said, in the order of work: the first rule that removed it, a cap, another version, an
earlier shelf, or that it was placed. What simply stood too low to be reached is removed by nobody.

Example: on ann's Discover `unheard` removed 120 candidates, `artist_cap` 3, of which the best are named.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from transforms.common.compiled import compiled
from transforms.shelves.filling import Made
from transforms.shelves.gathering import CANDIDATE, CARRIED, POPULAR, Rows
from transforms.shelves.judging import PLACED, SPARE, Judge
from transforms.shelves.output import as_lists
from transforms.tables.schema import TABLES

NOT_REMOVED = ("", PLACED, SPARE)


def removed_frame(rows: Rows, judge: Judge, made: Sequence[Made], keep: np.ndarray, listed: int) -> pl.DataFrame:
    """Table `removed`: one row a listener, shelf and rule.

    Args:
        rows: the block.
        judge: whose codes the fates are.
        made: the finished shelves.
        keep: bool by listener, of whom tracks are named.
        listed: tracks named of each, the best by the shelf's score, else by the ranker's.
    """
    ids = pl.Series("listener_id", rows.listener_ids, dtype=pl.String)
    rules = pl.Series(judge.names, dtype=pl.String)
    quiet = np.array([judge.code[name] for name in NOT_REMOVED], np.int64)
    best_first = np.lexsort(
        (np.arange(len(rows)), -np.nan_to_num(rows.column("ranker_score"), nan=-np.inf), rows.listener)
    )
    most = int(np.diff(rows.section, axis=1).max(initial=0)) if len(rows) else 0
    none = np.zeros(0, np.int64)
    shelf, who, rule, number, held, sizes = ([none] for _ in range(6))
    for at, one in enumerate(made):
        considered = np.zeros(len(rows), np.bool_)
        considered[_considered(rows, one)] = True
        counts, named = _counted(
            best_first, considered, one.fates, rows.listener, rows.track, keep, len(judge.names), min(listed, most)
        )
        counts[:, quiet] = 0
        listener, code = np.nonzero(counts)
        tracks = named[listener, code]
        inside = tracks >= 0
        shelf.append(np.full(len(listener), at))
        who.append(listener)
        rule.append(code)
        number.append(counts[listener, code])
        held.append(tracks[inside])
        sizes.append(inside.sum(axis=1))
    shelf_ids = pl.Series([one.shelf.shelf_id for one in made], dtype=pl.String)
    frame = pl.DataFrame(
        {
            "listener_id": ids.gather(np.concatenate(who)),
            "shelf_id": shelf_ids.gather(np.concatenate(shelf)),
            "rule": rules.gather(np.concatenate(rule)),
            "removed": pl.Series(np.concatenate(number)).cast(pl.Int32),
            "tracks": as_lists(rows.tracks.ids.gather(np.concatenate(held)), np.concatenate(sizes)),
        }
    )
    schema = TABLES["removed"].polars
    return frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items()).sort(
        "listener_id", "shelf_id", "rule"
    )


def _considered(rows: Rows, made: Made) -> np.ndarray:
    """The rows that could stand on a shelf: of its own pool, and what it carried."""
    own = rows.within(POPULAR if made.shelf.pool == "popular" else CANDIDATE)
    start = int(rows.section[CARRIED, 0])
    carried = np.flatnonzero(rows.carried["shelf"].to_numpy() == made.number) + start
    return np.concatenate([np.arange(own.start, own.stop), carried])


@compiled
def _counted(
    best_first: np.ndarray,
    considered: np.ndarray,
    fates: np.ndarray,
    listener: np.ndarray,
    track: np.ndarray,
    keep: np.ndarray,
    codes: int,
    listed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Rows by listener and fate, and of kept listeners the tracks of the first `listed`, -1 after the last."""
    counts = np.zeros((len(keep), codes), np.int64)
    named = np.full((len(keep), codes, listed), -1, np.int32)
    for row in best_first:
        if considered[row]:
            i, code = listener[row], fates[row]
            if keep[i] and counts[i, code] < listed:
                named[i, code, counts[i, code]] = track[row]
            counts[i, code] += 1
    return counts, named
