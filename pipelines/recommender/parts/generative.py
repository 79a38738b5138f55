"""The part `generative`: tracks' semantic ids, and a decoder that generates them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
from scipy import sparse

from models.vocabulary import Vocabulary
from pipelines.recommender.evidence import Evidence
from pipelines.recommender.parts.base import Part
from pipelines.recommender.parts.sequence import States, listens_in_order
from pipelines.recommender.preference import preferred
from transforms.candidates.generative import Generative

FOLDER, TUNED = "generative", "generative_preference"  # of the model, and of the checkpoints of its tuning
WORTH = {"artist_ids": 1.0, "album_id": 1.0, "tags": 0.5}  # of a track's content, what counts how much


@dataclass(frozen=True)
class Generator(States):
    """A fitted `models.generative.decoder.Decoder`, as its source reads it.

    Attributes:
        measured: what the semantic ids are worth, and what preference tuning said; empty where they were loaded.
    """

    measured: Mapping[str, float]

    def search(self, playable: np.ndarray) -> Any:
        """A search (queries, exclude, k) -> rows and scores, over the tracks that may be played, bool [n]."""
        from models.generative.beam import Search
        from models.generative.trie import Trie

        return Search(self.model, Trie.build(self.model.ids.codes, playable))


class GenerativePart(Part):
    """See `models.generative`; reads `als`, and `sequence` where it was fitted."""

    name: ClassVar[str] = "generative"
    sources = (Generative,)

    @property
    def wanted(self) -> bool:
        """See `Part.wanted`."""
        return self.settings.use_generative

    def rows(self, evidence: Evidence, so_far: Mapping[str, Any]) -> int:
        """See `Part.rows`."""
        return len(evidence.plays)

    def fit(self, evidence: Evidence, so_far: Mapping[str, Any], seed: int) -> Generator | None:
        """See `Part.fit`."""
        from models.generative import decoder, semantic_ids
        from models.generative.vectors import View, combined, content_vectors

        listens = listens_in_order(evidence)
        if listens is None:
            return None
        wanted = self.settings.semantic_ids
        company = so_far["als"].item_factors
        content = content_vectors(content_bag(evidence.tracks, evidence.vocabulary), wanted.dims, seed)
        views = [View(company, wanted.co_listening_weight), View(content, wanted.content_weight)]
        if "sequence" in so_far:
            views.append(View(so_far["sequence"].items[:, :-1], wanted.sequence_weight))
        vectors = combined(views, content, wanted)
        ids = semantic_ids.fit(vectors, wanted, seed)
        kept = evidence.checkpoints.under(FOLDER) if evidence.checkpoints is not None else None
        model = decoder.fit(listens, ids, vectors, self.settings.decoder, seed, kept)
        measured = semantic_ids.measured(ids, company)
        if not self.settings.use_preference:
            return Generator(model, measured)
        kept = evidence.checkpoints.under(TUNED) if evidence.checkpoints is not None else None
        model, said = preferred(model, evidence, listens, vectors, self.settings.preference, seed, kept)
        return Generator(model, measured | said)

    def save(self, fitted: Generator, folder: Path) -> None:
        """See `Part.save`."""
        fitted.model.save(folder / FOLDER)

    def load(self, folder: Path) -> Generator | None:
        """See `Part.load`."""
        if not (folder / FOLDER).is_dir():
            return None
        from models.generative.decoder import Decoder

        return Generator(Decoder.load(folder / FOLDER), {})

    def metrics(self, fitted: Generator) -> dict[str, float]:
        """See `Part.metrics`."""
        loss = {"generative_loss": fitted.model.losses[-1]} if fitted.model.losses else {}
        return {**loss, **fitted.measured}


def content_bag(tracks: pl.DataFrame, vocabulary: Vocabulary) -> sparse.csr_matrix:
    """float32 [n, values]: the artists, album and tags of every row of the vocabulary; no columns where nothing is known."""
    bags = []
    for column, worth in WORTH.items():
        if column not in tracks.columns:
            continue
        pairs = tracks.select("track_id", value=column)
        if pairs.schema["value"] != pl.String:
            pairs = pairs.explode("value")
        pairs = pairs.drop_nulls("value").unique().sort("track_id", "value")
        if not pairs.height:
            continue
        at, value = vocabulary.rows(pairs["track_id"]), pairs["value"].rank("dense").to_numpy() - 1
        there = at > 0
        weights = np.full(int(there.sum()), worth, np.float32)
        shape = (len(vocabulary), int(value.max()) + 1)
        bags.append(sparse.csr_matrix((weights, (at[there], value[there])), shape=shape))
    return sparse.csr_matrix(sparse.hstack(bags) if bags else (len(vocabulary), 0), dtype=np.float32)
