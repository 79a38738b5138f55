"""Where a warehouse's bytes live: a local folder or a bucket, behind six verbs.

Readers rely on two promises. `write` is all or nothing: a reader sees the old bytes, the new bytes or no file. `replace`
is compare-and-swap: it succeeds only if the object is still the one whose token was read. Locally the first is a rename
and the second a rename under a lock file; in Google Cloud Storage both are the service's own generation match. A third is
for whoever commits: what was settled is there after a power loss, so files are settled before a manifest names them.

    store = open_store("./warehouse")
    data, token = store.read_with_token("listens/date=2026-01-01/_current.json")
    store.replace("listens/date=2026-01-01/_current.json", new, token)   # False if somebody was faster
"""

from __future__ import annotations

from functools import lru_cache

from transforms.common.errors import UserError
from transforms.tables.store_base import Store, Token
from transforms.tables.store_bucket import GcsStore
from transforms.tables.store_dry import PREFIX, DryStore, is_dry
from transforms.tables.store_local import LocalStore

__all__ = ["GcsStore", "LocalStore", "Store", "Token", "open_store"]


@lru_cache(maxsize=16)
def open_store(url: str) -> Store:
    """The store of a warehouse URL: a folder, or `gs://bucket/prefix`.

    Raises:
        UserError: another scheme.
    """
    if is_dry(url):
        return DryStore(open_store(url.removeprefix(PREFIX)))
    if url.startswith("gs://"):
        return GcsStore(url)
    if "://" in url:
        scheme = url.split("://", maxsplit=1)[0]
        raise UserError(f"a warehouse is a folder or gs://bucket/prefix; found the scheme {scheme!r}")
    return LocalStore(url)
