"""The catalog's own words: artists, titles and tags, found by folded text, by alias, and by near spelling.

Exact keys are a dictionary look-up. Near spellings ("radiohed") are found by shared letter triples, then checked by edit
distance (optimal string alignment: insertion, deletion, substitution, swap of neighbours): at most one edit in a name of 5
letters, two from 9 on. Among equals the name with more plays is meant.

    >>> vocabulary = Vocabulary.build(tracks, artists)
    >>> vocabulary.artist("the beatles"), vocabulary.near("radiohed", "artist")
    (('a1',), ('radiohead', ('a7',)))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl
from scipy import sparse

from transforms.common.text import folded, normalised_title
from transforms.prompts.lexicon import ALIASES, FORMS
from transforms.prompts.words import key

Ids = tuple[str, ...]
_TRIPLES = 1 << 16
_NEAREST = 8
_THE = "the "


@dataclass(frozen=True)
class Vocabulary:
    """Key -> ids, the most played first. Keys are what `words.key` makes of a text."""

    artists: Mapping[str, Ids]
    titles: Mapping[str, Ids]
    tags: Mapping[str, Ids]
    plays: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        tracks: pl.DataFrame,
        artists: pl.DataFrame | None = None,
        plays: Mapping[str, float] | None = None,
        aliases: Mapping[str, str] | None = None,
    ) -> Vocabulary:
        """From table `tracks` (and `artists`, where there is one: artist_id, name, aliases).

        Args:
            plays: how often an artist or track (by id) is played, to choose among equal names.
            aliases: further spellings of tags: what people write -> the catalog's tag.
        """
        plays = plays or {}
        ids = tracks.select(pl.col("artist_ids").explode()).to_series().drop_nulls().unique().sort().to_list()
        names: list[tuple[str, str]] = [(key(i), i) for i in ids]  # where artists have no names, ids often are names
        if artists is not None and artists.height:
            names = [(key(n), i) for n, i in artists.select("name", "artist_id").rows() if n]
            if "aliases" in artists.columns:
                named = artists.select("artist_id", "aliases").explode("aliases").drop_nulls()
                names += [(key(n), i) for i, n in named.rows()]
        names += [(n.removeprefix(_THE), i) for n, i in names if n.startswith(_THE) and len(n) > len(_THE) + 2]
        titled = tracks.filter(pl.col("title").is_not_null()).select(
            title=normalised_title(pl.col("title")), full=folded(pl.col("title")), id="track_id"
        )
        keys = [(key(t), i) for t, i in titled.select("title", "id").rows()]
        tags = tracks.select(pl.col("tags").explode()).to_series().drop_nulls().unique().sort().to_list()
        named_tags = [(key(t), t) for t in tags]
        for said, meant in {**ALIASES, **(aliases or {})}.items():
            named_tags += [(key(said), t) for k, t in named_tags if k == key(meant)]
        return cls(_grouped(names, plays), _grouped(keys, plays), _grouped(named_tags, plays), dict(plays))

    def artist(self, text: str) -> Ids:
        """Ids of the artists of a name; a trailing "s" may be its genitive."""
        return self.artists.get(text) or (
            self.artists.get(text[:-1], ()) if text.endswith("s") and len(text) > 4 else ()
        )

    def track(self, text: str) -> Ids:
        """Ids of the tracks of a title."""
        return self.titles.get(text, ())

    def tag(self, text: str) -> Ids:
        """The catalog's tags that a word means: of that spelling, its alias, or another form of it."""
        meant = FORMS.get(text, "")
        for said in (
            text,
            ALIASES.get(text, ""),
            meant,
            ALIASES.get(meant, ""),
            text.removesuffix("s") if len(text) > 4 else "",
        ):
            found = self.tags.get(said) if said else None
            if found:
                return found
        return ()

    def near(self, text: str, kind: str) -> tuple[str, Ids] | None:
        """The name nearest to a text, and its ids; None where none is near enough.

        Args:
            text: a key.
            kind: `artist`, `track` or `tag`.
        """
        allowed = 0 if len(text) < 5 else 1 if len(text) < 9 else 2
        if not allowed:
            return None
        table, index = {"artist": (self.artists, self._near_artists), "track": (self.titles, self._near_titles)}.get(
            kind, (self.tags, self._near_tags)
        )
        best: tuple[int, float, str] | None = None
        for name in index.nearest(text):
            away = edits(text, name, allowed)
            if away <= allowed:
                rank = (away, -max((self.plays.get(i, 0.0) for i in table[name]), default=0.0), name)
                best = rank if best is None or rank < best else best
        return (best[2], table[best[2]]) if best else None

    @cached_property
    def _near_artists(self) -> _Triples:
        return _Triples(self.artists)

    @cached_property
    def _near_titles(self) -> _Triples:
        return _Triples(self.titles)

    @cached_property
    def _near_tags(self) -> _Triples:
        return _Triples(self.tags)


def _grouped(pairs: Iterable[tuple[str, str]], plays: Mapping[str, float]) -> dict[str, Ids]:
    found: dict[str, dict[str, None]] = {}
    for name, i in pairs:
        if name:
            found.setdefault(name, {})[i] = None
    return {n: tuple(sorted(i, key=lambda one: (-plays.get(one, 0.0), one))) for n, i in found.items()}


def triples(text: str) -> list[int]:
    """Hashed letter triples of a text, its edges included; stable across processes."""
    padded = f"  {text} "
    out = []
    for n in range(len(padded) - 2):
        a, b, c = map(ord, padded[n : n + 3])
        out.append(((a * 31 + b) * 31 + c) % _TRIPLES)
    return out


class _Triples:
    """Names by their letter triples: which few share most with a text."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = sorted(names)
        each = [sorted(set(triples(n))) for n in self.names]
        indptr = np.cumsum([0, *(len(e) for e in each)])
        columns = np.fromiter((t for e in each for t in e), np.int32, int(indptr[-1]))
        by_name = sparse.csr_matrix((np.ones(len(columns), np.int32), columns, indptr), (len(each), _TRIPLES))
        self._by_triple = by_name.tocsc()
        self._length = np.diff(indptr)

    def nearest(self, text: str) -> list[str]:
        """The names that share most triples, in proportion to their length."""
        mine = sorted(set(triples(text)))
        parts = [self._by_triple.indices[self._by_triple.indptr[t] : self._by_triple.indptr[t + 1]] for t in mine]
        rows = np.concatenate(parts) if parts else np.zeros(0, np.int32)
        if not len(rows):
            return []
        found, shared = np.unique(rows, return_counts=True)
        dice = 2 * shared / (self._length[found] + len(mine))
        order = np.lexsort((found, -dice))[:_NEAREST]
        return [self.names[found[n]] for n in order if dice[n] >= 0.4]


def edits(a: str, b: str, most: int) -> int:
    """Optimal string alignment distance, or `most` + 1 as soon as it is larger.

    >>> edits("beatels", "beatles", 2), edits("abba", "queen", 2)
    (1, 3)
    """
    if abs(len(a) - len(b)) > most:
        return most + 1
    before, row = [0] * (len(b) + 1), list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        now = [i] + [0] * len(b)
        for j, y in enumerate(b, 1):
            now[j] = min(row[j] + 1, now[j - 1] + 1, row[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                now[j] = min(now[j], before[j - 2] + 1)
        if min(now) > most:
            return most + 1
        before, row = row, now
    return min(row[-1], most + 1)
