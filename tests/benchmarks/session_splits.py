"""Splits for `next_in_session`: one session a line in the order of time, without its listener.

    python -m tests.benchmarks.session_splits --sessions sessions.csv --out DIR
    python -m tests.benchmarks.session_splits --events events.tsv --days 2 --out DIR
    python -m tests.benchmarks.session_splits --invented 128000 15000 --tracks 60000 --out DIR

`--sessions` takes lines `listener,track,track,...`: the last fifth of each listener's sessions is the test; as the file has
no times, sessions stand in the order of how many the listener has after them, most first, as if all ended on one day.
`--events` takes columns SessionId, ItemId, Time and Slice: the sessions of the last slice's last days are the test.
`--invented` draws so many training and test sessions, to measure cost at a size: see `invented`.
Writes DIR/train.txt and DIR/test.txt.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

Session = list[str]


def of_listeners(lines: Sequence[str]) -> tuple[list[Session], list[Session]]:
    """Training and test sessions of lines `listener,track,track,...`."""
    listeners: dict[str, list[Session]] = defaultdict(list)
    for line in lines:
        listener, *tracks = line.strip().split(",")
        listeners[listener].append(tracks)
    parts: tuple[list[tuple[int, int, Session]], ...] = ([], [])
    for number, sessions in enumerate(listeners.values()):
        for place, tracks in enumerate(sessions):
            is_test = place >= len(sessions) - len(sessions) // 5
            parts[is_test].append((place - len(sessions), number, tracks))
    train, test = ([tracks for *_, tracks in sorted(part, key=lambda row: row[:2])] for part in parts)
    return train, test


def of_events(rows: Sequence[dict[str, str]], days: float) -> tuple[list[Session], list[Session]]:
    """Training and test sessions of events; a session is a slice and a session number."""
    plays: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for row in rows:
        plays[row["Slice"], row["SessionId"]].append((int(row["Time"]), row["ItemId"]))
    sessions = sorted((min(p)[0], key[0], sorted(p, key=lambda play: play[0])) for key, p in plays.items())
    last = max(slice_ for _, slice_, _ in sessions)
    cut = sessions[-1][0] - days * 86_400
    parts: tuple[list[Session], list[Session]] = ([], [])
    for start, slice_, found in sessions:
        parts[slice_ == last and start >= cut].append([item for _, item in found])
    return parts


def invented(sizes: Sequence[int], tracks: int, seed: int = 0) -> list[list[Session]]:
    """Sessions of log-normal length (median 8, at most 300), one list for each size.

    A step repeats one of the ten plays before it (1 in 4), goes to a fixed follower of the track (35%) or one of eight
    tracks near it (1 in 4), or jumps anywhere by a Zipf-like popularity. Names carry no order.
    """
    draw = np.random.default_rng(seed)
    weight = 1 / (np.arange(1, tracks + 1) + 30) ** 0.8
    names = draw.permutation(tracks)
    anywhere = np.cumsum(weight / weight.sum())
    near = np.empty((tracks, 8), int)
    for k in range(8):
        near[:, k] = np.clip(np.arange(tracks) + draw.normal(0, 40 * (k + 1), tracks).astype(int), 0, tracks - 1)

    def jump() -> int:
        return min(int(np.searchsorted(anywhere, draw.random())), tracks - 1)

    def session(length: int) -> Session:
        here, plays = jump(), list[int]()
        for _ in range(length):
            step = draw.random()
            if step < 0.25 and plays:
                here = plays[-1 - int(draw.integers(0, min(len(plays), 10)))]
            elif step < 0.6:
                here = int(near[here, 0])
            elif step < 0.85:
                here = int(near[here, int(draw.integers(0, 8))])
            else:
                here = jump()
            plays.append(here)
        return [f"t{names[play]}" for play in plays]

    def lengths(n: int) -> np.ndarray:
        return np.clip(draw.lognormal(2.1, 0.85, n).astype(int), 1, 300)

    return [[session(n) for n in lengths(size).tolist()] for size in sizes]


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--sessions")
    source.add_argument("--events")
    source.add_argument("--invented", type=int, nargs=2, metavar=("TRAIN", "TEST"))
    parser.add_argument("--tracks", type=int, default=60_000, help="of invented sessions")
    parser.add_argument("--days", type=float, default=2.0)
    parser.add_argument("--out", required=True)
    args = parser.parse_args(argv)
    parts: Sequence[list[Session]]
    if args.invented:
        parts = invented(args.invented, args.tracks)
    elif args.sessions:
        parts = of_listeners(Path(args.sessions).read_text().splitlines())
    else:
        with open(args.events) as file:
            parts = of_events(list(csv.DictReader(file, delimiter="\t")), args.days)
    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in zip(("train", "test"), parts, strict=True):
        (folder / f"{name}.txt").write_text("".join(" ".join(tracks) + "\n" for tracks in part))


if __name__ == "__main__":
    main()
