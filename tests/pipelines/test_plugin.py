"""docs/extending.md as a package: built of the page's own code, installed beside Nightshelf, and a night made with it."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from pipelines.runtime.settings_file import to_yaml
from tests.pipelines.world import LIGHT, NIGHT, simulated
from transforms.tables.warehouse import Warehouse

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text()
LISTENER = "listener-of-the-plugin"
COMMANDS = """
import sys
from pipelines.cli.main import cli
for line in sys.stdin.read().splitlines():
    print(">>>", line, flush=True)
    cli(line.split(), standalone_mode=False)
"""


def code(language: str, first: str = "") -> list[str]:
    """The page's blocks of a language that begin with a text."""
    found = re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)
    return [block for block in found if block.startswith(first)]


def package(folder: Path) -> Path:
    """The page's package, written into a folder."""
    folder.mkdir()
    (project,) = code("toml")
    (folder / "pyproject.toml").write_text(project)
    blocks = [block for block in code("python") if not block.startswith(("# transforms/", "# pipelines/"))]
    (folder / "nightshelf_years.py").write_text("\n\n".join(blocks))
    return folder


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of processes that see the package, installed into a folder of its own."""
    folder = tmp_path_factory.mktemp("plugin")
    target, source = folder / "installed", package(folder / "source")
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, "--target", str(target), str(source)], check=True, capture_output=True)
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(target), str(ROOT)))}


def piped(world: Path) -> tuple[Path, Path]:
    """The world's log in the package's format, and its catalog with a year for every track."""
    files = sorted((world / "listens").glob("*.csv"))
    log = pl.concat(
        pl.read_csv(f, infer_schema=False, truncate_ragged_lines=True, encoding="utf8-lossy") for f in files
    )
    at = pl.from_epoch(pl.col("ts").cast(pl.Int64, strict=False), "ms").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    plays = log.with_columns(at=at).drop_nulls(["user", "track", "at"])
    lines = plays.select(pl.concat_str(pl.col("user", "track", "at"), separator="|")).to_series()
    (world / "log.txt").write_text("\n".join(lines) + "\n")
    return world / "log.txt", world / "tracks.parquet"


@pytest.fixture(scope="module")
def night_with_it(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Warehouse, str]:
    """The warehouse of a night made with the package, and all that its commands printed."""
    folder = tmp_path_factory.mktemp("night")
    world = simulated(folder / "world", listeners=30, tracks=300, days=20)
    log, tracks = piped(world)
    (settings,) = code("yaml", "# settings.yaml")
    (folder / "settings.yaml").write_text(settings + to_yaml(LIGHT).partition("\nshelves:")[0])
    warehouse, end = folder / "warehouse", NIGHT + timedelta(3)
    who = log.read_text().partition("|")[0]
    options = f"--warehouse {warehouse} --config {folder / 'settings.yaml'}"
    lines = (
        f"ingest --format pipes --input {log} --tracks {tracks} --end-date {end} {options}",
        f"run --date {NIGHT} {options}",
        f"show {who} --date {NIGHT} --why --warehouse {warehouse}",
        f"evaluate --date {NIGHT} {options}",
        f"report --date {NIGHT} {options}",
    )
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS],
        input="\n".join(lines),
        env={**environment, "COLUMNS": "200"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return Warehouse(str(warehouse)), done.stdout


def test_its_sources_find_candidates_and_the_ranker_reads_them(night_with_it: tuple[Warehouse, str]) -> None:
    warehouse, _ = night_with_it
    candidates = warehouse.read("candidates", NIGHT)
    for name in ("years", "rising"):
        assert candidates[f"rank_{name}"].drop_nulls().len() > 0, name
        assert candidates[f"f_s_{name}"].std() > 0, name
    assert candidates.filter(pl.col("rank_years").is_not_null())["heard_before"].any() is False


def test_its_rule_and_its_shelf_stand_in_the_night_and_in_show(night_with_it: tuple[Warehouse, str]) -> None:
    warehouse, printed = night_with_it
    shelf = warehouse.read("shelves", NIGHT).filter(
        pl.col("shelf_id") == "of-your-years", pl.col("status") == "personal"
    )
    items = shelf.explode("items")["items"].struct.unnest()
    catalog = warehouse.read("tracks", min(warehouse.dates("tracks")))  # filed once, on a date of the log
    released = items.join(catalog, on="track_id")["released_on"]
    assert items.height > 0 and released.dt.year().min() >= 1950
    assert "Of your years" in printed and "years #" in printed


def test_it_is_measured_and_reported(night_with_it: tuple[Warehouse, str]) -> None:
    warehouse, _ = night_with_it
    measured = set(warehouse.read("evaluation", NIGHT)["model"])
    assert {"source:years", "source:rising", "shelf:of-your-years"} <= measured
    (page,) = Path(warehouse.url, "reports").rglob("report.html")
    text = page.read_text()
    assert "of-your-years" in text and "rising" in text and "nightshelf-years 1.2" in text


def test_its_version_stands_in_every_version_it_had_a_hand_in_and_in_no_other(
    night_with_it: tuple[Warehouse, str],
) -> None:
    warehouse, _ = night_with_it
    touched = {"listens", "models", "track_embeddings", "candidates", "shelves", "draws", "listener_embeddings"}
    for table in (*touched, "library", "sessions", "evaluation"):
        manifest = warehouse.newest(table, NIGHT)
        assert manifest is not None, table
        said = manifest.settings.get("plugins")
        if table not in touched:
            assert said is None, table
        else:
            assert said.keys() == {"nightshelf-years"}
            assert re.fullmatch(r"1\.2 sha256:[0-9a-f]{16}", said["nightshelf-years"])


def recorded(folder: Path, name: str) -> str:
    """A line of RECORD, as installers write it."""
    made = hashlib.sha256((folder / name).read_bytes()).digest()
    return f"{name},sha256={base64.urlsafe_b64encode(made).decode().rstrip('=')},{(folder / name).stat().st_size}\n"


def test_what_cannot_be_loaded_or_takes_a_name_is_named(environment: dict[str, str], tmp_path: Path) -> None:
    """A package that brings what is there already, and one whose module is broken."""

    def run(files: dict[str, str], then: str) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        (folder / "other-0.1.dist-info").mkdir(parents=True)
        (folder / "other-0.1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 0.1\n")
        (folder / "other-0.1.dist-info" / "entry_points.txt").write_text("[nightshelf.plugins]\nx = other:PLUGIN\n")
        for name, text in files.items():
            (folder / name).write_text(text)
        (folder / "other-0.1.dist-info" / "RECORD").write_text("".join(recorded(folder, name) for name in files))
        paths = os.pathsep.join((str(folder), environment["PYTHONPATH"]))
        done = subprocess.run(
            [sys.executable, "-c", then], env={**environment, "PYTHONPATH": paths}, capture_output=True, text=True
        )
        return done.stdout + done.stderr

    ask = "from transforms.formats.formats import formats\nprint([f.name for f in formats()])"
    assert "'pipes'" in run({"other.py": "from transforms.common.plugins import Plugin\nPLUGIN = Plugin()"}, ask)
    same = "from transforms.common.plugins import Plugin\nfrom transforms.formats.formats import FORMATS\n"
    taken = run({"other.py": same + "PLUGIN = Plugin(formats=FORMATS[:1])"}, ask)
    assert "the package 'other' brings 'csv' among its formats, a name that is taken" in taken
    broken = run({"other.py": "raise RuntimeError('no')"}, ask)
    assert (
        "the plugin 'other:PLUGIN' cannot be loaded (RuntimeError: no); mend the package 'other' or uninstall" in broken
    )
    assert "expected 'other:PLUGIN' to be a Plugin, found int" in run({"other.py": "PLUGIN = 1"}, ask)


ASK = "from transforms.common.plugins import touching\nprint(touching('formats'))"


def asked(environment: dict[str, str], target: Path) -> str:
    """What versions would say of the package as it stands in a folder."""
    path = os.pathsep.join((str(target), str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", ASK], env={**environment, "PYTHONPATH": path}, capture_output=True, text=True
    )
    return done.stdout + done.stderr


def edited(target: Path) -> str:
    """Code that would run as the plugin is loaded is written into it."""
    with open(target / "nightshelf_years.py", "a") as code:
        code.write("\nprint('it ran')\n")
    return "expected nightshelf_years.py of the plugin 'nightshelf-years' as it was installed, found another file"


def taken_away(target: Path) -> str:
    (target / "nightshelf_years.py").unlink()
    return "expected nightshelf_years.py of the plugin 'nightshelf-years' as it was installed, found none"


def unlisted(target: Path) -> str:
    """As with `pip install -e`: the code is elsewhere, and nobody has noted what it was."""
    (record,) = target.glob("*.dist-info/RECORD")
    lines = record.read_text().splitlines(keepends=True)
    record.write_text("".join(line for line in lines if not line.startswith("nightshelf_years.py")))
    return "found no nightshelf_years there, so nothing says that they are what was installed"


@pytest.mark.parametrize("change", [edited, taken_away, unlisted])
def test_files_that_are_not_what_was_installed_do_not_run(
    change: Callable[[Path], str], environment: dict[str, str], tmp_path: Path
) -> None:
    target = tmp_path / "installed"
    shutil.copytree(environment["PYTHONPATH"].split(os.pathsep)[0], target)
    before = asked(environment, target)
    assert re.search(r"'nightshelf-years': '1\.2 sha256:[0-9a-f]{16}'", before), before
    said = change(target)
    printed = asked(environment, target)
    assert said in printed and "install the package 'nightshelf-years' again" in printed
    assert "it ran" not in printed


def test_other_code_under_the_same_version_is_another_plugin(environment: dict[str, str], tmp_path: Path) -> None:
    target = tmp_path / "installed"
    shutil.copytree(environment["PYTHONPATH"].split(os.pathsep)[0], target)
    before = asked(environment, target)
    (record,) = target.glob("*.dist-info/RECORD")
    with open(target / "nightshelf_years.py", "a") as code:
        code.write("\n# another\n")
    rest = [line for line in record.read_text().splitlines(keepends=True) if not line.startswith("nightshelf_years.py")]
    record.write_text("".join([*rest, recorded(target, "nightshelf_years.py")]))
    after = asked(environment, target)
    assert "'1.2 sha256:" in before and "'1.2 sha256:" in after and before != after
