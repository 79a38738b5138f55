"""Every benchmark in turn, for `make bench`: their JSON lines as they come, then all of them as one Markdown table each.

    python -m tests.benchmarks.all [--data DIR] [--only NAME ...]

Those that need real logs run if --data or NIGHTSHELF_DATA names a folder that holds them, and are said to be left out
otherwise. A benchmark that fails is reported, the others still run, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.real_tables import figure, table

# each in a process of its own: what one leaves in memory must not count against the next
ALWAYS = {
    "top_k": ("tests.benchmarks.top_k",),
    "ingest_20m": ("tests.benchmarks.ingest_20m",),
    "incremental": ("tests.benchmarks.incremental",),
    "survival": ("tests.benchmarks.survival",),
}
WITH_DATA = {
    "real_data": ("tests.benchmarks.real_data", "--data", "{data}"),
    "offline": ("tests.benchmarks.offline", "--sessions", "{data}/lfm1b-500u/sessions.csv"),
    "next_item": ("tests.benchmarks.next_item", "--sequences", "{data}/ml-1m-5core/sequences.txt"),
}


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
                continue
            if isinstance(value, dict):
                found.append({"benchmark": name, **value})
    return process.returncode, found


def as_table(lines: list[dict[str, object]]) -> str:
    """Key and value of one line; a row a line where there are several."""
    if len(lines) == 1:
        return table(("what", "value"), [(k, _text(v)) for k, v in lines[0].items() if k != "benchmark"])
    names = [n for n in dict.fromkeys(k for line in lines for k in line) if n != "benchmark"]
    return table(names, [[_text(line.get(n)) for n in names] for line in lines])


def _text(value: object) -> str:
    return json.dumps(value) if isinstance(value, dict | list) else figure(value)


def main() -> None:
    """Run everything that can be run here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("NIGHTSHELF_DATA"), help="folder of the real logs")
    parser.add_argument("--only", nargs="*", choices=[*ALWAYS, *WITH_DATA], help="run these alone")
    args = parser.parse_args()
    wanted = args.only or [*ALWAYS, *WITH_DATA]
    tables, failed = [], []
    for name in wanted:
        command = {**ALWAYS, **WITH_DATA}[name]
        needs = [part for part in command if "{data}" in part]
        if needs and not args.data:
            print(f"left out: {name} needs real logs; name their folder with --data or NIGHTSHELF_DATA", flush=True)
            continue
        missing = [p for part in needs if not Path(p := part.format(data=args.data)).exists()]
        if missing:
            print(f"left out: {name} needs {missing[0]}, which is not there", flush=True)
            continue
        began = time.monotonic()
        code, lines = run(name, tuple(part.format(data=args.data) for part in command))
        print(f"{name}: {time.monotonic() - began:.0f} s, exit code {code}", flush=True)
        if code:
            failed.append(name)
        elif name == "real_data":
            from tests.benchmarks.real_tables import markdown

            tables.append(f"## {name}\n\n{markdown(lines)}")
        elif lines:
            tables.append(f"## {name}\n\n`python -m {' '.join(command)}`\n\n{as_table(lines)}")
    print("\n" + "\n\n".join(tables))
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
