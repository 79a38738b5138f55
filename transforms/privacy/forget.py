"""Taking listeners out of stored files: only the files that hold them are rewritten, and versions stay what they were.

What stands in a file is decided by its manifest, so the order is: rewritten files beside the old ones, then every
manifest that names an old one (of old runs first, the current one last), then the old files go. A reader sees a file with
them or one without; a kill leaves manifests whose files are all there; and the same command again finds what is left,
because it looks into files and not into its own memory. A file that no manifest names (an abandoned run, a preview) is
deleted. Where another `forget` was faster, what stands in a file's place now holds other people's rows: it counts as overtaken,
and is to be looked into again. Who is looked for stands in the warehouse as keyed hashes (`transforms.privacy.forgotten`).

    warehouse = Warehouse("./warehouse")
    paths = holders(warehouse, "listens", prints(["ann"]))     # files of shards that may hold them
    done = [r for p in paths if (r := redact(warehouse, p, forgotten(warehouse)))]
    swap(warehouse, done, date.today())                        # how many manifests were changed, how many files are overtaken
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from transforms.common.errors import UserError
from transforms.privacy.forgotten import PRINTS, Forgotten, prints_of
from transforms.privacy.traces import Traces
from transforms.tables.manifest import FileEntry, Manifest, Redaction
from transforms.tables.runs import RUN_MANIFEST
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import CURRENT, Warehouse
from transforms.tables.writing import rewrite

_SHARD = re.compile(r"/shard-(\d+)-of-(\d+)-\w+\.parquet$")
_RUN_FILE = re.compile(r"(?P<folder>\w+/date=[\d-]{10})/run=[^/]+/shard-[^/]+\.parquet")


@dataclass(frozen=True)
class Redacted:
    """A file that held listeners to forget, and the one to stand in its place (None: no rows are left).

    Attributes:
        rows: rows removed, or changed where a row is more than one person's.
        people: the listeners' keyed hashes, to be counted.
    """

    path: str
    new: FileEntry | None
    rows: int
    people: tuple[str, ...]

    def dumps(self) -> str:
        """As a string, the element that travels in Beam."""
        return json.dumps(
            [self.path, self.new.model_dump(mode="json") if self.new else None, self.rows, list(self.people)]
        )

    @classmethod
    def loads(cls, text: str) -> Redacted:
        """Back from `dumps`."""
        path, new, rows, people = json.loads(text)
        return cls(path, FileEntry(**new) if new else None, rows, tuple(people))


def prints(listeners: Iterable[str]) -> tuple[int, ...]:
    """What a graph needs to know of listeners to pass over the shards they are not in: 16 bits each."""
    return tuple(sorted({p for p in prints_of(listeners) if p is not None}))


def holders(warehouse: Warehouse, top: str, of: Sequence[int] = ()) -> list[str]:
    """Parquet files of a folder of the warehouse that may hold listeners: those of their shards, those without shards.

    Every run's files, committed or not. Tables that name no listener are left out.

    Args:
        top: a table's folder, or any other under the warehouse.
        of: the listeners' `prints`; none = anybody.
    """
    table = TABLES.get(top)
    if table is not None and not table.personal:
        return []
    found = [path for path in warehouse.store.paths(top) if path.endswith(".parquet")]
    if not of or table is None or table.sharded_by != "listener_id":
        return found
    return [path for path in found if (cut := _SHARD.search(path)) is None or _may_hold(int(cut[1]), int(cut[2]), of)]


def _may_hold(shard: int, shards: int, of: Sequence[int]) -> bool:
    return any(p % min(shards, PRINTS) == shard % PRINTS for p in of)


def redact(warehouse: Warehouse, path: str, gone: Forgotten) -> Redacted | None:
    """Write a file's other rows beside it; None if it holds nobody on the list. Nothing a reader sees is changed.

    Of a file that is gone since it was listed, `swap` decides whether it was overtaken or is missing.

    Raises:
        UserError: the file is damaged, or there is no room.
    """
    try:
        file = warehouse.open_parquet(path)
    except UserError:
        if path in warehouse.store.paths(path.rpartition("/")[0]):
            raise
        return Redacted(path, None, 0, ())
    names = file.schema_arrow.names
    if "listener_id" not in names:
        return None
    ids = pc.unique(file.read(columns=["listener_id"]).column(0)).to_pylist()
    held = gone.among(i for i in ids if i is not None)
    if not held:
        return None
    people = tuple(sorted(gone.hash(i) for i in held))
    if not _RUN_FILE.fullmatch(path):  # no table's file, so no reader's: something a killed job left
        return Redacted(path, None, file.metadata.num_rows, people)
    before = file.read()
    after = _without(before, held)
    touched = before.num_rows - after.num_rows
    return Redacted(path, rewrite(warehouse, path, after), touched, people)


def _without(rows: pa.Table, held: set[str]) -> pa.Table:
    mine = pc.is_in(rows.column("listener_id"), value_set=pa.array(sorted(held), rows.schema.field("listener_id").type))
    return rows.filter(pc.invert(mine))


def clear_rejects(warehouse: Warehouse, path: str, traces: Traces, of: Collection[int] = ()) -> Redacted | None:
    """`rejects` without what it kept of some listeners' lines: hashes and texts of theirs, files named after them.

    The row stays, since an ingest accounts for every line. A line that was read as far as its listener is found by that
    listener's print; one in 65,536 lines of other people shares it and loses its hash too.

    Args:
        traces: of their ids.
        of: their `prints`.
    """
    before = warehouse.open_parquet(path).read()
    columns = [c for c in ("raw", "file", "listener_print") if c in before.schema.names]
    old = before.select(columns).to_pydict()
    prints, theirs = old.get("listener_print", [None] * before.num_rows), set(of)
    mine = [p in theirs for p in prints]
    kept = {"raw": [None if m or (t and traces.given_away(t)) else t for m, t in zip(mine, old["raw"], strict=True)]}
    names = {t: traces.replaced(t) for t in set(old["file"])}
    kept["file"] = files = [names[t] for t in old["file"]]
    if "listener_print" in columns:
        kept["listener_print"] = [None if m else p for m, p in zip(mine, prints, strict=True)]
    changed = sum(any(kept[c][n] != old[c][n] for c in columns) for n in range(before.num_rows))
    if not changed:
        return None
    after = before
    for name, values in kept.items():
        at = after.schema.get_field_index(name)
        after = after.set_column(at, after.schema.field(at), pa.array(values, after.schema.field(at).type))
    if files != old["file"]:
        after = after.sort_by([(name, "ascending") for name in ("file", "line", "reason", "raw")])
    return Redacted(path, rewrite(warehouse, path, after), changed, ())


def swap(warehouse: Warehouse, done: Iterable[Redacted], today: date) -> tuple[int, int]:
    """Point manifests at the rewritten files, then delete the old ones, with no commit and no other `forget` between.

    Returns:
        How many manifests were changed; and how many files had been replaced by somebody else meanwhile.

    Raises:
        UserError: a manifest cannot be read, or names a file that is gone.
    """
    by_folder: dict[str, dict[str, Redacted]] = {}
    loose = []
    for one in done:
        found = _RUN_FILE.fullmatch(one.path)
        if found:
            by_folder.setdefault(found["folder"], {})[one.path] = one
        else:
            loose.append(one.path)
    changed = overtaken = 0
    if by_folder or loose:
        with warehouse.store.turn("forget"):
            for folder, files in sorted(by_folder.items()):
                mine, theirs = _swap_date(warehouse, folder, files, today)
                changed, overtaken = changed + mine, overtaken + theirs
            for path in loose:
                warehouse.store.delete(path)
    return changed, overtaken


def _swap_date(warehouse: Warehouse, folder: str, files: dict[str, Redacted], today: date) -> tuple[int, int]:
    """`swap` for one table's date."""
    there, named = set(warehouse.store.paths(folder)), set[str]()
    gone = {path for path in files if path not in there}
    todo = {path: one for path, one in files.items() if path not in gone}

    def without(manifest: Manifest) -> Manifest:
        after = redacted(manifest, todo, today)
        named.update(f.path for f in after.files)
        return after

    warehouse.store.settle([one.new.path for one in todo.values() if one.new is not None])
    changed = change_manifests(warehouse, folder, without)
    for path in sorted(gone & named):
        raise UserError(
            f"{path} is missing; `nightshelf repair --date {folder[-10:]}` says what is damaged and has it made again, then run "
            "the same command again"
        )
    for one in files.values():
        warehouse.store.delete(one.path)
        if one.new is not None and one.new.path not in named:
            warehouse.store.delete(one.new.path)
    return changed, len(gone)


def redacted(manifest: Manifest, files: dict[str, Redacted], today: date) -> Manifest:
    """A manifest that names the rewritten files; itself if it names none of the old ones. The version stays."""
    mine = [files[f.path] for f in manifest.files if f.path in files]
    if not mine:
        return manifest
    kept = []
    for entry in manifest.files:
        new = files[entry.path].new if entry.path in files else entry
        if new is not None:
            kept.append(new.model_copy(update={"batch": entry.batch}))
    note = Redaction(
        on=today, listeners=len({p for one in mine for p in one.people}), rows=sum(one.rows for one in mine)
    )
    return manifest.model_copy(
        update={
            "files": tuple(sorted(kept, key=lambda f: (f.shard, f.path))),
            "rows": sum(f.rows for f in kept),
            "redactions": (*manifest.redactions, note),
        }
    )


def change_manifests(warehouse: Warehouse, folder: str, change: Callable[[Manifest], Manifest]) -> int:
    """Apply a change to every manifest of a table's date: those of its runs first, the current one last.

    Returns:
        How many it changed.

    Raises:
        UserError: one of them cannot be read.
    """
    count = 0
    for path in [
        *(f"{folder}/{name}/{RUN_MANIFEST}" for name in warehouse.store.folders(folder)),
        f"{folder}/{CURRENT}",
    ]:
        while True:
            data, token = warehouse.store.read_with_token(path)
            if data is None:
                break
            before = _parsed(path, data)
            after = change(before)
            if after == before:
                break
            if warehouse.store.replace(path, after.to_json(), token):
                count += 1
                break
    return count


def _parsed(path: str, data: bytes) -> Manifest:
    try:
        return Manifest.from_json(data)
    except ValidationError as error:
        raise UserError(
            f"{path} is not a manifest, so what it names cannot be redacted; delete that run's folder (or roll the date "
            "back, if it is the current one), then run the same command again"
        ) from error
