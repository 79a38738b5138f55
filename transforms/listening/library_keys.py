"""Which of some pairs of listener and track a stored library already holds.

A night asks this for the pairs of its day alone (what was new to the listener?), while the library grows with the
years. So nothing but three columns is read, row groups without one of the day's listeners are passed over, and a row
is looked at as a number in its row group's dictionary before any string is made of it.

    library, years of it     ann a, ann b, bob a, cid c, ...
    pairs of the day         ann b, ann x, cid c          ->   ann b, cid c
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.listening.library import PAIR
from transforms.tables.row_groups import groups_holding
from transforms.tables.warehouse import Warehouse, reading

GROUPS = 16  # row groups decoded at once: a few hundred MB of keys at most


def known_pairs(warehouse: Warehouse, paths: Iterable[str], pairs: pl.DataFrame) -> pl.DataFrame:
    """The pairs that the library's files hold with at least one play.

    Args:
        warehouse: where the files are.
        paths: files of table `library`, a base's and deltas'.
        pairs: listener_id, track_id (strings).

    Returns:
        listener_id, track_id; a pair stands once for each file that holds it.

    Raises:
        UserError: a file is missing or damaged.
    """
    pairs = pairs.select(PAIR).unique()
    listeners = pairs["listener_id"].unique().sort()
    empty = pairs.clear()
    # one join a file: one a row group would hash the pairs again and again
    held = (pl.concat([empty, *_rows(warehouse, path, listeners)]) for path in paths)
    return pl.concat([empty, *(rows.join(pairs, on=PAIR, how="semi") for rows in held)])


def _rows(warehouse: Warehouse, path: str, listeners: pl.Series) -> Iterator[pl.DataFrame]:
    """Played pairs of these (sorted) listeners, some row groups at a time."""
    meta = warehouse.open_parquet(path).metadata
    # of listeners a row group has few, so they are best read as numbers; of tracks it may have as many as rows
    source = warehouse.store.open(path)
    file = pq.ParquetFile(source, metadata=meta, read_dictionary=["listener_id"], page_checksum_verification=True)
    asked = groups_holding(meta, listeners)
    for start in range(0, len(asked), GROUPS):
        with reading(path):
            table = file.read_row_groups(asked[start : start + GROUPS], columns=[*PAIR, "plays"]).unify_dictionaries()
        owner = table.column("listener_id").combine_chunks()
        names = pl.Series(pl.from_arrow(owner.dictionary)).cast(pl.String)
        numbers = owner.indices.to_numpy()
        wanted = names.is_in(listeners.implode()).to_numpy()[numbers] & (table.column("plays").to_numpy() > 0)
        if wanted.any():
            tracks = table.column("track_id").filter(pa.array(wanted))
            yield pl.DataFrame(
                {"listener_id": names.gather(numbers[wanted]), "track_id": pl.Series(pl.from_arrow(tracks))}
            )
