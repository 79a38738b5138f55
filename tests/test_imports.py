"""Imports run one way, from room to room and from file to file; transforms know no TensorFlow, models no Beam."""

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

ABOVE_NIGHTS = ("pipelines.nightly", "pipelines.backfill", "pipelines.live")  # they put steps and nights in order

ORDER = (  # every room, from the ground up: a room imports only rooms that stand before it
    "nightshelf",
    "transforms",
    "transforms.common",
    "transforms.tables",
    "transforms.metrics",
    "transforms.simulation",
    "transforms.listening",
    "transforms.signals",
    "transforms.formats",
    "transforms.gates",
    "transforms.privacy",
    "transforms.ingest",
    "transforms.next_in_session",
    "transforms.candidates",
    "transforms.shelves",
    "transforms.serving",
    "transforms.prompts",
    "transforms.outcomes",
    "transforms.experiments",
    "transforms.evaluation",
    "transforms.reporting",
    "models",
    "models.rankers",
    "models.generative",
    "pipelines.recommender",
    "pipelines.runtime",
    "pipelines",
    "pipelines.night",
    *ABOVE_NIGHTS,
    "pipelines.cli",
    "dataflow_templates",
    "dataflow_templates.image",
    "dataflow_templates.night",
)


def modules() -> dict[str, Path]:
    """Every module of the program by its name."""
    found = {}
    for package in FORBIDDEN:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def room(module: str, path: Path) -> str:
    """The folder that a module stands in, two names deep; what puts nights in order is a room of its own each."""
    if module in ABOVE_NIGHTS:
        return module
    parts = module.split(".")
    return ".".join((parts if path.name == "__init__.py" else parts[:-1])[:2])


def graph() -> dict[str, set[str]]:
    """Module -> the modules of ours that it imports: at its top, inside a function, or for the type checker alone."""
    known = modules()

    out: dict[str, set[str]] = {}
    for name, path in known.items():
        found: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                whole = (f"{node.module}.{alias.name}" for alias in node.names)
                found |= {full if full in known else node.module for full in whole}
        out[name] = (found & set(known)) - {name}
    return out


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """The circles of a graph: what is left when everything that leads nowhere, or is led to by nothing, is taken away."""
    left = {name: set(others) for name, others in edges.items()}
    while True:
        led_to = {other for others in left.values() for other in others}
        gone = {name for name, others in left.items() if not others or name not in led_to}
        if not gone:
            return [[name, *sorted(others)] for name, others in sorted(left.items())]
        left = {name: others - gone for name, others in left.items() if name not in gone}


def test_every_room_has_its_place_and_imports_only_what_stands_below_it() -> None:
    known, at = modules(), {name: number for number, name in enumerate(ORDER)}
    homeless = sorted({room(n, p) for n, p in known.items()} - set(at))
    assert not homeless, f"say where {homeless} stand in ORDER"
    back = [
        f"{name} imports {other}"
        for name, others in sorted(graph().items())
        for other in sorted(others)
        if at[room(other, known[other])] > at[room(name, known[name])]
    ]
    assert not back, back


def test_no_two_files_import_each_other_not_even_inside_a_function() -> None:
    found = circles(graph())
    assert not found, f"files that stand in a circle, each with what it imports of it: {found}"


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == [["b", "c"], ["c", "b"]]


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
