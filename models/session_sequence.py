"""The sequence model as a source of what comes next in a session, trained on sessions in place of listeners.

score(s, i) = softmax over all tracks of (state of s . item_i), kept for the best few

>>> sources, order = fit_next(log, n_items, settings, more=sequence_source(n_items, SequenceSettings(epochs=8)))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy import sparse

from models.sequence_data import Sequences
from models.settings import SequenceSettings
from transforms.next_in_session.sessions import Prefixes, SessionLog
from transforms.next_in_session.sources import Source

NAME = "sequence"


def sequence_source(
    n_items: int, settings: SequenceSettings, seed: int = 0, kept: int = 100
) -> Callable[[SessionLog], Mapping[str, Source]]:
    """What `models.ranker_session.fit_next` takes as `more`: trains on sessions, gives the one source `sequence`.

    Args:
        n_items: size of the vocabulary, the unknown row 0 included.
        kept: tracks scored a prefix, the best ones; ties go to the smaller row.
    """

    def trained(log: SessionLog) -> Mapping[str, Source]:
        from models.sequence import fit

        gaps = np.zeros(len(log.items), np.int32)
        model = fit(Sequences(log.items.astype(np.int32), gaps, log.starts), n_items, settings, seed)
        unplayed = ~np.any(model.items != 0, axis=1)

        def score(prefixes: Prefixes) -> sparse.csr_matrix:
            length = settings.length
            plays = np.zeros((len(prefixes), length), np.int32)
            rows, at = prefixes.plays(length)
            plays[rows, length - (prefixes.end[rows] - at)] = prefixes.log.items[at]
            logits = model.embed(plays) @ model.items.T
            logits[:, unplayed] = -np.inf
            return best_shares(logits, kept, np.any(plays != 0, axis=1))

        return {NAME: score}

    return trained


def best_shares(logits: np.ndarray, kept: int, known: np.ndarray) -> sparse.csr_matrix:
    """Softmax of each row [B, n_items], its `kept` largest; nothing in rows that are not `known` (bool [B])."""
    mass = np.exp(logits - logits.max(axis=1, keepdims=True))
    mass /= mass.sum(axis=1, keepdims=True)
    mass[~known] = 0
    if mass.shape[1] > kept:
        threshold = -np.partition(-mass, kept - 1, axis=1)[:, kept - 1 : kept]
        tied = mass == threshold
        room = kept - (mass > threshold).sum(axis=1, keepdims=True)
        mass[(mass < threshold) | (tied & (np.cumsum(tied, axis=1) > room))] = 0
    return sparse.csr_matrix(mass.astype(np.float64))
