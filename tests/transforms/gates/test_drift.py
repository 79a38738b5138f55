"""Drift: stationary nights raise few alarms, what moved is named, and a fit's jump is held against earlier fits."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from transforms.common.typed_names import Watched
from transforms.gates.drift import DriftSettings, Observed, check_drift, psi
from transforms.gates.moving import expected, watched_candidates, watched_inputs, watched_listens, watched_shelves
from transforms.outcomes.nights import new_listens
from transforms.tables.schema import TABLES

SETTINGS = DriftSettings()
THINGS = 40


def world(seed: int, nights: int, rows: int = 2000) -> list[Observed]:
    """Nights of one stationary world: every thing is drawn around shares of its own that wander a little from night to night."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(12, 2.0), size=THINGS)
    out = []
    for _ in range(nights):
        counts = {}
        for k in range(THINGS):
            wander = rng.dirichlet(shares[k] * 400 + 1e-3)
            for n, value in enumerate(rng.multinomial(rows, wander).tolist()):
                if value:
                    counts[str(Watched.of("log", f"thing {k}", str(n)))] = value
        out.append(Observed(counts, {"listens of the date": float(np.exp(rng.normal(8, 0.05)))}, "m"))
    return out


def warned(nights: list[Observed]) -> list[str]:
    return [c.name for c in check_drift(nights[-1], nights[:-1], SETTINGS) if c.state == "WARN"]


def test_stationary_nights_alarm_no_more_often_than_stated() -> None:
    alarms = [bool(warned(world(seed, 20))) for seed in range(100)]
    assert np.mean(alarms) <= 0.05, "stated: 1 in 50; at most 1 in 20 of the nights"


def rare(seed: int, nights: int, things: int = 20) -> list[Observed]:
    """Nights of few rows, nearly all of them of one value: zeros that say nothing of how much a thing wanders."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(nights):
        other = rng.binomial(100, 0.005, size=things)
        pairs = {(k, name): n for k in range(things) for name, n in (("new", other[k]), ("known", 100 - other[k])) if n}
        out.append(
            Observed({str(Watched.of("input", f"thing {k}", v)): int(n) for (k, v), n in pairs.items()}, {}, "m")
        )
    return out


def test_what_hardly_ever_wanders_is_named_when_it_moves_and_not_before() -> None:
    assert np.mean([bool(warned(rare(seed, 20))) for seed in range(100)]) <= 0.05
    for seed in range(10):
        nights = rare(seed, 20)
        moved = {str(n): c for n, c in Watched.among(nights[-1].counts).items() if n.name != "thing 7"}
        moved[str(Watched.of("input", "thing 7", "new"))] = 100
        assert "drift of input thing 7" in warned([*nights[:-1], Observed(moved, {}, "m")])


def test_what_moved_is_named_the_same_night_and_only_that() -> None:
    for seed in range(5):
        nights = world(seed, 20)
        counts = dict(nights[-1].counts)
        mine = {n: counts.pop(str(n)) for n in Watched.among(counts) if n.name == "thing 7"}
        lost = max(mine, key=lambda n: mine[n])
        mine.pop(lost)  # its most frequent value is gone
        nights[-1] = Observed({**counts, **{str(n): c for n, c in mine.items()}}, nights[-1].levels, "m")
        (check,) = check_drift(nights[-1], nights[:-1], SETTINGS)
        assert check.name == "drift of log thing 7" and check.state == "WARN"
        assert f"most of it {lost.bin}: " in check.detail and "0.0% now" in check.detail


def test_a_level_that_fell_and_a_thing_that_is_gone_are_named() -> None:
    nights = world(3, 20)
    low = Observed(nights[-1].counts, {"listens of the date": nights[-1].levels["listens of the date"] * 0.5}, "m")
    assert warned([*nights[:-1], low]) == ["drift of listens of the date"]
    gone = {name: n for name, n in nights[-1].counts.items() if "thing 9 " not in name}
    assert warned([*nights[:-1], Observed(gone, nights[-1].levels, "m")]) == ["drift of log thing 9"]


def test_a_fit_is_held_against_earlier_fits() -> None:
    """Features jump whenever models are fitted anew, every third night: no alarm; the same jump on another night is one."""
    rng = np.random.default_rng(0)

    def night(n: int, centre: float) -> Observed:
        candidates = pl.DataFrame(
            {
                "listener_id": [f"l{i % 50}" for i in range(3000)],
                "f_a": rng.normal(centre, 1, 3000).astype(np.float32),
                "ranker_score": rng.normal(size=3000).astype(np.float32),
            }
        )
        return Observed(watched_candidates(candidates, 1), {}, f"fit {n // 3}")

    centres = np.repeat(rng.normal(0, 1.0, 12), 3)
    nights = [night(n, float(centres[n])) for n in range(36)]
    names = [warned(nights[: n + 1]) for n in range(20, 36)]
    assert sum(map(bool, names)) <= 1
    jumped = night(36, 3.0)
    between = Observed(jumped.counts, {}, nights[-1].models)
    assert "drift of feature f_a" in warned([*nights, between])


def test_too_few_nights_say_nothing() -> None:
    (check,) = check_drift(world(1, 4)[-1], world(1, 4)[:-1], SETTINGS)
    assert check.state == "SKIP"
    nights = world(2, 20)
    (check,) = check_drift(nights[-1], nights[:-1], SETTINGS)
    assert check.state == "PASS" and f"none of {THINGS + 1} things" in check.detail


def test_a_clock_that_is_off_shows_within_countries_where_the_whole_day_is_flat() -> None:
    rng = np.random.default_rng(5)

    def night(shift: int) -> Observed:
        zones = rng.integers(24, size=4000)  # a country an hour: together they listen all day alike
        hour = (zones + rng.normal(12, 3, size=4000).astype(int) + shift) % 24
        at = [datetime(2026, 1, 1, int(h), tzinfo=UTC) for h in hour]
        zone = ["A" if z < 12 else "B" for z in zones]
        return Observed(watched_listens(pl.DataFrame({"started_at": at, "country": zone})))

    before = [night(0) for _ in range(12)]
    (quiet,) = check_drift(night(0), before, SETTINGS)
    assert quiet.state == "PASS"
    assert {c.name for c in check_drift(night(-9), before, SETTINGS)} == {
        "drift of log hour in A",
        "drift of log hour in B",
    }


def test_counts_are_of_what_is_there() -> None:
    at = datetime(2026, 1, 1, 9, tzinfo=UTC)
    log = pl.DataFrame(
        {
            "started_at": [at] * 3,
            "ms_played": [1000, 200_000, None],
            "platform": ["i os", "web", None],
            "skipped": [True, None, False],
        }
    )
    counts = watched_listens(log)
    assert counts["moves log|hour 9"] == 3 and counts["moves log|platform i_os"] == 1
    assert counts["moves log|skipped none"] == 1 and counts["moves log|ms_played none"] == 1
    assert sum(n for name, n in counts.items() if "ms_played" in name) == 3
    of_two = log.with_columns(country=pl.Series(["US", "US", "Viet Nam"]))
    counts = watched_listens(of_two)
    assert counts["moves log|hour in US 9"] == 2 and counts["moves log|hour in Viet Nam 9"] == 1
    (hour,) = (one for one in Watched.among(counts) if one.name == "hour in Viet Nam")
    assert (hour.kind, hour.bin) == ("log", "9"), "a name may have spaces"
    shelves = pl.DataFrame(
        {
            "status": ["personal", "empty"],
            "items": [
                [{"track_id": "a", "source": "als", "reason": None}, {"track_id": "b", "source": "als", "reason": "x"}],
                [],
            ],
        }
    )
    assert watched_shelves(shelves, {"a": 9.0}) == {
        "moves shelf|status personal": 1,
        "moves shelf|status empty": 1,
        "moves shelf|source als": 2,
        "moves shelf|reason none": 1,
        "moves shelf|reason x": 1,
        f"moves shelf|popularity of items {int(np.floor(np.arcsinh(9.0) * 4))}": 1,
        "moves shelf|popularity of items 0": 1,
    }
    both = psi({"a": 1}, {"b": 1})
    assert both > 1 and psi({}, {}) == 0


def test_what_was_expected_and_found_is_of_new_tracks() -> None:
    rows = pl.DataFrame({"heard_before": [False, True, False], "p_listened": [0.25, 0.9, None]})
    assert (
        expected(rows) == {"expected listens of new tracks, ppm": 250_000} and expected(rows.drop("p_listened")) == {}
    )
    told = pl.DataFrame(
        {
            "horizon": [7, 7, 7, 1],
            "listened": [True, True, True, True],
            "heard_before": [False, True, False, False],
            "stage": ["shown", "candidate", "missed", "placed"],
        }
    )
    assert new_listens(told) == {"listens of new tracks 1": 1, "listens of new tracks 7": 1}


@pytest.mark.parametrize("name", ["a|b c", "log|thing 7 none"])
def test_a_watched_name_reads_back(name: str) -> None:
    parsed = Watched.parse(f"moves {name}")
    assert parsed is not None and str(parsed) == f"moves {name}"


def test_whoever_is_in_the_library_for_the_days_own_plays_is_a_new_listener() -> None:
    day = date(2026, 1, 9)
    at = [datetime(2026, 1, 9, 8, tzinfo=UTC) - timedelta(days) for days in (0, 0, 3)]
    play = {"track_id": "t1", "started_at": at[0], "ms_played": None, "skipped": None, "completed": None}
    sessions = pl.DataFrame(
        [
            {"listener_id": who, "started_at": at[0], "tracks": [play], "new_share": 1.0}
            for who in ("new", "old", "saver")
        ],
        schema_overrides={n: TABLES["sessions"].polars[n] for n in ("started_at", "tracks")},
    )
    library = pl.DataFrame(
        {"listener_id": ["new", "old", "old", "saver"], "first_played_at": [at[0], at[1], at[2], None]},
        schema_overrides={"first_played_at": TABLES["library"].polars["first_played_at"]},
    )
    listeners = pl.DataFrame({"listener_id": ["old"], "market": ["SE"]})
    seen = watched_inputs({"sessions": sessions, "library": library, "listeners": listeners}, day, pl.Series(["t1"]))
    found = {str(n): v for n, v in seen.items() if "input|listeners" in str(n)}
    assert found == {"moves input|listeners known": 2, "moves input|listeners new": 1}
