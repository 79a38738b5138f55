"""Which rows changed since when: table `shelf_changes`, one row a listener, surface and shelf.

`digest` is of what an app shows of the row: its title, place, status, and its tracks in order with their reasons. While a
publication's digest is the one of the publication before, `changed_at` stays. So whoever holds a publication takes from a later
one the rows whose `changed_at` is later than what they hold, and compares nothing. A row that is no longer made keeps its entry,
without a digest, for `GONE_DAYS`.

    night 1   discover a b c     changed_at 1
    night 2   discover a b c     changed_at 1
    night 3   discover a c b     changed_at 3
"""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from transforms.common.hashing import hex_id
from transforms.tables.schema import TABLES

KEY = ("listener_id", "surface", "shelf_id")
SHOWN = ("title", "subtitle", "status", "home_position")
WHEN = ("next_daypart", "next_device", "next_context")
GONE_DAYS = 28
_BETWEEN, _NOTHING = "\x1f", "\x00"


def changes(shelves: pl.DataFrame, before: pl.DataFrame, at: datetime) -> pl.DataFrame:
    """Table `shelf_changes` of some listeners.

    Args:
        shelves: their rows of `shelves` and `blend_shelves`.
        before: their rows of `shelf_changes` of the publication before; empty for the first.
        at: the publication's stamp.
    """
    now = shelves.select(*KEY, digest=digests(shelves))
    both = now.join(before.select(*KEY, old="digest", since="changed_at"), on=KEY, how="full", coalesce=True)
    same = pl.col("digest").eq_missing(pl.col("old")) & pl.col("since").is_not_null()
    found = both.with_columns(changed_at=pl.when(same).then("since").otherwise(pl.lit(at)))
    lasting = pl.col("digest").is_not_null() | (pl.col("changed_at") >= at - timedelta(GONE_DAYS))
    schema = TABLES["shelf_changes"].polars
    return found.filter(lasting).select(pl.col(name).cast(kind) for name, kind in schema.items()).sort(KEY)


def digests(shelves: pl.DataFrame) -> pl.Series:
    """16 hex characters of what is shown of each row."""
    plain = [pl.col(name).cast(pl.String).fill_null(_NOTHING) for name in SHOWN]
    text = pl.concat_str(*plain, _tracks("items"), _tracks("spares"), separator=_BETWEEN)
    there = [name for name in WHEN if name in shelves.columns]
    if there:  # a row that is for no context of its own keeps the digest that it always had
        when = pl.concat_str([pl.col(name).fill_null(_NOTHING) for name in there], separator=_BETWEEN)
        text = pl.when(pl.all_horizontal(pl.col(there).is_null())).then(text).otherwise(pl.concat_str(text, when))
    return hex_id(shelves.select(text).to_series(), purpose="shelf")


def _tracks(name: str) -> pl.Expr:
    """The tracks of a list of items in order, with their reasons, as text."""
    words = [pl.element().struct.field(part).fill_null(_NOTHING) for part in ("track_id", "reason", "reason_ref")]
    return pl.col(name).list.eval(pl.concat_str(words, separator=_BETWEEN)).list.join(_BETWEEN + _BETWEEN)
