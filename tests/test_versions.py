"""A version cannot lie: where a step's code moves, its constant is raised, or somebody says that its rows are the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import digests
from tests.digests import Kept, closure, digest_of, moved

JOB = '''"""A job."""
from transforms.made import rows

STEP = "1"


def job():
    """Make it."""
    from models.late import fit

    return rows(fit())  # as they come
'''


@pytest.fixture
def house(tmp_path: Path) -> Path:
    for folder in ("pipelines/runtime", "transforms", "models"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "pipelines" / "job.py").write_text(JOB)
    (tmp_path / "pipelines" / "runtime" / "logs.py").write_text("SAID = 1\n")
    (tmp_path / "transforms" / "made.py").write_text(
        "from pipelines.runtime.logs import SAID\n\n\ndef rows(n):\n    return n\n"
    )
    (tmp_path / "models" / "late.py").write_text("def fit():\n    return 1\n")
    return tmp_path


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    for kept in (digests.parsed, digests.imported, digests.bare):
        kept.cache_clear()


def test_the_code_of_every_step_is_the_one_that_was_noted() -> None:
    now = digests.now()
    assert moved(now, digests.kept()) == {}, "raise the steps' constants, or see `python -m tests.digests`"
    assert {"ingest", "features", "train", "train_ranker", "score", "outcomes", "evaluate"} <= set(now)


def test_a_step_depends_on_what_it_imports_also_inside_a_function_and_not_on_what_launches_it(house: Path) -> None:
    assert closure("pipelines.job", house) == ["models.late", "pipelines.job", "transforms.made"]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("models/late.py", "return 1", "return 2"),
        ("transforms/made.py", "return n", "return n + 1"),
        ("pipelines/job.py", "rows(fit())", "rows(fit() + 1)"),
    ],
)
def test_code_that_moves_is_seen(house: Path, file: str, old: str, new: str) -> None:
    before = digest_of("pipelines.job", house)
    change(house / file, old, new)
    after = digest_of("pipelines.job", house)
    assert after != before
    assert moved({"job": Kept("1", after)}, {"job": Kept("1", before)}) == {"job": False}
    assert moved({"job": Kept("2", after)}, {"job": Kept("1", before)}) == {"job": True}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("pipelines/job.py", "# as they come", "# in any order"),
        ("pipelines/job.py", "Make it.", "Make it now."),
        ("pipelines/job.py", 'STEP = "1"', 'STEP = "2"'),
        ("pipelines/job.py", "    return rows(", "\n    return rows("),
        ("pipelines/runtime/logs.py", "SAID = 1", "SAID = 2"),
    ],
)
def test_words_layout_and_what_launches_a_job_change_nothing(house: Path, file: str, old: str, new: str) -> None:
    before = digest_of("pipelines.job", house)
    change(house / file, old, new)
    assert digest_of("pipelines.job", house) == before


def test_a_raised_constant_is_noted_and_another_waits_for_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "digests.json"
    monkeypatch.setattr(digests, "now", lambda: {"a": Kept("2", "x"), "b": Kept("1", "y"), "c": Kept("1", "z")})
    digests.note({"a": Kept("1", "old"), "b": Kept("1", "old"), "c": Kept("1", "z")}, path)
    monkeypatch.setattr(digests.kept, "__defaults__", (path,))
    monkeypatch.setattr(digests.note, "__defaults__", (path,))
    assert digests.main([]) == 1
    assert digests.kept() == {"a": Kept("2", "x"), "b": Kept("1", "old"), "c": Kept("1", "z")}
    assert "b: its code moved" in capsys.readouterr().out
    path.write_text("<<<<<<< HEAD\n" + path.read_text() + ">>>>>>> other\n")
    assert digests.main(["--confirm", "all", "renamed"]) == 0
    assert digests.kept()["b"] == Kept("1", "y", "renamed") and digests.main(["--check"]) == 0
