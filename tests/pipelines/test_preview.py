"""A preview is harmless: it uses what stands there, says how much it made and for how many, and changes nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from pipelines.cli.main import cli
from pipelines.cli.preview import preview
from pipelines.runtime.settings_file import to_yaml
from tests.pipelines.test_kill import assert_readable
from tests.pipelines.world import END, LIGHT, NIGHT, World, hashes, manifests
from transforms.common.errors import UserError
from transforms.tables.warehouse import Warehouse


@pytest.fixture(scope="module")
def warehouse(light: World, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    return World.copy(light.made, tmp_path_factory.mktemp("preview") / "w")


def listeners(warehouse: Warehouse, count: int) -> list[str]:
    return warehouse.read("shelves", NIGHT)["listener_id"].unique().sort()[:count].to_list()


def test_a_date_that_is_not_folded_is_neither_folded_nor_fitted_for_a_preview(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    before = manifests(warehouse)
    (tmp_path / "one.txt").write_text(listeners(warehouse, 1)[0])
    with pytest.raises(
        UserError, match=rf"is not folded; make it with `nightshelf run --date {END}`, or preview {NIGHT}"
    ):
        preview(warehouse.url, END, END, LIGHT, shelves=["on-repeat"], listeners_file=str(tmp_path / "one.txt"))
    assert manifests(warehouse) == before
    assert sorted(warehouse.dates("library"))[-1] == NIGHT


def test_without_models_of_its_fit_date_a_preview_names_a_night_that_has_some(light: World, tmp_path: Path) -> None:
    warehouse = World.copy(light.made, tmp_path / "w")
    bootstrap = NIGHT - timedelta(3)
    assert warehouse.current("models", bootstrap) is not None  # fitted for the first ranker, and not for shelves
    with pytest.raises(
        UserError, match=f"no models of {bootstrap}; make them with `nightshelf run --date {bootstrap}`$"
    ):
        preview(warehouse.url, bootstrap, bootstrap, LIGHT, shelves=["on-repeat"])
    with pytest.raises(UserError, match=f"no models of {bootstrap}; .* --fit-date {NIGHT}$"):
        preview(warehouse.url, NIGHT, bootstrap, LIGHT, shelves=["on-repeat"])


def test_a_shelf_that_is_added_to_the_settings_is_previewed_without_remaking_the_night(
    warehouse: Warehouse, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = manifests(warehouse)
    who = [*listeners(warehouse, 2), "nobody-of-that-name"]
    (tmp_path / "ids.txt").write_text("\n".join(who))
    changed = LIGHT.model_dump(mode="json")
    changed["shelves"]["shelves"].append({"shelf_id": "mine", "title": "Mine"})
    changed["models"]["als"]["iterations"] = 2  # a night would fit its models again
    added = type(LIGHT).model_validate(changed)
    (tmp_path / "settings.yaml").write_text(to_yaml(added))
    words = ["run", "--date", str(NIGHT), "--warehouse", warehouse.url, "--config", str(tmp_path / "settings.yaml")]
    cli([*words, "--shelf", "mine", "--listeners", str(tmp_path / "ids.txt")], standalone_mode=False)
    assert manifests(warehouse) == before
    printed = capsys.readouterr()
    assert "2 of 3 listeners are known" in printed.out and not any(one in printed.out + printed.err for one in who)
    assert re.search(rf"preview {NIGHT}: 2 rows, .* done", printed.err)
    assert re.search(r"preview, not committed: .*/shelves/date=.*/run=\S+ \(2 rows\)", printed.out)
    assert re.search(r"^mine: 2 \w+", printed.out, re.MULTILINE)
    assert "listener 2 of 2 who are known" in printed.out and printed.out.count("Mine") == 2


def test_against_the_stored_night_it_says_what_changed_for_whom(
    warehouse: Warehouse, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the settings of the night nothing changed; with a shelf of five items everybody's is another."""
    who = listeners(warehouse, 3)
    (tmp_path / "ids.txt").write_text("\n".join(who))
    words = ["run", "--date", str(NIGHT), "--warehouse", warehouse.url, "--shelf", "on-repeat", "--against"]
    words += ["--listeners", str(tmp_path / "ids.txt")]
    printed = []
    for size in (20, 5):
        changed = LIGHT.model_dump(mode="json")
        for shelf in changed["shelves"]["shelves"]:
            shelf["size"] = size if shelf["shelf_id"] == "on-repeat" else shelf["size"]
        (tmp_path / "settings.yaml").write_text(to_yaml(type(LIGHT).model_validate(changed)))
        cli([*words, "--config", str(tmp_path / "settings.yaml")], standalone_mode=False)
        printed.append(capsys.readouterr().out)
    stored = warehouse.read("shelves", NIGHT).filter(
        pl.col("listener_id").is_in(who) & (pl.col("shelf_id") == "on-repeat")
    )
    longer = stored.filter(pl.col("items").list.len() > 5).height
    assert longer > 0
    same, shorter = (re.search(r"^on-repeat: (\d) of (\d) listeners see another shelf", text, re.M) for text in printed)
    assert same is not None and same.groups() == ("0", "3")
    assert shorter is not None and int(shorter[1]) >= longer and shorter[2] == "3"
    assert not any(one in text for one in who for text in printed)


def test_a_file_that_names_nobody_who_is_known_is_refused(
    warehouse: Warehouse, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ids.txt").write_text("nobody-of-that-name\n")
    with pytest.raises(UserError, match=f"^0 of 1 listeners are known on {NIGHT}") as refused:
        preview(warehouse.url, NIGHT, NIGHT, LIGHT, listeners_file=str(tmp_path / "ids.txt"))
    assert "nobody-of-that-name" not in str(refused.value) + "".join(capsys.readouterr())


ROOT = Path(__file__).parents[2]
# A small disk that only this command and what it starts can see; `fill` is what others have on it.
SMALL_DISK = """
set -e
mount -t tmpfs -o size=64m none "$ROOM"
cp -r "$MADE" "$ROOM/w"
head -c 99m /dev/zero > "$ROOM/fill" 2> /dev/null || true
truncate -s "-$LEFT" "$ROOM/fill"
code=0; "$@" || code=$?
rm "$ROOM/fill"
cp -r "$ROOM/w" "$KEPT"
exit $code
"""
OWN_MOUNTS = ["unshare", "--mount", *(() if os.geteuid() == 0 else ("--map-root-user",))]
ALLOWED = subprocess.run([*OWN_MOUNTS, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0


@pytest.mark.skipif(not ALLOWED, reason="a disk of one's own takes the right to mount")
@pytest.mark.parametrize("left", [0, 40_960])
def test_on_a_full_disk_a_preview_ends_in_a_sentence_and_leaves_the_night_alone(
    left: int, light: World, tmp_path: Path
) -> None:
    (tmp_path / "settings.yaml").write_text(to_yaml(LIGHT))
    (tmp_path / "room").mkdir()
    words = ["run", "--date", str(NIGHT), "--warehouse", str(tmp_path / "room/w"), "--shelf", "on-repeat"]
    command = [sys.executable, "-m", "pipelines.cli.main", *words, "--config", str(tmp_path / "settings.yaml")]
    own = {"ROOM": str(tmp_path / "room"), "MADE": str(light.made), "KEPT": str(tmp_path / "kept"), "LEFT": str(left)}
    line = [*OWN_MOUNTS, "bash", "-c", SMALL_DISK, "bash", *command]
    done = subprocess.run(line, cwd=ROOT, env={**os.environ, **own}, capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 2 and last.startswith("nightshelf: "), done.stderr[-2000:]
    assert "No space left on device" in last and "make room" in last and "same command again" in last
    assert hashes(Warehouse(str(tmp_path / "kept"))) == hashes(light.warehouse)
    assert_readable(Warehouse(str(tmp_path / "kept")))
