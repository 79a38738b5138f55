"""What comes next in a session of which nothing is known but its tracks: the protocol of the session literature.

    python -m tests.benchmarks.next_in_session --train FILE --test FILE [--validate .2] [--sequence EPOCHS]
                                               [--set neighbours.kept=200 ...]

A line is a session: track ids separated by spaces or commas, no listener; sessions of the training file stand in the
order of time. Every prefix of each test session asks for its next track, all tracks of the training file are ranked, ties
count as half above. Plays of tracks unknown in training and sessions of one play are left out of the test, as the
literature does; how many is printed. `--validate` holds out that share of the training sessions, the last ones, and
chooses the neighbours' settings there (each variant for itself); everything is then fitted on the whole training file.

Prints one JSON line: P@20 (hit rate) and MRR@20 in percent with 95% intervals by bootstrap over sessions; `all` ranks all
tracks, `excluded` never recommends a track of the prefix, `excluded_new` counts of those only the prefixes whose target is new.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from models.rankers.session import BLOCK, More, fit_next
from models.settings import SequenceSettings
from models.vocabulary import Vocabulary
from transforms.common.errors import UserError
from transforms.common.hashing import stable_hash, uniform
from transforms.metrics.intervals import poisson_weights
from transforms.next_in_session.neighbours import PLAIN, SessionIndex, SessionNeighbourSettings
from transforms.next_in_session.sessions import LONGEST, Prefixes, SessionLog
from transforms.next_in_session.shortlist import continuation
from transforms.next_in_session.sources import NextSettings

K = 20
LISTED = 120
CHOICES: dict[str, tuple[float, ...]] = {
    "around": (1.0, 2.0, 5.0, 15.0),
    "position": (1.0, 2.0, 5.0, 15.0),
    "recency": (0.1, 0.3, 1.0, 10.0),
    "match": (0.0, 1.0, 2.0, 3.0),
    "rare": (0.0, 0.5, 1.0),
    "kept": (100, 300, 1000),
    "single": (0.01, 0.1, 0.3),
}
Scorer = Callable[[Prefixes], sparse.csr_matrix]


def read(path: str) -> list[list[str]]:
    """Sessions of a file as lists of track ids; bytes that are no UTF-8 stay distinct, as escapes.

    Raises:
        UserError: the file holds no session, or cannot be read.
    """
    try:
        text = Path(path).read_bytes().decode(errors="backslashreplace")
    except OSError as error:
        raise UserError(f"{Path(path).name} cannot be read ({error.strerror}); check the path.") from error
    # Only the separators of the format cut: str.splitlines and \s would also cut at what may stand inside an id.
    lines = [tracks for line in text.split("\n") if (tracks := re.findall(r"[^ \t\r\f\v,]+", line))]
    if not lines:
        raise UserError(f"{Path(path).name} holds no session: expected a line of track ids for each; check the file.")
    return lines


def logs(train: list[list[str]], test: list[list[str]]) -> tuple[SessionLog, SessionLog, int, int]:
    """Training and test sessions in rows of the training tracks, their number of rows, and test plays left out."""
    vocabulary = Vocabulary.build([t for s in train for t in s])

    def pack(sessions: list[list[str]]) -> SessionLog:
        rows = vocabulary.rows([t for s in sessions for t in s])
        return SessionLog(rows, np.concatenate([[0], np.cumsum([len(s) for s in sessions])]).astype(np.int64))

    known = np.arange(len(vocabulary)) > 0
    whole = pack(test)
    cleaned = whole.known(known)
    return pack(train), cleaned, len(vocabulary), len(whole.items) - len(cleaned.items)


def ranks(scores: sparse.csr_matrix, targets: np.ndarray) -> np.ndarray:
    """Rank from 1 of each target in its row, ties as half above; infinite where it has no score."""
    rows = np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr))
    own = np.full(scores.shape[0], np.nan)
    hit = scores.indices == targets[rows]
    own[rows[hit]] = scores.data[hit]
    above = np.bincount(rows, scores.data > own[rows], minlength=len(own))
    level = np.bincount(rows, scores.data == own[rows], minlength=len(own))
    return np.where(np.isnan(own), np.inf, above + 1 + (level - 1) / 2)


def without(scores: sparse.csr_matrix, prefixes: Prefixes) -> sparse.csr_matrix:
    """The same without the tracks of each prefix."""
    heard_rows, heard, _ = prefixes.tracks(LONGEST)
    rows = np.repeat(np.arange(scores.shape[0], dtype=np.int64), np.diff(scores.indptr))
    keep = ~np.isin(rows * scores.shape[1] + scores.indices, heard_rows * scores.shape[1] + heard)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows[keep], minlength=scores.shape[0]))])
    return sparse.csr_matrix((scores.data[keep], scores.indices[keep], indptr), shape=scores.shape)


def ranked(scorer: Scorer, prefixes: Prefixes) -> np.ndarray:
    """[prefixes, 2]: rank of the target among all tracks, and without those of the prefix (then infinite if repeated)."""
    out = []
    for block in prefixes.blocks(BLOCK):
        scores = scorer(block)
        both = ranks(scores, block.targets()), ranks(without(scores, block), block.targets())
        out.append(np.stack(both, axis=1))
    return np.concatenate(out) if out else np.zeros((0, 2))


def gains(rank: np.ndarray) -> np.ndarray:
    """[..., 2]: hit and reciprocal rank at 20."""
    return np.stack([rank <= K, np.where(rank <= K, 1 / rank, 0.0)], axis=-1)


def summary(gain: np.ndarray, session: np.ndarray, draws: int = 500) -> dict[str, Any]:
    """Percent with the ends of the 95% interval; sessions are drawn, prefixes are averaged."""
    names, at = np.unique(session, return_inverse=True)
    sums = np.stack([np.bincount(at, g) for g in (*gain.T, np.ones(len(gain)))], axis=1)
    weights = poisson_weights(stable_hash(names), np.arange(draws), 0) if len(names) else np.zeros((0, draws))
    drawn = weights.T @ sums
    out: dict[str, Any] = {}
    for j, name in enumerate(("p@20", "mrr@20")):
        means = drawn[:, j] / np.maximum(drawn[:, 2], 1)
        ends = np.quantile(means, [0.025, 0.975]) if len(names) else [0.0, 0.0]
        value = gain[:, j].mean() if len(gain) else 0.0
        out[name] = [round(100 * float(v), 2) for v in (value, *ends)]
    return out


def variants(rank: np.ndarray, prefixes: Prefixes, new: np.ndarray) -> dict[str, Any]:
    """Both metrics in the three variants."""
    session = prefixes.session
    return {
        "all": summary(gains(rank[:, 0]), session),
        "excluded": summary(gains(rank[:, 1]), session),
        "excluded_new": summary(gains(rank[new, 1]), session[new]),
    }


def target_is_new(prefixes: Prefixes) -> np.ndarray:
    """bool [prefixes]: the target is not in its prefix."""
    repeated = np.zeros(len(prefixes.log.items) + 2, bool)
    repeated[prefixes.log.next_same] = True
    return ~repeated[prefixes.end]


def choose(
    log: SessionLog, n_items: int, start: SessionNeighbourSettings, share: float, most: int = 3000
) -> SessionNeighbourSettings:
    """Settings with the best P@20 + MRR@20 on the last sessions: one setting after the other, once through."""
    cut = len(log) - max(1, round(share * len(log)))
    known = np.bincount(log.items[: log.starts[cut]], minlength=n_items) > 0
    prefixes = log.part(cut, len(log)).known(known).prefixes()
    if not len(prefixes):
        return start
    drawn = np.argsort(uniform(0, "choose", np.arange(len(prefixes))), kind="stable")[:most]
    prefixes = prefixes.take(np.sort(drawn))
    index = SessionIndex.fit(log.part(0, cut), n_items, start)

    def value(settings: SessionNeighbourSettings) -> float:
        return float(gains(ranked(index.with_settings(settings).score, prefixes)[:, 0]).mean(axis=0).sum())

    best, reached = start, value(start)
    for name, values in CHOICES.items():
        if name == "single" and not start.two_first:
            continue
        for other in values:
            tried = best.model_copy(update={name: other})
            if tried != best and (found := value(tried)) > reached:
                best, reached = tried, found
    return best


def run(
    train: SessionLog,
    test: SessionLog,
    n_items: int,
    settings: NextSettings,
    validate: float = 0.0,
    more: More | None = None,
) -> dict[str, Any]:
    """Fit and measure everything; keys are the methods' names."""
    plain = PLAIN
    seconds: dict[str, float] = {}
    clock = time.perf_counter()
    if validate:
        plain = choose(train, n_items, plain, validate)
        chosen = choose(train, n_items, settings.neighbours, validate)
        settings = settings.model_copy(update={"neighbours": chosen})
        seconds["choose"] = time.perf_counter() - clock
    prefixes, clock = test.prefixes(), time.perf_counter()
    sources, order = fit_next(train, n_items, settings, more=more)
    seconds["train"] = time.perf_counter() - clock
    rules, index = sources.rules, sources.index

    def popular(block: Prefixes) -> sparse.csr_matrix:
        top = np.sort(np.argsort(-rules.plays, kind="stable")[:500])
        return sparse.csr_matrix(np.tile(rules.plays[top], (len(block), 1))) @ _pick(top, n_items)

    def ours(block: Prefixes) -> sparse.csr_matrix:
        items, scores = continuation(sources, order, block, LISTED)
        rows, columns = np.nonzero(items)
        # The smallest score is not 0, which would read as "no score"
        data = scores[rows, columns] - scores[rows, columns].min(initial=0.0) + 1.0
        return sparse.csr_matrix((data, (rows, items[rows, columns])), shape=(len(block), n_items))

    methods: dict[str, Scorer] = {
        "ours": ours,
        "neighbours_two_first": index.score,
        "neighbours_plain": index.with_settings(plain).score,
        "last_track_rules": lambda block: rules.last_track(block, rules.soon),
        "bigrams": lambda block: rules.last_track(block, rules.right),
        "item_knn": lambda block: rules.last_track(block, rules.company),
        "popularity": popular,
    }
    new = target_is_new(prefixes)
    out: dict[str, Any] = {}
    found: dict[str, np.ndarray] = {}
    for name, scorer in methods.items():
        clock = time.perf_counter()
        found[name] = ranked(scorer, prefixes)
        seconds[f"score_{name}"] = time.perf_counter() - clock
        out[name] = variants(found[name], prefixes, new)
    out["ours_minus"] = {
        name: {
            "all": summary(gains(found["ours"][:, 0]) - gains(found[name][:, 0]), prefixes.session),
            "excluded": summary(gains(found["ours"][:, 1]) - gains(found[name][:, 1]), prefixes.session),
        }
        for name in ("neighbours_two_first", "neighbours_plain", "last_track_rules")
    }
    out["sizes"] = {
        "train_sessions": len(train),
        "train_plays": len(train.items),
        "tracks": n_items - 1,
        "prefixes": len(prefixes),
        "new_targets": int(new.sum()),
    }
    out["seconds"] = {name: round(value, 1) for name, value in seconds.items()}
    out["settings"] = {"ours": settings.model_dump(mode="json"), "neighbours_plain": plain.model_dump(mode="json")}
    out["weights"] = {name: round(w, 3) for name, (_, _, w) in order.weights.items()}
    return out


def _pick(items: np.ndarray, n_items: int) -> sparse.csr_matrix:
    """[len(items), n_items] that puts column k at items[k]."""
    return sparse.csr_matrix((np.ones(len(items)), (np.arange(len(items)), items)), shape=(len(items), n_items))


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--validate", type=float, default=0.0, help="share of training sessions that choose settings")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="e.g. repeats.allowed=false")
    parser.add_argument("--sequence", type=int, default=0, metavar="EPOCHS", help="add the sequence model as a source")
    args = parser.parse_args(argv)
    raw: dict[str, Any] = {}
    for pair in args.set:
        name, _, value = pair.partition("=")
        *folder, leaf = name.split(".")
        inside = raw
        for part in folder:
            inside = inside.setdefault(part, {})
        inside[leaf] = json.loads(value)
    settings = NextSettings.model_validate(raw)
    train, test, n_items, unknown = logs(read(args.train), read(args.test))
    more = None
    if args.sequence:
        from models.session_sequence import sequence_source

        more = sequence_source(n_items, SequenceSettings(epochs=args.sequence, length=50))
    result = run(train, test, n_items, settings, args.validate, more)
    result["sizes"]["unknown_test_plays"] = unknown
    print(json.dumps(result))


if __name__ == "__main__":
    main()
