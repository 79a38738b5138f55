"""Looks for an id in every byte of a folder, as it is and as formats and programs write it.

Parquet pages are compressed, so every column is read and every value looked at, and so are the footer's statistics and
metadata; archives are unpacked. It shares no code with what removes ids.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow.parquet as pq


def encodings(listener: str) -> dict[str, bytes]:
    """The id as bytes, by the name of the encoding."""
    raw = listener.encode()
    out = {
        "plain": raw,
        "utf-16": listener.encode("utf-16-le"),
        "hex": raw.hex().encode(),
        "json": json.dumps(listener)[1:-1].encode(),
        "html": html.escape(listener).encode(),
        "percent": quote(listener, safe="").encode(),
        "backwards": raw[::-1],
    }
    for shift in range(
        3
    ):  # base64 depends on where in a longer text the id begins, and its last letter on what follows
        start, stop = -(-shift * 8 // 6), -(-(shift + len(raw)) * 8 // 6)
        for after in range(256):
            whole = base64.b64encode(b"\0" * shift + raw + bytes([after]))[start:stop]
            out[f"base64 {shift} {whole[-1]}"] = whole
    for kind in ("md5", "sha1", "sha256", "sha512", "blake2b"):
        digest = hashlib.new(kind, raw)
        out[kind] = digest.hexdigest().encode()
        out[f"{kind} digest"] = digest.digest()
    return out


def found(folder: Path, listeners: Iterable[str]) -> list[str]:
    """`file: encoding` of every place where one of the ids stands."""
    stems: dict[
        bytes, list[tuple[str, bytes]]
    ] = {}  # forms in base64 differ in their last letter: what is before is one search
    for listener in listeners:
        for name, form in encodings(listener).items():
            stems.setdefault(form[:-1] if name.startswith("base64") else form, []).append((name, form))
    out = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        where = path.relative_to(folder).as_posix()
        for text in (where.encode(), *_contents(path)):
            near = [one for stem, forms in stems.items() if stem in text for one in forms]
            out += [f"{where}: {name}" for name, form in near if form in text]
    return sorted(set(out))


def _contents(path: Path) -> Iterator[bytes]:
    data = path.read_bytes()
    yield data
    if data[:4] == b"PAR1" and data[-4:] == b"PAR1":
        yield from _parquet(path)
    if data[:2] == b"\x1f\x8b":
        yield gzip.decompress(data)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name) for name in archive.namelist())


def _parquet(path: Path) -> Iterator[bytes]:
    file = pq.ParquetFile(path)
    yield repr(file.metadata.metadata).encode()
    for group in range(file.metadata.num_row_groups):
        for at in range(file.metadata.num_columns):
            held = file.metadata.row_group(group).column(at).statistics
            if held is not None and held.has_min_max:
                yield from _texts([held.min, held.max])
    for column in file.read().columns:
        for chunk in column.chunks:
            yield from (bytes(b) for b in chunk.buffers() if b is not None)


def _texts(values: list[Any]) -> Iterator[bytes]:
    for value in values:
        yield value if isinstance(value, bytes) else str(value).encode()
