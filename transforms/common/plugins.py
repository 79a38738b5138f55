"""What packages of one's own bring: candidate sources, fitted parts, shelf rules and log formats.

A package names an object of type `Plugin` under the entry-point group `nightshelf.plugins`:

    [project.entry-points."nightshelf.plugins"]
    moon = "nightshelf_moon:PLUGIN"                      # in its pyproject.toml

    PLUGIN = Plugin(sources=(Moon,), parts=(MoonPart,))  # in nightshelf_moon.py

Installing the package is all it takes; it must be installed wherever workers run. Its files must be those that were installed.
Its name and version, and what its files hold, stand among the settings of every version that it had a hand in, so a new version
of the package, or other code under the same one, makes those tables anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from transforms.common.errors import UserError
from transforms.common.plugin_files import content_of

GROUP = "nightshelf.plugins"
T = TypeVar("T")


@dataclass(frozen=True)
class Plugin:
    """What one package brings.

    Attributes:
        sources: classes, subclasses of `transforms.candidates.base.Source`.
        parts: classes, subclasses of `pipelines.recommender.parts.base.Part`, in order of dependency.
        formats: rows, `transforms.formats.formats.LogFormat`.
        rules: `transforms.shelves.rules.registry.Rule`, which the settings of a shelf can name.
    """

    sources: tuple[Any, ...] = ()
    parts: tuple[Any, ...] = ()
    formats: tuple[Any, ...] = ()
    rules: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Installed:
    """A plugin with the package that brings it: its name, its version, and the start of the sha256 of its files."""

    package: str
    version: str
    content: str
    plugin: Plugin


@cache
def installed() -> tuple[Installed, ...]:
    """Every plugin of this environment, by name of the package.

    Raises:
        UserError: one cannot be loaded, is no `Plugin`, or its files are not those that were installed.
    """
    points = sorted(entry_points(group=GROUP), key=lambda point: (_package(point), point.name))
    return tuple(map(_installed, points))


def _installed(point: EntryPoint) -> Installed:
    if point.dist is None:
        raise UserError(f"the plugin {point.value!r} belongs to no installed package; install it as one")
    content = content_of(point.dist, point.module)[:16]  # before its code runs
    return Installed(point.dist.name, point.dist.version, content, _loaded(point))


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.name


def _loaded(point: EntryPoint) -> Plugin:
    remedy = f"mend the package {_package(point)!r} or uninstall it"
    try:
        found = point.load()
    except Exception as error:  # whatever a package's import may raise
        raise UserError(
            f"the plugin {point.value!r} cannot be loaded ({type(error).__name__}: {error}); {remedy}"
        ) from error
    if not isinstance(found, Plugin):
        raise UserError(f"expected {point.value!r} to be a Plugin, found {type(found).__name__}; {remedy}")
    return found


def all_of(kind: str, own: tuple[T, ...]) -> tuple[T, ...]:
    """Ours, then those that plugins bring of one kind: `sources`, `parts`, `formats` or `rules`.

    Raises:
        UserError: two have one name.
    """
    found, seen = list(own), {getattr(one, "name", None) for one in own}
    for one in installed():
        for brought in getattr(one.plugin, kind):
            if brought.name in seen:
                raise UserError(
                    f"the package {one.package!r} brings {brought.name!r} among its {kind}, a name that is taken; "
                    "rename it there or uninstall the package"
                )
            seen.add(brought.name)
            found.append(brought)
    return tuple(found)


def touching(*kinds: str, named: str | None = None) -> dict[str, dict[str, str]]:
    """What a table's version says of plugins: name and version of the packages that bring any of these kinds.

    Args:
        kinds: fields of `Plugin`.
        named: only packages that bring something of this name.

    Returns:
        {"plugins": {package: "version sha256:content"}}, or nothing where no plugin had a hand in it.
    """
    found = {
        one.package: f"{one.version} sha256:{one.content}"
        for one in installed()
        if any(named is None or brought.name == named for kind in kinds for brought in getattr(one.plugin, kind))
    }
    return {"plugins": found} if found else {}
