"""Prompts into the warehouse: a file of them cleaned, counted and split by listener, or one that is asked at once.

A file is Parquet, CSV or JSON lines with a column `text`; all others of table `prompts` may be missing. Bad rows are counted
by reason in the manifest and never printed, since a prompt is a personal text. Whoever asks without a name gets one of the
prompt's own, `prompt:<id>`, so that follow-ups meet it in one shard and `forget` can be told of it.

    rows = kept + duplicates + refused (broken_line: no text, too_long, future, forgotten)
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from transforms.common.errors import UserError
from transforms.common.hashing import hex_id
from transforms.formats.base import end_of
from transforms.formats.files import open_input
from transforms.formats.tables import rows_of
from transforms.privacy.forgotten import Forgotten
from transforms.privacy.pseudonyms import Pseudonyms
from transforms.prompts.intent import MOST_MINUTES, MOST_TRACKS
from transforms.prompts.words import LONGEST
from transforms.tables.schema import TABLES

NOBODY = "prompt:"
BATCH = 100_000
_COLUMNS = TABLES["prompts"].polars


@dataclass
class Filed:
    """Prompts that are fit to be answered, and what became of the rest."""

    rows: pl.DataFrame
    counts: dict[str, int] = field(default_factory=dict)


def frames(path: str) -> Iterator[pl.DataFrame]:
    """A file's rows, `BATCH` at a time.

    Raises:
        UserError: it is of another kind, or has no column `text`.
    """
    with open_input(path) as stream:
        if path.endswith(".parquet"):
            file = pq.ParquetFile(stream)
            _check(file.schema_arrow.names)
            for batch in file.iter_batches(BATCH):
                yield pl.DataFrame(pl.from_arrow(batch))
            return
        if path.endswith(".csv"):
            whole = pl.read_csv(stream.read(), infer_schema=False)
        elif path.endswith((".jsonl", ".ndjson")):
            lines = [json.loads(line) for line in stream.read().decode("utf-8", "replace").splitlines() if line.strip()]
            whole = pl.DataFrame(lines, infer_schema_length=None) if lines else pl.DataFrame(schema={"text": pl.String})
        else:
            raise UserError("--input: expected prompts as .parquet, .csv or .jsonl, found a file of another name")
    _check(whole.columns)
    for start in range(0, max(len(whole), 1), BATCH):
        yield whole.slice(start, BATCH)


def _check(names: Collection[str]) -> None:
    if "text" not in names:
        raise UserError(
            f"--input: expected a column `text` (and of {', '.join(c for c in _COLUMNS if c != 'text')} what there is), "
            f"found {len(list(names))} columns without it"
        )


def filed(
    frame: pl.DataFrame,
    day: date,
    known: Collection[str] = (),
    owners: dict[str, str] | None = None,
    names: Pseudonyms | None = None,
    gone: Forgotten | None = None,
) -> Filed:
    """Rows of a file as table `prompts`.

    Args:
        day: the date they are filed under; a later one is refused.
        known: ids of prompts of that date that are there already.
        owners: prompt -> listener of earlier prompts, whose follow-ups belong to the same.
        names: the warehouse's pseudonyms, where it has them.
        gone: who was forgotten; nothing of theirs is kept.
    """
    frame = frame.select(c for c in frame.columns if c in _COLUMNS).with_columns(
        pl.lit(None, dtype=pl.String).alias(c) for c in ("prompt_id", "listener_id") if c not in frame.columns
    )
    last = end_of(day) - timedelta(microseconds=1)  # where nobody says when: by the end of the date
    if "asked_at" not in frame.columns:
        frame = frame.with_columns(asked_at=pl.lit(last))
    otherwise = last.isoformat() if frame.schema["asked_at"] == pl.String else last
    frame = frame.with_columns(pl.col("asked_at").fill_null(pl.lit(otherwise)))
    frame = frame.with_columns(pl.col("prompt_id", "listener_id", "text").cast(pl.String).replace("", None))
    if names is not None:
        frame = names.rows(frame)
    mask = gone.mask(frame["listener_id"]) if gone else np.zeros(frame.height, bool)
    frame = _named(frame, owners or {})
    found = rows_of("prompts", frame, 1, day, mask)
    lacking = [pl.lit(None, dtype=kind).alias(c) for c, kind in _COLUMNS.items() if c not in found.kept.columns]
    rows = found.kept.with_columns(lacking).select(list(_COLUMNS))
    text = pl.col("text").str.strip_chars()
    refused = (
        pl.when(text == "").then(pl.lit("broken_line")).when(text.str.len_chars() > LONGEST).then(pl.lit("too_long"))
        .when(pl.col("asked_at") >= end_of(day)).then(pl.lit("future"))
    )  # fmt: skip
    rows = rows.with_columns(refused=refused)
    counts = {"rows": frame.height, **{f"unread {c}": n for c, n in found.unread.items()}}
    for reason in [*found.rejects["reason"].to_list(), *rows["refused"].drop_nulls().to_list()]:
        counts[f"refused {reason}"] = counts.get(f"refused {reason}", 0) + 1
    kept = rows.filter(pl.col("refused").is_null()).drop("refused")
    once = kept.sort("asked_at", "text").unique("prompt_id", keep="first", maintain_order=True)
    once = once.filter(~pl.col("prompt_id").is_in(list(known)))
    counts["duplicates"] = kept.height - once.height
    limits = {"minutes": MOST_MINUTES, "size": MOST_TRACKS}
    once = once.with_columns(
        pl.when(pl.col(c) > 0).then(pl.min_horizontal(c, pl.lit(most))).cast(_COLUMNS[c]).alias(c)
        for c, most in limits.items()
    )
    return Filed(once.sort("listener_id", "prompt_id"), {**counts, "kept": once.height})


def one(
    text: str,
    day: date,
    listener: str | None = None,
    follows: str | None = None,
    minutes: float | None = None,
    size: int | None = None,
    owner: str | None = None,
) -> pl.DataFrame:
    """A prompt that is asked at once, as table `prompts`; asked again on the same date it has the same id.

    Raises:
        UserError: it says nothing, or too much.
    """
    if not text.strip():
        raise UserError('expected a prompt, found none; say what to play: nightshelf playlist "an hour of calm jazz"')
    if len(text) > LONGEST:
        raise UserError(f"expected a prompt of at most {LONGEST} characters, found {len(text)}; say it shorter")
    frame = pl.DataFrame(
        {
            "text": [text],
            "listener_id": [listener or owner],
            "follows": [follows],
            "minutes": [minutes],
            "size": [size],
        },
        schema={
            "text": pl.String,
            "listener_id": pl.String,
            "follows": pl.String,
            "minutes": pl.Float32,
            "size": pl.Int32,
        },
    )
    return filed(frame, day).rows


def _named(frame: pl.DataFrame, owners: dict[str, str]) -> pl.DataFrame:
    """Every prompt with an id and a listener: those of a follow-up are the first prompt's, of nobody the prompt's own."""
    parts = [pl.col(c).cast(pl.String).fill_null("") for c in frame.columns if c != "prompt_id"]
    said = frame.select(pl.concat_str(parts, separator="\x1f")).to_series()
    frame = frame.with_columns(pl.coalesce("prompt_id", hex_id(said, purpose="prompt")).alias("prompt_id"))
    if frame["listener_id"].null_count() == 0:
        return frame
    follows = frame["follows"].cast(pl.String).to_list() if "follows" in frame.columns else [None] * frame.height
    ids, found = frame["prompt_id"].to_list(), frame["listener_id"].to_list()
    mine = dict(zip(ids, found, strict=True))
    earlier = dict(zip(ids, follows, strict=True))
    out = []
    for prompt, given in zip(ids, found, strict=True):
        listener, at, seen = given, prompt, {prompt}
        while listener is None and earlier.get(at) and earlier[at] not in seen:
            at = earlier[at]  # type: ignore[assignment]
            seen.add(at)
            listener = mine.get(at) or owners.get(at)
        out.append(listener if listener is not None else f"{NOBODY}{at}")
    return frame.with_columns(pl.Series("listener_id", out, dtype=pl.String))
