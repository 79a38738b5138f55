"""What the fork server loads: all of the program. None of it has done anything yet: threads of Polars' own die in a fork."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pipelines
import transforms

# What commands import late: from where a user without rights could not read it.
LATE = (
    "_strptime",
    "apache_beam.runners.direct.direct_runner",
    "apache_beam.runners.portability.fn_api_runner.fn_runner",
    "cProfile",
    "encodings.utf_16_be",
    "encodings.utf_16_le",
    "pyarrow.dataset",
    "tests.benchmarks.faults.beside",
    "unicodedata",
)

for _package in (transforms, pipelines):
    for _module in pkgutil.walk_packages(_package.__path__, f"{_package.__name__}."):
        import_module(_module.name)
for _name in LATE:
    import_module(_name)
