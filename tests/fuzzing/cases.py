"""One mutated file of each kind, and how many rows are in it as counted without the adapter.

A file has some records; some of them are mutated and the rest are left as they are. Mutating a field or a line must not
touch its neighbours: every intact record has to come out under its own line number. Mutating the whole file's bytes may.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.fuzzing import mutate
from transforms.formats.mapping import Mapping

RECORDS = 30
CANARY = "canary-listener-"  # no message may hold a listener's id
MAPPING = Mapping(
    columns={"listener_id": "who", "track_id": "what", "started_at": "at", "ms_played": "ms", "skipped": "skip",
             "artist": "by", "title": "name", "duration_ms": "long", "tags": "tags"}
)  # fmt: skip


@dataclass
class Case:
    """A mutated file.

    Attributes:
        data: its bytes.
        inputs: how many mutated inputs it holds: records, or 1 where the whole file was mutated.
        rows: the rows it holds; None where that cannot be known without parsing it.
        intact: line number -> track of records that were left alone.
        mapping: the mapping file in use, if any.
    """

    data: bytes
    inputs: int
    rows: int | None = None
    intact: dict[int, str] = field(default_factory=dict)
    mapping: Mapping | None = None


def _iso(rng: Random) -> str:
    return (
        f"2026-01-{rng.randrange(1, 29):02d}T{rng.randrange(24):02d}:{rng.randrange(60):02d}:{rng.randrange(60):02d}Z"
    )


def _track(rng: Random) -> str:
    return f"track {rng.randrange(1_000_000)}"


def _who(rng: Random) -> str:
    return f"{CANARY}{rng.randrange(6)}"


def lines_in(data: bytes) -> int:
    """Lines of a text file, as `wc -l` counts them, and a last one that has no end."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    return data.count(b"\n") + (not data.endswith(b"\n") and bool(data))


def _text_file(
    rng: Random, record: Callable[[Random, int], tuple[str, list[str]]], delimiter: str, header: str | None
) -> Case:
    """Delimited lines: `record` gives the track and the fields of one."""
    out = [header.encode()] if header is not None else []
    intact, mutated, line = {}, 0, len(out) + 1
    for n in range(RECORDS):
        track, fields = record(rng, n)
        if rng.random() < 0.2:
            raw = delimiter.join(fields).encode()
            intact[line] = track
        else:
            mutated += 1
            raw = _mutated_line(rng, fields, delimiter)
        out.append(raw)
        line += 1 + raw.count(b"\n")
    ends = rng.choice((b"\n", b"\n", b"\r\n"))
    data = ends.join(out) + (ends if rng.random() < 0.8 else b"")
    return Case(data, mutated, lines_in(data) - (header is not None), intact)


def _mutated_line(rng: Random, fields: list[str], delimiter: str) -> bytes:
    kind = rng.randrange(10)
    if kind < 6:
        at = rng.randrange(len(fields))
        fields[at] = mutate.text(rng, fields[at])
    elif kind == 6:
        del fields[rng.randrange(len(fields))]
    elif kind == 7:
        fields.insert(rng.randrange(len(fields) + 1), rng.choice(mutate.TEXTS))
    raw = delimiter.join(fields).encode("utf-8", "surrogatepass")
    return mutate.bytes_of(rng, raw, rng.randrange(1, 4)) if kind > 7 else raw


def _whole(rng: Random, case: Case, header: bool = False) -> Case:
    """The whole file mutated, for one file in eight; then nothing is left alone."""
    if rng.random() >= 0.125:
        if rng.random() < 0.1:
            case.data = b"\xef\xbb\xbf" + case.data
        if rng.random() < 0.1:
            case.data = gzip.compress(case.data, 1, mtime=0)
        return case
    if rng.random() < 0.3:
        return Case(mutate.bytes_of(rng, gzip.compress(case.data, 1, mtime=0), rng.randrange(1, 6)), 1)
    data = mutate.bytes_of(rng, case.data, rng.randrange(1, 20))
    return Case(data, 1, None if header else lines_in(data), {}, case.mapping)


def csv_file(rng: Random) -> Case:
    """CSV by a mapping."""

    def record(rng: Random, n: int) -> tuple[str, list[str]]:
        track = _track(rng)
        title = rng.choice(("Monkey", '"Low, live"', '"a ""b"" c"', 'twelve" mix', ""))
        ms, long = str(rng.randrange(400_000)), str(rng.randrange(1, 400_000))
        return track, [_who(rng), track, _iso(rng), ms, rng.choice(("true", "0", "")), "Low;Max", title, long, "a;b"]

    case = _text_file(rng, record, ",", "who,what,at,ms,skip,by,name,long,tags")
    case.mapping = MAPPING
    return _whole(rng, case, header=True)


def lastfm(rng: Random) -> Case:
    """Last.fm-1K."""

    def record(rng: Random, n: int) -> tuple[str, list[str]]:
        track = _track(rng)
        return track, [
            _who(rng),
            _iso(rng),
            rng.choice(("mbid", "")),
            rng.choice(("Low", '"Weird Al"')),
            track,
            "Monkey",
        ]

    return _whole(rng, _text_file(rng, record, "\t", None))


def sessions(rng: Random) -> Case:
    """Sessions: a row is a play, or a line that holds none."""

    def record(rng: Random, n: int) -> tuple[str, list[str]]:
        tracks = [_track(rng) for _ in range(rng.randrange(1, 6))]
        return tracks[0], [_who(rng), *tracks]

    case = _whole(rng, _text_file(rng, record, ",", None))
    packed = case.data.startswith(b"\x1f\x8b")
    if case.rows is not None:
        case.rows = _plays((gzip.decompress(case.data) if packed else case.data).removeprefix(b"\xef\xbb\xbf"))
    return case


def _plays(data: bytes) -> int:
    lines = data.split(b"\n")
    rows = 0
    for line in lines[:-1] if lines and not lines[-1] else lines:
        try:
            line.decode()
            rows += max(1, line.count(b","))
        except UnicodeDecodeError:
            rows += 1
    return rows


def _mutated_json(rng: Random, record: dict[str, Any]) -> bytes:
    kind = rng.randrange(10)
    if kind > 7:
        return mutate.bytes_of(rng, json.dumps(record).encode(), rng.randrange(1, 4))
    place = record
    while True:
        key = rng.choice(sorted(place))
        if not isinstance(place[key], dict) or not place[key] or rng.random() < 0.2:
            break
        place = place[key]
    if kind == 7:
        del place[key]
        return json.dumps(record).encode()
    place[key] = "\x01"
    value = rng.choice(mutate.JSON) if kind < 4 else json.dumps(mutate.text(rng, "text"))
    return json.dumps(record).replace('"\\u0001"', value).encode("utf-8", "surrogatepass")


def listenbrainz(rng: Random) -> Case:
    """JSON lines."""
    out, intact, mutated, line = [], {}, 0, 1
    for _ in range(RECORDS):
        track = _track(rng)
        info = {"recording_msid": "m", "duration_ms": 210_000, "isrc": "x", "artist_mbids": ["a", "b"]}
        record = {
            "user_name": _who(rng),
            "listened_at": 1_767_600_000 + rng.randrange(1_000_000),
            "track_metadata": {
                "artist_name": "Low",
                "track_name": "Monkey",
                "additional_info": info,
                "mbid_mapping": {"recording_mbid": track, "artist_mbids": ["a"]},
            },
        }
        if rng.random() < 0.2:
            raw = json.dumps(record).encode()
            intact[line] = track
        else:
            mutated += 1
            raw = _mutated_json(rng, record)
        out.append(raw)
        line += 1 + raw.count(b"\n")
    data = b"\n".join(out) + b"\n"
    return _whole(rng, Case(data, mutated, lines_in(data), intact))


def spotify(rng: Random) -> Case:
    """A JSON array of entries; their number is known only while the array can be read."""
    out, mutated, intact = [], 0, {}
    for n in range(RECORDS):
        track = f"spotify:track:{rng.randrange(10**6)}"
        record: dict[str, Any] = {
            "ts": _iso(rng), "username": _who(rng), "ms_played": rng.randrange(400_000), "spotify_track_uri": track,
            "master_metadata_track_name": "Monkey", "master_metadata_album_artist_name": "Low", "reason_end": "trackdone",
            "skipped": False, "shuffle": None, "episode": None,
        }  # fmt: skip
        if rng.random() < 0.2:
            out.append(json.dumps(record).encode())
            intact[n + 1] = track
        else:
            mutated += 1
            raw = _mutated_json(rng, record)  # a byte that is no UTF-8 has the whole file refused: seldom
            out.append(raw if rng.random() < 0.01 else raw.decode("utf-8", "replace").encode())
    data = b"[" + b",\n".join(out) + rng.choice((b"]", b"]", b"", b"][", b"] [{}]"))
    try:
        rows: int | None = len(json.loads(data))
    except (ValueError, RecursionError):
        rows, intact = None, {}
    case = _whole(rng, Case(data, mutated, rows, intact))
    case.rows = rows if case.intact else None
    return case


_ODD: tuple[pa.DataType, ...] = (
    pa.int8(), pa.uint64(), pa.float16(), pa.float64(), pa.bool_(), pa.binary(), pa.large_string(), pa.date32(), pa.date64(),
    pa.time64("ns"), pa.timestamp("ns"), pa.timestamp("s", "Europe/Stockholm"), pa.duration("us"), pa.decimal128(30, 5),
    pa.list_(pa.string()), pa.list_(pa.int64()), pa.struct([("a", pa.int64())]), pa.map_(pa.string(), pa.int64()), pa.null(),
    pa.dictionary(pa.int32(), pa.string()), pa.binary(3), pa.string(), pa.int64(),
)  # fmt: skip


def _values(rng: Random, kind: pa.DataType, rows: int) -> pa.Array:
    """An array of any type, out of bytes that mean something in some of them."""
    texts = [rng.choice((*mutate.TEXTS, *mutate.NUMBERS, *mutate.TIMES, None)) for _ in range(rows)]
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        return pa.array(texts).cast(kind)
    if pa.types.is_binary(kind):
        return pa.array([None if t is None else t.encode() for t in texts], kind)
    if pa.types.is_nested(kind) or pa.types.is_null(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.nulls(rows, kind)
    numbers = pa.array([rng.choice((0, 1, None, rng.randrange(100))) for _ in range(rows)], pa.int64())
    try:
        return numbers.cast(kind)
    except pa.ArrowInvalid:
        return pa.nulls(rows, kind)
    except pa.ArrowNotImplementedError:
        return numbers.cast(pa.int32()).cast(kind) if pa.types.is_date32(kind) else pa.nulls(rows, kind)


def parquet(rng: Random) -> Case:
    """Parquet by a mapping: a column's type or values changed, or bytes of the file."""
    n = RECORDS
    columns: dict[str, pa.Array] = {
        "who": pa.array([_who(rng) for _ in range(n)]),
        "what": pa.array([_track(rng) for _ in range(n)]),
        "at": pa.array([_iso(rng) for _ in range(n)]),
        "ms": pa.array([rng.randrange(400_000) for _ in range(n)], pa.int64()),
        "skip": pa.array([rng.random() < 0.5 for _ in range(n)]),
        "by": pa.array([["Low"]] * n),
        "name": pa.array(["Monkey"] * n),
        "long": pa.array([210_000] * n, pa.int32()),
        "tags": pa.array(["a;b"] * n),
    }
    whole = rng.random() < 0.5
    if not whole:
        for name in rng.sample(sorted(columns), rng.randrange(1, 3)):
            columns[name] = _values(rng, rng.choice(_ODD), n)
        if rng.random() < 0.1:
            del columns[rng.choice(sorted(columns))]
    out = io.BytesIO()
    pq.write_table(
        pa.table(columns), out, row_group_size=rng.choice((7, 100)), compression=rng.choice(("zstd", "snappy", "none"))
    )
    data = mutate.bytes_of(rng, out.getvalue(), rng.randrange(1, 8)) if whole else out.getvalue()
    return Case(data, 1 if whole else n, None if whole else n, {}, MAPPING)
