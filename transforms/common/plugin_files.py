"""Whether a plugin's files are those that were installed, looked at before any of them runs.

An installer writes the sha256 of every file that it installs into the package's RECORD (PyPA, "Recording installed projects").
A file that is another by now was edited or half replaced, and nobody could say of which code a night is. What one may still
change with rights on the environment is RECORD itself: those rights are the boundary.

    content_of(distribution("nightshelf-years"))      # "3f0c9a...": equal files, equal text, on every machine
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from importlib.metadata import Distribution, PackagePath
from pathlib import Path

from transforms.common.errors import UserError


def content_of(package: Distribution, module: str) -> str:
    """sha256 of names and hashes of a package's files, without what its installation is told in.

    Args:
        module: that the plugin is loaded from; it must be one of the files.

    Raises:
        UserError: a file is another than was installed, is gone, or the module is none of them.
    """
    listed = list(_listed(package))
    remedy = f"install the package {package.name!r} again (not with `-e`), or uninstall it"
    places = {Path(module.replace(".", "/")).with_suffix(".py"), Path(module.replace(".", "/")) / "__init__.py"}
    if not places & {Path(str(file)) for file, _ in listed}:
        raise UserError(
            f"expected the files of the plugin {package.name!r} in its list of installed files, found no {module} there, so "
            f"nothing says that they are what was installed; {remedy}"
        )
    lines = []
    for file, expected in listed:
        try:
            found = _digest(file, Path(str(package.locate_file(file))))
        except OSError:
            found = ""
        if found != expected:
            what = "another file" if found else "none"
            raise UserError(
                f"expected {file} of the plugin {package.name!r} as it was installed, found {what}; {remedy}"
            )
        lines.append(f"{file} {expected}")
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _listed(package: Distribution) -> Iterator[tuple[PackagePath, str]]:
    """Files with their hashes; compiled ones have none, and what is in `.dist-info` differs by machine."""
    for file in package.files or ():
        if file.hash is not None and not file.parts[0].endswith(".dist-info"):
            yield file, f"{file.hash.mode}={file.hash.value}"


def _digest(file: PackagePath, path: Path) -> str:
    assert file.hash is not None
    made = hashlib.new(file.hash.mode, path.read_bytes()).digest()
    return f"{file.hash.mode}={base64.urlsafe_b64encode(made).decode().rstrip('=')}"
