"""Co-listens: small sessions by hand, against a slow double loop, and over any split."""

from __future__ import annotations

from collections import Counter

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.transforms.listens import DAY1, MINUTE, at, dates_of, listens, logs, play
from transforms.listening.co_listens import UNIT, CoListenSettings, add, day_partials, sum_window
from transforms.listening.sessions import sessionize

LAST = dates_of()[-1]


def sessions_of(*plays) -> pl.DataFrame:
    return sessionize(listens(*plays), through=LAST)


def played(who: str, day: int, hour: int, titles: str):
    """A session of one-minute plays."""
    return [play(who, t, at(day, hour, n), MINUTE) for n, t in enumerate(titles)]


def test_a_session_of_two_by_hand():
    third = round(UNIT * 2**-1.5)
    out = day_partials(sessions_of(*played("ann", 1, 9, "ab")))
    assert out.rows() == [
        (DAY1, "a", "a", third, 0, 0, 1),
        (DAY1, "a", "b", third, UNIT, 0, 1),
        (DAY1, "b", "b", third, 0, 0, 1),
    ]


def test_what_follows_counts_less_with_distance():
    out = day_partials(sessions_of(*played("ann", 1, 9, "gabcdef")))
    follows = {b: n for b, n in out.filter(pl.col("track_a") == "a").select("track_b", "next_ab").rows() if n}
    assert follows == {"b": UNIT, "c": UNIT // 2, "d": round(UNIT / 3), "e": UNIT // 4, "f": round(UNIT / 5)}
    assert out.filter(track_a="a", track_b="g").select("next_ab", "next_ba").rows() == [(0, UNIT)]


def test_one_listener_adds_at_most_one_unit_a_day():
    loop = day_partials(sessions_of(*played("ann", 1, 9, "abababab")))
    assert loop.filter(track_a="a", track_b="b").select("next_ab", "next_ba", "sessions").rows() == [(UNIT, UNIT, 1)]
    twice = played("ann", 1, 9, "a") + played("ann", 1, 12, "a") + played("ann", 2, 9, "a") + played("bob", 1, 9, "a")
    assert day_partials(sessions_of(*twice)).select("date", "together", "sessions").rows() == [
        (DAY1, 2 * UNIT, 3),
        (dates_of()[1], UNIT, 1),
    ]


def test_skipped_plays_and_open_sessions_say_nothing():
    sampled = play("ann", "b", at(1, 9, 1), 5_000, skipped=True)
    out = day_partials(sessions_of(*played("ann", 1, 9, "a"), sampled, play("ann", "c", at(1, 9, 2), MINUTE)))
    assert [(a, b) for _, a, b, *_ in out.rows()] == [("a", "a"), ("a", "c"), ("c", "c")]
    over = sessionize(listens(play("ann", "a", at(1, 23, 59))), through=DAY1)
    assert over["open"].to_list() == [True]
    assert day_partials(over).height == 0


def test_a_long_session_pairs_neighbours_only():
    titles = [f"t{n:03}" for n in range(30)]
    log = [play("ann", t, at(1, 9, n), MINUTE) for n, t in enumerate(titles)]
    settings_ = CoListenSettings(whole_session=20, reach_in_long=3)
    out = day_partials(sessions_of(*log), settings_)
    assert out.filter(pl.col("sessions") > 0).height == 30 + 29 + 28 + 27
    assert set(out.filter(pl.col("sessions") > 0)["together"]) == {round(UNIT * 30**-1.5)}
    assert day_partials(sessions_of(*log[:20]), settings_).filter(pl.col("sessions") > 0).height == 20 * 21 // 2


def slowly(sessions: pl.DataFrame) -> dict:
    """The definition, pair by pair."""
    by_owner: dict = {}
    for row in sessions.filter(~pl.col("open")).to_dicts():
        heard = [
            p["track_id"]
            for p in row["tracks"]
            if p["completed"] or (p["ms_played"] or 0) >= 30_000 or (p["ms_played"] is None and not p["skipped"])
        ]
        counts = by_owner.setdefault((row["date"], row["listener_id"]), Counter())
        distinct = sorted(set(heard))
        for i, a in enumerate(distinct):
            for b in distinct[i:]:
                counts[a, b, "together"] += round(UNIT * len(distinct) ** -1.5)
                counts[a, b, "sessions"] += 1
        for i, x in enumerate(heard):
            for k, y in enumerate(heard[i + 1 : i + 6], 1):
                if x != y:
                    counts[min(x, y), max(x, y), "next_ab" if x < y else "next_ba"] += round(UNIT / k)
    total: Counter = Counter()
    for (day, _), counts in by_owner.items():
        for (a, b, what), n in counts.items():
            total[day, a, b, what] += n if what == "sessions" else min(n, UNIT)
    return dict(total)


@settings(max_examples=60)
@given(logs(listeners="abc", tracks="uvwxyz", most=60), st.sampled_from([1, 10, 4_000_000]))
def test_equal_to_the_definition_pair_by_pair(log, batch_pairs):
    sessions = sessionize(log, through=LAST)
    out = day_partials(sessions, batch_pairs=batch_pairs)
    names = ("together", "next_ab", "next_ba", "sessions")
    ours = {(d, a, b, what): n for d, a, b, *ns in out.rows() for what, n in zip(names, ns, strict=True) if n}
    assert ours == slowly(sessions)
    assert (out["track_a"] <= out["track_b"]).all()


@settings(max_examples=40)
@given(logs(listeners="abcd"), st.randoms(use_true_random=False))
def test_any_split_by_listener_adds_up_to_the_whole(log, rng):
    sessions = sessionize(log, through=LAST)
    side = {who: rng.random() < 0.5 for who in "abcd"}
    mask = pl.Series([side[w] for w in sessions["listener_id"]], dtype=pl.Boolean)
    parts = [day_partials(sessions.filter(mask)), day_partials(sessions.filter(~mask))]
    rng.shuffle(parts)
    assert_frame_equal(add(parts), day_partials(sessions))


def test_a_window_is_decayed_on_reading():
    rows = day_partials(sessions_of(*played("ann", 1, 9, "a"), *played("ann", 3, 9, "ab")))
    parts = [(key[0], f) for key, f in rows.partition_by("date", as_dict=True, include_key=False).items()]
    out = sum_window(parts, dates_of()[2], half_life_days=2.0)
    assert out["together"].to_list()[0] == UNIT / 2 + round(UNIT * 2**-1.5)
    assert out.select("track_a", "track_b").rows() == [("a", "a"), ("a", "b"), ("b", "b")]


def test_a_share_of_listeners_counts_whole_or_not_at_all_and_the_same_ones_every_day():
    people = [f"who{n}" for n in range(60)]
    days = {d: sessions_of(*(p for who in people for p in played(who, d, 9, "ab"))) for d in (1, 2)}
    half = CoListenSettings(share=0.5)
    alone = {who: day_partials(days[1].filter(listener_id=who), half) for who in people}
    chosen = [who for who in people if alone[who].height]
    assert 20 <= len(chosen) <= 40
    for day in (1, 2):
        kept = day_partials(days[day].filter(pl.col("listener_id").is_in(chosen)))
        assert_frame_equal(day_partials(days[day], half), kept)
    fewer = day_partials(days[1], CoListenSettings(share=0.1)).filter(track_a="a", track_b="b")
    assert fewer["sessions"].sum() < len(chosen)
