"""A piece of input: what one worker reads at a time."""

from __future__ import annotations

import json
from dataclasses import dataclass

from transforms.formats import parquet
from transforms.formats.files import InputFile


@dataclass(frozen=True)
class Piece:
    """What one worker reads: a log's files, or part of one; or a file of a table.

    Attributes:
        files: of the piece.
        numbers: each file's position among the files of the batch.
        row_groups: of a Parquet file, which of it; None = all of the files.
    """

    files: tuple[InputFile, ...]
    numbers: tuple[int, ...]
    row_groups: parquet.RowGroups | None = None

    def dumps(self) -> str:
        """As a string, the element that travels to a worker."""
        groups = self.row_groups and [self.row_groups.groups, self.row_groups.first_row, self.row_groups.rows]
        return json.dumps([[[f.path, f.name, f.sha256, f.bytes, f.role] for f in self.files], self.numbers, groups])

    @classmethod
    def loads(cls, text: str) -> Piece:
        """Back from `dumps`."""
        files, numbers, groups = json.loads(text)
        cut = parquet.RowGroups(tuple(groups[0]), groups[1], groups[2]) if groups else None
        return cls(tuple(InputFile(*f) for f in files), tuple(numbers), cut)
