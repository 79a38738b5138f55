"""A night killed (SIGKILL) at twenty points spread over its stages, each time started again where it was left.

    python -m tests.benchmarks.survival [--listeners 200]

After every kill all that is current must be whole and made of inputs that are current, and the shelves must be the last
to appear; at the end every file must have the bytes of a night that was not killed. A JSON line a kill, one for the end;
exits with 1 if anything was lost, doubled or different.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.pipelines.kill_points import TWENTY
from tests.pipelines.test_kill import assert_equal, assert_readable, killed
from tests.pipelines.world import NIGHT, SETTINGS, World, build, manifests, without


def main(listeners: int) -> None:
    """Build a world, kill its night at every point, compare."""
    from pipelines.nightly import night

    with tempfile.TemporaryDirectory(prefix="nightshelf-survival-") as scratch:
        world = build(Path(scratch), listeners)
        place = World.copy(world.made, Path(scratch) / "killed")
        without(place, NIGHT)
        for number, (pattern, n, what) in enumerate(TWENTY, 1):
            before = set(manifests(place))
            killed("night", place, pattern, n)
            assert_readable(place)
            after = set(manifests(place))
            assert after >= before, "a kill took something away"
            assert (f"shelves@{NIGHT}" in after) == (pattern == "runs/*"), "shelves must come last"
            print(
                json.dumps({"kill": number, "where": what, "current": len(after), "new": len(after - before)}),
                flush=True,
            )
        night(place.url, NIGHT, SETTINGS)
        assert_equal(place, world.place)
        print(json.dumps({"kills": len(TWENTY), "listeners": listeners, "equal_to_unkilled": True}), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--listeners", type=int, default=200)
    try:
        main(parser.parse_args().listeners)
    except AssertionError as error:
        print(json.dumps({"equal_to_unkilled": False, "why": str(error)[:500]}), flush=True)
        sys.exit(1)
