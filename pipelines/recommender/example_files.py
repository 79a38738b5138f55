"""What a fit learns from as Parquet files, written by the graph and read by the fit: only their names travel between the two.

    checkpoints/<version>/examples/P-5f0c....parquet        plays of a chunk of listeners; other letters see `histories`

They stand beside the checkpoints of the version that is made, and go with them when it is committed. A file is named by what is
in it, so a step that is tried again writes the same one; what an earlier attempt left is read by nobody. `forget` deletes them.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import polars as pl

from pipelines.recommender.histories import Example
from transforms.tables.chunks import Spec
from transforms.tables.upkeep import EXAMPLES
from transforms.tables.warehouse import Warehouse, reading


@dataclass(frozen=True)
class ExampleFiles:
    """Where a fit's examples are kept. Small and picklable.

    Attributes:
        folder: of the version that is made, relative to the warehouse.
    """

    warehouse: str
    folder: str

    def keep(self, examples: Iterable[Example]) -> Iterator[str]:
        """Write them, a file each, and yield the files' names."""
        store = Warehouse(self.warehouse).store
        for tag, frame in examples:
            out = io.BytesIO()
            frame.write_parquet(out, compression="zstd")
            name = f"{tag.decode()}-{blake2b(out.getvalue(), digest_size=16).hexdigest()}.parquet"
            store.write(f"{self.folder}/{EXAMPLES}/{name}", out.getvalue())
            yield name

    def keep_made(self, spec: Spec, make: Callable[[Spec], Iterable[Example]]) -> Iterator[str]:
        """Write what is made of a shard."""
        return self.keep(make(spec))

    def read(self, names: Sequence[str], tag: bytes) -> list[pl.DataFrame]:
        """The frames of one tag among these files, in the order of their names."""
        return [self._frame(name) for name in sorted(set(names)) if name.partition("-")[0] == tag.decode()]

    def _frame(self, name: str) -> pl.DataFrame:
        path = f"{self.folder}/{EXAMPLES}/{name}"
        with reading(path):
            return pl.read_parquet(Warehouse(self.warehouse).store.read(path))
