"""Digests of the code behind each step's version, so that a version cannot lie.

    python -m tests.digests                                  what moved; steps whose constant was raised are noted down
    python -m tests.digests --confirm score "renamed only"   the code of a step moved, and it makes the same rows
    python -m tests.digests --confirm all "renamed only"     the same of every step that moved
    python -m tests.digests --check                          only say what moved; exits with 1 where something did

A step's code is the import closure of its job: every module of `pipelines/recommender`, `transforms` and `models` that it
imports, at the top or inside a function, without docstrings, comments and layout. What launches a job (`pipelines/runtime`,
`pipelines/cli`) and what is imported for types alone changes no row and is left out. `tests/digests.json` keeps, a line a step,
the version constant, the digest, and why the rows are the same where somebody said so. On a conflict in that file take either
side, or leave the markers, and run the command again: it is made anew from the code.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parent.parent
KEPT = Path(__file__).parent / "digests.json"
CONSTANT = "STEP"
PACKAGES = ("pipelines", "transforms", "models")
LEFT_OUT = ("pipelines.runtime", "pipelines.cli")
ELSEWHERE = {"ingest": "transforms.ingest.batch"}  # a job whose version constant stands in another module


@dataclass(frozen=True)
class Kept:
    """What is known of a step: its version constant, the digest of its code, and why another digest made the same rows."""

    version: str
    digest: str
    why: str = ""


def path_of(module: str, root: Path = ROOT) -> Path | None:
    """The file of one of our modules or packages; None for anybody else's, and for a name inside a module."""
    stem = root / module.replace(".", "/")
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.exists():
            return path
    return None


def for_types_alone(node: ast.AST) -> bool:
    """Whether it is `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def imports(tree: ast.AST) -> Iterator[str]:
    """Names of modules, or of what stands in them, that a tree imports where it runs."""
    for node in ast.iter_child_nodes(tree):
        if for_types_alone(node):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from imports(node)


@cache
def parsed(path: Path) -> ast.Module:
    """A file as a tree."""
    return ast.parse(path.read_text())


@cache
def imported(path: Path) -> list[str]:
    """Names that a file imports where it runs."""
    return list(imports(parsed(path)))


def closure(module: str, root: Path = ROOT) -> list[str]:
    """Our modules that a module needs in order to run, itself among them, in order of their names."""
    found: set[str] = set()
    todo = [module]
    while todo:
        one = todo.pop()
        path = path_of(one, root) if one else None
        if not one or one in found or one.startswith(LEFT_OUT) or one.split(".")[0] not in PACKAGES or path is None:
            continue
        found.add(one)
        todo += [*imported(path), one.rpartition(".")[0]]  # a package runs before what stands in it
    return sorted(found)


class _Bare(ast.NodeTransformer):
    """Takes out docstrings, the version constant and what is imported for types alone."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        body = getattr(node, "body", None)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and body:
            first = body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                body = body[1:]
            node.body = [one for one in body if not for_types_alone(one) and _constant(one) is None]  # type: ignore[union-attr]
        return node


def _constant(node: ast.AST) -> str | None:
    """The value of `STEP = "..."`."""
    if isinstance(node, ast.Assign) and [getattr(t, "id", "") for t in node.targets] == [CONSTANT]:
        return str(ast.literal_eval(node.value))
    return None


@cache
def bare(path: Path) -> str:
    """A file's code without what changes nothing that it does."""
    return ast.dump(_Bare().visit(ast.parse(path.read_text())), annotate_fields=False)


def digest_of(module: str, root: Path = ROOT) -> str:
    """Of everything that a job's rows depend on in code."""
    whole = sha256()
    for one in closure(module, root):
        whole.update(f"{one}\n{bare(path_of(one, root))}\n".encode())  # type: ignore[arg-type]
    return whole.hexdigest()[:16]


def constant_in(path: Path) -> str | None:
    """A module's version constant; None where it has none."""
    return next((value for node in parsed(path).body if (value := _constant(node)) is not None), None)


def now(root: Path = ROOT) -> dict[str, Kept]:
    """Every step with its version constant and the digest of its code, as they are."""
    out = {}
    for path in sorted((root / "pipelines").glob("*.py")):
        own = constant_in(path_of(ELSEWHERE.get(path.stem, f"pipelines.{path.stem}"), root) or path)
        if own is not None:
            out[path.stem] = Kept(own, digest_of(f"pipelines.{path.stem}", root))
    return out


def kept(path: Path = KEPT) -> dict[str, Kept]:
    """What was noted down; lines that cannot be read, as those of a conflict, are left out."""
    out = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        name, _, body = line.strip().rstrip(",").partition(": ")
        try:
            out[json.loads(name)] = Kept(**json.loads(body))
        except (ValueError, TypeError):
            continue
    return out


def note(steps: dict[str, Kept], path: Path = KEPT) -> None:
    """Write them down, a line a step."""
    lines = [f'"{name}": {json.dumps(asdict(one))}' for name, one in sorted(steps.items())]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def moved(current: dict[str, Kept], before: dict[str, Kept]) -> dict[str, bool]:
    """Steps whose code is not what was noted -> whether their version constant was raised (or they are new)."""
    return {
        name: name not in before or before[name].version != one.version
        for name, one in current.items()
        if name not in before or (before[name].version, before[name].digest) != (one.version, one.digest)
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Note what was raised or confirmed; returns 1 where a step's code moved under its old version."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--confirm", nargs=2, metavar=("STEP", "WHY"), help="A step, or all, makes the same rows.")
    parser.add_argument("--check", action="store_true", help="Note nothing.")
    given = parser.parse_args(argv)
    current, before = now(), kept()
    found = moved(current, before)
    step, why = given.confirm or ("", "")
    if step not in ("", "all", *current):
        parser.error(f"expected one of {', '.join(current)}, or all, found {step!r}")
    done = {name: current[name] for name, raised in found.items() if raised}
    if why:
        sure = [name for name, raised in found.items() if not raised and step in (name, "all")]
        done |= {name: Kept(current[name].version, current[name].digest, why) for name in sure}
    if not given.check:
        note(
            {
                name: done.get(name, before.get(name, one))
                for name, one in current.items()
                if name in done or name in before
            }
        )
    left = [name for name in found if name not in done or given.check]
    for name in left:
        print(f"{name}: its code moved under version {current[name].version}")
    if left:
        print(f'raise {CONSTANT}, or say why the rows are the same: python -m tests.digests --confirm STEP "why"')
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
