"""Generated prompts over a simulated catalog: hard constraints broken, wishes not met and not told, time of an answer.

    python -m tests.benchmarks.prompts_constraints --prompts 10000 --tracks 200000 --seed 1

The truth is that of the generator (`transforms.simulation.prompts`), looked up in the catalog's own table and not in the
arrays that answer. Times are CPU of one process, reading and answering apart, loading left out.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl

from transforms.common.hashing import uniform
from transforms.common.text import normalised_title
from transforms.ingest.catalog import with_recordings
from transforms.prompts.answer import Playlist, answer
from transforms.prompts.constraints import Listener
from transforms.prompts.intent import Intent
from transforms.prompts.music import Music
from transforms.prompts.parser import read
from transforms.prompts.ranking import Nearness
from transforms.prompts.vocabulary import Vocabulary
from transforms.simulation.catalog_build import build_catalog
from transforms.simulation.catalog_table import tracks_frame, true_artists_frame, true_tracks_frame
from transforms.simulation.prompts import prompts_frame
from transforms.simulation.settings import SimulationSettings

DAY = date(2026, 1, 31)
UNKNOWN_MS = 210_000


@dataclass
class Counted:
    """What was found over all prompts."""

    violations: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    one_artist: int = 0
    titles_twice: int = 0
    read_ms: float = 0.0
    answer_ms: list[float] = field(default_factory=list)


def world(tracks: int, seed: int) -> tuple[pl.DataFrame, pl.DataFrame, Music, Vocabulary, Nearness]:
    """A simulated catalog with names, popularity by appeal, and true latent vectors as tracks' company."""
    settings = SimulationSettings(listeners=10, tracks=tracks, days=60, seed=seed)
    made = build_catalog(settings)
    frame, artists = with_recordings(tracks_frame(settings, made)), true_artists_frame(made)
    truth = frame.select("track_id").join(true_tracks_frame(made), on="track_id", how="left", maintain_order="left")
    plays = np.concatenate([[0.0], np.exp(truth["appeal"].to_numpy()) * 100])
    vectors = np.vstack([np.zeros((1, 12), np.float32), np.array(truth["vector"].to_list(), np.float32)])
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    music = Music.build(["", *frame["track_id"].to_list()], frame, plays)
    each = dict(zip(frame["track_id"], plays[1:].tolist(), strict=True))
    return frame, artists, music, Vocabulary.build(frame, artists, each), Nearness(vectors)


def listener(n: int, music: Music, near: Nearness) -> Listener:
    """Somebody with a taste, a market and a few blocked artists."""
    taste = near.vectors[1 + int(uniform(1, "taste", [n])[0] * (len(music) - 1))]
    blocked = music.credited([str(music.artist_ids[int(uniform(1, "block", [n])[0] * len(music.artist_ids))])])
    market = (None, "US", "DE", "JP")[n % 4]
    scores = near.vectors @ taste
    return Listener(str(n), market, n % 5 != 0, blocked, None, scores / scores.std())


def check(row: dict, intent: Intent, made: Playlist, who: Listener, facts: dict, counted: Counted) -> None:
    """Compare one list with the truth."""
    ids = [facts["ids"][r] for r in made.rows]
    years, explicit, artists, tags = ([facts[k][i] for i in ids] for k in ("year", "explicit", "artists", "tags"))

    def broken(what: str, wrong: bool) -> None:
        if wrong:
            counted.violations.append(f"{row['prompt_id']}: {what}: {row['text']}")

    lowest, highest = row["first"] or 0, row["last"] or 9999
    if row["first"] or row["last"]:
        broken("years", any(y is None or not lowest <= y <= highest for y in years))
    if row["not_first"]:
        broken("left-out years", any(y is None or row["not_first"] <= y <= row["not_last"] for y in years))
    broken("left-out artist", any(set(a) & set(row["without"]) for a in artists))
    broken("left-out tag", any(set(t) & set(row["without_tags"]) for t in tags))
    broken("explicit", row["explicit"] is False and any(explicit))
    broken("account", not who.explicit_ok and any(explicit))
    broken(
        "market",
        who.market is not None and any(facts["markets"][i] and who.market not in facts["markets"][i] for i in ids),
    )
    broken("blocked", who.blocked is not None and bool(who.blocked[made.rows].any()))
    unmet = {u.wish: u.why for u in made.unmet}
    length = sum(facts["ms"][i] for i in ids) / 60_000
    if row["minutes"] and "length" not in unmet and made.status != "empty":
        broken("length", not 0.95 <= length / row["minutes"] <= 1.05)
    if row["size"] and "length" not in unmet and made.status != "empty":
        broken("number", len(ids) != row["size"])
    for wanted, holds in (
        *((t, lambda i, t=t: t in facts["tags"][i]) for t in row["tags"]),
        *([(row["wanted"], lambda i: row["wanted"] in facts["artists"][i])] if row["wanted"] else []),
    ):
        if made.status != "empty" and not all(holds(i) for i in ids) and made.said == "All of it was found.":
            counted.untold.append(f"{row['prompt_id']}: {wanted}: {row['text']}")
    for word in row["unknown"]:
        if not any(word in why for why in unmet.values()):
            counted.untold.append(f"{row['prompt_id']}: {word}: {row['text']}")
    if row["contradiction"] and made.status == "answered":
        counted.silent.append(f"{row['prompt_id']}: {row['text']}")
    if made.status == "empty" and not made.said.endswith("."):
        counted.silent.append(f"{row['prompt_id']}: empty and silent")
    counted.statuses[made.status] = counted.statuses.get(made.status, 0) + 1
    titles = [facts["title"][i] for i in ids]
    counted.titles_twice += len(set(titles)) != len(titles)
    if len(ids) >= 5 and not row["wanted"]:
        counted.one_artist += len({a[0] for a in artists}) == 1 and "variety" not in unmet


def facts_of(frame: pl.DataFrame, music: Music) -> dict:
    """The catalog's table by track id."""
    known = frame.with_columns(year=pl.col("released_on").dt.year(), words=normalised_title(pl.col("title")))
    columns = {
        "year": "year",
        "explicit": "explicit",
        "artists": "artist_ids",
        "tags": "tags",
        "markets": "markets",
        "title": "words",
    }
    out = {k: dict(known.select("track_id", c).rows()) for k, c in columns.items()}
    out["ms"] = {i: ms or UNKNOWN_MS for i, ms in known.select("track_id", "duration_ms").rows()}
    return {**out, "ids": music.track_ids}


def run(prompts: int, tracks: int, seed: int) -> Counted:
    """Read, answer and check every prompt; every other one is asked by somebody with a taste."""
    frame, artists, music, vocabulary, near = world(tracks, seed)
    asked = prompts_frame(frame, artists, prompts, seed)
    facts, counted = facts_of(frame, music), Counted()
    vocabulary.near("warm up", "artist"), vocabulary.near("warm up", "track"), vocabulary.near("warm up", "tag")
    for n, row in enumerate(asked.iter_rows(named=True)):
        who = listener(n, music, near) if n % 2 else Listener()
        began = time.process_time()
        intent = read(row["text"], vocabulary)
        counted.read_ms += (time.process_time() - began) * 1000
        began = time.process_time()
        made = answer(intent, music, who, DAY, near)
        counted.answer_ms.append((time.process_time() - began) * 1000)
        check(row, intent, made, who, facts, counted)
    return counted


def main() -> None:
    """Print what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--prompts", type=int, default=10_000)
    parser.add_argument("--tracks", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    o = parser.parse_args()
    found = run(o.prompts, o.tracks, o.seed)
    print(f"prompts {o.prompts:,}, tracks {o.tracks:,}, seed {o.seed}: {found.statuses}")
    print(f"hard constraints broken {len(found.violations)}, wishes unmet and untold {len(found.untold)}, "
          f"contradictions unanswered {len(found.silent)}")  # fmt: skip
    print(f"one-artist lists where others fit {found.one_artist}, lists with a title twice {found.titles_twice}")
    ms, read_ms = np.array(found.answer_ms), found.read_ms / o.prompts
    print(f"CPU a prompt: read {read_ms:.1f} ms, answer {ms.mean():.1f} ms (95% below {np.quantile(ms, 0.95):.1f})")
    for line in (*found.violations[:10], *found.untold[:10], *found.silent[:10]):
        print("  ", line)


if __name__ == "__main__":
    main()
