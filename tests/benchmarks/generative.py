"""Generative retrieval on the protocol of `next_item`: semantic ids from listening and item text, a decoder, and their union
with the sequence model.

    python -m tests.benchmarks.generative --sequences FILE [--attributes JSON] [--text TSV] [--minutes 30] [--set epochs=20]

Leave-one-out, every item ranked, those already seen left out; the last item is the test, the one before it validation, where
epochs and the weight of the union are chosen. FILE is read as `next_item` reads it; the other two name, by item, numbers of
attributes and pieces of text. Lines of JSON: what the ids are worth; then NDCG and hit rate at 10 of

    beam        what is generated, in order of probability, the dense score among equal ids
    generative  what is generated, re-scored
    dense       every item by the dense score, for what the search loses
    sequence    `models.sequence` with the settings of `next_item`'s first trial
    union       standardised scores of generative and sequence added, over everything either of them ranks

and the union minus each of the two, paired by listener, with the milliseconds a listener that generation takes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

import models  # noqa: F401  (sets the Keras version before TensorFlow is imported)
from models.sequence_data import Sequences
from models.settings import DecoderSettings, SemanticIdSettings, SequenceSettings
from models.vocabulary import Vocabulary
from tests.benchmarks.next_item import Protocol, metrics, ranks, run, trials
from transforms.metrics.intervals import paired_difference

WEIGHTS = (0.0, 0.25, 0.4, 0.5, 0.6, 0.75, 1.0)  # of the sequence model in the union
FEW_PLAYS = {
    "length": 50,
    "dropout": 0.5,
    "id_dropout": 0.1,
    "batch": 64,
    "windows": 1_000_000,
    "warm_up": 200,
    "layers": 2,
}
FEW_PLAYS |= {"full_softmax": 20_000, "beams": 128, "most": 1000, "cold": 0, "epochs": 30, "learning_rate": 1e-3}


def read(path: str) -> tuple[list[list[int]], Vocabulary]:
    """Sequences as rows of a vocabulary, and the vocabulary."""
    with open(path) as lines:
        raw = [line.split()[1:] for line in lines]
    vocabulary = Vocabulary.build([t for seq in raw for t in seq])
    flat = vocabulary.rows([t for seq in raw for t in seq])
    return [part.tolist() for part in np.split(flat, np.cumsum([len(seq) for seq in raw])[:-1])], vocabulary


def content(vocabulary: Vocabulary, attributes: str | None, text: str | None) -> sparse.csr_matrix:
    """Attributes and pieces of text of every item, float32 [n, values]."""
    pairs: list[tuple[str, str]] = []
    if attributes:
        found = json.loads(Path(attributes).read_text())
        pairs += [(item, f"a{value}") for item, values in found.items() for value in values]
    if text:
        for line in Path(text).read_text().splitlines():
            item, _, pieces = line.partition("\t")
            pairs += [(item, f"t{piece}") for piece in pieces.split("|") if piece]
    frame = pl.DataFrame(pairs, schema={"item": pl.String, "value": pl.String}, orient="row").unique()
    frame = frame.sort("item", "value")
    at, value = vocabulary.rows(frame["item"]), frame["value"].rank("dense").to_numpy() - 1
    keep = at > 0
    shape = (len(vocabulary), int(value.max(initial=-1)) + 1)
    return sparse.csr_matrix((np.ones(int(keep.sum()), np.float32), (at[keep], value[keep])), shape=shape)


class Ranked:
    """Scores of every item for the listeners of a protocol, -inf where an item is not ranked."""

    def __init__(self, protocol: Protocol, scores: Callable[[np.ndarray, int], np.ndarray]) -> None:
        self.protocol, self.scores = protocol, scores

    def blocks(self, leave_out: int) -> Iterator[tuple[np.ndarray, list[list[int]], np.ndarray]]:
        """Targets, seen items and scores, some listeners at a time."""
        everyone = self.protocol.sequences
        for start in range(0, len(everyone), 1024):
            part = np.arange(start, min(start + 1024, len(everyone)))
            rows = [everyone[i] for i in part]
            targets = np.array([s[-leave_out] for s in rows])
            yield targets, [s[:-leave_out] for s in rows], self.scores(part, leave_out)

    def found(self, leave_out: int) -> np.ndarray:
        """The rank of each listener's target; one that is not ranked is last."""
        return np.concatenate([_ranks(scores, targets, seen) for targets, seen, scores in self.blocks(leave_out)])


def _ranks(scores: np.ndarray, targets: np.ndarray, seen: list[list[int]]) -> np.ndarray:
    rank = ranks(scores, targets, seen)
    lost = ~np.isfinite(scores[np.arange(len(targets)), targets])
    return np.where(lost, scores.shape[1], rank)


def ndcg(rank: np.ndarray) -> np.ndarray:
    """NDCG@10 of each listener."""
    return np.where(rank <= 10, 1 / np.log2(1 + rank), 0.0)


def decoded(protocol: Protocol, model: Any, search: Any, how: str) -> Ranked:
    """The decoder's ways to rank."""
    nothing = ~np.any(model.items != 0, axis=1)

    def scores(part: np.ndarray, leave_out: int) -> np.ndarray:
        items, _ = protocol.every.last(part, model.settings.length, leave_out)
        states = model.embed(items)
        if how == "dense":
            out = states @ model.items.T
            out[:, nothing] = -np.inf
            return np.asarray(out)
        seen = [protocol.sequences[i][:-leave_out] for i in part]
        shape = (len(part), len(model.items))
        lengths = [len(s) for s in seen]
        at = (np.repeat(np.arange(len(part)), lengths), np.concatenate(seen))
        excluded = sparse.csr_matrix((np.ones(len(at[0]), np.float32), at), shape=shape)
        rows, found = search(states, excluded, 300)
        out = np.full(shape, -np.inf, np.float32)
        keep = rows >= 0
        who = np.broadcast_to(np.arange(len(part))[:, None], rows.shape)
        if how == "beam":
            return _by_beam(search, states, excluded, out)
        out[who[keep], rows[keep]] = found[keep]
        return out

    return Ranked(protocol, scores)


def _by_beam(search: Any, states: np.ndarray, excluded: sparse.csr_matrix, out: np.ndarray) -> np.ndarray:
    """Probability of the id, and a millionth of the dense score among tracks of equal codes."""
    nodes, logp = search.prefixes(states)
    trie, vectors = search.trie, search.decoder.items
    for row in range(len(states)):
        for node, value in zip(nodes[row], logp[row], strict=True):
            if node >= 0:
                behind = trie.tracks[trie.starts[-1][node] : trie.starts[-1][node + 1]]
                out[row, behind] = value + 1e-4 * np.tanh(vectors[behind] @ states[row] / 10)
        out[row, excluded.indices[excluded.indptr[row] : excluded.indptr[row + 1]]] = -np.inf
    return out


def together(one: Ranked, other: Ranked, weight: float) -> Ranked:
    """Standardised scores added, `weight` of the other's; what one does not rank has its lowest."""

    def scores(part: np.ndarray, leave_out: int) -> np.ndarray:
        a, b = one.scores(part, leave_out), other.scores(part, leave_out)
        ranked = np.isfinite(a) | np.isfinite(b)
        return np.where(ranked, (1 - weight) * _standard(a) + weight * _standard(b), -np.inf)

    return Ranked(one.protocol, scores)


def _standard(scores: np.ndarray) -> np.ndarray:
    """Minus the mean log of the sum of exponentials: log-probabilities, which compare between models."""
    best = scores.max(axis=1, keepdims=True)
    shifted = scores - best - np.log(np.exp(scores - best).sum(axis=1, keepdims=True))
    low = np.where(np.isfinite(shifted), shifted, np.inf).min(axis=1, keepdims=True)
    return np.where(np.isfinite(shifted), shifted, low)


def main() -> None:
    """Fit, choose on validation, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", required=True)
    parser.add_argument("--attributes")
    parser.add_argument("--text")
    parser.add_argument("--minutes", type=float, default=30, help="of training the sequence model")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], help="a setting of the decoder")
    parser.add_argument("--without-sequence", action="store_true", help="neither the sequence model nor the union")
    a = parser.parse_args()
    from models.generative import decoder, semantic_ids
    from models.generative.beam import Search
    from models.generative.trie import Trie
    from models.generative.vectors import View, combined, content_vectors

    sequences, vocabulary = read(a.sequences)
    protocol, n = Protocol(sequences), len(vocabulary)
    wanted = SemanticIdSettings()
    company = protocol.als(n, 128, a.seed)
    text = content_vectors(content(vocabulary, a.attributes, a.text), wanted.dims, a.seed)
    views = [View(company, wanted.co_listening_weight), View(text, wanted.content_weight)]
    vectors = combined(views, text, wanted)
    ids = semantic_ids.fit(vectors, wanted, a.seed)
    print(json.dumps({"items": n - 1, "codes": ids.size, **semantic_ids.measured(ids, company)}), flush=True)
    trie = Trie.build(ids.codes, np.arange(n) > 0)
    settings = DecoderSettings.model_validate(FEW_PLAYS | dict(pair.split("=", 1) for pair in a.set))
    best: dict[str, Any] = {"value": -1.0}

    def watch(epoch: int, model: Any) -> bool:
        if (epoch + 1) % 5 and epoch + 1 < settings.epochs:
            return False
        value = metrics(decoded(protocol, model, None, "dense").found(2))["ndcg@10"]
        if value > best["value"]:
            best.update(value=value, epoch=epoch + 1, model=model, weights=model.module.network.get_weights())
        print(json.dumps({"epoch": epoch + 1, "dense_valid": value}), flush=True)
        return False

    began = time.process_time()
    decoder.fit(Sequences.from_lists(protocol.train), ids, vectors, settings, a.seed, watch=watch)
    model = best["model"]
    model.module.network.set_weights(best["weights"])
    print(json.dumps({"epoch": best["epoch"], "cpu_seconds": round(time.process_time() - began)}), flush=True)
    search = Search(model, trie)
    ways = {how: decoded(protocol, model, search, how) for how in ("beam", "generative", "dense")}
    if not a.without_sequence:
        first = trials(sum(map(len, protocol.train)), n - 1)[0]
        wanted_sequence = SequenceSettings.model_validate({k: v for k, v in first.items() if k != "start"})
        start = protocol.als(n, wanted_sequence.dims, a.seed) if first.get("start") == "als" else None
        _, sequence = run(protocol, n, wanted_sequence, a.seed, a.minutes, 16, start)
        nothing = np.all(sequence.items == 0, axis=1)

        def by_sequence(part: np.ndarray, leave_out: int) -> np.ndarray:
            items, gaps = protocol.every.last(part, sequence.settings.length, leave_out)
            out = sequence.embed(items, gaps) @ sequence.items.T
            out[:, nothing] = -np.inf
            return np.asarray(out)

        ways["sequence"] = Ranked(protocol, by_sequence)
        tried = {w: metrics(together(ways["generative"], ways["sequence"], w).found(2))["ndcg@10"] for w in WEIGHTS}
        weight = max(tried, key=lambda w: tried[w])
        print(json.dumps({"union_weight_of_sequence": weight, "valid": tried}), flush=True)
        ways["union"] = together(ways["generative"], ways["sequence"], weight)
    found = {}
    for name, ranked in ways.items():
        found[name] = ranked.found(1)
        print(json.dumps({"way": name, "valid": metrics(ranked.found(2)), "test": metrics(found[name])}), flush=True)
    people = pl.Series([str(i) for i in range(len(protocol.sequences))])
    for name in ("generative", "sequence") if "union" in found else ():
        gap = paired_difference(people, ndcg(found["union"]), ndcg(found[name]))
        print(json.dumps({"union_minus": name, "ndcg@10": [gap.value, gap.low, gap.high]}), flush=True)
    part = np.arange(min(2048, len(protocol.sequences)))
    states = model.embed(protocol.every.last(part, model.settings.length, 1)[0])
    search(states, None, 300)
    began = time.process_time()
    search(states, None, 300)
    spent = 1000 * (time.process_time() - began) / len(part)
    print(json.dumps({"ms_a_listener": round(spent, 3), "beams": settings.beams}), flush=True)


if __name__ == "__main__":
    main()
