"""What a member brings into a group: best candidates with their scores, a vector, and what must not be played to them.

It is all that leaves a listener's shard: no plays, no times but those of the candidates themselves, no library.

    chunk of a shard -> for each bucket of groups: members, offers, vectors, acts
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import polars as pl

from transforms.common.hashing import stable_hash
from transforms.shelves.blend.groups import members
from transforms.shelves.feedback import BLOCKED, BLOCKED_ARTIST, DISLIKED
from transforms.tables.chunks import Chunk

TABLES = ("members", "offers", "vectors", "acts")
MODEL = "als"  # whose vectors compare listeners with tracks


def offered(chunk: Chunk, most: int, buckets: int, standing: Callable[[pl.DataFrame], pl.DataFrame]) -> Iterator[Chunk]:
    """The parts of a chunk's members, by bucket of their groups; a listener of groups in two buckets is in both.

    Args:
        chunk: tables blends, listeners, candidates, listener_embeddings, feedback.
        most: candidates a member.
        buckets: groups are spread over so many by hash.
        standing: what of some feedback stands (`listening.feedback`).
    """
    inside = members(chunk["blends"])
    if inside.is_empty():
        return
    inside = inside.with_columns(bucket=bucket_of(inside["blend_id"], buckets))
    who = inside["listener_id"].unique().implode()
    known = chunk["listeners"].select("listener_id", "market", "explicit_ok")
    people = inside.join(known, on="listener_id", how="left", maintain_order="left")
    offers = best(chunk["candidates"].filter(pl.col("listener_id").is_in(who)), most)
    vectors = chunk["listener_embeddings"].filter(pl.col("listener_id").is_in(who) & (pl.col("model") == MODEL))
    acts = standing(chunk["feedback"].filter(pl.col("listener_id").is_in(who)))
    acts = acts.filter(pl.col("kind").is_in([BLOCKED, BLOCKED_ARTIST, DISLIKED])).select(
        "listener_id", "kind", "target"
    )
    for (bucket,), here in sorted(people.partition_by("bucket", as_dict=True, include_key=False).items()):
        mine = here.select("listener_id").unique(maintain_order=True)
        parts = (here, *(f.join(mine, on="listener_id", how="semi") for f in (offers, vectors, acts)))
        yield Chunk(int(bucket), dict(zip(TABLES, parts, strict=True)))


def bucket_of(blend_ids: pl.Series, buckets: int) -> pl.Series:
    """Int32 bucket of each group."""
    return pl.Series("bucket", (stable_hash(blend_ids, purpose="blend") % buckets).astype("int32"))


def best(candidates: pl.DataFrame, most: int) -> pl.DataFrame:
    """A listener's best candidates of the night: listener_id, track_id, score.

    Only what the night placed or kept as a spare is stored of every listener, so only that is offered, whatever else is stored
    of some: a group's list does not depend on who is in that sample.
    """
    shown = candidates.filter(pl.col("stage") != "candidate").select(
        "listener_id", "track_id", score=pl.col("ranker_score").cast(pl.Float32)
    )
    tie = pl.Series("tie", stable_hash(shown["track_id"])) if shown.height else pl.Series("tie", [], dtype=pl.UInt64)
    return (
        shown.with_columns(tie)
        .sort("listener_id", "score", "tie", descending=[False, True, False], nulls_last=True)
        .group_by("listener_id", maintain_order=True)
        .head(most)
        .drop("tie")
    )
