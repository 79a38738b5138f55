"""Loops that are compiled once a process: Python's syntax, the speed of C, the same result on every run.

`compiled` is numba's `njit` without fast math, so that sums keep their order. What was compiled is kept beside the code
where that folder can be written, and compiled again in each process where it cannot.

    >>> @compiled
    ... def total(values):
    ...     out = 0
    ...     for value in values:
    ...         out += value
    ...     return out
    >>> total(np.array([1, 2, 3]))
    6
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """The function, compiled when first called."""
    try:
        return cast(F, numba.njit(function, cache=True, nogil=True))
    except RuntimeError:  # no folder for the cache can be written
        return cast(F, numba.njit(function, nogil=True))
