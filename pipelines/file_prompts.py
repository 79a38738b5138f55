"""The job `file_prompts`: a file of prompts into table `prompts` of a date, cleaned, counted, split by listener.

file -> rows, a batch at a time -> ids, owners of follow-ups, refusals counted -> prompts/date=D (files are added to those there)
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import apache_beam as beam

from pipelines.runtime.jobs import described_only, launch
from transforms.formats.files import find, identify
from transforms.privacy.pseudonyms import RECORDED, checked_key, key_source
from transforms.prompts.beam import COUNTS, FilePrompts
from transforms.tables.as_of import as_of
from transforms.tables.beam import Commit, WriteChunks
from transforms.tables.chunks import Chunk
from transforms.tables.manifest import Manifest
from transforms.tables.runs import Written, plan

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

STEP = "1"


def file_prompts(
    warehouse: str,
    day: date,
    path: str,
    *,
    settings: Settings,
    pseudonym_key_file: str | None = None,
    beam_args: Sequence[str] = (),
) -> dict[str, int]:
    """File the prompts of `path` under `day`; a file that was filed there before is left out.

    Returns:
        rows, kept, duplicates and refusals by reason of this file, as the manifest keeps them for every file.

    Raises:
        UserError: the file cannot be read, or the key of pseudonyms is not the warehouse's.
    """
    past, (file,) = as_of(warehouse, day), identify(find([path]))
    key = key_source(pseudonym_key_file)
    names = checked_key(past.warehouse, key)
    current = past.current("prompts")
    mark = file.sha256[:16]
    name, before = f"prompts {mark}", current.inputs if current else {}
    run = None
    if name not in before:
        run = plan(
            past.warehouse,
            "prompts",
            day,
            shards=current.shards if current else settings.shards,
            inputs={**before, name: file.sha256},
            settings={RECORDED: names.fingerprint} if names else {},
            step_version=STEP,
            append=True,
            extra=dict(current.extra) if current else {},
        )
    if run is None:
        return _counts(current, mark)

    def define(root: beam.Pipeline) -> None:
        read = (
            root
            | "File" >> beam.Create([file.path], reshuffle=False)
            | "Prompts"
            >> beam.ParDo(
                FilePrompts(warehouse, day, run.shards, settings.prompts.follow_days, key, mark)
            ).with_outputs(COUNTS, main="chunks")
        )
        written = (
            read.chunks | "Typed" >> beam.Map(lambda c: c).with_output_types(Chunk) | "Table" >> WriteChunks([run])
        )
        counts = read[COUNTS] | "Counts" >> beam.Map(lambda c: c).with_output_types(Written)
        _ = root | "Done" >> Commit([run], (written, counts) | "All" >> beam.Flatten())

    launch("file_prompts", past.warehouse, define, beam_args, [run])
    return {} if described_only(beam_args) else _counts(past.current("prompts"), mark)


def _counts(manifest: Manifest | None, mark: str) -> dict[str, int]:
    """What became of one file's rows."""
    extra = manifest.extra if manifest else {}
    return {k.removeprefix(f"{mark} "): int(v) for k, v in extra.items() if k.startswith(f"{mark} ")}
