"""What an ingest tells: a wrong unit of time, late listens, a file of two roles, a file without lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipelines.test_ingest import log, run, world  # noqa: F401  (a fixture)
from transforms.errors import UserError


@pytest.mark.parametrize(
    ("says", "at"),
    [("unix_s", "1767607200000"), ("iso", "1767607200000"), ("unix_ms", "1767607200"), ("unix_us", "1767607200000")],
)
def test_a_wrong_unit_of_time_is_named_with_the_others(world: Path, says: str, at: str) -> None:  # noqa: F811
    (world / "ms.csv").write_text("u,t,at\n" + f"ann,t1,{at}\n" * 3)
    (world / "m.yaml").write_text(f"columns: {{listener_id: u, track_id: t, started_at: at}}\ntime: {says}\n")
    said = f"the mapping says time: {says}; try iso, unix_s, unix_ms or unix_us"
    with pytest.raises(UserError, match=f"none of the first 3 lines can be taken .*; {said}"):
        run(world, str(world / "ms.csv"), mapping=str(world / "m.yaml"))


def test_other_refusals_say_nothing_of_time(world: Path) -> None:  # noqa: F811
    with pytest.raises(UserError, match=r"broken_line\)\.$"):
        run(world, log(world / "a.csv", broken=3))
