"""Settings: every default printed, what was printed read back, and errors that name the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.runtime.config import Settings
from pipelines.runtime.settings_file import load, to_yaml
from transforms.common.errors import UserError


def written(folder: Path, text: str) -> str:
    path = folder / "settings.yaml"
    path.write_text(text)
    return str(path)


def test_what_is_printed_is_read_back_as_the_same_settings(tmp_path: Path) -> None:
    assert load(Settings, written(tmp_path, to_yaml(Settings()))) == Settings()


def test_every_setting_is_described() -> None:
    lines = to_yaml(Settings()).splitlines()
    keys = [n for n, line in enumerate(lines) if line and line[0].isalpha()]
    assert keys and all(lines[n - 1].startswith("# ") for n in keys)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sedd: 1", "unknown key 'sedd'; allowed there: .*seed"),
        ("sessions: {gap: 3}", "unknown key 'sessions.gap'; allowed there: gap_minutes"),
        ("sessions: {gap_minutes: long}", "sessions.gap_minutes is 'long'"),
        ("shards: 6", "power of two"),
        ("- 1", "must hold keys and values"),
        ("a: [", "is not YAML"),
        ("x: !!python/object/apply:os.system [echo]", "is not YAML"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(Settings, written(tmp_path, text))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(UserError, match="nowhere.yaml"):
        load(Settings, "nowhere.yaml")
