"""The wire between a command and an emulated bucket: it compares generations as the service does, and refuses or lags as told.

FAULTS_WIRE=429:3:60     every third request is answered with 429, sixty times in all
FAULTS_WIRE=stale        a listing shows what the one before it should have shown
FAULTS_WIRE=403:changes  replacing and deleting are not allowed; 403:deletes: deleting alone
"""

from __future__ import annotations

from typing import Any

import requests

from tests.storage_emulator import Strict
from tests.transforms.tables.test_store_refused import Refusing


class NoDeletes(Refusing):
    """The account may not delete."""

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        self.each = 1 if method == "DELETE" or "/batch" in str(url) else 10**9
        return super().request(method, url, *args, **kwargs)


class Stale(Strict):
    """Every listing is one behind."""

    def __init__(self) -> None:
        super().__init__()
        self._before: dict[str, requests.Response] = {}

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        answer = super().request(method, url, *args, **kwargs)
        if method != "GET" or not str(url).partition("?")[0].endswith("/o"):
            return answer
        late = self._before.get(str(url), answer)
        self._before[str(url)] = answer
        return late


def made(spec: str) -> requests.Session:
    """The wire that a text asks for."""
    if spec == "stale":
        return Stale()
    if spec == "403:deletes":
        return NoDeletes(403)
    if spec == "403:changes":
        return Refusing(403, changes_only=True)
    if spec:
        code, each, most = map(int, spec.split(":"))
        return Refusing(code, each, most)
    return Strict()


def install(spec: str) -> None:
    """Every bucket that this process opens is reached by such a wire, and nobody waits for the next try."""
    from google.api_core.retry import retry_unary

    from transforms.tables.store_bucket import GcsStore

    begin = GcsStore.__init__

    def opened(self: GcsStore, root: str) -> None:
        begin(self, root)
        self._client._http_internal = made(spec)

    GcsStore.__init__ = opened  # type: ignore[method-assign]
    retry_unary.time.sleep = lambda _: None
