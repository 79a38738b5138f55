"""Launching a job: Beam options checked, the graph run, what it took recorded in `runs/<run_id>.json`.

A job module builds one graph in `define(root, ...)` and hands it to `launch`. The record holds everything that may differ
between equal runs (seconds, memory, machine), so that nothing of it needs to stand in a table.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from pipelines.runtime import logs
from pipelines.runtime.foreseen import foreseen
from pipelines.runtime.progress import made, working
from transforms.common.clock import by_part, others
from transforms.common.errors import JobFailed, Moved, UserError, interrupted
from transforms.common.processes import taken
from transforms.tables.records import Record, at_commit, with_workers, write_record
from transforms.tables.runs import Run
from transforms.tables.store_dry import is_dry
from transforms.tables.usage import Usage, passed
from transforms.tables.warehouse import Warehouse

if TYPE_CHECKING:
    import apache_beam as beam

LOCAL = ("--runner=FnApiRunner",)
ATTEMPTS = 3  # to do a job while others commit what it was planned on


_WATCHED: ContextVar[list[Record] | None] = ContextVar("watched", default=None)


def checked_args(beam_args: Sequence[str]) -> list[str]:
    """Beam options with the local runner named outright where none is given.

    Raises:
        UserError: an option that is known to lose records.
    """
    args = list(beam_args)
    if any("multi_threading" in a for a in args):
        raise UserError(
            "--direct_running_mode=multi_threading loses records in this version of Beam; use multi_processing, or leave it out"
        )
    if not any(a.startswith("--runner") for a in args):
        args.extend(LOCAL)
    return args


def described_only(beam_args: Sequence[str]) -> bool:
    """Whether the graph is only to be written, as a template's launching program does, for a service to start."""
    return any(a.startswith("--template_location") for a in beam_args)


def elsewhere(beam_args: Sequence[str]) -> bool:
    """Whether other processes than this one do the work."""
    args = checked_args(beam_args)
    named = [a.partition("=")[2] for a in args if a.startswith("--runner=")]
    named += [value for name, value in pairwise(args) if name == "--runner"]
    return described_only(beam_args) or not {*named} <= {"FnApiRunner", "DirectRunner"}


def launch(
    job: str,
    warehouse: Warehouse,
    define: Callable[[beam.Pipeline], None],
    beam_args: Sequence[str] = (),
    runs: Sequence[Run] = (),
) -> Record:
    """Build the graph with `define`, run it to its end, and record what it took.

    With `--template_location` the graph is only written there, nothing is waited for. Where other processes do
    the work, the commit notes what they used.

    Raises:
        UserError: what a step raised for the user to mend (Beam's wrapping is taken off).
        JobFailed: anything else, without its text.
        KeyboardInterrupt: a step was interrupted; Beam makes an error of its own of it.
        WouldRun: nothing may be written to the warehouse (`transforms.tables.store_dry`).
    """
    if is_dry(warehouse.url):
        raise WouldRun(job, runs)
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions

    from pipelines.runtime import quiet

    working()
    options = PipelineOptions(checked_args(beam_args))
    setup = options.view_as(SetupOptions)
    setup.save_main_session = False
    setup.beam_plugins = [*(setup.beam_plugins or []), quiet.__name__]
    took = Usage()
    try:
        root = beam.Pipeline(options=options)
        with at_commit(job) if elsewhere(beam_args) else nullcontext():
            define(root)
        result = root.run()
        if described_only(beam_args):
            return noted(Record(job, run_ids=[r.run_id for r in runs], finished=False))
        result.wait_until_finish()
    except Exception as error:
        if interrupted(error):
            raise KeyboardInterrupt from None
        found = user_error(error)
        if found is None and not os.environ.get(logs.DEBUG):
            raise JobFailed(f"job {job} failed {logs.without_text(error)}; {logs.MORE}") from None
        if found is None:
            raise  # not `from error`: an error that is its own cause is a chain without an end
        raise found from error
    finally:
        warehouse.store.ended()
    record = Record(
        job,
        seconds=took.seconds(),
        cpu_seconds=took.cpu_seconds(),
        peak_mb=took.peak_mb(),
        counters=others(counted := _counters(result)),
        parts=by_part(counted),
        run_ids=[r.run_id for r in runs],
    )
    others_took = taken()  # processes that shared its shards
    record.cpu_seconds = round(record.cpu_seconds + others_took.cpu_seconds, 3)
    record.peak_mb = max(record.peak_mb, others_took.peak_mb)
    record.passed = passed(warehouse, runs, record.counters)
    if elsewhere(beam_args):
        record = with_workers(record, warehouse, runs)
    write_record(warehouse, record, runs)
    return noted(record)


class WouldRun(Exception):
    """A job that has something to make, of a warehouse that is only looked at."""

    def __init__(self, job: str, runs: Sequence[Run]) -> None:
        super().__init__(job)
        self.job, self.runs = job, tuple(runs)


Made = TypeVar("Made")


def planned_anew(job: Callable[[], Made]) -> Made:
    """Plan and do a job, and again on top of what others have committed meanwhile; after three times the error is told.

    Raises:
        Moved: others were faster each time.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return job()
        except Moved:
            continue
    return job()


@contextmanager
def watched() -> Iterator[list[Record]]:
    """Records of the jobs launched inside the block; none where everything was current."""
    records: list[Record] = []
    token = _WATCHED.set(records)
    try:
        yield records
    finally:
        _WATCHED.reset(token)


def noted(record: Record) -> Record:
    """Note what a job took, for the stage at work and for whoever watches."""
    made(record.run_ids)
    records = _WATCHED.get()
    if records is not None:
        records.append(record)
    return record


def user_error(error: BaseException) -> UserError | None:
    """The UserError behind what Beam raised, if there is one."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, UserError):
            return type(seen)(str(seen).split(" [while running")[0])
        seen = seen.__cause__ or seen.__context__
    for kind in _kinds(UserError):
        marker = f"{kind.__module__}.{kind.__name__}: "
        if marker in str(error):
            return kind(str(error).split(marker)[-1].split(" [while running")[0].strip())
    return foreseen(error)


def _kinds(top: type[UserError]) -> Iterator[type[UserError]]:
    yield top
    for kind in top.__subclasses__():
        yield from _kinds(kind)


def _counters(result: Any) -> dict[str, int]:
    counters: dict[str, int] = {}
    for counter in result.metrics().query()["counters"]:
        name = f"{counter.key.metric.namespace}.{counter.key.metric.name}"
        counters[name] = counters.get(name, 0) + int(counter.result or 0)
    return dict(sorted(counters.items()))
