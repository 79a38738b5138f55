"""Docs a stranger can scan: lines that fit a screen, links that lead somewhere, pages that the maps know."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
WIDTH = 130


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_lines_fit_and_only_rows_of_tables_may_be_longer(page: Path) -> None:
    """A row of a table cannot be broken in Markdown."""
    lines = page.read_text().splitlines()
    long = [n for n, line in enumerate(lines, 1) if len(line) > WIDTH and not line.startswith("|")]
    assert not long, f"{named(page)}: lines {long} are longer than {WIDTH} columns"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_to_files_of_the_project(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{named(page)} links to {target}, which is not there"


def test_the_map_leads_to_every_page() -> None:
    """docs/start.md names the pages, and the index of an area names those below it."""
    start = (DOCS / "start.md").read_text()
    missing = [page.name for page in DOCS.glob("*.md") if page.name != "start.md" and f"({page.name})" not in start]
    assert not missing, f"docs/start.md leads to none of {missing}"
    index, summary = (DOCS / "decisions" / "README.md").read_text(), (DOCS / "benchmarks.md").read_text()
    for page in (DOCS / "decisions").glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in index, f"docs/decisions/README.md lacks {page.name}"
    for page in (DOCS / "benchmarks").glob("*.md"):
        assert f"(benchmarks/{page.name})" in summary, f"docs/benchmarks.md lacks {page.name}"


def test_every_test_that_holds_a_fault_of_logs_is_there() -> None:
    named_tests = re.findall(r"`([\w/]+\.py)::(test_\w+)`", (DOCS / "benchmarks" / "untidy_logs.md").read_text())
    assert named_tests
    for file, test in named_tests:
        path = ROOT / (file if file.startswith("tests/") else f"tests/transforms/{file}")
        assert f"def {test}(" in path.read_text(), f"docs/benchmarks/untidy_logs.md names {test}, which {file} has not"


@pytest.mark.parametrize("page", sorted((DOCS / "decisions").glob("*.md")), ids=named)
def test_every_decision_is_dated(page: Path) -> None:
    titles = re.findall(r"(?m)^\*\*.+?\*\*[^\n]*(?:\n[^\n]+)*", page.read_text())
    undated = [title[:60] for title in titles if not re.search(r"20\d\d-\d\d-\d\d", title[:200])]
    assert not undated, f"{named(page)}: without a date: {undated}"
