"""One run of a table: planned, written into a folder of its own, committed as the graph's last step.

A run that is killed leaves a folder nobody's manifest names, so readers never see it. Files are named by their content
and written whole, so a bundle that is retried writes the same file again.

    run = plan(warehouse, "sessions", day, shards=16, inputs={"listens": "..."}, settings={...}, step_version="1")
    written = chunks | WriteChunks([run])
    root | Commit([run], written)

A commit of many runs takes its turn (`transforms.tables.turns`), looks whether what each was planned on still stands, and
only then begins: files first onto the disk, then manifests, the last run's when all others are there. Listeners who were
forgotten since the plan may be in its files, so these are thrown away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from transforms.common.errors import LostRace, UserError
from transforms.tables.manifest import FileEntry, Manifest, version_of
from transforms.tables.schema import TABLES
from transforms.tables.store import Token
from transforms.tables.warehouse import RUN_MANIFEST, Warehouse, folder, lost_race

CLAIM = "_claim"
FORGOTTEN = "forgotten/_list.json"  # who was forgotten, `transforms.privacy.forgotten`


@dataclass(frozen=True)
class Run:
    """One attempt to make a table of one date. Small and picklable: it travels to every worker.

    Attributes:
        version: what the content is determined by.
        run_id: version and attempt; the folder's name.
        token: of the manifest seen at launch; commit replaces exactly that one.
        people: token of the list of who was forgotten, as seen at launch.
        previous: files kept from the current manifest (ingest appends; other jobs replace).
    """

    warehouse: str
    table: str
    day: date
    version: str
    run_id: str
    shards: int
    inputs: dict[str, str]
    settings: dict[str, Any]
    token: Token
    previous_run: str | None = None
    previous: tuple[FileEntry, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)
    people: Token = None

    @property
    def folder(self) -> str:
        """`<table>/date=.../run=...`."""
        return f"{folder(self.table, self.day)}/run={self.run_id}"


def schema_signature(table: str) -> list[Any]:
    """What of the schema a version depends on."""
    declared = TABLES.get(table)
    if declared is None:
        return [table]
    return [declared.schema_version, [[c.name, str(c.type)] for c in declared.columns]]


def plan(
    warehouse: Warehouse,
    table: str,
    day: date,
    *,
    shards: int,
    inputs: dict[str, str],
    settings: dict[str, Any],
    step_version: str,
    seed: int = 0,
    append: bool = False,
    extra: dict[str, Any] | None = None,
) -> Run | None:
    """Plan a run, or None if the current manifest already has its version (there is nothing to do).

    Args:
        inputs: version of every input, by name.
        settings: the settings this step reads, JSON-able.
        step_version: raised when the step's code changes what it makes.
        append: keep the files of the current manifest and add to them.

    Raises:
        UserError: the current manifest is pinned and of another version.
    """
    version = version_of(
        table, day, schema_signature(table), inputs, {**settings, "shards": shards}, step_version, seed
    )
    current, token = warehouse.current_with_token(table, day)
    if current is not None and current.version == version:
        return None
    if current is not None and current.pinned:
        raise UserError(
            f"{table} of {day} is pinned to run {current.run_id}; release it with "
            f"`nightshelf rollback {table} --date {day} --unpin`"
        )
    return Run(
        warehouse=warehouse.url,
        table=table,
        day=day,
        version=version,
        run_id=claim(warehouse, table, day, version, current),
        shards=shards,
        inputs=inputs,
        settings=settings,
        token=token,
        previous_run=current.run_id if current else None,
        previous=current.files if current and append else (),
        extra=extra or {},
        people=warehouse.store.read_with_token(FORGOTTEN)[1],
    )


def claim(warehouse: Warehouse, table: str, day: date, version: str, current: Manifest | None = None) -> str:
    """The next free run id of a version: two runs of one night at once never share a folder.

    Nor does a run ever share the id of one that the current manifest names, though its folder may be gone. What stands in the
    claim says by which sign the run is known to be at work.
    """
    named = {current.run_id, current.previous_run, *map(run_of, current.files)} if current else set()
    text = f"claimed {warehouse.store.at_work()}".strip() + "\n"
    attempt = 1
    while True:
        run_id = f"{version}-{attempt}"
        path = f"{folder(table, day)}/run={run_id}/{CLAIM}"
        if run_id not in named and _claimed(warehouse, path, text):
            return run_id
        attempt += 1


def _claimed(warehouse: Warehouse, path: str, text: str) -> bool:
    """Write a claim where there is none."""

    def written() -> bool:
        data, token = warehouse.store.read_with_token(path)
        return data is None and warehouse.store.replace(path, text.encode(), token)

    try:
        return written()
    except FileNotFoundError:  # `clean` took the folder for an abandoned one, before the claim stood in it
        return written()


def run_of(entry: FileEntry) -> str:
    """The run in whose folder a table's file stands."""
    return entry.path.split("/")[2].removeprefix("run=")


@dataclass(frozen=True)
class Written:
    """What a step reports to the commit: a file, or counts to add to the manifest's `extra`."""

    table: str
    day: str
    file: FileEntry | None = None
    counts: dict[str, int] = field(default_factory=dict)


def finish(run: Run, written: Sequence[Written]) -> Manifest:
    """Make one run's manifest current; see `finish_all`."""
    return finish_all([(run, written)])[0]


def finish_all(
    made: Sequence[tuple[Run, Sequence[Written]]], check: Callable[[], None] | None = None, who: str = "a job"
) -> list[Manifest]:
    """Make the manifests of some runs of one warehouse current, in their order, or none of them where another job was faster.

    Two bundles that wrote the same shard wrote the same file, so equal paths count once.

    Args:
        made: runs, each with what was written of it.
        check: what else must still be true, asked when it is our turn; raises LostRace.
        who: the job, for whoever waits meanwhile.

    Raises:
        LostRace: another run was faster, or a listener was forgotten meanwhile; nothing was committed.
        UserError: a reported file is not there with the reported size.
    """
    if not made:
        return []
    warehouse = Warehouse(made[0][0].warehouse)
    with warehouse.store.turn(who):
        planned = [(run, _manifest(run, written)) for run, written in made]
        if check is not None:
            check()
        todo = [(run, manifest) for run, manifest in planned if not _is_current(warehouse, run, manifest)]
        _same_people(warehouse, [run for run, _ in todo])
        for run, manifest in todo:
            warehouse.store.write(f"{run.folder}/{RUN_MANIFEST}", manifest.to_json())
        warehouse.store.settle(
            [
                path
                for run, manifest in todo
                for path in (
                    f"{run.folder}/{RUN_MANIFEST}",
                    *(f.path for f in manifest.files if run_of(f) == run.run_id),
                )
            ]
        )
        for n, (run, manifest) in enumerate(todo):
            if n and n == len(todo) - 1:  # readers enter by the last one
                warehouse.store.settle([f"{one.folder}/{RUN_MANIFEST}" for one, _ in todo[:-1]])
            warehouse.commit(manifest, run.token)
        if todo:
            warehouse.store.settle([f"{todo[-1][0].folder}/{RUN_MANIFEST}"])
    return [manifest for _, manifest in planned]


def _is_current(warehouse: Warehouse, run: Run, manifest: Manifest) -> bool:
    """Whether a run was committed already: then its commit is being tried again.

    Raises:
        LostRace: what was current when it was planned is not any more.
    """
    current, token = warehouse.current_with_token(run.table, run.day)
    if current is not None and current.run_id == run.run_id:
        return True
    if current is not None and current.pinned:
        raise LostRace(
            f"{run.table} of {run.day} was pinned to run {current.run_id} while run {run.run_id} was at work"
        )
    if token != run.token:
        raise lost_race(manifest, current)
    return False


def _same_people(warehouse: Warehouse, runs: Sequence[Run]) -> None:
    """Throw away what was made of listeners whom somebody had forgotten meanwhile.

    Raises:
        LostRace: the list of the forgotten is not the one seen at launch.
    """
    named = [r for r in runs if r.table not in TABLES or TABLES[r.table].personal]
    now = warehouse.store.read_with_token(FORGOTTEN)[1] if named else None
    if all(run.people == now for run in named):
        return
    for run in named:
        warehouse.store.delete(run.folder)
    raise LostRace(
        f"a listener was forgotten while run {named[0].run_id} of {named[0].table} was at work, which may have read them before; "
        "nothing was committed and its files are deleted: run the same command again"
    )


def keep(run: Run, written: Sequence[Written]) -> Manifest:
    """Write a run's manifest into its own folder and leave what is current alone: a run that nobody is to read yet.

    Raises:
        UserError: a reported file is not there.
    """
    manifest, path = _manifest(run, written), f"{run.folder}/{RUN_MANIFEST}"
    store = Warehouse(run.warehouse).store
    store.settle([f.path for f in manifest.files if run_of(f) == run.run_id])
    store.write(path, manifest.to_json())
    return manifest


def _manifest(run: Run, written: Sequence[Written]) -> Manifest:
    """The manifest of a run's files, once they are all there."""
    files: dict[str, FileEntry] = {f.path: f for f in run.previous}
    counts: dict[str, int] = {}
    for item in written:
        if item.table != run.table or item.day != run.day.isoformat():
            continue
        if item.file is not None:
            files[item.file.path] = item.file
        for name, n in item.counts.items():
            counts[name] = counts.get(name, 0) + n
    warehouse = Warehouse(run.warehouse)
    stored = set(warehouse.store.paths(run.folder))
    lost = [f.path for f in files.values() if f.path.startswith(run.folder + "/") and f.path not in stored]
    if lost:
        raise UserError(f"{run.table} of {run.day}: {len(lost)} written files are gone ({lost[0]}); run it again")
    ordered = tuple(sorted(files.values(), key=lambda f: (f.shard, f.path)))
    return Manifest(
        table=run.table,
        date=run.day,
        version=run.version,
        run_id=run.run_id,
        schema_version=TABLES[run.table].schema_version if run.table in TABLES else 1,
        shards=run.shards,
        rows=sum(f.rows for f in ordered),
        files=ordered,
        inputs=run.inputs,
        settings=run.settings,
        previous_run=run.previous_run,
        extra={**run.extra, **counts},
    )


def with_extra(run: Run, **extra: Any) -> Run:
    """The same run with more in its manifest's `extra`."""
    return replace(run, extra={**run.extra, **extra})
