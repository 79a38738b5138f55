"""Mutated inputs of every format through the adapters: no crash, no lost row, no hang, no listener's id in a message.

    python -m tests.benchmarks.fuzz --count 100000 [--seed 1] [--only FILE_NUMBER] [--keep DIR]

An input is a mutated record, a file mutated as a whole, or a mutated settings file, mapping or table name. Prints one JSON line
of what came of them. A finding names its file's number, which `--only` makes again; `--keep` stores its bytes.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzzing.run import Finding, fuzz

HANGS = 120.0  # seconds for one small file


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="mutated inputs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="this file alone")
    parser.add_argument("--keep", type=Path, help="where a finding's bytes are put")
    args = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            clock = lambda: faulthandler.dump_traceback_later(HANGS, exit=True)  # noqa: E731
            tally = fuzz(args.count, args.seed, Path(folder), clock, args.only)
        except Finding as found:
            if args.keep:
                args.keep.mkdir(parents=True, exist_ok=True)
                (args.keep / f"file-{found.number}").write_bytes(found.data)
            print(f"found: {found}", file=sys.stderr)
            raise
        finally:
            faulthandler.cancel_dump_traceback_later()
    total = {"inputs": tally.inputs, "seconds": round(time.monotonic() - began, 1), "seed": args.seed}
    print(json.dumps({**total, **{kind: dict(c) for kind, c in sorted(tally.counts.items())}}))


if __name__ == "__main__":
    main()
