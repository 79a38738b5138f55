"""A warehouse: tables by date, read through their manifests.

warehouse = Warehouse("./warehouse")
warehouse.current("shelves", date(2026, 1, 31))        # the manifest, or None
warehouse.read("shelves", date(2026, 1, 31))           # a Polars frame
warehouse.newest("tracks", date(2026, 1, 31))          # tracks and listeners: the newest date up to D
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date, timedelta

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from transforms.common.errors import LostRace, UserError
from transforms.tables.manifest import FileEntry, Heading, Manifest
from transforms.tables.schema import TABLES, empty_frame
from transforms.tables.store import Store, Token, open_store

CURRENT = "_current.json"
RUN_MANIFEST = "_manifest.json"  # in the folder of the run itself
_TABLE = re.compile(r"[a-z][a-z0-9_]*")
_DATE = re.compile(r"date=(\d{4}-\d{2}-\d{2})")


def folder(table: str, day: date) -> str:
    """`<table>/date=YYYY-MM-DD`.

    Raises:
        UserError: a table's name that could name another folder.
    """
    if _TABLE.fullmatch(table) is None:
        raise UserError("expected the name of a table, letters and underscores, found other characters in it")
    return f"{table}/date={day.isoformat()}"


def days(first: date, last: date) -> list[date]:
    """All dates from first to last, both included."""
    return [first + timedelta(n) for n in range((last - first).days + 1)]


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn whatever a committed file's bytes raise into a sentence that names the file and the remedy."""
    try:
        yield
    except PermissionError as error:  # which says nothing of what is in it
        raise UserError(
            f"{path} cannot be opened (Permission denied): mend the rights on it and on the folders above it, then run the same "
            "command again"
        ) from error
    except (OSError, ValueError, pa.ArrowException) as error:
        found = _DATE.search(path)
        date_option = f" --date {found.group(1)}" if found else ""
        raise UserError(
            f"{path} is missing or damaged ({type(error).__name__}); `nightshelf repair{date_option}` says what is "
            "damaged and has it made again, or go back with `nightshelf rollback`"
        ) from error


class Warehouse:
    """Reads and replaces manifests; opens the files they name. Cheap to make, safe to pickle."""

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def store(self) -> Store:
        """The bytes behind it."""
        return open_store(self.url)

    def current(self, table: str, day: date) -> Manifest | None:
        """The manifest of a table on a date, None where there is none.

        Raises:
            UserError: the manifest cannot be parsed.
        """
        return self.current_with_token(table, day)[0]

    def current_with_token(self, table: str, day: date) -> tuple[Manifest | None, Token]:
        """The manifest, and the token that `replace` compares."""
        data, token = self.store.read_with_token(f"{folder(table, day)}/{CURRENT}")
        if data is None:
            return None, token
        with _parsing(table, day):
            return Manifest.from_json(data), token

    def heading(self, table: str, day: date) -> Heading | None:
        """The manifest of a table on a date without its files, None where there is none.

        Raises:
            UserError: the manifest cannot be parsed.
        """
        data, _ = self.store.read_with_token(f"{folder(table, day)}/{CURRENT}")
        if data is None:
            return None
        with _parsing(table, day):
            return Heading.head_of(data)

    def text_of(self, table: str, day: date, run_id: str) -> bytes:
        """The manifest of a run as it was written: the current one, or that in the run's own folder if another has replaced it.

        Raises:
            UserError: it is gone.
        """
        data, _ = self.store.read_with_token(f"{folder(table, day)}/{CURRENT}")
        if data is not None:
            with _parsing(table, day):
                if Heading.head_of(data).run_id == run_id:
                    return data
        try:
            return self.store.read(f"{folder(table, day)}/run={run_id}/{RUN_MANIFEST}")
        except FileNotFoundError as error:
            raise UserError(
                f"{table} of {day} was replaced and its run deleted while a job was reading it; run the same command again"
            ) from error

    def whole(self, heading: Heading) -> Manifest:
        """The manifest that a heading was read of, with its files.

        Raises:
            UserError: it is gone.
        """
        if isinstance(heading, Manifest):
            return heading
        return Manifest.from_json(self.text_of(heading.table, heading.date, heading.run_id))

    def need(self, table: str, day: date) -> Manifest:
        """The manifest of a table on a date.

        Raises:
            UserError: there is none.
        """
        manifest = self.current(table, day)
        if manifest is None:
            raise UserError(f"{table} has no data for {day} in the warehouse; make it first (see `nightshelf status`)")
        return manifest

    def dates(self, table: str) -> list[date]:
        """Dates that have a manifest, in order."""
        return _dates(self.store.folders_with(table, CURRENT))

    def begun(self, table: str) -> list[date]:
        """Dates that have a folder, in order: also those for which nothing was ever committed."""
        return _dates(self.store.folders(table))

    def newest(self, table: str, upto: date) -> Manifest | None:
        """The manifest of the newest date up to and including `upto`."""
        for day in reversed(self.dates(table)):
            if day <= upto:
                return self.current(table, day)
        return None

    def commit(self, manifest: Manifest, token: Token) -> None:
        """Make a manifest current, in one atomic step.

        Raises:
            LostRace: another run replaced the manifest since `token` was read, or it is pinned.
        """
        path = f"{folder(manifest.table, manifest.date)}/{CURRENT}"
        if not self.store.replace(path, manifest.to_json(), token):
            winner = self.current(manifest.table, manifest.date)
            if winner is not None and winner.to_json() == manifest.to_json():
                return  # a bucket's client asks again when an answer is lost, and is then refused by its own write
            raise lost_race(manifest, winner)

    def open_parquet(self, path: str) -> pq.ParquetFile:
        """A Parquet file of the warehouse.

        Raises:
            UserError: the file is missing or damaged.
        """
        with reading(path):
            return pq.ParquetFile(self.store.open(path), page_checksum_verification=True, pre_buffer=True)

    def read_files(self, files: Iterable[FileEntry], columns: Sequence[str] | None = None) -> list[pl.DataFrame]:
        """Each file as a frame, in manifest order."""
        names = list(columns) if columns is not None else None
        return [self.read_path(f.path, names) for f in files]

    def read_path(self, path: str, columns: list[str] | None = None) -> pl.DataFrame:
        """One file of a table as a frame, with the columns that were declared since it was written.

        Raises:
            UserError: it is missing or damaged.
        """
        frame = pl.DataFrame(pl.from_arrow(self._rows(path, columns)))
        declared = TABLES.get(path.partition("/")[0])
        return declared.completed(frame, columns) if declared else frame

    def _rows(self, path: str, columns: list[str] | None) -> pa.Table:
        with reading(path):
            return self.open_parquet(path).read(columns=columns)

    def read_manifest(self, manifest: Heading, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """All rows a manifest names, as one frame (empty, with the right columns, where it names none)."""
        frames = self.read_files(self.whole(manifest).files, columns)
        if frames:
            return pl.concat(frames, how="diagonal")
        empty = empty_frame(TABLES[manifest.table].arrow)
        return empty.select(columns) if columns is not None else empty

    def read(self, table: str, day: date, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """All rows of a table on exactly that date.

        Raises:
            UserError: there is no manifest for it.
        """
        return self._read_following(self.need(table, day), columns)

    def _read_following(self, manifest: Manifest, columns: Sequence[str] | None) -> pl.DataFrame:
        """What a manifest names; if a file went because it was replaced meanwhile, what the manifest names now."""
        while True:
            try:
                return self.read_manifest(manifest, columns)
            except UserError:
                now = self.need(manifest.table, manifest.date)
                if now.files == manifest.files:
                    raise
                manifest = now

    def read_newest(self, table: str, upto: date, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """All rows of the newest date up to `upto`; an empty frame where there is none."""
        manifest = self.newest(table, upto)
        if manifest is None:
            empty = empty_frame(TABLES[table].arrow)
            return empty.select(columns) if columns is not None else empty
        return self._read_following(manifest, columns)


@contextmanager
def _parsing(table: str, day: date) -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        raise UserError(
            f"{folder(table, day)}/{CURRENT} is not a manifest ({error.error_count()} fields wrong); "
            f"put its run back with `nightshelf repair --date {day}`"
        ) from error


def _dates(folders: Iterable[str]) -> list[date]:
    """Dates of folders; one that is called like no date of the calendar is somebody else's, and passed over."""
    found = []
    for name in folders:
        matched = _DATE.fullmatch(name)
        with suppress(ValueError):
            found += [date.fromisoformat(matched.group(1))] if matched else []
    return sorted(found)


def lost_race(manifest: Manifest, winner: Manifest | None) -> LostRace:
    """What a run is told that comes too late."""
    name = winner.run_id if winner else "another run"
    return LostRace(
        f"{manifest.table} of {manifest.date} was committed by run {name} while run {manifest.run_id} "
        "was at work; nothing was overwritten"
    )


def standing(url: str) -> Warehouse:
    """A warehouse that holds something, for commands that only look or take away.

    Raises:
        UserError: there is none.
    """
    warehouse = Warehouse(url)
    if not any(warehouse.store.folders(table) for table in ("listens", *TABLES)):
        raise UserError(
            f"no warehouse here: {url} holds no tables; name the folder of yours with --warehouse, or begin one with "
            "`nightshelf ingest`"
        )
    return warehouse
