"""The semantic ids of playable tracks as a trie: which codes may follow a prefix, and which tracks stand behind it.

Nodes of a level are numbered in order of their codes, so the children of a node are neighbours, and so are the tracks behind it:
two offsets say both. A search that walks from child to child cannot reach an id that no playable track has.

    >>> trie = Trie.build(np.int32([[-1, -1], [0, 0], [0, 1], [2, 0]]), playable=np.array([True, True, False, True]))
    >>> [trie.codes[0].tolist(), trie.tracks.tolist()]          # one code deep: 0 and 2; behind them rows 1 and 3
    [[0, 2], [1, 3]]
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Trie:
    """Prefixes of the codes before the last; level l has the prefixes of l + 1 codes.

    Attributes:
        codes: of each level, int32 [nodes], the last code of a node's prefix.
        children: of each level, int32 [nodes of the level above + 1], where a node's children begin; the first has the root.
        parents: of each level, int32 [nodes], the node above.
        starts: of each level, int32 [nodes + 1], where the tracks behind a node begin in `tracks`.
        tracks: int32 [playable], rows of the vocabulary in order of their ids.
    """

    codes: tuple[np.ndarray, ...]
    children: tuple[np.ndarray, ...]
    parents: tuple[np.ndarray, ...]
    starts: tuple[np.ndarray, ...]
    tracks: np.ndarray

    @classmethod
    def build(cls, ids: np.ndarray, playable: np.ndarray) -> Trie:
        """Of the tracks that have an id and may be played.

        Args:
            ids: int32 [n, levels + 1], -1 where a track has none.
            playable: bool [n].
        """
        rows = np.flatnonzero((ids[:, 0] >= 0) & playable)
        rows = rows[np.lexsort(ids[rows].T[::-1])].astype(np.int32)
        mine = ids[rows]
        codes, children, parents, starts = [], [], [], []
        above = np.zeros(len(rows), np.int32)  # of each track, its node a level up; the root is node 0
        nodes_above = 1
        for level in range(ids.shape[1] - 1):
            fresh = (
                np.r_[True, (mine[1:, : level + 1] != mine[:-1, : level + 1]).any(axis=1)]
                if len(rows)
                else np.zeros(0, bool)
            )
            first = np.flatnonzero(fresh)
            codes.append(mine[first, level])
            parents.append(above[first])
            children.append(np.searchsorted(above[first], np.arange(nodes_above + 1)).astype(np.int32))
            starts.append(np.append(first, len(rows)).astype(np.int32))
            above, nodes_above = (np.cumsum(fresh) - 1).astype(np.int32), len(first)
        return cls(tuple(codes), tuple(children), tuple(parents), tuple(starts), rows)

    def __len__(self) -> int:
        """Playable tracks."""
        return len(self.tracks)

    @property
    def levels(self) -> int:
        """Codes of a prefix at most."""
        return len(self.codes)

    def width(self, level: int) -> int:
        """The most children that a node has whose children stand at that level; at least 1."""
        return int(np.diff(self.children[level]).max(initial=1))
