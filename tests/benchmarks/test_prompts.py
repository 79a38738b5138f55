"""The benchmarks of prompts, on samples small enough for every day."""

from pathlib import Path

from tests.benchmarks.prompts_constraints import run
from tests.benchmarks.prompts_data import bio


def test_no_hard_constraint_is_broken_and_nothing_unmet_is_untold() -> None:
    found = run(prompts=300, tracks=1500, seed=7)
    assert (found.violations, found.untold, found.silent) == ([], [], [])
    assert (found.one_artist, found.titles_twice) == (0, 0)
    assert set(found.statuses) == {"answered", "relaxed", "empty"}


def test_marks_of_words_become_spans(tmp_path: Path) -> None:
    path = tmp_path / "some.bio"
    path.write_text("like\tO\naphex\tB-Artist\ntwin\tI-Artist\nxtal\tB-WoA\n\nrock\tO\n")
    first, second = bio(path)
    assert (first.text, first.spans) == ("like aphex twin xtal", (("aphex twin", "Artist"), ("xtal", "WoA")))
    assert second.spans == ()
