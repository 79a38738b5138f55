"""docs/reading.md is the consumers' contract: what the program can write stands there."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.recommender.registry import sources as every_source
from transforms.shelves import reasons
from transforms.shelves.filling import STATUS
from transforms.tables.columns import SHELF_ITEM

PAGE = (Path(__file__).parents[2] / "docs" / "reading.md").read_text()


@pytest.mark.parametrize("code", sorted({*reasons._PLAIN, *reasons._WITH_REF}))
def test_every_reason_is_explained_in_its_own_words(code: str) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{code}` |"))
    assert reasons.sentence(code, None) in row
    if code in reasons._WITH_REF and code != "popular_in":
        assert reasons.sentence(code, "X") in row


def test_every_source_status_and_field_of_an_item_is_explained() -> None:
    for source in every_source():
        assert f"`{source.name}`" in PAGE
    for status in filter(None, STATUS):
        assert f"| `{status}` |" in PAGE
    for field in SHELF_ITEM:
        assert f"`{field.name}`" in PAGE
