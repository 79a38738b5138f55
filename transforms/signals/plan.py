"""What the fold of signals has to make: the signals known by then, the files to read, and the runs of what is not current.

A signal is known from the manifests of what an ingest brought: `extra["signals"]` says what the mapping declared. What a
date's sums are made of, declarations included, stands in their version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from transforms.listening.suspects import UNTIMED, SuspectSettings
from transforms.signals.declared import Signal, joined, recorded
from transforms.signals.fold import LISTENER, TRACK, columns_of
from transforms.signals.settings import SignalSettings
from transforms.tables.as_of import AsOf
from transforms.tables.chunks import Spec
from transforms.tables.manifest import Heading
from transforms.tables.runs import Run, plan, with_extra
from transforms.tables.specs import specs
from transforms.tables.upkeep import inputs_of

SIGNALS = "signals"
STEP = "2"  # raised whenever the rows change


class FoldSettings(Protocol):
    """The settings that a fold of signals reads."""

    @property
    def shards(self) -> int: ...
    @property
    def signals(self) -> SignalSettings: ...
    @property
    def suspects(self) -> SuspectSettings: ...


@dataclass(frozen=True)
class SignalPlan:
    """A fold of signals that has something to do. Picklable.

    Attributes:
        signals: by name.
        specs: the shards and their files.
        columns: columns to read, table by table.
        runs: of the tables to write.
        suspects: how machines are told, whose plays say nothing of tracks.
        untimed: dates whose times were invented, so that they tell nothing of machines.
    """

    signals: dict[str, Signal]
    specs: Sequence[Spec]
    columns: dict[str, list[str]]
    runs: Sequence[Run]
    suspects: SuspectSettings
    untimed: tuple[date, ...] = ()


def declared(manifests: Sequence[Heading]) -> dict[str, Signal]:
    """Signals that manifests of ingested or folded tables know of.

    Raises:
        UserError: two of them mean different things by one name.
    """
    return joined([m.extra.get(SIGNALS, {}) for m in manifests])


def declared_in(past: AsOf) -> dict[str, Signal]:
    """Signals that the log and the tables of a warehouse declare, up to a view's date, those that settings ignore included."""
    return declared([m for t in ("listens", "signal_values", "track_values") for m in past.every(t)])


def plan_signals(past: AsOf, date_from: date, settings: FoldSettings) -> SignalPlan | None:
    """Plan the sums of the dates from `date_from` to the view's; None where everything is current.

    Raises:
        UserError: a table is pinned, or one name means two signals.
    """
    listens, values = past.every("listens", date_from), past.every("signal_values")
    signals = settings.signals.signals(declared([*listens, *values]))
    people = any(one.of == "listener" for one in signals.values())
    read = {"listens": listens, "signal_values": values if people else []}
    machines = settings.suspects.model_dump(exclude={"days", "personal"})
    folded = {name: one for name, one in signals.items() if one.of in ("listen", "listener")}
    runs: list[Run] = []
    for manifest in listens if folded else ():
        known = [v for v in read["signal_values"] if v.date <= manifest.date]
        for table in (LISTENER, TRACK):
            kept = {n: one for n, one in folded.items() if table == TRACK or one.of == "listen"}
            if not kept:
                continue
            run = plan(
                past.warehouse,
                table,
                manifest.date,
                shards=settings.shards,
                inputs=inputs_of(manifest, *(known if table == TRACK else ())),
                settings={SIGNALS: recorded(kept), **({"suspects": machines} if table == TRACK else {})},
                step_version=STEP,
            )
            if run is not None:
                runs.append(with_extra(run, **{SIGNALS: recorded(kept)}))
    if not runs:
        return None
    columns = {
        "listens": ["listener_id", "track_id", "started_at", *columns_of(folded)],
        "signal_values": ["listener_id", "track_id", "signal", "at", "number", "text"],
    }
    untimed = tuple(m.date for m in listens if m.extra.get(UNTIMED))
    return SignalPlan(folded, specs(past.warehouse, settings.shards, read), columns, runs, settings.suspects, untimed)
