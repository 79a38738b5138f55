"""What scoring hands on of a block: the rows of its tables, and what the shelves read of a listener's past."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from pipelines.recommender.scoring_plan import Plan
from transforms.candidates.base import Source
from transforms.candidates.blocks import Block
from transforms.common.sample import in_sample
from transforms.tables.chunks import Chunk


def ever_heard(roster: pl.DataFrame, library: pl.DataFrame) -> pl.DataFrame:
    """Everything ever heard or sampled."""
    heard = (pl.col("heard") > 0) | pl.col("saved")
    return library.join(roster, on="listener_id", how="semi").select(
        "listener_id",
        "track_id",
        heard=heard,
        again=pl.col("heard") > 1,
        sampled_at=pl.when(~heard).then("last_played_at"),
        last_heard_at=pl.when(heard).then("last_played_at"),
        first_heard_at=pl.when(heard).then("first_played_at"),
    )


def plays_of_tracks(block: Block, track_of_item: np.ndarray) -> pl.DataFrame:
    """(listener_id, track, decayed_plays) of everything heard or saved that is in the listener's taste."""
    mine = block.history.filter((pl.col("item") > 0) & ((pl.col("heard") > 0) | pl.col("saved")))
    ids = pl.Series("listener_id", block.listener_ids, dtype=pl.String)
    track = pl.Series("track", track_of_item[mine["item"].to_numpy()])
    # A saved track that was never played weighs like one played a while ago.
    weight = mine.select(pl.col("decayed_plays").fill_null(0.0) + pl.when("saved").then(0.1).otherwise(0.0))
    return pl.DataFrame([ids.gather(mine["row"]), track, weight.to_series().alias("decayed_plays")])


def embeddings_of(block: Block, sources: Sequence[Source], model_version: str) -> pl.DataFrame:
    """Table `listener_embeddings` of a block: nobody without a history."""
    frames = []
    for source in sources:
        if not source.embeds:
            continue
        vectors = source.queries(block)  # type: ignore[attr-defined]
        known = np.flatnonzero(np.any(vectors != 0, axis=1))
        frames.append(
            pl.DataFrame(
                {
                    "listener_id": pl.Series(block.listener_ids, dtype=pl.String).gather(known),
                    "model": pl.repeat(source.name, len(known), eager=True),
                    "model_version": pl.repeat(model_version, len(known), eager=True),
                    "vector": pl.Series(np.ascontiguousarray(vectors[known], dtype=np.float32)).arr.to_list(),
                },
                schema={
                    "listener_id": pl.String,
                    "model": pl.String,
                    "model_version": pl.String,
                    "vector": pl.List(pl.Float32),
                },
            )
        )
    return pl.concat(frames)


def stored(scored: pl.DataFrame, stages: pl.DataFrame | None, plan: Plan) -> pl.DataFrame:
    """Table `candidates`: all rows of a hashed share of listeners, of the others what stood on a shelf."""
    keep = plan.keep
    rows = scored.drop("row", "item", "recording")
    if stages is not None:
        first = stages.sort("listener_id", "track_id", "stage").unique(["listener_id", "track_id"], keep="first")
        rows = rows.join(first, on=["listener_id", "track_id"], how="left", maintain_order="left")
    else:
        rows = rows.with_columns(stage=pl.lit(None, dtype=pl.String))
    whole = in_sample(rows["listener_id"], keep, plan.seed)
    return rows.filter(whole | pl.col("stage").is_not_null()).with_columns(
        inclusion=pl.when(pl.col("stage").is_null()).then(min(keep, plan.sample)).otherwise(1.0).cast(pl.Float32),
        stage=pl.col("stage").fill_null("candidate"),
    )


def answered(made: dict[str, pl.DataFrame], machines: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The night's rows, with suspects' shelves saying why they are not personal, and none of their candidates.

    They come as listeners without a history, so their shelves are what everybody in their market is shown.
    """
    if not machines.height:
        return made
    out = {"candidates": made["candidates"].join(machines, on="listener_id", how="anti", maintain_order="left")}
    if "shelves" in made:
        explained = made["shelves"].join(
            machines, on="listener_id", how="left", maintain_order="left", suffix="_suspect"
        )
        reason = pl.coalesce("status_reason_suspect", "status_reason")
        out["shelves"] = explained.with_columns(status_reason=reason).drop("status_reason_suspect")
    return made | out


def joined(shard: int, made: list[dict[str, pl.DataFrame]]) -> Chunk:
    """The blocks of a chunk as one."""
    return Chunk(shard, {table: pl.concat([tables[table] for tables in made], how="diagonal") for table in made[0]})
