"""The source `next_in_session`: how the session that one is in, or was in last, goes on.

    score(u, i) = log(1 + 10^4 p_i),   p = softmax of the session ranker's scores over the tracks it lists for u's session

Its candidates are those of `transforms.next_in_session`, heard before or not: half of what follows in a session is known.
A track of the session scores -1 where repeats are switched off, any version of the recording: such a score keeps it off the
shelf whatever other sources say of it. The session itself is not among its neighbours, where the sample holds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
import polars as pl
from scipy import sparse

from transforms.candidates.base import Retrieves, Source, SourceInputs, SparseScores, strongest_link
from transforms.candidates.blocks import Block, Catalog
from transforms.candidates.settings import ContinueSettings
from transforms.next_in_session.fitted import NextModel
from transforms.next_in_session.sample import as_log, in_time
from transforms.next_in_session.sessions import Prefixes, SessionLog
from transforms.next_in_session.shortlist import Order, continuation
from transforms.next_in_session.sources import Sources

CONTINUES = "continues"  # its score where `now-playing` is nothing but the continuation, and what is kept off
_SCALE = 1e4


@dataclass(frozen=True)
class NextInSession(Source):
    """The source.

    Attributes:
        sources, order: what `continuation` takes.
        settings: which session goes on.
        recordings: CSR [recordings, n_items], the rows of each recording.
        numbers: session_id -> number among the neighbours.
    """

    sources: Sources
    order: Order
    settings: ContinueSettings
    recordings: sparse.csr_matrix
    numbers: Mapping[str, int]
    name: ClassVar[str] = "next_in_session"
    reason: ClassVar[str] = "follows"
    precedence: ClassVar[int] = 99
    retrieves: ClassVar[Retrieves] = "both"
    ranked: ClassVar[bool] = False

    @classmethod
    def of(cls, inputs: SourceInputs) -> Self | None:
        """Where it was learned how sessions go on, and the sample of sessions is there."""
        model, sample = inputs.fitted.get("next_in_session"), inputs.sample
        if model is None or sample is None or sample.is_empty():
            return None
        return cls.made(model, sample, inputs.catalog, inputs.continuation)

    @classmethod
    def made(cls, model: NextModel, sample: pl.DataFrame, catalog: Catalog, settings: ContinueSettings) -> Self:
        """The source of a night.

        Args:
            model: fitted on the same vocabulary as the catalog.
            sample: table `session_sample` of the same fit date.
            settings: which session goes on.
        """
        ordered = in_time(sample)
        ids = pl.Series("track_id", catalog.track_ids[1:].tolist(), dtype=pl.String)
        known = ids.to_frame().with_row_index("at", 1)

        def rows(tracks: pl.Series) -> np.ndarray:
            asked = tracks.rename("track_id").to_frame()
            found = asked.join(known, on="track_id", how="left", maintain_order="left")["at"]
            return found.fill_null(0).cast(pl.Int32).to_numpy()

        sources = model.sources(as_log(ordered, rows), settings.repeats)
        numbers = {session: number for number, session in enumerate(ordered["session_id"].to_list())}
        return cls(sources, model.order, settings, catalog.recording_items, numbers)

    @cached_property
    def towards_soon(self) -> sparse.csr_matrix:
        """The rules of what comes soon, with the track that comes as row."""
        return self.sources.rules.soon.T.tocsr()

    def prefixes(self, block: Block) -> tuple[np.ndarray, Prefixes]:
        """The listeners (rows of the block) who have a session, and their last one so far."""
        plays = block.recent.filter(pl.col("session_no") == 0)
        sizes = np.bincount(plays["row"].to_numpy(), minlength=len(block))
        log = SessionLog(plays["item"].to_numpy(), np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))
        ids = block.activity["last_session"].to_list()
        rows = np.flatnonzero(sizes)
        own = [self.numbers.get(ids[row], -1) for row in rows.tolist()]
        return rows, Prefixes(log, log.open_ends().end, np.array(own, np.int64))

    def goes_on(self, block: Block) -> np.ndarray:
        """bool [B]: the listener's last session simply goes on, by the settings."""
        if self.settings.session == "last":
            return np.ones(len(block), bool)
        going = pl.col("last_open").fill_null(False) | (pl.col("sessions") == 1)
        return block.activity.select(going).to_series().to_numpy()

    def score(self, block: Block) -> SparseScores:
        """Continue every last session of the block."""
        rows, prefixes = self.prefixes(block)
        items, scores = continuation(self.sources, self.order, prefixes, self.settings.tracks)
        there = items > 0
        best = np.max(scores, axis=1, initial=-np.inf, keepdims=True)
        below = np.subtract(scores, best, out=np.zeros_like(scores), where=there)
        mass = np.where(there, np.exp(below), 0.0)
        share = mass / np.maximum(mass.sum(axis=1, keepdims=True), 1e-300)
        at, column = np.nonzero(there)
        # the least share stays evidence in float32
        value = np.maximum(np.log1p(_SCALE * share[at, column]), 1e-30)
        shape = (len(block), block.n_items)
        matrix = sparse.csr_matrix((value.astype(np.float32), (rows[at], items[at, column])), shape=shape)
        if not self.sources.settings.repeats.allowed:
            matrix = _replaced(matrix, self._versions(block))
        matrix.sort_indices()
        return SparseScores(matrix)

    def _versions(self, block: Block) -> sparse.csr_matrix:
        """Where any version of a track of the session stands, [B, n_items]."""
        plays = block.recent.filter((pl.col("session_no") == 0) & (pl.col("recording") >= 0))
        at = (plays["row"].to_numpy(), plays["recording"].to_numpy())
        held = sparse.csr_matrix((np.ones(len(plays), np.float32), at), shape=(len(block), self.recordings.shape[0]))
        return sparse.csr_matrix(held @ self.recordings)

    def explain(self, block: Block, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """The track of the session after which the candidate comes most often; 0 where no rule says so."""
        who, prefixes = self.prefixes(block)
        at, tracks, ago = prefixes.tracks(self.sources.settings.rules.plays)
        weight = np.exp(-(ago - 1) / self.sources.settings.rules.decay).astype(np.float32)
        history = sparse.csr_matrix((weight, (who[at], tracks)), shape=(len(block), block.n_items))
        return strongest_link(history, self.towards_soon, rows, items)


def _replaced(matrix: sparse.csr_matrix, where: sparse.csr_matrix) -> sparse.csr_matrix:
    """-1 wherever `where` holds something, the matrix elsewhere."""
    once = sparse.csr_matrix((np.ones(where.nnz, np.float32), where.indices, where.indptr), shape=where.shape)
    return sparse.csr_matrix(matrix - matrix.multiply(once) - once)
