"""Asks an advisory database about every pinned version, by `pip-audit`, and judges what it says.

    python -m tests.audit .venv-audit/bin/pip-audit constraints.txt tests/emulators.txt tests/audit.txt

Ends with 1 where an advisory names a pinned version, unless it stands in `ACCEPTED` with the reason. Where no database can be
asked nothing is known, which is said, and ends with 0: a machine without a network must be able to build.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

# Advisory -> why the pinned version is kept all the same.
ACCEPTED: dict[str, str] = {}
LONGEST = 600  # seconds that all answers may take


@dataclass
class Audit:
    """What is known of some pinned versions.

    Attributes:
        asked: versions that a database answered for.
        silent: versions that nobody could be asked about, or that no database knows.
        found: lines, one an advisory.
    """

    asked: int = 0
    silent: int = 0
    found: list[str] = field(default_factory=list)


def judged(printed: str) -> Audit:
    """What `pip-audit --format json` printed; nothing printed is nothing known.

    >>> judged('{"dependencies": [{"name": "a", "version": "1", "vulns": []}]}')
    Audit(asked=1, silent=0, found=[])
    """
    audit = Audit()
    for one in json.loads(printed)["dependencies"] if printed.strip().startswith("{") else ():
        if "skip_reason" in one:
            audit.silent += 1
            continue
        audit.asked += 1
        audit.found += _advisories(one)
    return audit


def _advisories(one: dict[str, object]) -> Iterator[str]:
    vulns = one["vulns"]
    assert isinstance(vulns, list)
    for vuln in vulns:
        if ACCEPTED.keys().isdisjoint({vuln["id"], *vuln.get("aliases", ())}):
            mended = ", ".join(vuln.get("fix_versions") or ()) or "no version yet"
            yield f"{one['name']} {one['version']}: {vuln['id']}, mended in {mended}"


def asked_about(program: str, path: str, *more: str) -> Audit:
    """Ask about every version that a file pins."""
    line = [
        program,
        "--requirement",
        path,
        "--no-deps",
        "--disable-pip",
        "--format",
        "json",
        "--progress-spinner",
        "off",
    ]
    try:
        done = subprocess.run([*line, *more], capture_output=True, text=True, timeout=LONGEST)
    except (OSError, subprocess.TimeoutExpired):  # it could not be installed, or nobody answers
        return Audit()
    return judged(done.stdout)


def main(program: str, paths: Sequence[str], more: Sequence[str] = ()) -> int:
    """Print what is known of each file; 1 where an advisory names a version."""
    code = 0
    for path in paths:
        audit = asked_about(program, path, *more)
        for line in audit.found:
            print(f"audit: {path}: {line}; raise it in that file, or accept it with a reason in tests/audit.py")
            code = 1
        if not audit.asked:
            print(f"audit: {path}: no advisory database could be asked, so nothing is known of its versions")
        elif not audit.found:
            left = f", {audit.silent} are in no database" if audit.silent else ""
            print(f"audit: {path}: no advisory names any of {audit.asked} versions{left}")
    return code


if __name__ == "__main__":
    options = [word for word in sys.argv[2:] if word.startswith("--")]
    sys.exit(main(sys.argv[1], [word for word in sys.argv[2:] if word not in options], options))
