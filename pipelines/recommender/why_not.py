"""Why a track does not stand on a listener's shelves: the night is worked out again for this one listener, with what stands.

Three things can keep a track off, and each has an answer:

    not retrieved      no source had it among its best; each one's rank for it, of all tracks of the catalog
    removed            a rule, a cap or an earlier shelf kept it off a shelf
    ranked             it was a candidate and broke no rule, but others stood higher; its rank by the ranker
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from pipelines.recommender.night import NightPlan
from pipelines.recommender.scoring import Scorer
from transforms.candidates.base import Source
from transforms.candidates.blocks import Block
from transforms.shelves.judging import SAYS
from transforms.shelves.rules.registry import every_rule
from transforms.tables.chunks import Chunk, read_chunks, shard_of

EVERY = 1_000_000  # tracks named of what a rule removed: all


@dataclass(frozen=True)
class BySource:
    """What a source says of a track: its rank among all tracks that it may retrieve, None without evidence; of how many.

    What the source did retrieve ranks before the rest.
    """

    source: str
    rank: int | None
    of: int
    retrieved: bool


@dataclass(frozen=True)
class OnShelf:
    """What became of the track on a shelf: "placed", "spare", "ranked", "not retrieved", or what removed it."""

    shelf_id: str
    fate: str
    says: str


@dataclass
class WhyNot:
    """The answer.

    Attributes:
        sources: by source, in the order of the night.
        rank: the ranker's, among the listener's candidates that were heard as the track was; None = no candidate.
        heard_before: whether it is ranked among heard tracks.
        shelves: by shelf, in the order of the settings.
    """

    sources: list[BySource] = field(default_factory=list)
    rank: int | None = None
    heard_before: bool = False
    shelves: list[OnShelf] = field(default_factory=list)


def why_not(plan: NightPlan, listener: str, track_id: str) -> WhyNot | None:
    """Work out the night of one listener and say what became of a track; None where the night knows no such listener.

    Args:
        plan: of a preview of this listener.
    """
    settings = plan.work.what.settings.model_copy(update={"removed_listed": EVERY})
    work = replace(
        plan.work, what=replace(plan.work.what, settings=settings, only=(listener,), only_shelves=(), keep=1.0)
    )
    scorer = work.scorer()
    for chunk in _chunks(plan, listener):
        for made in scorer.score(chunk):
            answer = WhyNot()
            item = int(np.flatnonzero(scorer.catalog.track_ids == track_id).max(initial=0))
            if item:
                answer.sources = list(_by_source(scorer, next(scorer.blocks(chunk)), item))
            _of_candidate(answer, made["candidates"].filter(pl.col("track_id") == track_id))
            order = [shelf.shelf_id for shelf in settings.shelves]
            fates = _fates(made, track_id)
            answer.shelves = [_on_shelf(shelf_id, fates.get(shelf_id), answer.rank) for shelf_id in order]
            return answer
    return None


def _chunks(plan: NightPlan, listener: str) -> Iterator[Chunk]:
    """The listener's rows of every table that scoring reads."""
    ids = pl.Series([listener])
    for spec in plan.specs:
        if spec.shard != int(shard_of(ids, spec.shards)[0]):
            continue
        for chunk in read_chunks(spec):
            mine = {name: frame.filter(pl.col("listener_id") == listener) for name, frame in chunk.tables.items()}
            if any(frame.height for frame in mine.values()):
                yield Chunk(chunk.shard, mine)
                return


def _by_source(scorer: Scorer, block: Block, item: int) -> Iterator[BySource]:
    """What each source says of an item: its place among what the source retrieves, and behind these by the score.

    A source's best need not be those of the highest score: some cap an artist's tracks, a decoder searches along a beam.
    """
    items = np.arange(1, len(scorer.catalog), dtype=np.int32)
    heard = np.zeros(len(scorer.catalog), np.bool_)
    heard[block.heard(scorer.catalog).indices] = True
    for source in scorer.sources:
        scores = source.score(block)
        value = np.nan_to_num(scores.of(np.zeros(len(items), np.int32), items), nan=0.0, posinf=0.0, neginf=0.0)
        usable = _may_retrieve(source, heard[items]) & (value > 0)
        own = value[item - 1]
        best = scores.top(scorer.plan.k, None if source.retrieves != "unheard" else block.heard(scorer.catalog))
        place = dict(zip(best.items.tolist(), best.ranks().tolist(), strict=True))
        usable[best.items - 1] = True
        behind = usable.copy()
        behind[best.items - 1] = False
        better = behind & ((value > own) | ((value == own) & (items < item)))
        rank = place.get(item, len(place) + int(better.sum()) + 1)
        yield BySource(source.name, rank if usable[item - 1] else None, int(usable.sum()), item in place)


def _may_retrieve(source: Source, heard: np.ndarray) -> np.ndarray:
    return ~heard if source.retrieves == "unheard" else np.ones(len(heard), np.bool_)


def _of_candidate(answer: WhyNot, rows: pl.DataFrame) -> None:
    if rows.height:
        answer.rank, answer.heard_before = rows["ranker_rank"][0], bool(rows["heard_before"][0])


def _fates(made: Chunk, track_id: str) -> dict[str, str]:
    """By shelf what became of the track, where anything did."""
    out: dict[str, str] = {}
    holds = pl.col("tracks").list.contains(track_id)
    out.update(made["removed"].filter(holds).select("shelf_id", "rule").iter_rows())
    for column, fate in (("spares", "spare"), ("items", "placed")):
        ids = pl.col(column).list.eval(pl.element().struct.field("track_id"))
        out.update(made["shelves"].filter(ids.list.contains(track_id)).select("shelf_id", pl.lit(fate)).iter_rows())
    return out


def _on_shelf(shelf_id: str, fate: str | None, rank: int | None) -> OnShelf:
    if fate in ("placed", "spare"):
        return OnShelf(
            shelf_id, fate, "stands on it" if fate == "placed" else "a spare: it follows when an item cannot be played"
        )
    if fate is not None:
        rules = every_rule()
        says = rules[fate].says if fate in rules else SAYS[fate]
        return OnShelf(shelf_id, fate, f"removed by {fate}: {says}")
    if rank is None:
        return OnShelf(shelf_id, "not retrieved", "no candidate")
    return OnShelf(shelf_id, "ranked", "breaks no rule; others stand higher")


def said(answer: WhyNot) -> list[str]:
    """The answer in lines."""
    lines = []
    if answer.rank is None:
        lines.append("not retrieved: no source had it among its best")
    else:
        kind = "heard" if answer.heard_before else "unheard"
        lines.append(f"a candidate, ranked {answer.rank:,} among the {kind} ones")
    for one in answer.sources:
        rank = "no evidence" if one.rank is None else f"rank {one.rank:,} of {one.of:,}"
        lines.append(f"  {one.source}: {rank}{', retrieved' if one.retrieved else ''}")
    if not answer.sources:
        lines.append("  the models of the night do not know the track")
    return [*lines, *(f"{one.shelf_id}: {one.says}" for one in answer.shelves)]
