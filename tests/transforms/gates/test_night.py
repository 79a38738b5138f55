"""Each check of a night, on a handful of rows or counts: what passes, what fails, what is not judged and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from transforms.gates import measure
from transforms.gates.check import Check, failed, refuse
from transforms.gates.measure import Measured
from transforms.gates.night import GateFacts, check_night
from transforms.gates.settings import GateSettings, NightGates
from transforms.tables.schema import TABLES

DAY = date(2026, 1, 20)
SETTINGS = GateSettings(min_rows=10)
GOOD = {
    "roster": 10,
    "active": 8,
    "plays": 100,
    "repeated plays": 0,
    "unknown plays": 5,
    "listeners": 10,
    "rows": 20,
    "repeated rows": 0,
    "items": 200,
    "null items": 0,
    "repeated items": 0,
    "scoreless items": 0,
    "status discover personal": 9,
    "status discover fallback": 1,
    "status repeat personal": 8,
    "status repeat empty": 2,
    "chosen items": 100,
    "same chosen items": 70,
    "carried items": 100,
    "same carried items": 95,
    "scores": 300,
    "reasons": 500,
    "not finite": 0,
    "score linear -1": 100,
    "score linear 0": 100,
    "score linear 1": 100,
}
BEFORE = [DAY - timedelta(n) for n in range(7, 0, -1)]
HEALTHY = GateFacts(
    day=DAY,
    fit_date=DAY,
    shelf_count=2,
    measured=Measured(GOOD),
    listens={d: 100 for d in [*BEFORE, DAY]},
    nulls={d: {"rows": 100, "null country": 5} for d in [*BEFORE, DAY]},
    nights=[GOOD, GOOD, GOOD],
    schema=(),
)


def found(name: str, facts: GateFacts, settings: GateSettings = SETTINGS) -> Check:
    return next(c for c in check_night(facts, settings) if c.name == name)


def counted(**counts: int) -> GateFacts:
    """A night that differs from a healthy one in some counts (underscores stand for spaces)."""
    changed = {name.replace("_", " "): n for name, n in counts.items()}
    return replace(HEALTHY, measured=Measured({**GOOD, **changed}))


def test_a_healthy_night_passes_every_check() -> None:
    assert {c.state for c in check_night(HEALTHY, SETTINGS)} == {"PASS"}


def test_a_first_night_is_held_to_what_needs_no_history() -> None:
    first = replace(HEALTHY, listens={DAY: 100}, nulls={DAY: {"rows": 100}}, nights=[])
    states = {c.name: c.state for c in check_night(first, SETTINGS)}
    assert "FAIL" not in states.values()
    skipped = {name for name, state in states.items() if state == "SKIP"}
    assert skipped == {"volume", "nulls", "roster", "personal shelves", "score shift"}
    assert all(c.detail for c in check_night(first, SETTINGS) if c.state == "SKIP"), "a check that is not made says why"


def test_in_a_small_world_shares_and_volumes_say_nothing_but_faults_do() -> None:
    states = {c.name: c.state for c in check_night(counted(not_finite=1, unknown_plays=99), GateSettings())}
    assert states["volume"] == states["unknown tracks"] == states["score shift"] == "SKIP"
    assert states["finite scores"] == "FAIL"


@pytest.mark.parametrize(
    ("name", "sick", "says"),
    [
        ("schema", replace(HEALTHY, schema=("shelves/x.parquet: another type of items",)), "shelves/x.parquet"),
        ("volume", replace(HEALTHY, listens={**HEALTHY.listens, DAY: 49}), "49 listens, 100 usual"),
        ("volume", replace(HEALTHY, listens={**HEALTHY.listens, DAY: 500}), "at most 4"),
        ("freshness", replace(HEALTHY, listens={d: 100 for d in BEFORE}), "1 days between the newest listens (2026-01-19)"),
        ("age of models", replace(HEALTHY, fit_date=DAY - timedelta(15)), "15 days"),
        ("nulls", replace(HEALTHY, nulls={**HEALTHY.nulls, DAY: {"rows": 100, "null ms_played": 30}}), "ms_played"),
        ("duplicates", counted(repeated_rows=1), "1 repeated rows"),
        ("duplicates", counted(repeated_plays=2), "2 repeated plays"),
        ("unknown tracks", counted(unknown_plays=51), "51.0% of 100 plays"),
        ("coverage", counted(rows=19), "19 rows for 10 listeners and 2 shelves"),
        ("roster", counted(roster=8), "8 listeners, 10 then"),
        ("missing items", counted(scoreless_items=3), "3 without a score"),
        ("empty shelves", counted(status_discover_personal=0, status_repeat_empty=80), "repeat 91%"),
        ("personal shelves", counted(status_discover_personal=5, status_discover_fallback=5), "discover"),
        ("overlap, chosen", counted(same_chosen_items=0), "0.0% of 100 items"),
        ("overlap, chosen", counted(same_chosen_items=100), "100.0% of 100 items"),
        ("overlap, carried", counted(same_carried_items=40), "40.0%"),
        ("finite scores", counted(not_finite=7), "7 of 300 scores"),
        ("true reasons", counted(untrue_cites_disliked=2), "2 of 500 reasons are untrue, cites disliked 2"),
        ("score shift", counted(**{"score_linear_90": 900}), "0.75 apart from the scores of 3 nights"),
    ],
)  # fmt: skip
def test_a_sick_night_fails_and_says_by_how_much(name: str, sick: GateFacts, says: str) -> None:
    check = found(name, sick)
    assert check.state == "FAIL" and says in str(check), str(check)


def test_a_signal_may_begin_and_its_nulls_and_its_end_are_noticed() -> None:
    name = "null signal_number_volume"
    begins = replace(HEALTHY, nulls={**HEALTHY.nulls, DAY: {"rows": 100, name: 60}})
    assert found("nulls", begins).state == "PASS"  # no date before had it, so nothing is known of its nulls
    with_it = {d: {"rows": 100, name: 5} for d in BEFORE}
    for today in ({"rows": 100, name: 60}, {"rows": 100}):
        check = found("nulls", replace(HEALTHY, nulls={**with_it, DAY: today}))
        assert check.state == "FAIL" and "signal_number_volume" in str(check)


def test_scores_that_are_all_alike_fail() -> None:
    alike = {k: n for k, n in GOOD.items() if not k.startswith("score ")} | {"score linear 0": 300}
    assert found("score spread", replace(HEALTHY, measured=Measured(alike))).state == "FAIL"


def test_another_kind_of_ranker_is_held_against_nights_of_its_own() -> None:
    other = {k: n for k, n in GOOD.items() if not k.startswith("score ")} | {
        "score cross 40": 150,
        "score cross 41": 150,
    }
    assert found("score shift", replace(HEALTHY, measured=Measured(other))).state == "SKIP"


def test_a_gap_is_no_alarm_in_a_log_that_has_gaps() -> None:
    rare = replace(HEALTHY, listens={DAY - timedelta(6): 100, DAY - timedelta(3): 100})
    assert found("freshness", rare).state == "SKIP"
    always = GateSettings(night=NightGates(rhythm=0))
    assert found("freshness", rare, always).state == "FAIL"


def silent(days: int, log: list[date]) -> GateFacts:
    """A night so many days after a log's newest listens, with what a warehouse knows of it then."""
    night = log[-1] + timedelta(days)
    return replace(HEALTHY, day=night, fit_date=night, listens={d: 100 for d in log[-7:]}, nulls={}, listened=log)


@pytest.mark.parametrize("days", [1, 4, 5, 6, 7, 30, 1431])
def test_the_alarm_of_a_log_that_died_never_turns_itself_off(days: int) -> None:
    dead = silent(days, [DAY - timedelta(n) for n in range(30, 0, -1)])
    assert f"{days:,} days between the newest listens (2026-01-19)" in str(found("freshness", dead))
    assert found("freshness", dead).state == found("volume", dead).state == "FAIL"
    assert "0 listens, 100 usual" in str(found("volume", dead))


def test_an_outage_that_somebody_accepted_explains_no_later_one() -> None:
    log = [DAY - timedelta(n) for n in range(90, 0, -1) if not 60 <= n < 70]
    assert found("freshness", silent(3, log)).state == found("volume", silent(3, log)).state == "FAIL"


def test_in_a_log_of_short_windows_a_pause_is_one_for_as_long_as_pauses_were() -> None:
    windows = sorted(DAY - timedelta(60 * w + n) for w in range(4) for n in range(5))
    for days in (1, 7, 56):
        assert found("freshness", silent(days, windows)).state == found("volume", silent(days, windows)).state == "SKIP"
    late = found("freshness", silent(57, windows))
    assert late.state == "FAIL" and "expected at most 56" in str(late)
    first = silent(5, windows[:5])
    assert found("freshness", first).state == "FAIL", "nothing in the log says yet that it pauses"


def test_a_log_that_is_too_short_to_have_a_rhythm_may_be_silent_for_a_week() -> None:
    assert found("freshness", silent(7, [DAY])).state == "SKIP"
    assert found("freshness", silent(8, [DAY])).state == "FAIL"


def test_a_night_before_any_listens_says_so_in_words() -> None:
    nothing = replace(HEALTHY, listens={}, nulls={})
    assert str(found("freshness", nothing)) == "FAIL freshness: no listens up to 2026-01-20, expected some"


def test_shelves_that_do_not_change_on_a_quiet_date_are_no_alarm() -> None:
    assert found("overlap, chosen", counted(plays=3, same_chosen_items=100)).state == "PASS"


def test_a_night_that_was_not_measured_is_not_judged_by_what_is_in_it() -> None:
    states = {c.name: c.state for c in check_night(replace(HEALTHY, measured=None), SETTINGS)}
    assert "FAIL" not in states.values() and states["coverage"] == "SKIP" and states["volume"] == "PASS"


def test_thresholds_are_settings() -> None:
    half = replace(HEALTHY, listens={**HEALTHY.listens, DAY: 49})
    assert found("volume", half, GateSettings(min_rows=10, night=NightGates(volume_low=0.4))).state == "PASS"


def test_the_error_names_the_failed_checks_their_numbers_and_what_to_do() -> None:
    checks = check_night(counted(not_finite=7, rows=19), SETTINGS)
    error = refuse("the night of 2026-01-20", checks, "nothing was committed; mend the data and run again")
    assert error.exit_code == 3
    assert str(error).startswith("the night of 2026-01-20 failed 2 of 18 checks (coverage: 95.0%")
    assert "finite scores: 7 of 300" in str(error) and str(error).endswith("mend the data and run again")
    assert [Check.from_dict(c.to_dict()) for c in checks] == checks and len(failed(checks)) == 2


# what is measured, of ten rows


def at(day: date, hour: int = 9) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def shelf(who: str, shelf_id: str, tracks: list[str | None], status: str = "personal", chosen: date = DAY) -> dict:
    items = [{"position": n, "track_id": t, "score": 1.0} for n, t in enumerate(tracks, 1)]
    return {"listener_id": who, "shelf_id": shelf_id, "status": status, "refresh_date": chosen, "items": items}


def rows(*shelves: dict) -> pl.DataFrame:
    names = ("listener_id", "shelf_id", "status", "refresh_date", "items")
    return pl.DataFrame(list(shelves), schema={n: TABLES["shelves"].polars[n] for n in names})


def test_shelves_are_counted_and_held_against_the_night_before() -> None:
    week = DAY - timedelta(2)
    earlier = rows(
        shelf("ann", "daily", ["a", "b"], chosen=DAY - timedelta(1)),
        shelf("ann", "weekly", ["c", "d"], chosen=week),
        shelf("bob", "daily", ["a"], status="fallback"),
    )
    now = rows(
        shelf("ann", "daily", ["b", "e"]),
        shelf("ann", "weekly", ["c", "d"], chosen=week),
        shelf("bob", "daily", ["a", "a"]),
        shelf("cyd", "daily", [], status="empty"),
    )
    found = measure.shelves(now, earlier, DAY, shard=1)
    counts = found.counts
    assert (counts["listeners"], counts["rows"], counts["repeated rows"]) == (3, 4, 0)
    assert counts["status daily personal"] == 2 and counts["status daily empty"] == 1
    assert (counts["items"], counts["repeated items"]) == (6, 1)
    assert (counts["chosen items"], counts["same chosen items"]) == (2, 1)
    assert (counts["carried items"], counts["same carried items"]) == (2, 2)
    assert found.examples == {"repeated items": ("shelf daily in shard 1",)}


def test_a_score_that_is_missing_counts_on_a_personal_shelf() -> None:
    one = shelf("ann", "daily", ["a", "b"])
    one["items"][0]["score"] = None
    one["items"][1]["score"] = float("nan")
    other = shelf("bob", "daily", ["a"], status="fallback")
    other["items"][0]["score"] = None
    assert measure.shelves(rows(one, other), None, DAY, 0).counts["scoreless items"] == 2


def test_scores_fall_into_bins_and_what_is_not_finite_is_named() -> None:
    candidates = pl.DataFrame({"track_id": list("abcd"), "ranker_score": [0.01, 0.02, float("nan"), float("inf")]})
    found = measure.scores(candidates, "linear", shard=3)
    assert found.counts == {"scores": 4, "not finite": 2, "score linear 0": 2}
    assert found.examples == {"not finite": ("track c in shard 3", "track d in shard 3")}


def test_a_chunk_tells_its_roster_and_the_plays_of_unknown_tracks() -> None:
    play = {"track_id": "t1", "started_at": at(DAY), "ms_played": None, "skipped": None, "completed": None}
    sessions = pl.DataFrame(
        [
            {"listener_id": "ann", "started_at": at(DAY), "tracks": [play, {**play, "track_id": "new"}, play]},
            {"listener_id": "bob", "started_at": at(DAY - timedelta(1)), "tracks": [play]},
        ],
        schema={n: TABLES["sessions"].polars[n] for n in ("listener_id", "started_at", "tracks")},
    )
    listeners = pl.DataFrame(
        {"listener_id": ["cyd", "later"], "joined_on": [None, DAY + timedelta(1)]},
        schema={"listener_id": pl.String, "joined_on": pl.Date},
    )
    chunk = {"sessions": sessions, "listeners": listeners, "library": pl.DataFrame({"listener_id": ["ann", "ann"]})}
    found = measure.inputs(chunk, DAY, pl.Series(["", "t1"]))
    assert found.counts == {"roster": 3, "active": 1, "plays": 3, "repeated plays": 1, "unknown plays": 1}
    assert found.examples == {"unknown": ("track new",)}


def test_counts_of_chunks_add_up_in_any_order() -> None:
    one, two = (
        Measured({"rows": 1}, {"unknown": ("track a",)}),
        Measured({"rows": 2, "items": 5}, {"unknown": ("track b",)}),
    )
    total = Measured.total([one, two])
    assert total == Measured.total([two, one]) == Measured({"rows": 3, "items": 5}, {"unknown": ("track a", "track b")})
    assert Measured.loads(total.dumps()) == total


def test_a_night_with_nobody_at_all_is_judged_and_its_roster_fails() -> None:
    nobody = replace(HEALTHY, measured=Measured())
    assert "roster" in [check.name for check in failed(check_night(nobody, SETTINGS))]
    assert found("coverage", nobody).state == found("unknown tracks", nobody).state == "SKIP"
