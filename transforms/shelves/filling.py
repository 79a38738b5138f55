"""Filling one shelf for every listener of a block: fixed slots, then draws, then spares.

The order of work is what makes propensities true: rules have chosen the pool, variety places the fixed slots, and only
then does each open slot draw, given everything placed before it. Afterwards nothing moves or drops; spares follow from
what still fits. A slot whose pool is empty stays out, which happens only when everything that fits is placed, so the
shelf just ends earlier and drawn tracks keep their slot.

Draws of one slot are made for all listeners at once, each from its own hash, so a block's make-up does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from transforms.shelves.exploration import draw, open_positions
from transforms.shelves.settings import ExplorationSettings, Night, ShelfSettings
from transforms.shelves.variety import Tray


@dataclass
class Filled:
    """One listener's shelf: rows in order, and of each the propensity (NaN = not drawn)."""

    items: list[int] = field(default_factory=list)
    propensities: list[float] = field(default_factory=list)
    spares: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class SlotDraws:
    """All listeners' draws of one slot, pools laid end to end."""

    shelf_id: str
    slot: int
    listeners: np.ndarray
    starts: np.ndarray
    rows: np.ndarray
    scores: np.ndarray
    p: np.ndarray
    chosen: np.ndarray


def fill_shelf(
    shelf: ShelfSettings,
    trays: dict[int, Tray],
    *,
    scores: np.ndarray,
    listener_hash: np.ndarray,
    track_hash: np.ndarray,
    exploration: ExplorationSettings,
    night: Night,
    open_slots: int,
) -> tuple[dict[int, Filled], list[SlotDraws]]:
    """Fill a shelf.

    Args:
        shelf: the shelf.
        trays: by listener, the rows it may take in order and what is taken; changed in place.
        scores: float32 by row, the shelf's score (NaN = none).
        listener_hash: int64 by listener.
        track_hash: int64 by row.
        exploration: how open slots are drawn.
        night: the night.
        open_slots: slots to draw, 0 for none.

    Returns:
        By listener the filled shelf, and the draws by slot.
    """
    slots = open_positions(shelf.size, open_slots)
    fixed = {listener: tray.fill(shelf.size - len(slots)) for listener, tray in trays.items()}
    drawn: dict[int, dict[int, tuple[int, float]]] = {listener: {} for listener in trays}
    draws: list[SlotDraws] = []
    for slot in slots:
        pools = {listener: tray.best(exploration.pool) for listener, tray in trays.items()}
        pools = {listener: rows for listener, rows in pools.items() if rows}
        if not pools:
            break
        who = np.fromiter(pools, dtype=np.int64, count=len(pools))
        sizes = np.fromiter((len(rows) for rows in pools.values()), dtype=np.int64, count=len(pools))
        flat = np.concatenate([np.asarray(rows, dtype=np.int64) for rows in pools.values()])
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
        result = draw(
            scores[flat],
            starts,
            listeners=np.repeat(listener_hash[who], sizes),
            tracks=track_hash[flat],
            epsilon=exploration.epsilon,
            tau=exploration.tau,
            seed=night.seed,
            date=night.date,
            shelf_id=shelf.shelf_id,
            slot=slot,
        )
        for listener, row, p in zip(
            who.tolist(), flat[result.chosen].tolist(), result.p[result.chosen].tolist(), strict=True
        ):
            trays[listener].place(row)
            drawn[listener][slot] = (row, p)
        draws.append(
            SlotDraws(shelf.shelf_id, slot, who, starts, flat, scores[flat], result.p, flat[result.chosen]),
        )
    filled = {listener: _merge(shelf.size, fixed[listener], drawn[listener], set(slots)) for listener in trays}
    for listener, tray in trays.items():
        filled[listener].spares = tray.fill(shelf.spares)
    return filled, draws


def _merge(size: int, fixed: list[int], drawn: dict[int, tuple[int, float]], slots: set[int]) -> Filled:
    """Lay drawn tracks at their slots and the fixed ones, in order, at the others."""
    out, rest = Filled(), iter(fixed)
    for position in range(1, size + 1):
        if position in drawn:
            row, p = drawn[position]
        elif position in slots:
            continue
        else:
            row, p = next(rest, -1), float("nan")
            if row < 0:
                continue
        out.items.append(row)
        out.propensities.append(p)
    return out
