"""`make bench` runs every benchmark there is, and says of each it cannot run why."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks import all as bench

HERE = Path(bench.__file__).parent
COMMANDS = {**bench.ALWAYS, **bench.WITH_DATA}


def test_every_module_that_can_be_run_is_run() -> None:
    modules = [p for p in HERE.glob("*.py") if p.stem != "all" and not p.stem.startswith("test_")]
    runnable = {p.stem for p in modules if '__name__ == "__main__"' in p.read_text()}
    listed = {command[0].rsplit(".", maxsplit=1)[1] for command in COMMANDS.values()}
    assert not listed & set(bench.BY_HAND)
    assert runnable == listed | set(bench.BY_HAND), "list it in tests/benchmarks/all.py"


def test_the_files_of_all_that_need_real_logs_are_named() -> None:
    assert set(bench.FILES) == set(bench.WITH_DATA)


@pytest.mark.parametrize("name", sorted(bench.WITH_DATA))
def test_without_real_logs_it_is_said_what_is_missing(name: str, tmp_path: Path) -> None:
    assert "NIGHTSHELF_DATA" in str(bench.left_out(name, None, []))
    assert bench.FILES[name][0] in str(bench.left_out(name, str(tmp_path), []))


def test_what_reads_anothers_files_needs_that_one(tmp_path: Path) -> None:
    (tmp_path / "lfm1b-500u").mkdir()
    (tmp_path / bench.LFM).write_text("")
    assert "offline" in str(bench.left_out("trees", str(tmp_path), []))
    assert bench.left_out("trees", str(tmp_path), ["offline"]) is None
    assert bench.left_out("top_k", None, []) is None


def test_tables_are_passed_on_as_they_came() -> None:
    rows = ["| a |", "| --- |", "| 1 |", "| b |", "| --- |", "| 2 |"]
    lines: list[dict[str, object]] = [{"benchmark": "ablation", "row": r} for r in rows]
    assert bench.as_table(lines) == "| a |\n| --- |\n| 1 |\n\n| b |\n| --- |\n| 2 |"
