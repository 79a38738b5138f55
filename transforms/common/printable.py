"""Names from outside as text that can be stored, printed and read: no byte of them moves a terminal or breaks a line.

>>> printable("J\\udcf6rg\\x1b[2J.csv")
'J\\\\xf6rg\\\\x1b[2J.csv'
"""

from __future__ import annotations

import unicodedata

_LINES = frozenset("\n")
_TURNS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def plain(text: str, lines: bool = False) -> str:
    """A title without what a terminal or a page would obey: control characters, and marks that turn the direction of writing.

    >>> plain("a\\x1b[2Jb\\u202ec")
    'a[2Jbc'

    Args:
        lines: keep line breaks.
    """
    if text.isascii() and text.isprintable():
        return text
    kept = _LINES if lines else frozenset()
    return "".join(c for c in text if c in kept or (unicodedata.category(c) != "Cc" and c not in _TURNS))


def printable(text: str, lines: bool = False) -> str:
    """A text with everything that has no shape of its own written as an escape.

    Bytes of a file's name that were no UTF-8 (PEP 383) come back as `\\xNN`; so do control characters, and marks that turn the
    direction of writing.

    Args:
        lines: keep line breaks.
    """
    if text.isascii() and text.isprintable():
        return text
    kept = _LINES if lines else frozenset()
    return "".join(c if c in kept or _shown(c) else _escaped(c) for c in text)


def _shown(c: str) -> bool:
    return unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") or c == "\N{ZERO WIDTH JOINER}"


def _escaped(c: str) -> str:
    n = ord(c)
    if 0xDC80 <= n <= 0xDCFF:  # a byte that was no UTF-8
        n -= 0xDC00
    return f"\\x{n:02x}" if n < 0x100 else f"\\u{n:04x}" if n < 0x10000 else f"\\U{n:08x}"
