"""Track statistics: caps and markets by hand, sums over any split."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.transforms.listens import DAY1, MINUTE, at, dates_of, listens, logs, play
from transforms.listening.track_stats import COUNTS, KEY, add, day_partials, sum_window, weighted_sum


def test_a_listener_counts_at_most_their_first_ten_plays_a_day():
    first = [play("ann", "a", at(1, 9, n), 3 * MINUTE, completed=True) for n in range(8)]
    skipped = [play("ann", "a", at(1, 10, n), 1000, skipped=True) for n in range(5)]
    log = listens(*reversed(first + skipped), play("bob", "a", at(1, 9)), play("ann", "a", at(2, 9)))
    rows = day_partials(log).select("date", "plays", "listeners", "heard", "completions", "skips").rows()
    assert rows == [(DAY1, 11, 2, 9, 8, 2), (dates_of()[1], 1, 1, 1, 0, 0)]


def test_the_market_is_the_listeners_else_the_plays_country_else_empty():
    log = listens(
        play("ann", "a", at(1, 9), country="NO"),
        play("bob", "a", at(1, 9), country="NO"),
        play("cid", "a", at(1, 9)),
    )
    markets = pl.DataFrame({"listener_id": ["ann", "cid"], "market": ["SE", None]})
    out = day_partials(log, markets)
    assert out.select("market", "plays").rows() == [("", 1), ("NO", 1), ("SE", 1)]
    assert day_partials(log).select("market", "plays").rows() == [("", 1), ("NO", 2)]


def test_a_window_decays_by_half_lives_and_ends():
    log = listens(*(play("ann", "a", at(d, 9)) for d in (1, 2, 3)), play("ann", "b", at(3, 9)))
    whole = day_partials(log)
    parts = [(key[0], f) for key, f in whole.partition_by("date", as_dict=True, include_key=False).items()]
    out = sum_window(parts, dates_of()[2], half_life_days=1.0)
    assert out.select("track_id", "plays").rows() == [("a", 1.75), ("b", 1.0)]
    assert sum_window(parts, dates_of()[2], None, days=2)["plays"].to_list() == [2.0, 1.0]
    assert sum_window(parts, DAY1, None)["plays"].to_list() == [1.0]
    assert sum_window(parts[::-1], dates_of()[2], 1.7).equals(sum_window(parts, dates_of()[2], 1.7))
    assert sum_window([], DAY1).columns == out.columns


@settings(max_examples=40)
@given(logs(listeners="abcd", tracks="xy"), st.randoms(use_true_random=False))
def test_any_split_by_listener_adds_up_to_the_whole(log, rng):
    side = {who: rng.random() < 0.5 for who in "abcd"}
    mask = pl.Series([side[w] for w in log["listener_id"]], dtype=pl.Boolean)
    whole = day_partials(log, plays_per_day=2)
    parts = [day_partials(log.filter(mask), plays_per_day=2), day_partials(log.filter(~mask), plays_per_day=2)]
    rng.shuffle(parts)
    assert_frame_equal(add(parts), whole)
    assert (whole["plays"] <= whole["listeners"] * 2).all()
    assert whole["plays"].sum() <= log.height


def test_a_long_window_is_added_up_a_few_dates_at_a_time_to_the_same_sum() -> None:
    rng = np.random.default_rng(1)
    day, read = dt.date(2026, 3, 1), []

    def rows(i: int) -> pl.DataFrame:
        read.append(i)
        tracks = [f"t{j:02d}" for j in range(50) if rng.random() < 0.5]
        return pl.DataFrame({"track_id": tracks, "market": ["SE"] * len(tracks)}).with_columns(
            pl.lit(i + 1).alias(c) for c in COUNTS
        )

    frames = [(day - dt.timedelta(i), rows(i)) for i in range(30)]
    whole = weighted_sum(frames, KEY, COUNTS, as_of=day, half_life_days=9.0, days=90)
    read.clear()
    late = [(d, lambda i=i: (read.append(i), frames[i][1])[1]) for i, (d, _) in enumerate(frames)]
    some = weighted_sum(late, KEY, COUNTS, as_of=day, half_life_days=9.0, days=20, held=60)
    assert read == list(range(19, -1, -1)), "oldest first, and nothing outside the window"
    inside = weighted_sum(frames[:20], KEY, COUNTS, as_of=day, half_life_days=9.0, days=90)
    assert_frame_equal(some, inside, rel_tol=1e-12)
    assert not inside.equals(whole)
