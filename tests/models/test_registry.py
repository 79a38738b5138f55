"""The registry: what it vouches for comes back, and what was touched is refused."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from models.registry import ENTRY, Entry, read_entry, require_fit_by, write_entry
from models.vocabulary import Vocabulary
from transforms.common.errors import UserError


def registered(folder: Path) -> Entry:
    folder.mkdir()
    np.save(folder / "items.npy", np.arange(6, dtype=np.float32).reshape(3, 2))
    (folder / "saved_model").mkdir()
    (folder / "saved_model" / "graph.pb").write_bytes(b"graph")
    return write_entry(
        folder,
        name="als",
        version="v1",
        fit_date=date(2026, 1, 31),
        inputs={"library": "abc"},
        settings={"factors": 2},
        seed=7,
        metrics={"ndcg@50": 0.07, "undefined": float("nan")},
        vocabulary=Vocabulary.build(["a", "b"]),
    )


def test_what_was_written_is_read(tmp_path: Path) -> None:
    registered(tmp_path / "m")
    entry = read_entry(tmp_path / "m")
    assert (entry.name, entry.kind, entry.version, entry.seed) == ("als", "als", "v1", 7)
    assert entry.fit_date == date(2026, 1, 31)
    assert entry.inputs == {"library": "abc"}
    assert entry.metrics["ndcg@50"] == 0.07
    assert np.isnan(entry.metrics["undefined"])
    assert len(entry.vocabulary()) == 3
    assert entry.array("items.npy").tolist() == [[0, 1], [2, 3], [4, 5]]
    assert entry.path("saved_model").is_dir()
    assert (tmp_path / "m" / ENTRY).read_bytes() == (registered(tmp_path / "n").directory / ENTRY).read_bytes()


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    registered(tmp_path / "m")
    raw = bytearray((tmp_path / "m" / "items.npy").read_bytes())
    raw[-1] ^= 1
    (tmp_path / "m" / "items.npy").write_bytes(raw)
    with pytest.raises(UserError, match=r"items\.npy was changed"):
        read_entry(tmp_path / "m")


def test_a_missing_and_an_added_file_are_refused(tmp_path: Path) -> None:
    registered(tmp_path / "m")
    (tmp_path / "m" / "extra.npy").write_bytes(b"x")
    with pytest.raises(UserError, match=r"extra\.npy is not in its entry"):
        read_entry(tmp_path / "m")
    (tmp_path / "m" / "extra.npy").unlink()
    (tmp_path / "m" / "saved_model" / "graph.pb").unlink()
    with pytest.raises(UserError, match=r"graph\.pb is missing"):
        read_entry(tmp_path / "m")


def test_formats_that_run_code_and_empty_folders_are_refused(tmp_path: Path) -> None:
    entry = {"name": "x", "version": "v", "fit_date": date(2026, 1, 1), "inputs": {}, "settings": {}, "seed": 0}
    with pytest.raises(UserError, match="no files"):
        write_entry(tmp_path / "empty", metrics={}, **entry)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "model.pkl").write_bytes(b"x")
    with pytest.raises(UserError, match="can run code"):
        write_entry(tmp_path / "bad", metrics={}, **entry)


def test_an_unfinished_folder_and_an_unknown_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    with pytest.raises(UserError, match="did not finish"):
        read_entry(tmp_path / "m")
    entry = registered(tmp_path / "n")
    with pytest.raises(UserError, match="has no file"):
        entry.path("users.npy")


def test_a_model_that_has_seen_later_days_is_refused(tmp_path: Path) -> None:
    entry = registered(tmp_path / "m")
    require_fit_by(entry, date(2026, 1, 31))
    with pytest.raises(UserError, match="later than the night of 2026-01-30"):
        require_fit_by(entry, date(2026, 1, 30))
