"""Every benchmark in turn, for `make bench`: their JSON lines as they come, then all of them as one Markdown table each.

    python -m tests.benchmarks.all [--data DIR] [--only NAME ...]

Those that need real logs run if --data or NIGHTSHELF_DATA names a folder that holds them, and are said to be left out
otherwise, as are those that read what another one keeps if that one did not run. A benchmark that fails is reported, the
others still run, and the exit code is 1. The last table holds the seconds of each, on this machine as it was.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.real_tables import cold_markdown, figure, markdown, table

# each in a process of its own: what one leaves in memory must not count against the next
ALWAYS = {
    "top_k": ("tests.benchmarks.top_k",),
    "approximate": ("tests.benchmarks.approximate",),
    "ingest_20m": ("tests.benchmarks.ingest_20m",),
    "incremental": ("tests.benchmarks.incremental",),
    "survival": ("tests.benchmarks.survival",),
    "survival_night": ("tests.benchmarks.survival", "--night"),
    "soak": ("tests.benchmarks.soak", "--nights", "12", "--listeners", "20", "--tracks", "120"),
    "fuzz": ("tests.benchmarks.fuzz",),
    "scale": ("tests.benchmarks.scale",),
    "simulated": ("tests.benchmarks.real_data", "--set", "simulated", "--work", "{work}"),
    "suspects": ("tests.benchmarks.suspects",),
    "beliefs": ("tests.benchmarks.beliefs",),
    "coverage": ("tests.benchmarks.coverage",),
    "drift": ("tests.benchmarks.drift", "--work", "{work}/drift"),
    "lived_immediate": ("tests.benchmarks.long_term", "--work", "{work}/long_term", "--policy", "immediate"),
    "lived_long_term": ("tests.benchmarks.long_term", "--work", "{work}/long_term", "--policy", "long_term"),
    "long_term": ("tests.benchmarks.long_term", "--work", "{work}/long_term"),
    "assembling": ("tests.benchmarks.assembling",),
    "planning": ("tests.benchmarks.planning",),
    "ranker_lists": ("tests.benchmarks.ranker_lists",),
    "reader": ("tests.benchmarks.reader",),
    "home": ("tests.benchmarks.home",),
    "home_live": ("tests.benchmarks.home_live",),
    "home_nights": ("tests.benchmarks.home_nights", "--work", "{work}/home_nights"),
    "preference": ("tests.benchmarks.preference",),
    "signals_fold": ("tests.benchmarks.signals", "fold"),
    "signals_planted": ("tests.benchmarks.signals", "planted"),
    "prompts_constraints": ("tests.benchmarks.prompts_constraints",),
    "cold_start_simulated": ("tests.benchmarks.cold_start", "--set", "simulated", "--work", "{work}"),
}
KEPT = ("--kept", "{work}/kept", "--cut", ".6", ".8")
SPLIT_A, SPLIT_B = (("--train", f"{{work}}/{n}/train.txt", "--test", f"{{work}}/{n}/test.txt") for n in "ab")
WITH_DATA = {
    "real_data": ("tests.benchmarks.real_data", "--data", "{data}", "--work", "{work}"),
    "crossfit": ("tests.benchmarks.crossfit", "--data", "{data}", "--work", "{work}/crossfit"),
    "fusion": (
        "tests.benchmarks.fusion",
        *("--night", "lfm1b-500u", "{work}/lfm1b-500u-0.6-0.8/warehouse", "2024-12-01", "60"),
        *("--night", "30music", "{work}/30music-2014-08-20/warehouse", "2014-08-20", "3"),
    ),
    "cold_start": ("tests.benchmarks.cold_start", "--data", "{data}", "--work", "{work}"),
    "offline": ("tests.benchmarks.offline", "--sessions", "{data}/lfm1b-500u/sessions.csv", "--keep", "{work}/kept"),
    "sources": ("tests.benchmarks.sources", *KEPT),
    "ablation": ("tests.benchmarks.ablation", *KEPT),
    "trees": ("tests.benchmarks.trees", *KEPT),
    "popularity": ("tests.benchmarks.popularity", "--sessions", "{data}/lfm1b-500u/sessions.csv"),
    "next_item": ("tests.benchmarks.next_item", "--sequences", "{data}/ml-1m-5core/sequences.txt"),
    "next_item_toys": ("tests.benchmarks.next_item", "--sequences", "{data}/amazon-s3rec/Toys_and_Games.txt"),
    "generative": (
        "tests.benchmarks.generative",
        "--sequences",
        "{data}/amazon-s3rec/Toys_and_Games.txt",
        "--attributes",
        "{data}/amazon-s3rec/Toys_and_Games_item2attributes.json",
        "--text",
        "{data}/amazon-s3rec/Toys_and_Games_item_text.tsv",
    ),
    "sessions": (
        "tests.benchmarks.session_splits",
        "--sessions",
        "{data}/lfm1b-500u/sessions.csv",
        "--out",
        "{work}/a",
    ),
    "next_in_session": ("tests.benchmarks.next_in_session", *SPLIT_A),
    "events": ("tests.benchmarks.session_splits", "--events", "{data}/30music/events.tsv", "--out", "{work}/b"),
    "next_in_session_30music": ("tests.benchmarks.next_in_session", *SPLIT_B),
    "prompts_parser": ("tests.benchmarks.prompts_parser", "--data", "{data}"),
    "prompts_taste": ("tests.benchmarks.prompts_taste", "--data", "{data}"),
    "playlist_order": ("tests.benchmarks.playlist_order", "--data", "{data}"),
    "carousel": ("tests.benchmarks.carousel", "--data", "{data}/carousel-bandits"),
}
# these want a made warehouse, logs of another project, a browser or a server at work; each says in its first lines how it is run
BY_HAND = (
    "scoring",
    "evaluating",
    "blend",
    "gallery",
    "cut",
    "mix_stability",
    "variety_curve",
    "open_bandit",
    "prompts_model",
    "llm_server",
)
LFM, MUSIC = "lfm1b-500u/sessions.csv", "30music/events.tsv"
FILES = {
    "real_data": (LFM, MUSIC, "30music/item_tags.tsv"),
    "crossfit": (LFM, MUSIC, "30music/item_tags.tsv"),
    "fusion": (LFM, MUSIC, "30music/item_tags.tsv"),
    "cold_start": (LFM,),
    "offline": (LFM,),
    "sources": (LFM,),
    "ablation": (LFM,),
    "trees": (LFM,),
    "popularity": (LFM,),
    "next_item": ("ml-1m-5core/sequences.txt",),
    "next_item_toys": ("amazon-s3rec/Toys_and_Games.txt",),
    "generative": ("amazon-s3rec/Toys_and_Games.txt",),
    "sessions": (LFM,),
    "next_in_session": (LFM,),
    "events": (MUSIC,),
    "next_in_session_30music": (MUSIC,),
    "prompts_parser": ("music-reco-intent", "music-ner"),
    "prompts_taste": ("hetrec-lastfm-2k", "hetrec-lastfm-2k-tags"),
    "playlist_order": ("polimi2018-playlists",),
    "carousel": ("carousel-bandits/playlist_features.csv",),
}
READS = {
    "sources": "offline",
    "ablation": "offline",
    "trees": "offline",
    "next_in_session": "sessions",
    "next_in_session_30music": "events",
}


def left_out(name: str, data: str | None, done: list[str]) -> str | None:
    """Why a benchmark cannot run here, or None.

    >>> left_out("trees", None, [])
    'trees needs real logs; name their folder with --data or NIGHTSHELF_DATA'
    """
    if name not in WITH_DATA:
        return None
    if not data:
        return f"{name} needs real logs; name their folder with --data or NIGHTSHELF_DATA"
    missing = [path for path in FILES[name] if not (Path(data) / path).exists()]
    if missing:
        return f"{name} needs {missing[0]}, which is not in the folder of the real logs"
    if READS.get(name, name) not in (name, *done):
        return f"{name} reads what {READS[name]} keeps, and that did not run; name both with --only"
    return None


def run(name: str, command: tuple[str, ...]) -> tuple[int, list[dict[str, object]]]:
    """Run one module; its lines are passed through and those that are JSON objects are kept."""
    found: list[dict[str, object]] = []
    env = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    with subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True, env=env) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            try:
                value = json.loads(line)
            except ValueError:
                if line.startswith("|"):  # a table as it is
                    found.append({"benchmark": name, "row": line.rstrip()})
                continue
            if isinstance(value, dict):
                found.append({"benchmark": name, **value})
    return process.returncode, found


def as_table(lines: list[dict[str, object]]) -> str:
    """Key and value of one line; a row a line where there are several, and tables as they came."""
    if all("row" in line for line in lines):
        return _tables([str(line["row"]) for line in lines])
    if len(lines) == 1:
        return table(("what", "value"), [(k, _text(v)) for k, v in lines[0].items() if k != "benchmark"])
    names = [n for n in dict.fromkeys(k for line in lines for k in line) if n != "benchmark"]
    return table(names, [[_text(line.get(n)) for n in names] for line in lines])


def _tables(rows: list[str]) -> str:
    """Rows of Markdown tables, an empty line before each header."""
    heads = {i - 1 for i, row in enumerate(rows) if row.startswith("| ---")}
    return "\n".join(("\n" if i in heads and i else "") + row for i, row in enumerate(rows))


def _text(value: object) -> str:
    if isinstance(value, bool | dict | list):
        return json.dumps(value)
    return f"{value:,}" if isinstance(value, int) else figure(value)


def written(name: str, lines: list[dict[str, object]]) -> str:
    """A benchmark's lines as Markdown, below its command."""
    command = f"`python -m {' '.join({**ALWAYS, **WITH_DATA}[name])}`"
    if name in ("real_data", "simulated"):
        body = markdown(lines)
    elif name.startswith("cold_start"):
        body = cold_markdown(lines)
    else:
        body = as_table(lines) if lines else "(no figures)"
    return f"{command}\n\n{body}"


def main() -> None:
    """Run everything that can be run here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("NIGHTSHELF_DATA"), help="folder of the real logs")
    parser.add_argument("--only", nargs="*", choices=[*ALWAYS, *WITH_DATA], help="run these alone")
    args = parser.parse_args()
    wanted = args.only or [*ALWAYS, *WITH_DATA]
    tables: list[str] = []
    spent: list[tuple[str, str, str]] = []
    done: list[str] = []
    with tempfile.TemporaryDirectory(prefix="nightshelf-bench-") as work:
        (Path(work) / "kept").mkdir()
        for name in wanted:
            why = left_out(name, args.data, done)
            if why:
                print(f"left out: {why}", flush=True)
                spent.append((name, "", "left out"))
                continue
            command = tuple(part.format(data=args.data, work=work) for part in {**ALWAYS, **WITH_DATA}[name])
            began = time.monotonic()
            code, lines = run(name, command)
            seconds = time.monotonic() - began
            print(f"{name}: {seconds:.0f} s, exit code {code}", flush=True)
            spent.append((name, f"{seconds:.0f}", f"exit code {code}" if code else "done"))
            if not code:
                done.append(name)
                if lines or name not in READS.values():
                    tables.append(f"## {name}\n\n{written(name, lines)}")
    tables.append("## Seconds\n\n" + table(("benchmark", "seconds", "outcome"), spent))
    failed = [name for name, _, outcome in spent if outcome.startswith("exit code")]
    print("\n" + "\n\n".join(tables))
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
