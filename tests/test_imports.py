"""Imports run one way: pipelines -> transforms, models; transforms know no TensorFlow, models no Beam."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {
    "transforms": {
        "pipelines",
        "models",
        "dataflow_templates",
        "tensorflow",
        "tensorflow_recommenders",
        "tf_keras",
        "keras",
    },
    "models": {"pipelines", "apache_beam", "dataflow_templates"},
    "pipelines": {"tests", "dataflow_templates"},
    "dataflow_templates": {"tests"},
    "nightshelf": {"pipelines", "transforms", "models", "dataflow_templates", "polars", "apache_beam", "tensorflow"},
}
INSIDE = {  # a folder of transforms -> the parts of transforms it may lean on
    "common": {"common"},
    "tables": {"tables", "common"},
    "metrics": {"metrics", "common"},
    "listening": {"listening", "tables", "common"},
    "candidates": {"candidates", "listening", "next_in_session", "tables", "common"},
    "shelves": {"shelves", "tables", "common"},
    "outcomes": {"outcomes", "listening", "tables", "common"},
    "simulation": {"simulation", "common"},
}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_a_package_imports_only_what_stands_below_it(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        found = {name.split(".")[0] for name in imported(path)} & FORBIDDEN[package]
        assert not found, f"{path.relative_to(ROOT)} imports {sorted(found)}"


@pytest.mark.parametrize("folder", sorted(INSIDE))
def test_a_folder_of_transforms_leans_only_on_its_foundations(folder: str) -> None:
    for path in sorted((ROOT / "transforms" / folder).rglob("*.py")):
        parts = {n.split(".")[1] for n in imported(path) if n.startswith("transforms.")}
        assert parts <= INSIDE[folder], f"{path.relative_to(ROOT)} imports {sorted(parts - INSIDE[folder])}"


def test_help_imports_neither_beam_nor_tensorflow_nor_polars() -> None:
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom pipelines.cli.main import cli\n"
        "assert CliRunner().invoke(cli, ['--help']).exit_code == 0\n"
        "heavy = {'apache_beam', 'tensorflow', 'polars', 'pyarrow', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_file_is_short_enough_to_hold_one_idea() -> None:
    long = {
        str(p.relative_to(ROOT)): n
        for folder in ("pipelines", "transforms", "models", "dataflow_templates", "nightshelf", "tests")
        for p in (ROOT / folder).rglob("*.py")
        if (n := len(p.read_text().splitlines())) > 450
    }
    assert not long
