"""One listener's shelves from a warehouse, read by key with PyArrow alone.

A night is found by one listing, and read through its manifest: of the files that the manifest names only the listener's shard
is opened, and of that file only the row groups whose bounds may hold the listener. Runs that are not current and previews are
never read, because no manifest names them. The layout is the contract of docs/reading.md.

    >>> from nightshelf.reader import open_night
    >>> night = open_night("./warehouse")                          # the newest one   # doctest: +SKIP
    >>> for shelf in night.shelves("user_000001"):                 # in the order of the surface   # doctest: +SKIP
    ...     print(shelf["title"], [item["track_id"] for item in shelf["items"]])
"""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

CURRENT = "_current.json"
DEFAULTS = "market_defaults"
ORDER = ("surface", "home_position", "shelf_id")
_DATE = re.compile(r"date=(\d{4}-\d{2}-\d{2})")


class NotFound(LookupError):
    """There is no such warehouse or night; the message says what was looked for and what to do."""


def shard_of(listener_id: str, shards: int) -> int:
    """The shard that holds a listener: the first 4 bytes of md5 of the id in UTF-8, big-endian, modulo `shards`.

    >>> shard_of("ann", 4), shard_of("bob", 4)
    (2, 0)
    """
    return int.from_bytes(md5(listener_id.encode(), usedforsecurity=False).digest()[:4], "big") % shards


def open_night(
    warehouse: str, date: dt.date | None = None, *, table: str = "shelves", filesystem: fs.FileSystem | None = None
) -> TableOfDate:
    """A committed night of a table by listener.

    Args:
        warehouse: a folder, or a URL that PyArrow knows (`gs://bucket/prefix`); with `filesystem` a path in it.
        date: the night; None = the newest.
        table: `shelves`, or another table that is keyed by listener.
        filesystem: a PyArrow file system to read through, for credentials of your own.

    Raises:
        NotFound: no warehouse is there, or it holds no such night.
    """
    if filesystem is None:
        filesystem, root = (
            fs.FileSystem.from_uri(warehouse) if "://" in warehouse else (fs.LocalFileSystem(), warehouse)
        )
    else:
        root = warehouse
    root = root.rstrip("/")
    found = [date] if date is not None else _dates(filesystem, f"{root}/{table}")
    for day in found:
        manifest = _manifest(filesystem, f"{root}/{table}/date={day.isoformat()}/{CURRENT}")
        if manifest is not None:
            return TableOfDate(filesystem, root, table, day, manifest)
    wanted = f"a night of {date}" if date is not None else "a night"
    raise NotFound(
        f"expected {wanted} in table {table} of {warehouse}, found none; `nightshelf run --date D` makes one"
    )


@dataclass
class TableOfDate:
    """A table of one date as its manifest names it. Cheap to keep; `shelves` follows when a newer run takes its place.

    Attributes:
        date: the night.
        manifest: the manifest as it was read: `version`, `run_id`, `shards`, `files`.
    """

    filesystem: fs.FileSystem
    root: str
    table: str
    date: dt.date
    manifest: dict[str, Any]
    _files: dict[str, pq.ParquetFile] = field(default_factory=dict, repr=False)

    @property
    def version(self) -> str:
        """What this content is determined by: equal versions are equal rows."""
        return str(self.manifest["version"])

    def shelves(self, listener_id: str, columns: list[str] | None = None) -> list[dict[str, Any]]:
        """The listener's rows, in the order of each surface; [] for one the night did not know.

        Args:
            listener_id: as it stands in the table (a pseudonym, where the warehouse holds these).
            columns: only these columns; None = all.
        """
        return self.table_of(listener_id, columns).to_pylist()

    def defaults(self, market: str | None = None, explicit_ok: bool = False) -> list[dict[str, Any]]:
        """What to show a listener whom the night did not know, in the order of each surface.

        Args:
            market: of the listener; rows of everywhere where it is unknown, or has none of its own.
            explicit_ok: whether they want explicit tracks among it.

        Raises:
            NotFound: the night was made before it kept such rows.
        """
        found = _manifest(self.filesystem, f"{self.root}/{DEFAULTS}/date={self.date.isoformat()}/{CURRENT}")
        if found is None:
            raise NotFound(f"expected table {DEFAULTS} of {self.date}, found none; make the night again")
        paths = [f"{self.root}/{entry['path']}" for entry in found["files"]]
        rows = pa.concat_tables([pq.read_table(path, filesystem=self.filesystem) for path in paths])
        rows = rows.filter(pc.equal(rows.column("explicit_ok"), explicit_ok))
        own = rows.filter(pc.equal(rows.column("market"), market or ""))
        own = own if own.num_rows else rows.filter(pc.equal(rows.column("market"), ""))
        return own.sort_by([(name, "ascending") for name in ORDER]).to_pylist()

    def table_of(self, listener_id: str, columns: list[str] | None = None) -> pa.Table:
        """The same rows as a PyArrow table."""
        try:
            return self._read(listener_id, columns)
        except FileNotFoundError:  # the run was replaced and cleaned since the manifest was read
            now = _manifest(self.filesystem, f"{self.root}/{self.table}/date={self.date.isoformat()}/{CURRENT}")
            if now is None or now["files"] == self.manifest["files"]:
                raise
            self.manifest, self._files = now, {}
            return self._read(listener_id, columns)

    def _read(self, listener_id: str, columns: list[str] | None) -> pa.Table:
        shard = shard_of(listener_id, int(self.manifest["shards"]))
        paths = [entry["path"] for entry in self.manifest["files"] if entry["shard"] == shard]
        asked = None if columns is None else list(dict.fromkeys(["listener_id", *ORDER, *columns]))
        found = [rows for path in paths if (rows := self._of_file(path, listener_id, asked)) is not None]
        if not found:
            return pa.table({})
        rows = pa.concat_tables(found)
        order = [(name, "ascending") for name in ORDER if name in rows.column_names]
        rows = rows.sort_by(order) if order else rows
        return rows if columns is None else rows.select(columns)

    def _of_file(self, path: str, listener_id: str, columns: list[str] | None) -> pa.Table | None:
        if path not in self._files:
            self._files[path] = pq.ParquetFile(self.filesystem.open_input_file(f"{self.root}/{path}"), pre_buffer=True)
        file = self._files[path]
        column = file.schema.names.index("listener_id")  # of leaves, as statistics are kept
        groups = [g for g in range(file.metadata.num_row_groups) if _may_hold(file.metadata, g, column, listener_id)]
        if not groups:
            return None
        known = None if columns is None else [c for c in columns if c in file.schema_arrow.names]
        rows = file.read_row_groups(groups, columns=known, use_threads=False)
        mine = rows.filter(pc.equal(rows.column("listener_id"), listener_id))
        return mine if mine.num_rows else None


def _may_hold(metadata: pq.FileMetaData, group: int, column: int, listener_id: str) -> bool:
    held = metadata.row_group(group).column(column).statistics
    return held is None or not held.has_min_max or held.min <= listener_id <= held.max


def _dates(filesystem: fs.FileSystem, folder: str) -> list[dt.date]:
    """Dates of a table, newest first, by one listing."""
    infos = filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True))
    found = (_DATE.fullmatch(info.base_name) for info in infos if info.type == fs.FileType.Directory)
    return sorted((dt.date.fromisoformat(match.group(1)) for match in found if match), reverse=True)


def _manifest(filesystem: fs.FileSystem, path: str) -> dict[str, Any] | None:
    try:
        with filesystem.open_input_stream(path) as stream:
            return dict(json.loads(stream.read()))
    except FileNotFoundError:
        return None
