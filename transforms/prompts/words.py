"""A prompt as words: folded like titles and names are, with the breaks that end what a word refers to.

Names in a catalog and words in a prompt meet only if both are folded by one rule, which is that of titles
(`transforms.common.text.folded`; a test holds the two equal): lower case, no Latin accents, apostrophes gone, "&" is "and".

    >>> [str(w) for w in words("No Beyoncé, but R&B from the 90's!")]
    ['no', 'beyonce', ',', 'but', 'r and b', 'from', 'the', '90s', '!']
    >>> key("The Beatles - Help!")
    'the beatles help'
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

LONGEST = 2000  # characters of a prompt that are read; people write far less
BREAKS = frozenset(",.;:!?|()[]{}\n/+")
_MARKS = re.compile("[\u0300-\u036f]")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]+")
_APOSTROPHES = re.compile("[’'`´ʼ‘]")
_TOKEN = re.compile(r"\d+(?:[:.]\d+)+|[\w$*]+|[,.;:!?|()\[\]{}\n/+]", re.UNICODE)
_JOINED = re.compile(r"\b(r|rock|drum|drums)\s*(?:&|n|and|'n')\s*(b|roll|bass)\b")


@dataclass(frozen=True)
class Word:
    """A word, or a mark that breaks the text; `start` and `stop` are its characters in the folded prompt."""

    text: str
    start: int
    stop: int

    def __str__(self) -> str:
        return self.text

    @property
    def breaks(self) -> bool:
        """Whether it is a mark and no word."""
        return self.text in BREAKS


def fold(text: str) -> str:
    """Lower case without Latin accents; other scripts keep their marks."""
    latin = _MARKS.sub("", unicodedata.normalize("NFKD", _CONTROL.sub(" ", text)))
    return unicodedata.normalize("NFKC", latin).lower().replace("ß", "ss")


def readable(text: str) -> str:
    """The folded prompt that words' positions refer to: apostrophes gone, the two-word genres in one spelling."""
    plain = _APOSTROPHES.sub("", fold(text[:LONGEST]))
    plain = _JOINED.sub(lambda m: f"{m[1].removesuffix('s') if m[2] == 'bass' else m[1]} and {m[2]}", plain)
    return plain.replace("&", " and ")


def words(text: str) -> list[Word]:
    """Words and breaks in order; a hyphen between words parts them, and "r & b" is one word."""
    plain = readable(text)
    out: list[Word] = []
    for found in _TOKEN.finditer(plain):
        word = found.group().strip("_*") or found.group()
        out.append(Word(word, found.start(), found.end()))
    return _together(out)


def _together(found: list[Word]) -> list[Word]:
    out: list[Word] = []
    n = 0
    while n < len(found):
        if [w.text for w in found[n : n + 3]] == ["r", "and", "b"]:
            out.append(Word("r and b", found[n].start, found[n + 2].stop))
            n += 3
        else:
            out.append(found[n])
            n += 1
    return out


def key(text: str) -> str:
    """What a name or tag is looked up by: its words, joined by single spaces."""
    return " ".join(w.text for w in words(text) if not w.breaks)
