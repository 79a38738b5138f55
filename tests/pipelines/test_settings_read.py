"""Every setting that `nightshelf config` prints is read by something: one that nothing reads is a promise that is not kept."""

from __future__ import annotations

import ast
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel

from pipelines.runtime.config import Settings

ROOT = Path(__file__).parent.parent.parent
# names that two sections share and one file reads of a value it is handed: where
HANDED = {
    "experiments.power": "transforms/experiments/planned.py",
    "models.clusters": "pipelines/recommender/parts/clusters.py",
    "models.history": "pipelines/recommender/parts/two_tower.py",
    "models.neighbours": "pipelines/recommender/parts/neighbours.py",
    "ingest.volume_high": "transforms/gates/batch.py",
    "ingest.volume_low": "transforms/gates/batch.py",
    "night.volume_high": "transforms/gates/night.py",
    "night.volume_low": "transforms/gates/night.py",
    "next_in_session.l2": "models/rankers/session.py",
    "next_in_session.per_source": "transforms/next_in_session/shortlist.py",
}
FOLDERS = ("pipelines", "transforms", "models", "dataflow_templates")


def sections(model: type[BaseModel], name: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Each model of the settings, with the name of the field that holds it."""
    yield name, model
    for inner, declared in model.model_fields.items():
        for one in models_in(declared.annotation):
            yield from sections(one, inner)


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from models_in(inner)


@dataclass
class Reads:
    """Attribute reads of the code: `.section.field` anywhere, and per file which names it knows and which fields it reads."""

    chains: set[tuple[str, str]] = field(default_factory=set)
    files: list[tuple[set[str], set[str]]] = field(default_factory=list)

    def add(self, source: str) -> None:
        """Look through one file."""
        known: set[str] = set()
        read: set[str] = set()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Name):
                known.add(node.id)
            elif isinstance(node, ast.ClassDef):
                known.add(node.name)
            elif isinstance(node, ast.ImportFrom):
                known |= {alias.name for alias in node.names}
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                read.add(node.attr)
                inner = node.value
                if isinstance(inner, ast.Attribute | ast.Name):
                    self.chains.add((inner.attr if isinstance(inner, ast.Attribute) else inner.id, node.attr))
        self.files.append((known, read))

    def has(self, section: str, model: str, name: str) -> bool:
        """Whether `.section.name` is read anywhere, or `.name` in a file that knows the model."""
        return (section, name) in self.chains or any(model in known and name in read for known, read in self.files)

    def anywhere(self, name: str) -> bool:
        """Whether `.name` is read of anything."""
        return any(name in read for _, read in self.files)


def unread(settings: type[BaseModel], reads: Reads) -> list[str]:
    """Settings that nothing reads, as `section.name`; a name that only one section has may be read of whatever holds it."""
    every = list(sections(settings))
    holders: dict[str, set[type[BaseModel]]] = {}
    for _, model in every:
        for name in model.model_fields:
            holders.setdefault(name, set()).add(model)
    return sorted(
        {
            f"{section}.{name}".lstrip(".")
            for section, model in every
            for name in model.model_fields
            if not reads.has(section or "settings", model.__name__, name)
            and not (len(holders[name]) == 1 and reads.anywhere(name))
        }
    )


def test_every_setting_is_read_by_something() -> None:
    reads = Reads()
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            reads.add(path.read_text())
    assert set(unread(Settings, reads)) == set(HANDED)
    for setting, path in HANDED.items():
        there = Reads()
        there.add((ROOT / path).read_text())
        assert there.anywhere(setting.partition(".")[2]), f"{path} reads no {setting}"


def test_a_setting_that_nothing_reads_is_seen() -> None:
    """The check above is able to fail, also where another section has a setting of that name."""

    class Rules(BaseModel):
        decay: float = 0.5

    class Library(BaseModel):
        decay: float = 0.5
        kept: int = 1

    class Outer(BaseModel):
        rules: Rules = Rules()
        library: Library = Library()

    reads = Reads()
    reads.add("def f(settings):\n    return settings.rules.decay + settings.library.kept")
    assert unread(Outer, reads) == ["library.decay"]
