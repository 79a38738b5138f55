"""How much memory this process may have: the machine's, less where a container or a control group allows less.

A container of 3 GB on a machine of 64 sees the machine's 64 in /proc/meminfo. Who goes by that starts as many processes as fit
there, and the system kills them. Control groups say what they allow in files (version 2: `memory.max`, version 1:
`memory.limit_in_bytes`), each group no more than the groups around it.

    >>> 0 < available_mb() <= machine_mb()
    True
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

GROUPS, MINE = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
UNLIMITED = 1 << 50  # what version 1 says where there is no limit


@dataclass(frozen=True)
class Group:
    """Bytes that a control group allows, and bytes in it that nobody could have back for others."""

    limit: int
    used: int


def machine_mb() -> int:
    """All memory of the machine, in MB of 2**20 bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20


def allowed_mb() -> int:
    """Memory that the machine and the control groups around this process allow at most, in MB of 2**20 bytes."""
    return min([machine_mb(), *(group.limit >> 20 for group in groups())])


def available_mb() -> int:
    """Memory that is free or can be freed, for this process and those it starts together, in MB of 2**20 bytes."""
    free = machine_mb()
    with suppress(OSError, StopIteration), open("/proc/meminfo") as lines:
        free = int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) >> 10
    return max(0, min([free, *((group.limit - group.used) >> 20 for group in groups())]))


def groups(mine: Path = MINE, mounted: Path = GROUPS) -> list[Group]:
    """The control groups with a limit that this process is in; none where the system has no such files.

    Args:
        mine: lists the groups of a process, `number:controllers:/path` a line (version 2 has no controllers there).
        mounted: where their files are.
    """
    try:
        lines = mine.read_text().splitlines()
    except OSError:
        lines = []
    paths = {tuple(line.split(":", 2)[1:]) for line in lines if line.count(":") >= 2}
    found = []
    for controllers, path in sorted(paths):
        if controllers == "":
            kind = (mounted, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            kind = (mounted / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        root, *names = kind
        # in a container the path is that of the machine outside, and the container's own group is at the root
        found += [group for folder in _around(root, path) if (group := _group(folder, *names)) is not None]
    return found


def _around(root: Path, path: str) -> Iterator[Path]:
    inner = root / path.strip("/")
    while inner.is_relative_to(root):
        yield inner
        inner = inner.parent


def _group(folder: Path, limit: str, usage: str, freed: str) -> Group | None:
    try:
        allowed = int((folder / limit).read_text())
        used = int((folder / usage).read_text())
    except (OSError, ValueError):  # no such group, or the word `max`
        return None
    cached = 0
    with suppress(OSError, ValueError, StopIteration):
        lines = (folder / "memory.stat").read_text().splitlines()
        cached = int(next(line.split()[1] for line in lines if line.split()[0] == freed))
    return Group(allowed, max(0, used - cached)) if allowed < UNLIMITED else None
