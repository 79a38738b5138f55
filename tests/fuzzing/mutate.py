"""Mutations: what a broken exporter, a cut connection or somebody with bad intent does to a value or to bytes.

All of it is a function of the `random.Random` that is handed in, so that a finding can be made again.
"""

from __future__ import annotations

from random import Random

TEXTS = (
    "", " ", "\t", ",", ";", '"', '""', '"a', 'a"b', "'", "\\", "\\N", "NULL", "null", "None", "nan", "inf", "-inf", "\x00",
    "\x1f", "\ufeff", "\u2028", "\u202e", "é" * 40, "🎵", "０", "ﷺ", "a" * 5000, "../../etc/passwd", "C:\\x", "/", "..",
    "<script>alert(1)</script>", "{{7*7}}", "${x}", "%s%n", "'; DROP TABLE listens;--", "=1+1", "a\rb", "a\r", "\r",
    "true", "false", "[]", "{}", "0x10", "1_000", "١٢", "1e999", "spotify:track:", "--help", "__class__",
)  # fmt: skip
NUMBERS = (
    "0", "-0", "-1", "1", "2147483647", "2147483648", "-2147483649", "9223372036854775807", "9223372036854775808",
    "1e18", "1e308", "1e309", "-1e309", "NaN", "Infinity", "0.5", "210000.0", "1e-5", "9" * 400, "9" * 5000, "+5", "5 ", "1,5",
)  # fmt: skip
TIMES = (
    "0000-00-00T00:00:00Z", "9999-12-31T23:59:59Z", "1969-12-31T23:59:59Z", "2026-02-30T10:00:00Z", "2026-01-05",
    "2026-01-05T24:00:00Z", "2026-01-05T10:00:60Z", "2026-01-05T10:00:00+99:99", "2026-01-05T10:00:00.123456789Z",
    "99999-01-01T00:00:00Z", "2026-1-5 1:2:3", "10:00", "-62135596800", "253402300800", "2026-01-05T10:00:00 UTC",
)  # fmt: skip
JSON = (
    "null", "true", "0", "-1", "1e999", "NaN", "Infinity", '""', '"\\ud800"', '"\\u0000"', "[]", "{}", "[[]]", '{"a":{}}',
    "[" * 2000 + "]" * 2000, "[" * 3000, '{"a":' * 1500 + "1" + "}" * 1500, "9" * 5000, '"' + "a" * 5000 + '"', '["x", null, 1]',
)  # fmt: skip
_STRAY = (
    b"\x00",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\n",
    b"\r",
    b"\r\n",
    b'"',
    b",",
    b"\t",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\\",
)
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF)


def text(rng: Random, value: str) -> str:
    """A field's text, changed."""
    kind = rng.randrange(5)
    if kind == 0:
        return rng.choice(TEXTS)
    if kind == 1:
        return rng.choice(NUMBERS)
    if kind == 2:
        return rng.choice(TIMES)
    at = rng.randrange(len(value) + 1)
    return value[:at] + rng.choice(TEXTS) + value[at + (kind == 3) :]


def bytes_of(rng: Random, data: bytes, times: int = 1) -> bytes:
    """Bytes with a few places flipped, cut, doubled, swapped or written over."""
    out = bytearray(data)
    for _ in range(times):
        at = rng.randrange(len(out) + 1)
        span = rng.choice((1, 1, 2, 4, 8, 64))
        kind = rng.randrange(8)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(out):
            out[at] = rng.choice(_NUMBERS)
        elif kind == 2:
            out[at:at] = rng.choice(_STRAY)
        elif kind == 3:
            del out[at : at + span]
        elif kind == 4:
            out[at:at] = out[at : at + span]
        elif kind == 5:
            out[at : at + span] = bytes(rng.randrange(256) for _ in range(min(span, len(out) - at)))
        elif kind == 6 and rng.random() < 0.2:
            del out[at:]
        else:
            other = rng.randrange(len(out) + 1)
            out[at : at + span] = out[other : other + span]
    return bytes(out)
