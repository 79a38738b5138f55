"""The gate in the graph: everything is written, nothing is current yet; judge, then commit all of it or none.

measured = chunks | "Measure" >> ...          # Measured as JSON in bytes, some a chunk
root | GatedCommit(runs, written, measured, gate)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import apache_beam as beam

from transforms.gates.check import failed, refuse
from transforms.gates.history import ACCEPTED, CHECKS, MEASURED, facts_of, schema_faults
from transforms.gates.measure import Measured
from transforms.gates.night import check_night
from transforms.gates.settings import GateSettings
from transforms.tables.records import job_at_commit, record_commit
from transforms.tables.runs import Run, Written, finish_all, keep, with_extra
from transforms.tables.warehouse import Warehouse


@dataclass(frozen=True)
class Gate:
    """What a night is judged by.

    Attributes:
        fit_date: what was learned from others is as of this date.
        shelf_count: number of shelves every listener gets.
        accept: commit even if a check fails; the manifest then names what was accepted.
    """

    settings: GateSettings
    fit_date: date
    shelf_count: int
    accept: bool = False


class _GatedCommit(beam.DoFn):
    def __init__(self, gate: Gate, job: str | None) -> None:
        self._gate, self._job = gate, job

    def process(self, runs: Sequence[Run], written: Sequence[Written], measured: Sequence[bytes]) -> Iterator[str]:
        gate, last = self._gate, runs[-1]
        warehouse = Warehouse(last.warehouse)
        by_target: dict[tuple[str, str], list[Written]] = {}
        for item in written:
            by_target.setdefault((item.table, item.day), []).append(item)
        mine = [by_target.get((run.table, run.day.isoformat()), []) for run in runs]
        made = sorted((w.table, w.file.path) for files in mine for w in files if w.file is not None)
        total = Measured.total(Measured.loads(text) for text in measured)
        facts = facts_of(
            warehouse,
            last.day,
            gate.settings.history,
            fit_date=gate.fit_date,
            shelf_count=gate.shelf_count,
            measured=total,
            schema=schema_faults(warehouse, made),
            inputs=last.inputs,
            watched=gate.settings.drift.past_nights,
        )
        checks = check_night(facts, gate.settings)
        bad = [c.name for c in failed(checks)]
        extra: dict[str, Any] = {
            MEASURED: {"counts": total.counts, "examples": {k: list(v) for k, v in total.examples.items()}},
            CHECKS: [c.to_dict() for c in checks],
        }
        if bad and (gate.accept or not gate.settings.enforce):
            extra[ACCEPTED] = bad
        gated = [*runs[:-1], with_extra(last, **extra)]
        if bad and ACCEPTED not in extra:
            for run, files in zip(gated, mine, strict=True):
                keep(run, files)
            raise refuse(
                f"the night of {last.day}",
                checks,
                "nothing was committed and what was current stays so; mend the data and run again, or take the night "
                f"as it is with `nightshelf run --date {last.day} --accept-gates` (all checks: `nightshelf check "
                f"--date {last.day}`)",
            )
        todo = list(zip(gated, mine, strict=True))
        yield from (manifest.run_id for manifest in finish_all(todo, who=f"the night of {last.day}"))
        record_commit(self._job, runs, written)


@dataclass
class GatedCommit(beam.PTransform):
    """The graph's last step: judge the night, then make every run current in the order given, or none of them.

    The last run carries counts and checks in its manifest's `extra`. A night that fails leaves its files and its
    manifests in the runs' folders, where `nightshelf check` finds them.

    Raises (when run):
        GateFailed: a check failed and nobody accepted it.
    """

    runs: Sequence[Run]
    written: beam.PCollection
    measured: beam.PCollection
    gate: Gate

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, root: beam.Pipeline) -> beam.PCollection[str]:
        lists = (beam.pvalue.AsList(self.written), beam.pvalue.AsList(self.measured))
        return (
            root
            | "Runs" >> beam.Create([list(self.runs)], reshuffle=False)
            | "Judge and commit" >> beam.ParDo(_GatedCommit(self.gate, job_at_commit()), *lists).with_output_types(str)
        )
