"""What comes from outside is data: it runs no code, names no file outside the warehouse, and puts no markup on a page."""

from __future__ import annotations

import ast
import os
import re
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.cli.main import cli
from pipelines.runtime.config import Settings
from pipelines.runtime.settings_file import parse
from tests.transforms.reporting.test_page import NIGHT, parsed
from transforms.common.errors import UserError
from transforms.common.printable import plain
from transforms.common.safe_yaml import read
from transforms.formats.bigquery import table_name
from transforms.formats.mapping import load_mapping
from transforms.reporting.facts import Job, Ledger, Model, Sample, Shelf, ShelfItem
from transforms.reporting.page import render
from transforms.shelves.settings import ShelfSettings
from transforms.tables.bigquery import destination
from transforms.tables.store import open_store
from transforms.tables.store_base import checked
from transforms.tables.warehouse import Warehouse, folder

ROOT = Path(__file__).parent.parent
PACKAGES = ("pipelines", "transforms", "models", "dataflow_templates", "nightshelf")
MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "jsonpickle",
    "pty",
    "code",
}
CALLS = {
    "eval", "exec", "compile", "__import__", "execfile", "os.system", "os.popen", "os.execv", "os.spawnv",
    "subprocess.getoutput", "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "yaml.safe_load",
    "importlib.import_module", "pandas.read_pickle", "pd.read_pickle", "np.loads", "shutil.unpack_archive",
    "tf.keras.models.load_model", "keras.models.load_model", "load_model", "tempfile.mktemp",
}  # fmt: skip
METHODS = {"extractall", "read_pickle", "deserialize", "from_pickle"}
SPREADSHEETS = {"write_csv", "to_csv", "write_excel", "to_excel", "writerow", "writerows", "sink_csv"}
ALLOWED = {("transforms/common/safe_yaml.py", "yaml.load")}  # with a loader derived from SafeLoader, see below
MODEL_LOADS = {
    "models/generative/decoder.py",
    "models/sequence.py",
    "models/two_tower.py",
}  # of folders that `artefacts.fetch` checked by hash

BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


def called(node: ast.Call) -> str:
    return ast.unparse(node.func)


def sources() -> list[Path]:
    return sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_in_the_source_runs_what_it_reads(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not MODULES & {a.name.split(".")[0] for a in node.names}, f"line {node.lineno}"
        if isinstance(node, ast.ImportFrom) and node.module:
            assert node.module.split(".")[0] not in MODULES, f"line {node.lineno}"
        if not isinstance(node, ast.Call):
            continue
        what, words = called(node), {k.arg: k.value for k in node.keywords}
        assert what not in CALLS or (name, what) in ALLOWED, f"{what} at line {node.lineno}"
        if isinstance(node.func, ast.Attribute):
            assert node.func.attr not in METHODS, f"{what} at line {node.lineno}"
            assert node.func.attr not in SPREADSHEETS, (
                f"{what} at line {node.lineno}: a title that begins with = is a formula in a spreadsheet; tables are Parquet"
            )
        if what in ("np.load", "numpy.load"):
            assert ast.unparse(words.get("allow_pickle", ast.Constant(True))) == "False", f"line {node.lineno}"
        if what.endswith("saved_model.load"):
            assert name in MODEL_LOADS, (
                f"{what} at line {node.lineno}: models are loaded where their hashes were checked"
            )
        if what == "Environment":
            assert ast.unparse(words["autoescape"]) == "True"
        assert ast.unparse(words.get("shell", ast.Constant(False))) == "False", f"line {node.lineno}"


@pytest.mark.parametrize(
    "value", ["!!python/object/apply:os.mkdir [{dir}]", "!!python/name:os.system ''", "!!python/module:os ''"]
)
@pytest.mark.parametrize(
    "load", [lambda t: load_mapping(t, "m"), lambda t: parse(Settings, t, "s"), lambda t: read(t, "y")]
)
def test_yaml_makes_values_only(value: str, load: object, tmp_path: Path) -> None:
    made = tmp_path / "made"
    with pytest.raises(UserError, match="not YAML"):
        load(f"columns: {value.format(dir=made)}\n")  # type: ignore[operator]
    assert not made.exists()


@pytest.mark.parametrize(
    "text",
    [BOMB,
     "a: &a\n  <<: *a\n", "&a [*a]", "[" * 10_000, "{a: " * 200 + "1" + "}" * 200, "x: " + "9" * 10_000, "a: x\n" * (1 << 20),
     "x: 2026-02-31", "x: !!timestamp z", "x: !!bool z", "x: 0x" + "f" * 10_000, "? {a: 1}\n: 2\n", "x: \x00"],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_yaml_that_unfolds_nests_or_cannot_be_is_refused_at_once(text: str) -> None:
    began = time.process_time()
    with pytest.raises(UserError) as found:
        read(text, "settings.yaml")
    assert time.process_time() - began < 5 and len(str(found.value)) < 300


def test_the_loader_knows_plain_yaml() -> None:
    assert read("a: [1, 2.5, yes, ~, 2026-01-31, x]\nb: {c: ''}", "y") == {
        "a": [1, 2.5, True, None, date(2026, 1, 31), "x"],
        "b": {"c": ""},
    }
    assert read("", "y") is None


OUTSIDE = ("../x", "..", "/etc/passwd", "a/../../b", "a/..", "x\x00y")


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_path_leaves_the_warehouse(name: str, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "w"))
    for act in (store.read, store.open, store.delete, store.paths, store.folders, lambda p: store.write(p, b"x")):
        with pytest.raises(UserError, match="must stay inside"):
            act(name)  # type: ignore[operator]
    with pytest.raises(UserError):
        checked(name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "name", [*OUTSIDE, "a/b", "Shelves", "shelves ", "", ".", "shelves/date=2026-01-01/run=x", "ünder"]
)
def test_a_table_is_a_name_and_no_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="name of a table"):
        folder(name, date(2026, 1, 31))
    with pytest.raises(UserError):
        Warehouse(str(tmp_path)).current(name, date(2026, 1, 31))
    done = CliRunner().invoke(cli, ["rollback", name, "--date", "2026-01-31", "--warehouse", str(tmp_path)])
    assert isinstance(done.exception, UserError)


@pytest.mark.parametrize(
    "day", ["../2026-01-31", "2026-01-31/../..", "2026-13-01", "x", "2026-01-31; rm", "٢٠٢٦-01-31\x00"]
)
@pytest.mark.parametrize("command", [["run"], ["report"], ["check"], ["evaluate"], ["rollback", "shelves"], ["repair"]])
def test_a_date_is_a_date(day: str, command: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, [*command, "--date", day, "--warehouse", str(tmp_path)])
    assert done.exit_code == 2 and "does not match the format" in done.output
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", [*OUTSIDE, "A", "a b", "a`b", "<b>", "é", ""])
def test_a_shelf_id_is_lower_case_letters_digits_and_dashes(name: str) -> None:
    with pytest.raises(ValueError):
        ShelfSettings(shelf_id=name, title="t")
    with pytest.raises(UserError):
        parse(Settings, f"shelves: {{shelves: [{{shelf_id: {name!r}, title: t}}]}}", "s")


INJECTED = (
    "music-prod.logs.plays` WHERE 1=1 --",
    "music-prod.logs.`x`",
    "music-prod.lo gs.x",
    "music-prod.logs.x;y",
    "a.b.c\n",
)


@pytest.mark.parametrize("name", [*INJECTED, *OUTSIDE])
def test_a_bigquery_name_cannot_end_its_quotes(name: str) -> None:
    with pytest.raises(UserError):
        table_name(name)
    with pytest.raises(UserError):
        destination(f"bigquery:{name}")


HOSTILE = "</style></title><script>alert('x')</script><img src=x onerror=alert(1)>\" onmouseover=\"alert(2)"


def test_whatever_a_log_says_no_page_runs_it() -> None:
    item = ShelfItem(1, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    shelf = Shelf(HOSTILE, HOSTILE, HOSTILE, HOSTILE, (item,), HOSTILE)
    night = replace(
        NIGHT,
        warehouse=HOSTILE,
        open_slots_note=HOSTILE,
        accepted=[HOSTILE],
        statuses={HOSTILE: {HOSTILE: 1}},
        jobs=[Job(HOSTILE, HOSTILE, 1.0, 1.0, 1, 1, 1.0)],
        batches=[Ledger(HOSTILE, HOSTILE, 1, 3, 1, 1, 1, {HOSTILE: 1})],
        samples=[Sample(HOSTILE, HOSTILE, (shelf,))],
        models=[Model(HOSTILE, HOSTILE, HOSTILE, HOSTILE, {HOSTILE: 1.0}, HOSTILE)],
    )
    tags = parsed(render(night))
    assert not {tag for tag, _ in tags.seen} & {"script", "img", "iframe"}
    assert not any(name.startswith("on") for _, attributes in tags.seen for name in attributes)


def test_only_our_own_style_goes_on_the_page_as_it_is() -> None:
    page = (ROOT / "transforms" / "reporting" / "page.html").read_text()
    assert re.findall(r"\{\{([^}]*\|\s*safe)\s*\}\}", page) == [" style | safe"]
    assert "autoescape false" not in page


def test_a_title_gives_no_orders_to_a_terminal() -> None:
    assert plain("Roads\x1b]0;owned\x07\x1b[2J\x9b1m\r\n\u202etxt") == "Roads]0;owned[2J1mtxt"
    assert plain("Sigur Rós · 夜に駆ける · 👨‍👩‍👧") == "Sigur Rós · 夜に駆ける · 👨‍👩‍👧"
