"""Listening sequences as arrays: flat items with offsets, cut into windows for training, right-aligned for scoring.

A window is a run of a listener's listens; every listen but its first is a target of those before it. Long histories are
cut from their end, and an epoch shifts the cuts, so that over epochs every listen is seen with a long past.

    >>> s = Sequences.from_lists([[3, 1, 2], [5]])
    >>> s.last(np.array([0, 1]), 4)[0].tolist()
    [[0, 3, 1, 2], [0, 0, 0, 5]]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from models.settings import SequenceSettings, by_audience

GAPS = 12
_SESSION_GAP_S = 1800


@dataclass(frozen=True)
class Sequences:
    """Listens of listeners in time order.

    Attributes:
        items: int32 [plays], vocabulary rows; 0 where unknown.
        gaps: int32 [plays], bucket of the time since the listen before (see `gap_buckets`); 0 = unknown.
        starts: int64 [listeners + 1], where each listener's listens begin.
    """

    items: np.ndarray
    gaps: np.ndarray
    starts: np.ndarray

    @classmethod
    def from_lists(cls, lists: Sequence[Sequence[int]]) -> Sequences:
        """Without times."""
        starts = np.concatenate([[0], np.cumsum([len(x) for x in lists])]).astype(np.int64)
        items = np.fromiter((i for x in lists for i in x), np.int32, int(starts[-1]))
        return cls(items, np.zeros(len(items), np.int32), starts)

    @classmethod
    def from_plays(cls, plays: pl.DataFrame) -> Sequences:
        """From columns `row` (int, the listener), `item` (int32) and optionally `started_at`, in time order in a row.

        Rows of the frame are sorted by `row` here (stable); listeners are 0 to the largest row.
        """
        plays = plays.sort("row", maintain_order=True)
        last = int(plays["row"].max()) if plays.height else -1  # type: ignore[arg-type]
        starts = np.searchsorted(plays["row"].to_numpy(), np.arange(last + 2))
        items = plays["item"].cast(pl.Int32).to_numpy()
        if "started_at" not in plays.columns:
            return cls(items, np.zeros(len(items), np.int32), starts.astype(np.int64))
        seconds = plays["started_at"].dt.epoch("s").to_numpy().astype(np.float64)
        gaps = gap_buckets(np.diff(seconds, prepend=seconds[:1]))
        gaps[starts[:-1][starts[:-1] < len(gaps)]] = 0
        return cls(items, gaps, starts.astype(np.int64))

    def __len__(self) -> int:
        """Number of listeners."""
        return len(self.starts) - 1

    def last(
        self, listeners: np.ndarray, length: int, leave_out: int | np.ndarray = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """The last `length` items and gaps of some listeners, right-aligned, int32 [B, length], 0 before them.

        Args:
            leave_out: how many of the very last listens not to see, of all alike or int [B].
        """
        ends = np.maximum(self.starts[listeners + 1] - leave_out, self.starts[listeners])
        return self._cut(np.maximum(ends - length, self.starts[listeners]), ends, length)

    def _cut(self, begins: np.ndarray, ends: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
        place = ends[:, None] - width + np.arange(width)[None, :]
        there = place >= begins[:, None]
        place = np.where(there, place, 0)
        if not len(self.items):
            return np.zeros(there.shape, np.int32), np.zeros(there.shape, np.int32)
        return np.where(there, self.items[place], 0).astype(np.int32), np.where(there, self.gaps[place], 0).astype(
            np.int32
        )

    def windows(self, length: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Begins and ends (int64) of one epoch's windows of at most length + 1 listens; neighbours share one listen.

        Each listener's cuts are shifted by a draw, except that the last window ends at the end in half of the epochs.
        """
        sizes = np.diff(self.starts)
        shift = np.where(rng.random(len(sizes)) < 0.5, 0, rng.integers(0, length, len(sizes)))
        shift = np.where(sizes > length + 1, shift, 0)
        # The part behind the shifted cut is a shorter window of its own.
        counts = np.maximum(-(-(sizes - 1 - shift) // length), 0)
        owner = np.repeat(np.arange(len(sizes)), counts)
        nth = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        ends = self.starts[owner + 1] - shift[owner] - nth * length
        tail = np.flatnonzero(shift > 0)
        ends = np.concatenate([ends, self.starts[tail + 1]])
        begins = np.maximum(ends[: len(owner)] - length - 1, self.starts[owner])
        begins = np.concatenate([begins, self.starts[tail + 1] - shift[tail] - 1])
        long_enough = ends - begins >= 2
        return begins[long_enough], ends[long_enough]


def gap_buckets(seconds: np.ndarray) -> np.ndarray:
    """int32 buckets 1 to GAPS - 1 of gaps: within a session in thirds of it, beyond it doubling from half an hour."""
    seconds = np.maximum(np.asarray(seconds, np.float64), 0)
    within = 1 + np.minimum(seconds * 3 / _SESSION_GAP_S, 2)
    beyond = 4 + np.minimum(np.log2(np.maximum(seconds / _SESSION_GAP_S, 1)), GAPS - 5)
    return np.where(seconds < _SESSION_GAP_S, within, beyond).astype(np.int32)


class Batches:
    """Training batches as a function of (seed, epoch)."""

    def __init__(self, sequences: Sequences, n_items: int, settings: SequenceSettings, seed: int) -> None:
        self.sequences, self.n_items, self.settings, self.seed = sequences, n_items, settings, seed
        self.full = n_items <= settings.full_softmax
        self.most = by_audience(settings.windows, settings.windows_each, len(sequences), settings.windows_most)
        count = np.bincount(sequences.items, minlength=n_items).astype(np.float64)
        count[0] = 0
        popular = count**0.75
        q = np.full(n_items, 1 / max(n_items - 1, 1)) + popular / max(popular.sum(), 1e-12)
        q[0] = 0
        self.cumulative = np.cumsum(q / max(q.sum(), 1e-12))
        self.probability = q / max(q.sum(), 1e-12)

    def steps(self) -> int:
        """Batches of the first epoch; later ones differ by few."""
        begins, _ = self.sequences.windows(self.settings.length, np.random.default_rng((self.seed, 0)))
        return -(-min(len(begins), self.most) // self.settings.batch)

    def __call__(self, epoch: int) -> Iterator[dict[str, Any]]:
        """One epoch: windows of like length together, batches in random order."""
        s, rng = self.settings, np.random.default_rng((self.seed, epoch))
        begins, ends = self.sequences.windows(s.length, rng)
        if len(begins) > self.most:
            drawn = np.sort(rng.permutation(len(begins))[: self.most])
            begins, ends = begins[drawn], ends[drawn]
        order = np.lexsort((rng.random(len(begins)), (ends - begins) // 16))
        batches = [order[i : i + s.batch] for i in range(0, len(order), s.batch)]
        for number in rng.permutation(len(batches)):
            rows = batches[number]
            width = int((ends - begins)[rows].max())
            items, gaps = self.sequences._cut(begins[rows], ends[rows], width)
            if self.full:
                negatives, expected = np.zeros(0, np.int32), np.zeros(0, np.float32)
            else:
                draw = np.searchsorted(self.cumulative, rng.random(s.negatives), side="right")
                negatives = np.minimum(draw, self.n_items - 1).astype(np.int32)
                expected = (s.negatives * self.probability[negatives]).astype(np.float32)
            asked = rng.random(items[:, 1:].shape) < s.positions
            yield {
                "items": items[:, :-1],
                "gaps": gaps[:, :-1],
                "targets": np.where(asked, items[:, 1:], 0),
                "negatives": negatives,
                "expected": expected,
                "seed": rng.integers(0, 2**31, 2, dtype=np.int32),
            }
