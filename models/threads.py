"""How many threads TensorFlow computes with: a number that is set, never the machine's.

A product of matrices is cut into as many parts as there are threads, and what is cut elsewhere is summed in another order. One
and two processors therefore trained different models under one version. With a set number the parts are the same on any
machine: with fewer processors the threads take turns, with more the others are left to other processes. Operations run one after
the other: with two beside each other a decoder fitted again had other last digits about one time in four. The variables are read
by TensorFlow (`tensorflow/core/common_runtime/process_util.cc`) as it begins, once a process.

    >>> compute_with(2)          # before anything is computed; fitting and loading models do it
"""

from __future__ import annotations

import os
import sys

from transforms.common.errors import UserError

DEFAULT = 2  # as fast as before on two processors, where all of our figures come from
_WITHIN, _BESIDE, ONE = "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "1"


def compute_with(threads: int) -> None:
    """Have this process compute with so many threads within an operation, and one operation at a time.

    Raises:
        UserError: it has computed with another number before, which cannot be changed any more.
    """
    if _told() == str(threads):
        return
    if _begun():
        raise UserError(
            f"expected models.threads: {_told() or 'unset'}, as TensorFlow began with in this process, found {threads}; "
            "use a process of its own for other settings"
        )
    os.environ[_WITHIN], os.environ[_BESIDE] = str(threads), ONE


def by_default() -> None:
    """What holds until a fit or a model says otherwise, whatever the environment says."""
    if not _begun():
        compute_with(DEFAULT)


def _told() -> str | None:
    """The number of threads that the variables name."""
    within = os.environ.get(_WITHIN)
    return within if os.environ.get(_BESIDE) == ONE else None


def _begun() -> bool:
    """Whether TensorFlow has looked at the variables."""
    eager = sys.modules.get("tensorflow.python.eager.context")
    if eager is None:
        return False
    context = eager.context_safe()
    return context is not None and context._context_handle is not None
