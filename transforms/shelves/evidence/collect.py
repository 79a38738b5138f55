"""Making the evidence that some shelf asks for, and what variety reads of listeners."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from transforms.shelves.contexts import Next
from transforms.shelves.evidence import KINDS, releases
from transforms.shelves.evidence.base import Scene
from transforms.shelves.history import History
from transforms.shelves.shelf import ShelfSettings
from transforms.shelves.variety import Tastes

COLUMNS = tuple(column for kind in KINDS for column in kind.columns)
SUBTITLES = tuple(name for kind in KINDS for name in kind.subtitles)


class Names(NamedTuple):
    """What names listeners' shelves and what they are for, by evidence and listener."""

    subtitles: dict[str, list[str | None]]
    contexts: dict[str, list[Next | None]]


def asked(shelves: Iterable[ShelfSettings]) -> set[str]:
    """The columns of evidence that shelves read."""
    wanted = {column for shelf in shelves for column in shelf.columns}
    wanted |= {"listeners" for shelf in shelves if shelf.new_tracks.slots or "few_listeners" in shelf.judged_by()}
    return wanted & set(COLUMNS)


def asks_for_releases(shelves: Iterable[ShelfSettings]) -> bool:
    """Whether new tracks of followed artists are candidates."""
    return bool(set(releases.EVIDENCE.columns) & asked(shelves))


def collect(scene: Scene, shelves: Iterable[ShelfSettings]) -> Names:
    """Add the columns that shelves read to the block's rows; returns what names shelves."""
    wanted, names = asked(shelves), Names({}, {})
    for kind in KINDS:
        if wanted & set(kind.columns):
            found = kind.make(scene)
            for name, values in found.columns.items():
                own = scene.rows.columns.get(name)
                scene.rows.columns[name] = values if own is None else np.where(np.isnan(own), values, own)
            names.subtitles.update(found.subtitles)
            names.contexts.update(found.contexts)
    return names


def tastes(history: History, listeners: int) -> Tastes:
    """What variety reads: each listener's mix of groups and how popular what they play is."""
    side = history.side
    groups = int(side.group.max()) + 1 if len(side.group) else 0
    mix = np.zeros((listeners, max(groups, 1)), np.float32)
    group = side.group[history.track]
    known = group >= 0
    np.add.at(mix, (history.listener[known], group[known]), history.weight[known])
    total = mix.sum(axis=1, keepdims=True)
    mix = np.where(total > 0, mix / np.where(total > 0, total, 1), 0).astype(np.float32)
    weight = np.bincount(history.listener, weights=history.weight, minlength=listeners)
    popular = np.bincount(
        history.listener, weights=history.weight * side.popularity[history.track], minlength=listeners
    )
    appetite = np.where(weight > 0, popular / np.where(weight > 0, weight, 1), np.inf).astype(np.float32)
    of = side.embeddings
    return Tastes(of.vectors, of.of_track, side.group, side.popularity, mix, appetite)
