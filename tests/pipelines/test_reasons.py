"""A whole night says nothing untrue of why its items stand there, and its gate has looked at every one."""

from __future__ import annotations

from tests.pipelines.world import NIGHT, World


def test_a_night_cites_nothing_untrue(world: World) -> None:
    counts = world.warehouse.need("shelves", NIGHT).extra["measured"]["counts"]
    shelves = world.warehouse.read("shelves", NIGHT)
    shown = sum(shelves[column].list.len().sum() for column in ("items", "spares"))
    assert counts["reasons"] == shown > 1000
    assert not {name: n for name, n in counts.items() if name.startswith("untrue")}
