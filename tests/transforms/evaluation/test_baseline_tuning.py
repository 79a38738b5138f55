"""Choosing baselines on an earlier origin: what came after it decides, what comes after the night cannot."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl

from transforms.evaluation.baseline_tuning import choose, with_sessions
from transforms.evaluation.baselines import BaselineSettings

NIGHT = date(2026, 1, 31)


def at(days_ago: int, minutes: float = 0) -> datetime:
    return datetime(2026, 1, 31, 8, tzinfo=UTC) - timedelta(days=days_ago) + timedelta(minutes=minutes)


def plays(*sessions: tuple[str, int, str]) -> pl.DataFrame:
    rows = [
        (who, item, at(ago, 3 * n), f"{who}{ago}", True)
        for who, ago, items in sessions
        for n, item in enumerate(items.split())
    ]
    return pl.DataFrame(rows, schema=["listener_id", "item", "started_at", "session_id", "heard"], orient="row")


# x and y go together in sessions; dan played x before the earlier origin and y after it; p is what most people play
LOG = plays(
    *((f"pop{n}", 20, "p r") for n in range(5)),
    *((f"co{n}", 20, "x y") for n in range(3)),
    ("dan", 20, "x"),
    ("dan", 3, "y p0 y"),
    ("eve", 20, "q q r"),
    ("eve", 2, "q"),
)


def test_the_best_baseline_is_the_one_that_foresaw_the_last_days() -> None:
    got = choose(LOG, NIGHT, 7, BaselineSettings())
    assert got.best["unheard"] in {"item-knn", "last-tracks"}
    assert got.best["repeat"] == "own-top"


def test_settings_are_tuned_on_the_same_origin() -> None:
    """Only listener-wide neighbours can know that x leads to y when no session holds both."""
    apart = plays(
        *((f"co{n}", 20, "x") for n in range(3)),
        *((f"co{n}", 19, "y") for n in range(3)),
        *((f"no{n}", 20, "x z") for n in range(1)),
        ("dan", 20, "x"),
        ("dan", 3, "y"),
    )
    assert choose(apart, NIGHT, 7, BaselineSettings()).settings.knn_rows == "listener"
    assert choose(apart, NIGHT, 7, BaselineSettings(), tune=False).settings == BaselineSettings()


def test_nothing_after_the_night_decides() -> None:
    later = plays(("dan", -3, "p p p"), ("eve", -2, "p"))
    assert choose(pl.concat([LOG, later]), NIGHT, 7, BaselineSettings()) == choose(LOG, NIGHT, 7, BaselineSettings())


def test_a_log_too_short_to_choose_on_keeps_what_it_was_given() -> None:
    given = BaselineSettings(knn_neighbours=7)
    assert choose(LOG.filter(pl.col("started_at") > at(4)), NIGHT, 7, given).best == {}
    assert choose(LOG.clear(), NIGHT, 7, given).settings == given


def test_sessions_end_where_the_pause_exceeds_the_gap() -> None:
    log = pl.DataFrame(
        {
            "listener_id": ["ann", "ann", "ann", "bob"],
            "track_id": ["a", "b", "c", "d"],
            # b starts 30 minutes after a's end, c 30 minutes and a second after b's
            "started_at": [at(1), at(1, 32), at(1, 62 + 3.5 + 1 / 60), at(1)],
            "ms_played": [120_000, None, 1_000, 1_000],
        },
        schema_overrides={"ms_played": pl.Int32},
    )
    got = with_sessions(log.reverse()).sort("track_id")["session_id"].to_list()
    assert got[0] == got[1] and len({got[1], got[2], got[3]}) == 3
