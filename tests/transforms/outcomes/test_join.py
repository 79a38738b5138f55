"""Outcomes: one listener's week with every stage, by hand; then what must hold for any log."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.metrics.counterfactual import estimate
from transforms.outcomes.join import Known, join_outcomes, shown_tracks
from transforms.outcomes.responses import answers, drawn_items
from transforms.tables.schema import TABLES

NIGHT = date(2026, 1, 10)
RECORDINGS = pl.DataFrame(
    {
        "track_id": ["hit", "hit-remaster", "drawn", "spare", "cold", "gone"],
        "recording_id": ["H", "H", "D", "S", "C", "G"],
    }
)


def at(day: int, hour: int = 12) -> datetime:
    """`hour` o'clock, `day` days after the night's date."""
    return datetime(2026, 1, 10, hour, tzinfo=UTC) + timedelta(days=day)


def frame(table: str, rows: list[dict]) -> pl.DataFrame:
    """Rows of a table; columns not given are null."""
    return pl.DataFrame(rows, schema=TABLES[table].polars)


def candidates(**heard_before: bool) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "listener_id": "ann",
            "track_id": list(heard_before),
            "heard_before": list(heard_before.values()),
            "stage": "candidate",
            "inclusion": 0.5,
            "ranker_rank": list(range(1, len(heard_before) + 1)),
        }
    )


def listen(track: str, when: datetime, ms: int | None = 200_000, **more: object) -> dict:
    return {"listener_id": "ann", "track_id": track, "started_at": when, "ms_played": ms, **more}


def item(track: str, position: int, propensity: float | None = None) -> dict:
    return {"track_id": track, "position": position, "propensity": propensity}


def shelf(items: list[dict], spares: list[dict], version: str = "v1") -> pl.DataFrame:
    row = {
        "listener_id": "ann",
        "shelf_id": "discover-weekly",
        "version": version,
        "home_position": 1,
        "surface": "home",
    }
    when = {"refresh_date": NIGHT, "valid_from": at(1, 0), "valid_until": at(3, 0)}
    return frame("shelves", [{**row, **when, "items": items, "spares": spares}])


def impression(track: str, version: str | None = "v1") -> dict:
    return {
        "listener_id": "ann",
        "shelf_id": "discover-weekly",
        "surface": "home",
        "track_id": track,
        "version": version,
        "shown_at": at(1),
    }


def test_a_week_with_every_stage() -> None:
    got = join_outcomes(
        NIGHT,
        7,
        candidates(hit=False, drawn=False, spare=False, cold=True),
        frame(
            "listens",
            [
                listen("hit-remaster", at(1), completed=True, skipped=False),
                listen("hit", at(3), completed=False, skipped=True),
                listen("drawn", at(2), 5_000, completed=False, skipped=True, shelf_id="discover-weekly"),
                listen("gone", at(7, 23), None, shelf_id="discover-weekly"),
                listen("spare", at(8, 0)),  # a day too late
                listen("cold", at(0, 23)),  # before the night's end
            ],
        ),
        RECORDINGS,
        shelves=shelf([item("hit", 1), item("drawn", 2, 0.25)], [item("spare", 3)]),
        impressions=frame("impressions", [impression("drawn")]),
        feedback=frame("feedback", [{"listener_id": "ann", "kind": "save", "target": "hit", "at": at(4)}]),
        heard=pl.DataFrame({"listener_id": ["ann"], "recording_id": ["G"]}),
    )
    rows = {r["track_id"]: r for r in got.iter_rows(named=True)}
    assert set(rows) == {"hit", "drawn", "spare", "cold", "gone"}

    hit = rows["hit"]  # the remaster's play is a hit of the original; completed once, so not skipped
    assert (hit["stage"], hit["origin"], hit["rank"], hit["propensity"]) == ("placed", "organic", 1, None)
    assert (hit["listened"], hit["completed"], hit["skipped"], hit["saved"], hit["returned"]) == (
        True,
        True,
        False,
        True,
        True,
    )

    drawn = rows["drawn"]  # five seconds are no listen, but they are a skip
    assert (drawn["stage"], drawn["rank"], drawn["propensity"], drawn["shelf_id"]) == (
        "shown",
        2,
        0.25,
        "discover-weekly",
    )
    assert (drawn["listened"], drawn["origin"], drawn["completed"], drawn["skipped"]) == (False, None, False, True)

    assert (rows["spare"]["stage"], rows["spare"]["rank"]) == ("candidate", 3)  # a spare nobody saw: the ranker's rank
    assert (rows["spare"]["listened"], rows["spare"]["completed"]) == (False, False)
    assert (rows["cold"]["heard_before"], rows["cold"]["listened"]) == (True, False)

    gone = rows["gone"]  # heard, length unknown, never a candidate
    assert (gone["stage"], gone["origin"], gone["heard_before"]) == ("missed", "attributed", True)
    assert (gone["listened"], gone["completed"], gone["returned"], gone["inclusion"]) == (True, None, False, 0.5)
    TABLES["outcomes"].conform(got)


def test_what_the_log_cannot_know_is_null_and_never_false() -> None:
    bare = frame("listens", [listen("hit", at(1), None)])
    got = join_outcomes(NIGHT, 1, candidates(hit=False, cold=False), bare, RECORDINGS)
    assert got["listened"].to_list() == [False, True]
    for label in ("completed", "skipped", "saved", "returned"):
        assert got[label].null_count() == 2
    joined = join_outcomes(NIGHT, 1, candidates(hit=False, cold=False), bare, RECORDINGS, known=Known(completed=True))
    assert dict(zip(joined["track_id"], joined["completed"], strict=True)) == {"cold": False, "hit": None}


def test_a_night_that_stopped_after_its_candidates() -> None:
    got = join_outcomes(NIGHT, 7, candidates(hit=False), frame("listens", []), RECORDINGS)
    assert got.select("stage", "rank", "shelf_id", "listened").row(0) == ("candidate", 1, None, False)


def test_an_impression_of_another_version_is_not_this_nights() -> None:
    def stage(version: str | None) -> str:
        shown = frame("impressions", [impression("hit", version)])
        row = shelf([item("hit", 1)], [])
        got = join_outcomes(
            NIGHT, 7, candidates(hit=False), frame("listens", []), RECORDINGS, shelves=row, impressions=shown
        )
        return got["stage"].item()

    assert [stage("v1"), stage(None), stage("v0")] == ["shown", "shown", "placed"]


def test_without_a_version_surface_time_and_the_whole_viewing_must_be_this_shelfs() -> None:
    def shown(*impressions: dict) -> list[str]:
        got = shown_tracks(shelf([item("hit", 1), item("drawn", 2)], []), frame("impressions", list(impressions)))
        return sorted(got["track_id"])

    hit = impression("hit", None)
    assert shown(hit) == ["hit"]
    assert shown({**hit, "surface": "search"}) == [], "another surface"
    assert shown({**hit, "shown_at": at(3, 0)}) == [], "after the row's validity"
    assert shown({**hit, "shown_at": at(0, 23)}) == [], "before it"
    other = {**impression("cold", None)}
    assert shown(hit, other) == [], "a viewing that holds a track of somebody else's shelf is somebody else's"
    assert shown(hit, {**other, "shown_at": at(2)}) == ["hit"], "each viewing by itself"


def origin(shelf_of_play: str | None, ms: int = 200_000) -> str | None:
    """The origin of a track that was shown on Discover and played from a shelf, or from none."""
    got = join_outcomes(
        NIGHT,
        7,
        candidates(hit=False),
        frame("listens", [listen("hit", at(1), 200_000), listen("hit", at(2), ms, shelf_id=shelf_of_play)]),
        RECORDINGS,
        shelves=shelf([item("hit", 1)], []),
        impressions=frame("impressions", [impression("hit")]),
    )
    return got["origin"].item()


def test_attribution_takes_a_real_listen_that_names_the_shelf() -> None:
    assert origin("discover-weekly") == "attributed"
    assert origin("on-repeat") == "organic", "another shelf earned it"
    assert origin("discover-weekly", ms=2_000) == "organic", "two seconds from the shelf are no listen"
    assert origin(None) == "organic"


def test_a_carried_slot_has_no_propensity_since_only_what_was_not_heard_is_left_of_it() -> None:
    """An open slot drew A or B with p = .5 on Monday. A is heard half of the time, B never; what is heard goes.

    "Always A" is worth .5. On Tuesday B stands for half of the listeners and A for a quarter: by the first p, always A looks like
    far less, because those who liked A are gone. So Tuesday's rows say nothing, and Monday's say .5.
    """
    monday, tuesday = NIGHT, NIGHT + timedelta(1)
    drawn = [("A", n % 4 < 2, n % 2 == 0) for n in range(40)]  # who drew A, and who would hear what pleases
    people = [f"l{n}" for n in range(40)]
    listens = [
        {**listen("A", at(1)), "listener_id": who}
        for who, (_, a, likes) in zip(people, drawn, strict=True)
        if a and likes
    ]

    def rows(night: date, gone: set[str], version: str) -> tuple[pl.DataFrame, pl.DataFrame]:
        made, shown = [], []
        for who, (_, a, _) in zip(people, drawn, strict=True):
            if who in gone:
                continue
            track = "A" if a else "B"
            one = {"listener_id": who, "shelf_id": "discover-weekly", "surface": "home", "version": version}
            when = {"refresh_date": monday, "valid_from": at(1, 0), "valid_until": at(8, 0), "run_date": night}
            made.append({**one, **when, "items": [item(track, 8, 0.5)], "spares": []})
            shown.append({**impression(track, version), "listener_id": who, "shown_at": at(1 + (night - monday).days)})
        return frame("shelves", made), frame("impressions", shown)

    def estimate_of(night: date, gone: set[str], version: str) -> tuple[int, float]:
        shelves, shown = rows(night, gone, version)
        got = answers(shelves, frame("listens", listens), RECORDINGS, night, 7, impressions=shown)
        slots = drawn_items(got).filter("shown")
        logged = slots.select(
            "listener_id",
            reward=pl.col("listened").cast(pl.Float64),
            propensity=pl.lit(0.5),
            target=(pl.col("track_id") == "A").cast(pl.Float64),
        )
        return slots.height, estimate(logged)["ips"].value if slots.height else float("nan")

    assert estimate_of(monday, set(), "mon") == (40, 0.5)
    heard = {row["listener_id"] for row in listens}
    assert estimate_of(tuesday, heard, "tue")[0] == 0


def test_a_spare_that_was_shown_is_shown() -> None:
    got = join_outcomes(
        NIGHT,
        7,
        candidates(spare=False),
        frame("listens", []),
        RECORDINGS,
        shelves=shelf([], [item("spare", 31)]),
        impressions=frame("impressions", [impression("spare")]),
    )
    assert got.select("stage", "rank", "propensity").row(0) == ("shown", 31, None)


def test_missed_is_told_only_of_listeners_whose_candidates_were_kept() -> None:
    listens = frame("listens", [listen("gone", at(1))])
    placed_only = candidates(hit=False).with_columns(stage=pl.lit("placed"), inclusion=pl.lit(1.0))
    assert join_outcomes(NIGHT, 1, placed_only, listens, RECORDINGS)["track_id"].to_list() == ["hit"]
    assert set(join_outcomes(NIGHT, 1, candidates(hit=False), listens, RECORDINGS)["stage"]) == {"candidate", "missed"}


def test_a_track_on_two_shelves_has_one_row_and_the_shown_place_wins() -> None:
    two = pl.concat(
        [
            shelf([item("hit", 4)], []).with_columns(shelf_id=pl.lit("a-shelf")),
            shelf([item("hit", 9)], []).with_columns(home_position=pl.lit(7, dtype=pl.Int32)),
        ]
    )
    quiet = join_outcomes(NIGHT, 7, candidates(hit=False), frame("listens", []), RECORDINGS, shelves=two)
    assert quiet.select("shelf_id", "rank").rows() == [("a-shelf", 4)]
    seen = join_outcomes(
        NIGHT,
        7,
        candidates(hit=False),
        frame("listens", []),
        RECORDINGS,
        shelves=two,
        impressions=frame("impressions", [impression("hit")]),
    )
    assert seen.select("stage", "shelf_id", "rank").rows() == [("shown", "discover-weekly", 9)]


plays = st.lists(
    st.tuples(
        st.sampled_from(["hit", "hit-remaster", "drawn", "gone", "elsewhere"]),
        st.integers(-2, 9),
        st.sampled_from([None, 4_000, 29_999, 30_000, 240_000]),
        st.sampled_from([None, True, False]),
    ),
    max_size=12,
)


@settings(max_examples=60)
@given(plays, st.sampled_from([1, 7]))
def test_longer_horizons_only_add_listens_and_nothing_outside_the_window_matters(log, horizon: int) -> None:  # type: ignore[no-untyped-def]
    listens = frame("listens", [listen(t, at(d), ms, completed=c) for t, d, ms, c in log])
    known = Known(completed=True, skipped=True)
    offered = candidates(hit=False, drawn=True)
    got = join_outcomes(NIGHT, horizon, offered, listens, RECORDINGS, known=known)
    assert got.select("listener_id", "track_id").is_unique().all()
    inside = listens.filter(pl.col("started_at").is_between(at(1, 0), at(horizon, 23)))
    assert join_outcomes(NIGHT, horizon, offered, inside.reverse(), RECORDINGS, known=known).equals(got)
    longer = join_outcomes(NIGHT, 28, offered, listens, RECORDINGS, known=known)
    heard_soon = set(got.filter("listened")["track_id"])
    assert {"H" if t.startswith("hit") else t for t in heard_soon} <= {
        "H" if t.startswith("hit") else t for t in longer.filter("listened")["track_id"]
    }
    assert got.filter(stage="missed")["listened"].all()


def test_labels_need_no_particular_columns() -> None:
    bare = pl.DataFrame({"listener_id": ["ann"], "track_id": ["hit"], "started_at": [at(1)]})
    assert join_outcomes(NIGHT, 7, candidates(hit=False), bare, RECORDINGS)["listened"].to_list() == [True]
