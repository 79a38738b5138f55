"""Files as they are downloaded: packed, in an archive, in another encoding, with other line ends."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable

import pyarrow as pa
import pytest

from transforms.common.errors import UserError
from transforms.formats.containers import opened
from transforms.formats.text import blocks

LOG = b"".join(b"ann,t%d,2026-01-05T10:00:00Z\n" % n for n in range(5000))


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as out:
        out.write(data)
    return bytes(sink.getvalue())


def tarred(data: bytes, names: tuple[str, ...] = ("set/README.txt", "set/plays.tsv")) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("set/plays.tsv", data)
    return out.getvalue()


PACKERS = [gzip.compress, bz2.compress, lzma.compress, zstd]


def read(data: bytes) -> bytes:
    return b"".join(b.data for b in blocks(opened(io.BytesIO(data), "log"), "log", 1 << 14))


@pytest.mark.parametrize("pack", PACKERS)
def test_a_packed_log_is_read_as_its_text(pack: Callable[[bytes], bytes]) -> None:
    assert read(pack(LOG)) == LOG


@pytest.mark.parametrize("pack", PACKERS)
def test_a_packed_log_that_is_cut_short_is_no_shorter_log(pack: Callable[[bytes], bytes]) -> None:
    packed = pack(LOG)
    with pytest.raises(UserError, match=r"log: expected a whole \w+ file, found one that is cut short or damaged"):
        read(packed[: len(packed) // 2])


@pytest.mark.parametrize("pack", [lambda data: data, *PACKERS])
def test_a_tar_is_named_with_what_is_in_it(pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(UserError, match=r"found a tar archive of set/README.txt, set/plays.tsv; unpack it"):
        read(pack(tarred(LOG)))


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (
            ("lastfm-1K/README.txt", "lastfm-1K/userid-timestamp-artid-artname-traid-traname.tsv"),
            "give userid-timestamp-artid-artname-traid-traname.tsv with --format lastfm-1k",
        ),
        (
            ("lastfm-360K/usersha1-artmbid-artname-plays.tsv",),
            "another set: lastfm-360K/usersha1-artmbid-artname-plays.tsv counts plays and has no times",
        ),
        (
            ("MyData/Read_Me_First.pdf", *(f"MyData/Streaming_History_Audio_2026_{n}.json" for n in range(2))),
            r"give Streaming_History_Audio_\*.json with --format spotify-history",
        ),
        (("user.json", "listens/2026/1.jsonl"), "give 1.jsonl with --format listenbrainz"),
        (("dump/listens/2026/1.listens",), "give 1.listens with --format listenbrainz"),
    ],
)
def test_published_sets_are_told_apart_by_what_is_inside(names: tuple[str, ...], told: str) -> None:
    with pytest.raises(UserError, match=f"found a tar archive of .*{told}"):
        read(gzip.compress(tarred(LOG[:100], names)))


def test_a_zip_is_named_with_what_is_in_it() -> None:
    with pytest.raises(UserError, match="found a zip archive of set/plays.tsv; unzip it"):
        read(zipped(LOG))
    with pytest.raises(UserError, match="zip archive"):
        read(zipped(LOG)[:200])


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (LOG.decode().encode("utf-16"), "UTF-16; save it as UTF-8 .iconv"),
        (LOG.decode().encode("utf-16-le"), "UTF-16"),
        (LOG.decode().encode("utf-16-be"), "UTF-16"),
        (LOG.decode().encode("utf-32"), "UTF-32"),
        (LOG.replace(b"\n", b"\r"), "CR alone; write it anew"),
    ],
)
def test_other_encodings_and_line_ends_are_named(data: bytes, found: str) -> None:
    with pytest.raises(UserError, match=f"log: expected .*{found}"):
        read(data)
