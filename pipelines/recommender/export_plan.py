"""What an export reads and makes: planned at the launch, without Beam.

The changes of a night are told from those of the publication before it, of the same night where it was made again. So its stamp
counts up with every publication of a night, and the same night again has the stamp that it had.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from transforms.serving.publication import Publication, stamp
from transforms.tables.as_of import AsOf
from transforms.tables.chunks import Spec
from transforms.tables.manifest import Manifest
from transforms.tables.runs import Run, plan
from transforms.tables.specs import specs
from transforms.tables.upkeep import inputs_of

TABLE = "shelf_changes"
ATTEMPT, BEFORE = "attempt", "publication before"


class ExportSettings(Protocol):
    """The settings that an export reads."""

    @property
    def shards(self) -> int: ...


@dataclass(frozen=True)
class ExportPlan:
    """A night that is to be published.

    Attributes:
        publication: but for its counts.
        shards: that its rows are split into.
        run: of table `shelf_changes`; None where it stands already.
        specs: shards to read.
        manifests: of the shelves, for the checks before anything is written.
    """

    publication: Publication
    shards: int
    run: Run | None
    specs: Sequence[Spec]
    manifests: Sequence[Manifest]

    @property
    def stamp(self) -> datetime:
        """The publication's."""
        return self.publication.stamp


def plan_export(past: AsOf, settings: ExportSettings, step_version: str) -> ExportPlan:
    """Plan the publication of a view's date.

    Raises:
        UserError: there are no shelves of that date, or the table is pinned.
    """
    shelves, blends, own = past.need("shelves"), past.current("blend_shelves"), past.current(TABLE)
    wanted = inputs_of(shelves, blends)
    stands = own is not None and {k: v for k, v in own.inputs.items() if k != BEFORE} == wanted
    before = past.newest(TABLE)  # this very night's where it was published already
    attempt = (int(own.extra[ATTEMPT]) + (0 if stands else 1)) if own is not None else 1
    run = None
    if not stands:
        run = plan(
            past.warehouse,
            TABLE,
            past.day,
            shards=settings.shards,
            inputs={**wanted, **({BEFORE: before.version} if before else {})},
            settings={},
            step_version=step_version,
            extra={ATTEMPT: attempt},
        )
    tables = {"shelves": [shelves], "blend_shelves": [blends] if blends else [], TABLE: [before] if before else []}
    shards = run.shards if run else own.shards if own else settings.shards
    manifests = [m for m in (shelves, blends) if m is not None]
    one = Publication(stamp=stamp(past.day, attempt), date=past.day, version=shelves.version)
    return ExportPlan(one, shards, run, specs(past.warehouse, shards, tables), manifests)
