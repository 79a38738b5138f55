"""Next item of a sequence, leave-one-out: train on all but the last two, choose on the one before last, test on the
last.

    python -m tests.benchmarks.next_item --sequences FILE [--minutes 38] [--set epochs=30 --set dims=64 ...]

FILE holds one listener a line: an id, then items in time order, separated by spaces. All items are ranked, those
already seen are left out. Without `--set`, two or three settings that suit the size of the file are tried, each for as
many epochs as its share of the minutes allows (a few steps are timed first, so that the learning rate reaches zero in
time). Where there are several, the sum of their scores is one more entrant. Validation chooses among all and the epochs.
Prints one JSON line: HR and NDCG at 10 and 20 on validation and test of what was best on validation, each entrant, and
popularity and last-item rules trained on the same part.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from scipy.sparse import csr_matrix

import models  # noqa: F401  (sets the Keras version before TensorFlow is imported)
from models.sequence_data import Batches, Sequences
from models.settings import AlsSettings, SequenceSettings
from models.vocabulary import Vocabulary

FEW = 50  # plays an item
SPARSE: dict[str, Any] = {
    "length": 50,
    "positions": 1.0,
    "dropout": 0.5,
    "cosine": True,
    "batch": 128,
    "start": "random",
    # The loss over the whole catalog took 1.7 times as long a step: 12,000 items, 64 dimensions.
    "full_softmax": 0,
    "negatives": 1024,
}
FEW_PLAYS: list[dict[str, Any]] = [
    {"dims": 64, "epochs": 40},
    {"dims": 128, "epochs": 24},
]
MANY_PLAYS: list[dict[str, Any]] = [
    {"dims": 64, "epochs": 40, "start": "random"},
    {"dims": 128, "epochs": 40, "start": "als", "dropout": 0.3},
]


_LAST: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


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


class Protocol:
    """The split of one file, and how a model is measured on it."""

    def __init__(self, sequences: list[list[int]]) -> None:
        self.sequences = [s for s in sequences if len(s) >= 3]
        self.train = [s[:-2] for s in self.sequences]
        self.every = Sequences.from_lists(self.sequences)

    def als(self, n: int, factors: int, seed: int) -> np.ndarray:
        """Item vectors of iALS on the training part, to start from."""
        from models.als import Als

        rows = np.repeat(np.arange(len(self.train)), [len(s) for s in self.train])
        items = np.concatenate([np.asarray(s) for s in self.train])
        ones = np.ones(len(rows), np.float32)
        return Als.fit(rows, items, ones, len(self.train), n, AlsSettings(factors=factors), seed).item_factors

    def scores(self, model: Any, leave_out: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Listeners (rows) and their scores of all items, without the last `leave_out` items of each.

        Those of like length come together, so that a state is worked out over hardly more items than there are.
        """
        nothing = np.all(model.items == 0, axis=1)
        by_length = np.argsort([len(s) for s in self.sequences], kind="stable")
        for start in range(0, len(by_length), 1024):
            part = by_length[start : start + 1024]
            width = min(max(len(self.sequences[part[-1]]) - leave_out, 1), model.settings.length)
            items, gaps = self.every.last(part, width, leave_out)
            scores = states(model, items, gaps) @ model.items.T
            scores[:, nothing] = -np.inf
            yield part, scores

    def measure(self, model: Any, leave_out: int) -> dict[str, float]:
        """Metrics of the item that is the `leave_out`-th from the end."""
        found = []
        for part, scores in self.scores(model, leave_out):
            rows = [self.sequences[i] for i in part]
            found.append(ranks(scores, np.array([s[-leave_out] for s in rows]), [s[:-leave_out] for s in rows]))
        return metrics(np.concatenate(found))


def states(model: Any, items: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """As `model.embed`, over no more places than there are: what is exported has one width, the longest."""
    import tensorflow as tf

    if isinstance(model, Together):
        return np.concatenate([states(member, items, gaps) for member in model.members], axis=1)
    network = model.module.network
    if network not in _LAST:
        _LAST[network] = tf.function(
            lambda i, g: network.states(i, g, None)[:, -1], input_signature=[tf.TensorSpec([None, None], tf.int32)] * 2
        )
    last = _LAST[network](items, gaps).numpy()
    return np.concatenate([last, np.ones((len(last), 1), np.float32)], axis=1)


class Together:
    """Several models as one: what each says of an item is added up, which is a product of longer vectors.

    A softmax only subtracts a number a listener, so the order is that of the mean log-probability.
    """

    def __init__(self, members: Sequence[Any]) -> None:
        self.members = members
        self.settings = max((m.settings for m in members), key=lambda s: s.length)
        self.items = np.concatenate([m.items for m in members], axis=1)


def trials(plays: int, items: int) -> list[dict[str, Any]]:
    """Settings to try on a file of so many plays and items: what matters is how often an item is played."""
    return [SPARSE | more for more in FEW_PLAYS] if plays < FEW * items else MANY_PLAYS


def seconds_an_epoch(train: list[list[int]], n: int, settings: SequenceSettings, seed: int) -> float:
    """Timed on about 24 steps' sequences, after as many to warm up."""
    from models.sequence import fit

    whole = Batches(Sequences.from_lists(train), n, settings, seed).steps()
    some = Sequences.from_lists(train[:: max(1, whole // 24)])
    steps = Batches(some, n, settings, seed).steps()
    ends: list[float] = []

    def clock(epoch: int, model: Any) -> bool:
        ends.append(time.perf_counter())
        return False

    fit(some, n, settings.model_copy(update={"epochs": 2}), seed, watch=clock)
    return (ends[1] - ends[0]) * whole / steps


def run(
    protocol: Protocol,
    n: int,
    settings: SequenceSettings,
    seed: int,
    minutes: float,
    patience: int,
    start: np.ndarray | None,
) -> tuple[dict[str, Any], Any]:
    """One trial: the metrics of its best epoch on validation, and the model as it was then."""
    from models.sequence import SequenceModel, fit

    started = time.perf_counter()
    wanted = settings.epochs
    an_epoch = seconds_an_epoch(protocol.train, n, settings, seed)
    # A quarter is kept for measuring.
    fitting = int((minutes * 60 - (time.perf_counter() - started)) * 0.75 / an_epoch)
    settings = settings.model_copy(update={"epochs": max(1, min(wanted, fitting))})
    best: dict[str, Any] = {}
    kept: list[Any] = []
    history: list[float] = []
    every = 1 if settings.epochs < 20 or an_epoch < 5 else 2

    def watch(epoch: int, model: SequenceModel) -> bool:
        done = epoch + 1
        if done % every and done < settings.epochs:
            return False
        valid = protocol.measure(model, 2)
        history.append(valid["ndcg@10"])
        if valid["ndcg@10"] >= max(history):
            best.update(epoch=done, valid=valid, test=protocol.measure(model, 1))
            kept[:] = [model, model.module.network.get_weights()]
        spent = time.perf_counter() - started
        print(
            json.dumps(
                {"epoch": done, "of": settings.epochs, "minutes": round(spent / 60, 1)} | best | {"valid_now": valid}
            ),
            file=sys.stderr,
            flush=True,
        )
        stale = len(history) - 1 - int(np.argmax(history))
        # Cut short, the learning rate has not come down and nearly all is lost: some minutes more are worth it.
        return spent * (1 + every / done) > 1.15 * minutes * 60 or stale * every >= patience

    fit(Sequences.from_lists(protocol.train), n, settings, seed, watch=watch, start=start)
    model, weights = kept
    model.module.network.set_weights(weights)
    seconds = round(time.perf_counter() - started)
    return best | {"seconds": seconds, "epochs": settings.epochs, "settings": settings.model_dump(mode="json")}, model


def main() -> None:
    """Run the protocol."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", required=True)
    parser.add_argument("--minutes", type=float, default=38, help="of training and measuring, all trials together")
    parser.add_argument("--patience", type=int, default=16, help="epochs without a better validation before stopping")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--set", action="append", default=[], help="a setting of the model, or start=random|als: one trial"
    )
    a = parser.parse_args()

    started = time.perf_counter()
    sequences, n = read(a.sequences)
    protocol = Protocol(sequences)
    chosen = dict(pair.split("=", 1) for pair in a.set)
    asked = [chosen] if chosen else trials(sum(map(len, protocol.train)), n - 1)
    tried: list[dict[str, Any]] = []
    members = []
    for number, one in enumerate(asked):
        left = a.minutes - (time.perf_counter() - started) / 60
        start = one.get("start", "als")
        settings = SequenceSettings.model_validate({name: value for name, value in one.items() if name != "start"})
        vectors = protocol.als(n, settings.dims, a.seed) if start == "als" else None
        found, model = run(protocol, n, settings, a.seed, left / (len(asked) - number), a.patience, vectors)
        tried.append(found | {"start": start})
        members.append(model)
    if len(members) > 1:
        both = Together(members)
        tried.append({"together": len(members), "valid": protocol.measure(both, 2), "test": protocol.measure(both, 1)})
    best = max(tried, key=lambda trial: trial["valid"]["ndcg@10"])
    popular, rules = baselines(protocol.train, n)
    seen = [s[:-1] for s in protocol.sequences]
    last = np.array([s[-2] for s in protocol.sequences])
    target = np.array([s[-1] for s in protocol.sequences])
    print(
        json.dumps(
            {
                "listeners": len(seen),
                "items": n - 1,
                "best": tried.index(best),
                "seconds": round(time.perf_counter() - started),
                "valid": best["valid"],
                "test": best["test"],
                "trials": tried,
                "popular": metrics(ranks(np.repeat(popular[None], len(seen), 0), target, seen)),
                "last_item_rules": metrics(ranks(rules[last].toarray(), target, seen)),
            }
        )
    )


if __name__ == "__main__":
    main()
