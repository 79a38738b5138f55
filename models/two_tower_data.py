"""What the two-tower model learns from, as batches: content of tracks, histories, targets, and drawn negatives.

Order and draws are functions of (seed, epoch), so that an epoch can be made again. A batch names every track it touches
once (`unique`), and everything else points into that list, so that a track's vector is computed once a step.

    >>> batch = next(Data(histories, targets, Content({}), settings, seed=1, contexts={}).batches(epoch=0))
    >>> sorted(batch)[:3]
    ['bags', 'contexts', 'example']
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import tensorflow as tf
from scipy.sparse import csr_matrix

from models.runtime import padded
from models.settings import TwoTowerSettings
from models.vocabulary import Vocabulary
from transforms.common.hashing import stable_hash
from transforms.common.text import name_key

BUCKETS = {"artists": 65_536, "tags": 2048}


@dataclass(frozen=True)
class Content:
    """What is known of tracks besides their id.

    Attributes:
        bags: name -> sparse [n_items, values]: which artists, tags (hashed to a fixed number of values) a track has.
        contexts: name -> number of values of a listener-side context (market, daypart); value 0 = unknown.
    """

    bags: Mapping[str, csr_matrix] = field(default_factory=dict)
    contexts: Mapping[str, int] = field(default_factory=dict)


def content_bags(tracks: pl.DataFrame, vocabulary: Vocabulary) -> dict[str, csr_matrix]:
    """Artists and tags of every vocabulary row as sparse bags, hashed to a fixed width; a bag nobody has is left out.

    Spellings of an artist's name are one artist (`transforms.common.text`).
    """
    bags = {}
    for name, column in (("artists", "artist_ids"), ("tags", "tags")):
        pairs = (
            tracks.select("track_id", value=column)
            .explode("value")
            .with_columns(value=name_key(pl.col("value")) if name == "artists" else pl.col("value"))
            .drop_nulls("value")
            .unique()
            .sort("track_id", "value")
        )
        if not pairs.height:
            continue
        # Twice as many buckets as values keeps collisions rare; a wider table would only cost time in every step.
        width = min(BUCKETS[name], 2 << int(pairs["value"].n_unique() - 1).bit_length())
        at = vocabulary.rows(pairs["track_id"])
        bucket = (stable_hash(pairs["value"], purpose=name) % np.uint64(width)).astype(np.int64)
        bag = csr_matrix((np.ones(len(at), np.float32), (at, bucket)), shape=(len(vocabulary), width))
        bag.sum_duplicates()
        bags[name] = bag
    return bags


class Data:
    """Batches of numpy arrays whose order and draws are functions of (seed, epoch)."""

    def __init__(
        self,
        histories: csr_matrix,
        targets: csr_matrix,
        content: Content,
        settings: TwoTowerSettings,
        seed: int,
        contexts: Mapping[str, np.ndarray],
    ) -> None:
        self.histories = heaviest(histories, settings.history)
        self.targets, self.content, self.settings, self.seed = targets, content, settings, seed
        self.contexts = {
            n: np.asarray(contexts.get(n, np.zeros(histories.shape[0])), np.int32) for n in content.contexts
        }
        self.examples = np.flatnonzero(np.diff(targets.indptr) > 0)
        self.steps = -(-len(self.examples) // settings.batch)
        self.n_items = histories.shape[1]
        self.full = self.n_items <= settings.full_softmax
        count = np.bincount(targets.indices, minlength=self.n_items).astype(np.float64)
        popular = count**0.75
        share = np.full(self.n_items, 1 / max(self.n_items - 1, 1))
        self.probability = (share + popular / max(popular.sum(), 1)) / 2
        self.probability[0] = 0
        self.probability /= max(self.probability.sum(), 1e-12)
        self.cumulative = np.cumsum(self.probability)
        self.widths = {n: max(1, int(np.diff(csr_matrix(b).indptr).max(initial=1))) for n, b in content.bags.items()}
        self.csr = {n: csr_matrix(b) for n, b in content.bags.items()}

    def bags(self, rows: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Padded bags of the given items."""
        return {name: padded(bag, rows, self.widths[name]) for name, bag in self.csr.items()}

    def batches(self, epoch: int) -> Iterator[dict[str, Any]]:
        """One epoch."""
        s, rng = self.settings, np.random.default_rng((self.seed, epoch))
        order = rng.permutation(self.examples)
        for start in range(0, len(order), s.batch):
            rows = order[start : start + s.batch]
            width = max(1, int(np.diff(self.histories.indptr)[rows].max(initial=1)))
            history, weight = padded(self.histories, rows, width)
            weight = weight * (rng.random(weight.shape) >= s.history_dropout)
            wide = max(1, int(np.diff(self.targets.indptr)[rows].max()))
            target, there = padded(self.targets, rows, wide)
            draw = np.where(there > 0, rng.random(there.shape), 2.0)
            picked = np.argsort(draw, axis=1, kind="stable")[:, : s.targets]
            target, there = np.take_along_axis(target, picked, 1), np.take_along_axis(there, picked, 1)
            example, column = np.nonzero(there)
            target = target[example, column]
            if self.full:
                negative, expected = np.arange(1, self.n_items), np.ones(self.n_items - 1)
            else:
                negative = np.searchsorted(self.cumulative, rng.random(s.negatives) * self.cumulative[-1], side="right")
                negative = np.minimum(negative, self.n_items - 1)
                expected = s.negatives * self.probability[negative]
            # All divided by the largest, which changes no difference of logits, keeps TFRS's clip at 1 out of reach.
            largest = max(float(expected.max(initial=1.0)), 1.0)
            unique, place = np.unique(np.concatenate([history.ravel(), target, negative]), return_inverse=True)
            h, t = history.size, len(target)
            yield {
                "unique": unique.astype(np.int32),
                "bags": self.bags(unique),
                "history": place[:h].reshape(history.shape).astype(np.int32),
                "history_weight": weight.astype(np.float32),
                "contexts": {name: c[rows] for name, c in self.contexts.items()},
                "example": example.astype(np.int32),
                "target": place[h : h + t].astype(np.int32),
                "negative": place[h + t :].astype(np.int32),
                "positive_probability": np.float32(1 / largest),
                "negative_probability": (expected / largest).astype(np.float32),
            }

    def signature(self) -> dict[str, Any]:
        """Shapes and types of a batch."""
        ints, floats = tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.float32)
        pair = (tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None, None], tf.float32))
        return {
            "unique": ints,
            "bags": {name: pair for name in self.csr},
            "history": pair[0],
            "history_weight": pair[1],
            "contexts": {name: ints for name in self.contexts},
            "example": ints,
            "target": ints,
            "negative": ints,
            "positive_probability": tf.TensorSpec([], tf.float32),
            "negative_probability": floats,
        }


def heaviest(histories: csr_matrix, most: int) -> csr_matrix:
    """At most `most` entries a row, the heaviest, equals by item row; columns stay sorted."""
    lengths = np.diff(histories.indptr)
    if lengths.max(initial=0) <= most:
        return histories
    row = np.repeat(np.arange(histories.shape[0]), lengths)
    order = np.lexsort((histories.indices, -histories.data, row))
    rank = np.arange(len(order)) - np.repeat(histories.indptr[:-1], lengths)
    kept = np.sort(order[rank < most])
    pointer = np.concatenate([[0], np.cumsum(np.minimum(lengths, most))])
    return csr_matrix((histories.data[kept], histories.indices[kept], pointer), shape=histories.shape)
