"""Search: the most likely semantic ids under the trie, a block of listeners at a time, and the tracks behind them re-scored.

    log p(prefix) = sum_l log softmax over the children of the prefix so far of the code's logits
    tracks        = those behind the best prefixes, best first; and unplayed ones that share all codes but the last with one
    score         = the decoder's dense score of these tracks

Every beam is a node of the trie, and a step goes to its children only: what is not playable is never generated, and probability
is spread over what is. The dense score orders what was found, because beam search alone favours prefixes that many tracks share
(LIGER, Yang et al., 2024). It has the form of an exact search over `Decoder.items`, so a source is made of it like of any other.

    >>> search = Search(decoder, Trie.build(decoder.ids.codes, playable))
    >>> search(decoder.embed(items), exclude=None, k=50)[0].shape            # rows of the vocabulary, -1 where there is none
    (3, 50)
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from scipy.sparse import csr_matrix

from models.generative.decoder import Decoder, code_logits
from models.generative.trie import Trie
from transforms.common.best import best_first, keep
from transforms.common.compiled import compiled

NONE = -1
BLOCK = 64
_NEVER = -1e30


class Search:
    """A decoder and a trie, loaded once; call it with listeners' states.

    Args:
        cold: bool [n_items], tracks that are added by prefix; None = those that were never played while it was trained.
    """

    def __init__(self, decoder: Decoder, trie: Trie, cold: np.ndarray | None = None) -> None:
        self.decoder, self.trie = decoder, trie
        self.d = decoder.settings.dims
        self._heads = {name: tf.constant(array) for name, array in decoder.heads.items()}
        self._codes = [tf.constant(codes) for codes in trie.codes]
        self._children = [tf.constant(begins) for begins in trie.children]
        self._items = np.ascontiguousarray(decoder.items, np.float32)
        unplayed = ~decoder.played if cold is None else cold
        self._cold = np.flatnonzero(unplayed[trie.tracks]).astype(np.int32)
        self._walk = tf.function(self._prefixes, input_signature=[tf.TensorSpec([BLOCK, self.d])], autograph=False)

    def _prefixes(self, states: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Nodes of the trie's last level int32 [BLOCK, beams], and their log-probabilities, best first; -1 = none."""
        nodes, scores = tf.zeros([BLOCK, 1], tf.int32), tf.zeros([BLOCK, 1])
        before = tf.zeros([BLOCK, 1, self.d])
        for level in range(self.trie.levels):
            width = self.trie.width(level)
            wide = tf.broadcast_to(states[:, None], [BLOCK, tf.shape(nodes)[1], self.d])
            logits = code_logits(wide, before, level, self._heads)
            first, last = tf.gather(self._children[level], nodes), tf.gather(self._children[level], nodes + 1)
            child = first[:, :, None] + tf.range(width)[None, None, :]
            there = child < last[:, :, None]
            child = tf.where(there, child, 0)
            code = tf.gather(self._codes[level], child)
            own = tf.where(there, tf.gather(logits, code, batch_dims=2), _NEVER)
            total = scores[:, :, None] + tf.nn.log_softmax(own, axis=2)
            total = tf.where(there & (scores[:, :, None] > _NEVER / 2), total, _NEVER)
            kept = min(self.decoder.settings.beams, int(nodes.shape[1]) * width)
            scores, at = tf.math.top_k(tf.reshape(total, [BLOCK, -1]), kept)
            nodes = tf.gather(tf.reshape(child, [BLOCK, -1]), at, batch_dims=1)
            code = tf.gather(tf.reshape(code, [BLOCK, -1]), at, batch_dims=1)
            before = tf.gather(before, at // width, batch_dims=1) + tf.gather(self._heads["prefix"][level], code)
        return tf.where(scores > _NEVER / 2, nodes, NONE), scores

    def prefixes(self, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Nodes int32 [B, beams] and log-probabilities float32 [B, beams] after states float32 [B, d or d + 1]."""
        nodes, scores = [], []
        for start in range(0, len(states), BLOCK):
            part = np.asarray(states[start : start + BLOCK, : self.d], np.float32)
            found = self._walk(tf.constant(np.pad(part, ((0, BLOCK - len(part)), (0, 0)))))
            nodes.append(found[0].numpy()[: len(part)])
            scores.append(found[1].numpy()[: len(part)])
        if not nodes:
            return np.zeros((0, 1), np.int32), np.zeros((0, 1), np.float32)
        return np.concatenate(nodes), np.concatenate(scores)

    def __call__(
        self, queries: np.ndarray, exclude: csr_matrix | None = None, k: int = 300
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best k generated tracks of each listener, by dense score.

        Args:
            queries: float32 [B, dims + 1], as `Decoder.embed` gives them.
            exclude: sparse [B, n]; the places stored in it are left out.
            k: tracks a listener gets at most, at most `cold` of them added by prefix.

        Returns:
            rows int32 [B, k] and scores float32 [B, k], best first, equal scores by row; -1 and -inf where there are no more.
        """
        size, s = len(queries), self.decoder.settings
        items, scores = np.full((size, k), NONE, np.int32), np.full((size, k), -np.inf, np.float32)
        if not len(self.trie) or not size:
            return items, scores
        nodes, _ = self.prefixes(queries)
        own = (np.zeros(size + 1, np.int32), np.zeros(0, np.int32))
        if exclude is not None:
            own = (exclude.indptr, exclude.indices)
        trie = self.trie
        above = trie.starts[-2] if trie.levels > 1 else np.array([0, len(trie)], np.int32)
        _rescore(
            nodes,
            trie.starts[-1],
            above,
            trie.parents[-1],
            trie.tracks,
            self._cold,
            np.ascontiguousarray(queries, np.float32),
            self._items,
            *own,
            max(s.most, k),
            min(s.cold, k),
            items,
            scores,
        )
        return items, scores


@compiled
def _score(query: np.ndarray, vector: np.ndarray) -> float:
    """The dot product, term by term."""
    total = np.float32(0)
    for i in range(len(query)):
        total += query[i] * vector[i]
    return float(total)


@compiled
def _beside(
    nodes: np.ndarray,
    starts_above: np.ndarray,
    parents: np.ndarray,
    tracks: np.ndarray,
    cold: np.ndarray,
    taken: np.ndarray,
    listed: np.ndarray,
    most: int,
) -> int:
    """List up to `most` unplayed tracks that share all codes but the last with a found prefix; returns how many."""
    seen = 0
    for node in nodes:
        if node < 0:
            break
        parent = parents[node]
        at = np.searchsorted(cold, starts_above[parent])
        while at < len(cold) and cold[at] < starts_above[parent + 1] and seen < most:
            item = tracks[cold[at]]
            at += 1
            if not taken[item]:
                taken[item] = True
                listed[seen] = item
                seen += 1
    return seen


@compiled
def _behind(
    nodes: np.ndarray,
    starts: np.ndarray,
    tracks: np.ndarray,
    taken: np.ndarray,
    listed: np.ndarray,
    first: int,
    end: int,
) -> int:
    """List the tracks behind the found prefixes, best prefix first, from place `first` to `end`; returns where it stopped."""
    seen = first
    for node in nodes:
        if node < 0 or seen == end:
            break
        for place in range(starts[node], starts[node + 1]):
            item = tracks[place]
            if not taken[item] and seen < end:
                taken[item] = True
                listed[seen] = item
                seen += 1
    return seen


@compiled
def _rescore(
    nodes: np.ndarray,
    starts: np.ndarray,
    starts_above: np.ndarray,
    parents: np.ndarray,
    tracks: np.ndarray,
    cold: np.ndarray,
    queries: np.ndarray,
    vectors: np.ndarray,
    indptr: np.ndarray,
    indices: np.ndarray,
    most: int,
    most_cold: int,
    items: np.ndarray,
    scores: np.ndarray,
) -> None:
    """Fill in each listener's best: all unplayed tracks by prefix, and the best of the others for what is left.

    Args:
        nodes: int32 [B, beams] of the trie's last level, -1 = none.
        starts, starts_above: where tracks begin behind nodes of the last level and of the one above; `parents` leads there.
        cold: places in `tracks` of unplayed tracks, ascending.
        indptr, indices: what each listener must not get.
        items, scores: [B, k], to fill.
    """
    k = items.shape[1]
    taken, listed = np.zeros(len(vectors), np.bool_), np.empty(most + most_cold, np.int32)
    other, value = np.zeros(k, np.int32), np.zeros(k, np.float32)
    for row in range(len(nodes)):
        mine = indices[indptr[row] : indptr[row + 1]]
        for item in mine:
            taken[item] = True
        beside = _beside(nodes[row], starts_above, parents, tracks, cold, taken, listed, most_cold)
        seen = _behind(nodes[row], starts, tracks, taken, listed, beside, beside + most)
        found, size = 0, 0
        for at in range(beside):
            found = keep(scores[row], items[row], found, k, _score(queries[row], vectors[listed[at]]), listed[at])
        for at in range(beside, seen if found < k else 0):
            size = keep(value, other, size, k - found, _score(queries[row], vectors[listed[at]]), listed[at])
        for at in range(size):
            found = keep(scores[row], items[row], found, k, value[at], other[at])
        best_first(scores[row], items[row], found)
        for at in range(seen):
            taken[listed[at]] = False
        for item in mine:
            taken[item] = False
