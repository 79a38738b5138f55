"""The store's two promises: a write is all or nothing, and a replace compares first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from transforms.common.errors import UserError
from transforms.tables.store import LocalStore, Store, open_store


def replaces_only_what_was_seen(store: Store) -> None:
    """What every store promises of `replace`."""
    _, nothing = store.read_with_token("t/x")
    assert store.replace("t/x", b"one", nothing)
    assert not store.replace("t/x", b"two", nothing)
    data, seen = store.read_with_token("t/x")
    assert data == b"one"
    assert store.replace("t/x", b"two", seen)
    assert store.read("t/x") == b"two"


def test_replace_succeeds_only_on_what_was_seen(tmp_path: Path) -> None:
    replaces_only_what_was_seen(LocalStore(str(tmp_path)))


def test_of_many_at_once_exactly_one_wins(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: store.replace("t/x", str(n).encode(), None), range(40)))
    assert won.count(True) == 1
    assert store.read("t/x") == str(won.index(True)).encode()


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", "a/../../b", "a\x00b"])
def test_a_path_that_leaves_the_warehouse_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(UserError, match="inside"):
        LocalStore(str(tmp_path)).write(path, b"")


def test_scratch_and_lock_files_are_not_listed(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    store.replace("t/x", b"", None)
    (tmp_path / "t" / ".y.tmp").write_bytes(b"half")
    assert store.paths("t") == ["t/x"]


def test_an_unknown_scheme_is_named() -> None:
    with pytest.raises(UserError, match="'s3'"):
        open_store("s3://bucket/x")


@pytest.mark.parametrize(
    ("inside", "said"), [("", "found a file$"), ("/w/deeper", r"found a file above it \(afile\)$")]
)
def test_a_file_where_a_folder_should_be_is_refused_when_the_store_is_opened(
    tmp_path: Path, inside: str, said: str
) -> None:
    (tmp_path / "afile").write_bytes(b"")
    with pytest.raises(UserError, match=f"^--warehouse .*/afile{inside}: expected a folder, {said}"):
        open_store(f"{tmp_path}/afile{inside}")


def test_a_folder_that_cannot_be_made_is_one_sentence() -> None:
    store = LocalStore("/proc/nowhere/w")  # where nobody, whatever their rights, can make one
    assert store.paths("") == [] and store.read_with_token("t/x") == (None, None)
    for attempt in (lambda: store.write("t/x", b""), lambda: store.replace("t/x", b"", None)):
        with pytest.raises(UserError, match="^--warehouse /proc/nowhere/w: expected a folder that can be made"):
            attempt()
