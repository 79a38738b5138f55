"""Why each candidate that is shown stands there: the strongest evidence that holds, cited from what the listener liked.

A source names a reason and the track of the listener's own history that speaks for it most. Three things make that true and
kind. Sources are asked with a history of only what may be cited: heard or saved, and neither disliked, blocked nor by a
blocked artist; a track that was merely skipped is no reason for anything. A source may refuse its own reason for a pair
(`Source.holds`): one play is not "you keep playing it". And one track of the history explains at most `SEEDS` items of a
shelf where another source found the item too, so that a shelf does not read as one sentence thirty times.

Example: ann heard a and b and disliked c. A candidate that co_sessions found by c and als by a is "because you played a".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from transforms.candidates.base import Source
from transforms.candidates.blocks import Block, Catalog
from transforms.candidates.history import POSITIVE
from transforms.common.text import name_key

SEEDS = 3
ROUNDS = 4
KNOWN_BEFORE = "you_played_it"
OTHERWISE = "for_you"
AGAINST_TRACKS = ("dislike", "block_track")
AGAINST_ARTISTS = ("block_artist",)
_NOT_FOUND = np.iinfo(np.int32).max


def citable(block: Block, catalog: Catalog, feedback: pl.DataFrame | None = None) -> Block:
    """The block with a history, and recent plays, of nothing but what may be cited as a reason.

    Args:
        block, catalog: as in `retrieve_block`.
        feedback: listener_id, kind, target as of the night; a track speaks for every version of its recording.
    """
    history = block.history.filter(POSITIVE > 0)
    if feedback is not None and feedback.height:
        who = pl.DataFrame({"listener_id": block.listener_ids, "row": np.arange(len(block), dtype=np.int32)})
        acts = feedback.select("listener_id", "kind", "target").join(who, on="listener_id")
        tracks = acts.filter(pl.col("kind").is_in(AGAINST_TRACKS))
        recordings = tracks.join(catalog.lookup, left_on="target", right_on="track_id").filter(pl.col("recording") >= 0)
        history = history.join(tracks, left_on=["row", "track_id"], right_on=["row", "target"], how="anti")
        history = history.join(recordings, on=["row", "recording"], how="anti")
        blocked = _by_blocked_artists(history, catalog, acts.filter(pl.col("kind").is_in(AGAINST_ARTISTS)))
        history = history.filter(~blocked)
    history = history.sort("row", "item", "track_id")
    recent = block.recent.join(history.select("row", "item").unique(), on=["row", "item"], how="semi")
    return replace(block, history=history, recent=recent.sort("row", "session_no", "position"))


def _by_blocked_artists(history: pl.DataFrame, catalog: Catalog, acts: pl.DataFrame) -> pl.Series:
    if not acts.height or not catalog.artists.shape[1]:
        return pl.repeat(False, history.height, eager=True)
    keys = pl.DataFrame({"key": catalog.artist_keys.tolist()}, schema={"key": pl.String}).with_row_index("artist")
    blocked = acts.select("row", key=name_key(pl.col("target"))).join(keys, on="key").select("row", "artist").unique()
    items = history["item"].to_numpy()
    credits = catalog.artists[items].tocoo()
    pairs = pl.DataFrame(
        {
            "at": credits.row.astype(np.int64),
            "row": history["row"].to_numpy()[credits.row],
            "artist": credits.col.astype(np.uint32),
        }
    )
    hit = pairs.join(blocked, on=["row", "artist"], how="semi")["at"].unique()
    mask = np.zeros(history.height, bool)
    mask[hit.to_numpy()] = True
    return pl.Series(mask)


def explain(
    block: Block,
    catalog: Catalog,
    sources: Sequence[Source],
    candidates: pl.DataFrame,
    feedback: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Why each of these candidates: meant for the few that may be shown, not for all.

    Args:
        block, catalog, sources: as in `retrieve_block`.
        candidates: any of its rows, in any order; `rests` (bool, optional) says which stand where a track must not have
            been heard for a while: elsewhere that would be an odd reason, so a source of tracks that rest gives it only
            for what no other source found. `shelf` (optional) is the shelf that an item stands on.
        feedback: as in `citable`.

    Returns:
        the same rows with `source`, `reason` (a code of `transforms.shelves.reasons`) and `reason_ref` (the track_id of
        the history track that contributed most, null where the reason needs none).
    """
    liked = citable(block, catalog, feedback)
    rows, items = candidates["row"].to_numpy(), candidates["item"].to_numpy()
    shelf = candidates["shelf"].to_numpy() if "shelf" in candidates.columns else np.zeros(len(rows), np.int64)
    rests = candidates["rests"].to_numpy() if "rests" in candidates.columns else None
    order = _order(candidates, sources, rests)
    chosen = np.full(len(rows), -1)
    reference = np.zeros(len(rows), np.int32)
    capped = np.full(len(rows), -1)  # the first source whose reason holds, though its track explains enough already
    capped_reference = np.zeros(len(rows), np.int32)
    plain = np.full(len(rows), -1)  # the first one whose reason holds without a track to name
    used = np.zeros(0, np.int64)  # keys of the seeds that explain something, ascending
    of_seed = (rows.astype(np.int64) * (int(shelf.max(initial=0)) + 1) + shelf) * len(catalog)
    for turn in range(min(ROUNDS, len(sources))):
        asked = order[:, turn]
        for number, source in enumerate(sources):
            mine = np.flatnonzero((chosen < 0) & (asked == number))
            if not len(mine):
                continue
            seeds = source.explain(liked, rows[mine], items[mine])
            holds = source.holds(liked, rows[mine], items[mine])
            itself = seeds == items[mine]  # a reason of a track one knows; of another source it would say nothing
            free = holds & ((itself & (source.retrieves == "heard")) | ((seeds == 0) & (not source.personal)))
            chosen[mine[free]], reference[mine[free]] = number, seeds[free]
            empty = mine[holds & (seeds == 0) & source.personal]
            plain[empty] = np.where(plain[empty] < 0, number, plain[empty])
            seeded = holds & (seeds > 0) & ~itself
            pairs, named = mine[seeded], seeds[seeded]
            keys = of_seed[pairs] + named
            room = _nth(keys) < SEEDS - np.searchsorted(used, keys, "right") + np.searchsorted(used, keys, "left")
            chosen[pairs[room]], reference[pairs[room]] = number, named[room]
            used = np.sort(np.concatenate([used, keys[room]]), kind="stable")
            late = ~room & (capped[pairs] < 0)
            capped[pairs[late]], capped_reference[pairs[late]] = number, named[late]
    left = (chosen < 0) & (capped >= 0)
    chosen[left], reference[left] = capped[left], capped_reference[left]
    reasons = np.array([*(source.reason for source in sources), OTHERWISE], dtype=object)
    reason = reasons[np.where(chosen >= 0, chosen, np.where(plain >= 0, plain, len(sources)))]
    known = candidates["heard_before"].to_numpy() if "heard_before" in candidates.columns else np.zeros(len(rows), bool)
    reason[(chosen < 0) & known] = KNOWN_BEFORE
    names = np.array([*(source.name for source in sources), None], dtype=object)
    first = np.where(order[:, 0] >= 0, order[:, 0], len(sources)) if len(sources) else np.zeros(len(rows), int)
    source_of = names[np.where(chosen >= 0, chosen, first)]
    ids = catalog.ids.gather(reference).replace("", None)
    return candidates.with_columns(
        pl.Series("source", source_of, dtype=pl.String),
        pl.Series("reason", reason, dtype=pl.String),
        ids.alias("reason_ref"),
    )


def _nth(keys: np.ndarray) -> np.ndarray:
    """int64 by place: how many equal keys stand before it."""
    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    first = np.searchsorted(ranked, ranked, "left")
    out = np.empty(len(keys), np.int64)
    out[order] = np.arange(len(keys)) - first
    return out


def _order(candidates: pl.DataFrame, sources: Sequence[Source], rests: np.ndarray | None) -> np.ndarray:
    """int64[m, sources]: sources by how high they rank each pair, -1 where no more found it."""
    if not sources:
        return np.zeros((candidates.height, 0), np.int64)
    ranks = np.stack([candidates[f"rank_{s.name}"].fill_null(_NOT_FOUND).to_numpy() for s in sources], axis=1)
    ranks = ranks.astype(np.int64)
    if rests is not None:
        resting = np.array([s.rests for s in sources])
        others = (ranks[:, ~resting] < _NOT_FOUND).any(axis=1)
        odd = resting[None, :] & (~rests.astype(bool) & others)[:, None]
        ranks = np.where(odd, _NOT_FOUND, ranks)
    order = np.argsort(ranks, axis=1, kind="stable")
    return np.where(np.take_along_axis(ranks, order, axis=1) < _NOT_FOUND, order, -1)
