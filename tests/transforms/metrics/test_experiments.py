"""An experiment's readout: means of arms, differences from the control, intervals by listener."""

from __future__ import annotations

import numpy as np
import polars as pl

from transforms.metrics.experiments import arm_rows


def listeners(n: int, lift: float, arms: tuple[str, str] = ("control", "new")) -> pl.DataFrame:
    rng = np.random.default_rng(1)
    arm = [arms[i % 2] for i in range(n)]
    plays = rng.poisson(5, n) + np.array([lift * (a == arms[1]) for a in arm])
    ids = [f"listener-{i}" for i in range(n)]
    return pl.DataFrame(
        {
            "listener_id": ids,
            "experiment": "e",
            "arm": arm,
            "plays": plays,
            "saved": pl.Series([None] * n, dtype=pl.Float64),
        }
    )


def test_a_planted_lift_is_found_and_none_is_not() -> None:
    for lift in (2.0, 0.0):
        frame = listeners(400, lift)
        rows = arm_rows(frame, draws=400)
        means = dict(frame.group_by("arm").agg(pl.col("plays").mean()).iter_rows())
        assert {r["model"]: r["value"] for r in rows if not r["versus"]} == {f"arm:{a}": m for a, m in means.items()}
        (difference,) = [r for r in rows if r["versus"]]
        assert (difference["model"], difference["versus"], difference["n"]) == ("arm:new", "arm:control", 400)
        assert np.isclose(difference["value"], means["new"] - means["control"])
        assert (difference["low"] > 0) == (lift > 0) and difference["low"] < lift < difference["high"]
        assert {r["metric"] for r in rows} == {"plays"}, "what no listener's log can tell is left out"


def test_the_first_arm_is_the_control_where_none_is_called_so_and_order_does_not_matter() -> None:
    frame = listeners(50, 1.0, ("b", "c"))
    assert {r["versus"] for r in arm_rows(frame, draws=100) if r["versus"]} == {"arm:b"}
    assert arm_rows(frame, draws=100) == arm_rows(frame.reverse(), draws=100)
    assert arm_rows(frame.clear()) == []
