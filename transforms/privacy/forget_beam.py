"""The Beam shell of `forget`: files looked into one by one; then, in one step, manifests swapped and old files deleted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import apache_beam as beam
from apache_beam.metrics import Metrics

from transforms.privacy.forget import Redacted, holders, redact, swap
from transforms.privacy.forgotten import forgotten
from transforms.tables.warehouse import Warehouse


class Holders(beam.DoFn):
    """Folder of the warehouse -> paths of its files that may hold the listeners of some prints."""

    def __init__(self, warehouse: str, of: Sequence[int]) -> None:
        self._warehouse, self._of = warehouse, tuple(of)

    def process(self, top: str) -> Iterator[str]:
        """List one folder."""
        yield from holders(Warehouse(self._warehouse), top, self._of)


class Redact(beam.DoFn):
    """Path -> `Redacted` as JSON, for files that hold somebody on the warehouse's list."""

    def __init__(self, warehouse: str) -> None:
        self._warehouse = warehouse
        self._files = Metrics.counter("forget", "files")
        self._rows = Metrics.counter("forget", "rows")

    def setup(self) -> None:
        """Read the list."""
        self._gone = forgotten(Warehouse(self._warehouse))

    def process(self, path: str) -> Iterator[str]:
        """Look into one file."""
        done = redact(Warehouse(self._warehouse), path, self._gone)
        if done is not None:
            self._files.inc()
            self._rows.inc(done.rows)
            yield done.dumps()


class Swap(beam.DoFn):
    """The last step: make every rewritten file the one that is read. Yields how many manifests were changed."""

    def __init__(self, warehouse: str, today: date) -> None:
        self._warehouse, self._today = warehouse, today
        self._people = Metrics.counter("forget", "people")
        self._overtaken = Metrics.counter("forget", "overtaken")

    def process(self, _: int, redacted: Sequence[str]) -> Iterator[int]:
        """Swap."""
        done = [Redacted.loads(r) for r in redacted]
        self._people.inc(len({who for one in done for who in one.people}))
        changed, overtaken = swap(Warehouse(self._warehouse), done, self._today)
        self._overtaken.inc(overtaken)
        yield changed


@dataclass
class Forget(beam.PTransform):
    """Files looked into one by one and rewritten beside themselves, then one step that makes the rest visible.

    Attributes:
        of: the listeners' `prints`; none = everybody on the warehouse's list.
    """

    warehouse: str
    of: Sequence[int]
    today: date

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, root: beam.Pipeline) -> beam.PCollection[int]:
        folders = Warehouse(self.warehouse).store.folders("")
        redacted = (
            root
            | "Folders" >> beam.Create(folders, reshuffle=False).with_output_types(str)
            | "Files" >> beam.ParDo(Holders(self.warehouse, self.of)).with_output_types(str)
            | "Spread" >> beam.Reshuffle()
            | "Redact" >> beam.ParDo(Redact(self.warehouse)).with_output_types(str)
        )
        swap_all = beam.ParDo(Swap(self.warehouse, self.today), beam.pvalue.AsList(redacted)).with_output_types(int)
        return root | "Once" >> beam.Create([0], reshuffle=False) | "Swap" >> swap_all
