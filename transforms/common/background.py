"""Work done beside a bundle: files are written and blocks encoded while the next chunk is computed.

Polars, Arrow and NumPy let go of the interpreter while they compute, so a second thread in the same process uses a
second core without a copy of anything, where a second process would have to be sent every chunk. Results come back in
the order of submission, so what a step yields does not depend on which thread was quicker.

    >>> beside = Background()
    >>> beside.submit(len, "abc")
    >>> list(beside.results())
    [3]
    >>> beside.close()
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

THREADS = 2


class Background:
    """A few threads and what they were asked, oldest first. Not picklable: made when a bundle starts."""

    def __init__(self, threads: int = THREADS) -> None:
        self._pool = ThreadPoolExecutor(threads)
        self._asked: deque[Future[Any]] = deque()

    def submit(self, work: Callable[..., Any], *args: Any) -> None:
        """Begin some work; its result comes out of `results`."""
        self._asked.append(self._pool.submit(work, *args))

    def results(self) -> Iterator[Any]:
        """Wait for everything asked so far; yields results in the order of `submit`, and raises what work raised."""
        while self._asked:
            yield self._asked.popleft().result()

    def map(self, work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """`[work(item) for item in items]`, beside what was submitted before."""
        return list(self._pool.map(work, items))

    def close(self) -> None:
        """Let the threads go; what was not begun is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)
