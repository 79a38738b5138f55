"""Next item of a sequence, leave-one-out: train on all but the last two, choose on the one before last, test on the
last.

    python -m tests.benchmarks.next_item --sequences FILE [--minutes 40] [--set epochs=30 --set dims=64 ...]

FILE holds one listener a line: an id, then items in time order, separated by spaces. All items are ranked, those
already seen are left out. Prints one JSON line: HR and NDCG at 10 and 20 on validation and test, of the epoch that
was best on validation, beside popularity and last-item rules trained on the same part.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix

import models  # noqa: F401  (sets the Keras version before TensorFlow is imported)
from models.sequence_data import Sequences
from models.settings import SequenceSettings
from models.vocabulary import Vocabulary


def read(path: str, has_id: bool = True) -> tuple[list[list[int]], int]:
    """Sequences as vocabulary rows, and the size of the vocabulary."""
    with open(path) as lines:
        raw = [line.split()[has_id:] for line in lines]
    vocabulary = Vocabulary.build([t for seq in raw for t in seq])
    flat = vocabulary.rows([t for seq in raw for t in seq])
    ends = np.cumsum([len(seq) for seq in raw])
    return [part.tolist() for part in np.split(flat, ends[:-1])], len(vocabulary)


def ranks(scores: np.ndarray, targets: np.ndarray, seen: Sequence[Sequence[int]]) -> np.ndarray:
    """Rank from 1 of each target among all items but row 0 and those seen before; a tie counts as half above."""
    scores = scores.copy()
    scores[:, 0] = -np.inf
    for row, items in enumerate(seen):
        keep = scores[row, targets[row]]
        scores[row, items] = -np.inf
        scores[row, targets[row]] = keep
    own = scores[np.arange(len(targets)), targets][:, None]
    return 1 + (scores > own).sum(1) + ((scores == own).sum(1) - 1) / 2


def metrics(rank: np.ndarray) -> dict[str, float]:
    """Hit rate and NDCG at 10 and 20 with one relevant item."""
    found = {f"hr@{k}": float((rank <= k).mean()) for k in (10, 20)}
    found |= {f"ndcg@{k}": float(np.where(rank <= k, 1 / np.log2(1 + rank), 0).mean()) for k in (10, 20)}
    return {name: round(value, 5) for name, value in found.items()}


def baselines(train: list[list[int]], n: int) -> tuple[np.ndarray, csr_matrix]:
    """Popularity [n], and counts of b right after a, with the weight 1/distance up to ten steps."""
    flat = np.concatenate([np.asarray(s) for s in train])
    popular = np.bincount(flat, minlength=n).astype(np.float64)
    a, b, w = [], [], []
    for s in train:
        x = np.asarray(s)
        for step in range(1, 11):
            a.append(x[:-step])
            b.append(x[step:])
            w.append(np.full(max(len(x) - step, 0), 1 / step))
    rules = csr_matrix((np.concatenate(w), (np.concatenate(a), np.concatenate(b))), shape=(n, n))
    return popular, rules


def main() -> None:
    """Run the protocol."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", required=True)
    parser.add_argument("--minutes", type=float, default=40, help="no further epoch is begun after so many")
    parser.add_argument("--patience", type=int, default=8, help="epochs without a better validation before stopping")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], help="a setting of the sequence model, name=value")
    a = parser.parse_args()

    from models.sequence import SequenceModel, fit

    started = time.perf_counter()
    chosen = dict(pair.split("=", 1) for pair in a.set)
    settings = SequenceSettings.model_validate(chosen)
    sequences, n = read(a.sequences)
    sequences = [s for s in sequences if len(s) >= 3]
    train = [s[:-2] for s in sequences]
    valid_target = np.array([s[-2] for s in sequences])
    test_target = np.array([s[-1] for s in sequences])
    every = Sequences.from_lists(sequences)
    listeners = np.arange(len(sequences))

    def measure(model: SequenceModel, leave_out: int, targets: np.ndarray) -> dict[str, float]:
        found = []
        for start in range(0, len(listeners), 1024):
            part = listeners[start : start + 1024]
            items, gaps = every.last(part, settings.length, leave_out)
            scores = model.embed(items, gaps) @ model.items.T
            scores[:, np.all(model.items == 0, axis=1)] = -np.inf
            found.append(ranks(scores, targets[part], [sequences[i][:-leave_out] for i in part]))
        return metrics(np.concatenate(found))

    best: dict[str, dict[str, float]] = {}
    history: list[float] = []

    def watch(epoch: int, model: SequenceModel) -> bool:
        valid = measure(model, 2, valid_target)
        history.append(valid["ndcg@10"])
        minutes = (time.perf_counter() - started) / 60
        if valid["ndcg@10"] >= max(history):
            best.update(epoch={"epoch": epoch + 1}, valid=valid, test=measure(model, 1, test_target))
        line = {"epoch": epoch + 1, "minutes": round(minutes, 1), "valid": valid, "best_so_far": best}
        print(json.dumps(line), file=sys.stderr, flush=True)
        stale = len(history) - 1 - int(np.argmax(history))
        return minutes * (1 + 1 / (epoch + 1)) > a.minutes or stale >= a.patience

    fit(Sequences.from_lists(train), n, settings, a.seed, watch=watch)
    popular, rules = baselines(train, n)
    seen = [s[:-1] for s in sequences]
    last = np.array([s[-2] for s in sequences])
    print(
        json.dumps(
            {
                "listeners": len(sequences),
                "items": n - 1,
                "settings": settings.model_dump(mode="json"),
                "seconds": round(time.perf_counter() - started),
                "epochs": len(history),
                "best_epoch": best["epoch"]["epoch"],
                "valid": best["valid"],
                "test": best["test"],
                "popular": metrics(ranks(np.repeat(popular[None], len(seen), 0), test_target, seen)),
                "last_item_rules": metrics(ranks(rules[last].toarray(), test_target, seen)),
            }
        )
    )


if __name__ == "__main__":
    main()
