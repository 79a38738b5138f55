"""Launching a job: Beam options checked, the graph run, what it took recorded in `runs/<run_id>.json`.

A job module builds one graph in `define(root, ...)` and hands it to `launch`. The record holds everything that may differ
between equal runs (seconds, memory, machine), so that nothing of it needs to stand in a table.
"""

from __future__ import annotations

import json
import platform
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from transforms.errors import UserError
from transforms.tables.runs import Run
from transforms.tables.warehouse import Warehouse

if TYPE_CHECKING:
    import apache_beam as beam

LOCAL = ("--runner=FnApiRunner",)


@dataclass
class Record:
    """What one job took."""

    job: str
    seconds: float = 0.0
    peak_mb: float = 0.0
    counters: dict[str, int] = field(default_factory=dict)
    run_ids: list[str] = field(default_factory=list)


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


def launch(
    job: str,
    warehouse: Warehouse,
    define: Callable[[beam.Pipeline], None],
    beam_args: Sequence[str] = (),
    runs: Sequence[Run] = (),
) -> Record:
    """Build the graph with `define`, run it to its end, and record what it took.

    Raises:
        UserError: what a step raised for the user to mend (Beam's wrapping is taken off).
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions

    options = PipelineOptions(checked_args(beam_args))
    options.view_as(SetupOptions).save_main_session = False
    began = time.monotonic()
    try:
        root = beam.Pipeline(options=options)
        define(root)
        result = root.run()
        result.wait_until_finish()
    except Exception as error:
        found = user_error(error)
        if found is None:
            raise
        raise found from error
    record = Record(
        job,
        seconds=round(time.monotonic() - began, 3),
        peak_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        counters=_counters(result),
        run_ids=[r.run_id for r in runs],
    )
    write_record(warehouse, record, runs)
    return record


def user_error(error: BaseException) -> UserError | None:
    """The UserError behind what Beam raised, if there is one."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, UserError):
            return seen
        seen = seen.__cause__ or seen.__context__
    kinds: list[type[UserError]] = [UserError, *UserError.__subclasses__()]
    for kind in kinds:
        marker = f"{kind.__module__}.{kind.__name__}: "
        if marker in str(error):
            return kind(str(error).split(marker)[-1].split(" [while running")[0].strip())
    return None


def _counters(result: Any) -> dict[str, int]:
    counters: dict[str, int] = {}
    for counter in result.metrics().query()["counters"]:
        name = f"{counter.key.metric.namespace}.{counter.key.metric.name}"
        counters[name] = counters.get(name, 0) + int(counter.result or 0)
    return dict(sorted(counters.items()))


def write_record(warehouse: Warehouse, record: Record, runs: Sequence[Run]) -> None:
    """Write `runs/<run_id>.json` of each run of the job."""
    machine = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    for run in runs:
        body = {
            **record.__dict__,
            "table": run.table,
            "date": run.day.isoformat(),
            "machine": machine,
            "at": time.time(),
        }
        warehouse.store.write(f"runs/{run.run_id}.json", json.dumps(body, indent=1, sort_keys=True).encode())
