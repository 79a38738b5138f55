"""The order of candidates for what comes next in a session: the linear listwise ranker, learned on the last sessions.

The sources it learns from know nothing of those sessions; afterwards they are fitted again on all of them, and the
weights stay. So a neighbour's score means the same when the order is learned and when it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from models.rankers.examples import Examples
from models.rankers.linear import fit_linear
from models.settings import LinearSettings, RankerSettings
from transforms.common.hashing import uniform
from transforms.next_in_session.fitted import NextModel
from transforms.next_in_session.repeats import Repeats
from transforms.next_in_session.rules import Rules
from transforms.next_in_session.sessions import SessionLog
from transforms.next_in_session.shortlist import Order, shortlist
from transforms.next_in_session.sources import NextSettings, Source, Sources

BLOCK = 256
More = Callable[[SessionLog], Mapping[str, Source]]


def fit_order(sources: Sources, last: SessionLog, settings: NextSettings, seed: int = 0) -> Order:
    """Weights from sessions the sources have not seen.

    Args:
        last: the sessions to learn from; a hashed sample of their prefixes is used. Plays of tracks that the sources do
            not know are left out: nobody could have named them.

    Returns:
        the order; without weights where no target is among its candidates.
    """
    prefixes = last.known(sources.rules.plays > 0).prefixes()
    drawn = uniform(seed, "session-ranker", np.arange(len(prefixes)))
    prefixes = prefixes.take(np.sort(np.argsort(drawn, kind="stable")[: settings.prefixes]))
    parts, groups, hits, done = [], [], [], 0
    names: tuple[str, ...] = ()
    for block in prefixes.blocks(BLOCK):
        found = shortlist(sources, block)
        names = found.names
        hit = found.items == block.targets()[found.rows]
        useful = np.bincount(found.rows, hit, minlength=len(block))[found.rows] > 0
        parts.append(found.features[useful])
        groups.append(found.rows[useful] + done)
        hits.append(hit[useful])
        done += len(block)
    return _fit(names, parts, groups, hits, settings)


def _fit(
    names: tuple[str, ...],
    parts: list[np.ndarray],
    groups: list[np.ndarray],
    hits: list[np.ndarray],
    settings: NextSettings,
) -> Order:
    """Standardise and fit."""
    x = np.concatenate(parts) if parts else np.zeros((0, len(names)), np.float32)
    if not len(x):
        return Order({})
    mean, deviation = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    deviation[deviation < 1e-6] = 1.0
    x -= mean.astype(np.float32)
    x /= deviation.astype(np.float32)
    ids, starts, group_of = np.unique(np.concatenate(groups), return_index=True, return_inverse=True)
    ones = np.ones(len(x), np.float32)
    label = {"listened": np.concatenate(hits).astype(np.float32)}
    examples = Examples(ids, starts, group_of, ids, x, label, ones, ones, np.zeros(len(x), np.int32))
    ranker = RankerSettings(linear=LinearSettings(l2=settings.l2))
    weights = fit_linear(examples, ranker)
    rows = zip(names, mean.tolist(), deviation.tolist(), weights.tolist(), strict=True)
    return Order({name: (m, d, w) for name, m, d, w in rows})


def fit_next(
    log: SessionLog, n_items: int, settings: NextSettings, seed: int = 0, more: More | None = None
) -> tuple[Sources, Order]:
    """Sources of all sessions, and their order learned on the last of them.

    Args:
        log: sessions in the order of time.
        n_items: size of the vocabulary, the unknown row 0 included.
        more: fits further sources on sessions; called twice, without the held-out ones first.
    """
    order = _held_out_order(log, n_items, settings, seed, more)
    return Sources.fit(log, n_items, settings, more(log) if more else None), order


def fit_model(log: SessionLog, n_items: int, settings: NextSettings, seed: int = 0) -> NextModel:
    """As `fit_next`, without what holds sessions; `NextModel.sources` of the same log gives the same sources."""
    order = _held_out_order(log, n_items, settings, seed, None)
    rules, repeats = Rules.fit(log, n_items, settings.rules), Repeats.fit(log, n_items, settings.repeats)
    return NextModel(rules, repeats, order, settings)


def _held_out_order(log: SessionLog, n_items: int, settings: NextSettings, seed: int, more: More | None) -> Order:
    """The order learned on the last sessions, from sources of those before."""
    cut = len(log) - max(1, round(settings.held_out * len(log)))
    before = log.part(0, cut)
    early = Sources.fit(before, n_items, settings, more(before) if more else None)
    return fit_order(early, log.part(cut, len(log)), settings, seed)
