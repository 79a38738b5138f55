"""Splits for `next_in_session`: one session a line in the order of time, without its listener.

    python -m tests.benchmarks.session_splits --sessions sessions.csv --out DIR
    python -m tests.benchmarks.session_splits --events events.tsv --days 2 --out DIR

`--sessions` takes lines `listener,track,track,...`: the last fifth of each listener's sessions is the test; as the file has
no times, sessions stand in the order of how many the listener has after them, most first, as if all ended on one day.
`--events` takes columns SessionId, ItemId, Time and Slice: the sessions of the last slice's last days are the test.
Writes DIR/train.txt and DIR/test.txt.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

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


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--sessions")
    source.add_argument("--events")
    parser.add_argument("--days", type=float, default=2.0)
    parser.add_argument("--out", required=True)
    args = parser.parse_args(argv)
    if args.sessions:
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
