"""What each model took: trained parts, the sources that read them, and what has no model."""

from __future__ import annotations

from dataclasses import replace

from tests.transforms.reporting.test_page import DAY, NIGHT, parsed
from transforms.reporting.facts import Job
from transforms.reporting.models import Took, table
from transforms.reporting.page import render


def part(seconds: float, rows: int) -> dict[str, float]:
    return {"seconds": seconds, "cpu_seconds": 2 * seconds, "rows": rows}


def job(name: str, dates: str, parts: dict[str, dict[str, float]]) -> Job:
    return Job(name, dates, 60.0, 100.0, 1, 1, 1.0, parts=parts)


READ_BY = {"neighbours": ("co_sessions", "last_session", "next_tracks"), "als": ("als",)}
JOBS = [
    job("train", "2026-01-17", {"als": part(99.0, 1)}),
    job("train", DAY.isoformat(), {"als": part(4.0, 500), "neighbours": part(3.0, 900), "two_tower": part(9.0, 700)}),
    job("train_ranker", DAY.isoformat(), {"ranker": part(2.0, 800)}),
    job(
        "score",
        DAY.isoformat(),
        {
            "source als": part(1.0, 256),
            "source co_sessions": part(0.5, 256),
            "source next_tracks": part(0.25, 256),
            "source new_source": part(0.125, 256),
            "features": part(5.0, 9_000),
            "ranker": part(1.5, 9_000),
        },
    ),
    job("evaluate", DAY.isoformat(), {}),
]


def test_a_model_has_its_training_and_the_sum_of_its_sources() -> None:
    rows = {row.name: row for row in table(JOBS, READ_BY)}
    assert rows["als"].training == Took(4.0, 8.0, 500), "of the newest night"
    assert rows["als"].scoring == Took(1.0, 2.0, 256) and rows["als"].sources == ()
    assert rows["neighbours"].scoring == Took(0.75, 1.5, 256)
    assert rows["neighbours"].sources == ("co_sessions", "next_tracks")
    assert rows["ranker"].training == Took(2.0, 4.0, 800) and rows["ranker"].scoring == Took(1.5, 3.0, 9_000)
    assert rows["two_tower"].scoring is None, "trained, and read by no source"
    assert rows["new_source"].training is None and rows["features"].training is None
    assert [row.name for row in table(JOBS, READ_BY)][-1] == "features", "stages come last"


def test_the_page_tells_it_and_is_silent_where_no_job_did() -> None:
    page = render(replace(NIGHT, jobs=JOBS), READ_BY)
    parsed(page)
    assert "What each model took" in page and "co_sessions, next_tracks" in page
    assert table([JOBS[-1]], READ_BY) == [] and "What each model took" not in render(replace(NIGHT, jobs=[JOBS[-1]]))
