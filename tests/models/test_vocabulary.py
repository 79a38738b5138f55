"""The vocabulary: unknown is row 0, order is by hash, and it survives a file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.vocabulary import Vocabulary
from transforms.common.errors import UserError
from transforms.common.hashing import stable_hash


def test_rows_are_numbered_by_hash_and_unknown_is_zero() -> None:
    v = Vocabulary.build(["b", "a", None, "b"])
    by_hash = [x for _, x in sorted(zip(stable_hash(["a", "b"]).tolist(), ["a", "b"], strict=True))]
    assert v.ids.to_list() == [None, *by_hash]
    assert len(v) == 3
    assert v.rows(["a", "unheard of", None, "b"]).tolist() == [by_hash.index("a") + 1, 0, 0, by_hash.index("b") + 1]


@given(st.lists(st.text(min_size=1), max_size=30), st.randoms())
def test_order_and_repeats_of_the_input_do_not_matter(ids: list[str], random: object) -> None:
    shuffled = ids + ids
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert Vocabulary.build(shuffled).ids.equals(Vocabulary.build(ids).ids, null_equal=True)


@given(st.lists(st.text(min_size=1), unique=True))
def test_rows_invert_ids(ids: list[str]) -> None:
    v = Vocabulary.build(ids)
    assert v.rows(v.ids).tolist() == [0, *range(1, len(v))]
    assert v.frame()["row"].to_list() == list(range(1, len(v)))


def test_saved_and_loaded(tmp_path: Path) -> None:
    v = Vocabulary.build([f"t{i}" for i in range(100)])
    v.save(tmp_path / "v.parquet")
    assert Vocabulary.load(tmp_path / "v.parquet").ids.equals(v.ids, null_equal=True)


def test_a_file_that_is_no_vocabulary_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"track_id": ["a"]}).write_parquet(tmp_path / "v.parquet")
    with pytest.raises(UserError, match="first row"):
        Vocabulary.load(tmp_path / "v.parquet")


def test_registry_and_vocabulary_import_no_tensorflow() -> None:
    code = "import sys, models.registry, models.vocabulary, models.histories; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
