"""What a prompt says in numbers: years and decades, minutes, counts, beats a minute.

Rules read these better than any model does, so what they read overrules one. Each pattern names the words that make a number
mean something ("from 1994", "the 80s", "ten songs", "an hour"); a bare "2015" is a year only beside music or at an edge of its
clause, since titles hold years too, and a bare "10" means nothing.

    >>> [(f.field, f.value) for f in find("20 songs from the late 90s, about an hour")]
    [('size', 20), ('years', (1995, 1999)), ('minutes', 60.0)]
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from transforms.prompts.words import readable

_UNITS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "a dozen": 12, "fifteen": 15, "twenty": 20, "twenty five": 25, "two dozen": 24, "thirty": 30,
    "forty": 40, "forty five": 45, "fifty": 50, "sixty": 60, "ninety": 90, "a hundred": 100, "hundred": 100, "half a dozen": 6,
    "a couple of": 2,
}  # fmt: skip
_DECADES = {
    "twenties": 20, "thirties": 30, "forties": 40, "fifties": 50, "sixties": 60, "seventies": 70, "eighties": 80, "nineties": 90,
    "noughties": 0, "aughts": 0, "two thousands": 0,
}  # fmt: skip
_COUNT = r"(?:\d{1,3}|" + "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True)) + ")"
_PART = r"(?:(?P<part>early|mid|middle|late)(?: to (?P<part2>mid|late))?[ -](?:the )?)?"
_CENTURY = r"(?:(?P<nth>1[5-9]|2[01])(?:th|st) century)"
_DECADE = rf"(?:(?P<four>(?:1[5-9]|20)\d0)(?:s|ies)|(?P<two>\d0)(?: ?s|ies)|(?P<word>{'|'.join(_DECADES)}))"
_YEAR = r"(?:1[5-9]\d\d|20\d\d)"
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(rf"(?<![\w:.$]){pattern}(?![\w:])"))
    for name, pattern in (
        ("bpm", r"(?P<low>\d{2,3})(?: ?(?:-|to|and) ?(?P<high>\d{2,3}))? ?(?:bpm|beats per minute|beats a minute)"),
        (
            "hours",
            rf"(?P<h>\d{{1,2}}(?:\.\d+)?|{_COUNT}|half an)(?: |-)?(?:hours?|hrs?|h)(?: (?:and )?(?:a (?P<half>half)|"
            r"(?P<m>\d{1,2}) ?(?:minutes?|mins?|m)))?(?: (?:long|of))?",
        ),
        ("hm", r"(?P<h>\d{1,2})h(?P<m>\d{2})"),
        ("minutes", rf"(?P<n>\d{{1,4}}(?:\.\d+)?|{_COUNT})(?: |-)?(?:minutes?|mins?)(?: (?:long|of))?"),
        (
            "size",
            rf"(?:(?:top|first|best|my|give me|exactly|around|about|only|just) )?(?P<n>{_COUNT})(?: |"
            rf"-)(?:(?:r and b|drum and bass|rock and roll|[\w-]+) ){{0,3}}?"
            r"(?:songs?|tracks?|tunes?|bangers|titles|pieces|hits)(?! (?:about|from|by) (?:this|that))",
        ),
        (
            "span",
            rf"(?:from|between|years?|in|of)?\s*\b(?P<a>{_YEAR})\s*(?:-|–|to|and|until|till|through|"
            rf"up to)\s*(?P<b>{_YEAR}|\d\d(?!s))",
        ),
        ("centuries", r"(?:the )?(?P<hundreds>1[5-8]00)s"),
        ("roaring", r"(?:the )?(?:roaring|1920s roaring) (?:twenties|20s)"),
        ("tens", r"(?P<from4>(?:19|20)\d0) ?(?:-|–|/|to|and) ?(?P<to2>\d0)s"),
        (
            "apostrophe",
            r"(?:from|in|since|circa|summer of|back in) (?P<yy>[5-9]\d)(?=$| ?[,.;|!?]| (?:and|or|but|to|until)\b)",
        ),
        ("pair", r"(?P<tens>[3-9]0)(?=[ /-]+(?:the )?\d0s)"),
        ("short", r"(?:between|from) (?P<a>[5-9]\d) ?(?:-|and|to) ?(?P<b>[5-9]\d)(?! ?(?:songs|tracks|min))"),
        (
            "open",
            rf"(?:(?P<y>{_YEAR})|{_DECADE})(?:\s*(?:-|–|to|until|till|through|up to) ?"
            r"(?:now|present|today|the present|this year)\b|\+)",
        ),
        (
            "decades",
            rf"{_PART}{_DECADE}\s*(?:-|–|to|until|through)\s*(?:the )?(?:early |mid |late )?"
            rf"(?:(?P<four2>(?:1[5-9]|20)\d0)s|(?P<two2>\d0)s|(?P<word2>{'|'.join(_DECADES)}))",
        ),
        (
            "since",
            rf"(?:since|after|from|post)[ -](?:the )?(?:year )?(?:(?P<y>{_YEAR})|{_DECADE}|{_CENTURY})(?: (?:on|"
            rf"onward|onwards|and later|or later|till now|to now|until now|to today|and up|and newer|or newer)\b)?",
        ),
        (
            "before",
            rf"(?:before|pre|until|up to|older than|earlier than|prior to|no later than|"
            rf"not later than)[ -](?:the )?(?:year )?"
            rf"(?:(?P<y>{_YEAR})|{_DECADE})",
        ),
        ("older", rf"(?:(?P<y>{_YEAR})|{_DECADE}) (?:and|or) (?P<way>older|earlier|before|newer|later|after|onwards?)"),
        ("onward", rf"(?:{_CENTURY}|(?P<y>{_YEAR})|{_DECADE}) onwards?"),
        ("decade", rf"{_PART}(?:the )?{_DECADE}"),
        ("century", _CENTURY),
        ("year", rf"(?P<y>{_YEAR})"),
    )
)
_TITLE_BEFORE = re.compile(r"(?:\b(?:nye|track|chapter|vol|volume|part|no|number|fifa|forza|world cup)) $")
_YEAR_CUE = re.compile(
    r"(?:\b(?:in|from|of|since|around|circa|year|years|the|early|late|summer|winter|spring|fall|autumn|best|top|hits|"
    r"music|songs|"
    r"tracks|not|no|without|except|but|and|or|to|released|anything|nothing|made|playlist|mix)[ -,]+)$"
)
_YEAR_AFTER = re.compile(
    r"^ ?(?:$|[|,.;!?)]|\b(?:music|songs?|tracks?|hits?|albums?|releases?|playlist|mix|style|vibes?|sounds?|era|rap|"
    r"rock|pop|techno|"
    r"house|hip|metal|indie|dance|edm|and|or|to|but|please|with|without|only)\b)"
)
_OPEN_FROM = re.compile(
    r"\b(?:on|onwards?|and later|or later|till now|to now|until now|to today|and up|and newer|or newer)$"
)


@dataclass(frozen=True)
class Found:
    """Something said in numbers: the intent's field, its value, and its characters in the readable prompt."""

    field: str
    value: Any
    start: int
    stop: int
    text: str


def find(text: str) -> list[Found]:
    """Everything a prompt says in numbers, in the order it is said; what one pattern has read no later one reads again."""
    plain, out = readable(text), list[Found]()
    taken = [False] * len(plain)
    for name, pattern in _PATTERNS:
        at = 0
        while (match := pattern.search(plain, at)) is not None:
            value = _read(name, match, plain)
            start, stop = (
                match.span("n") if name == "size" else match.span()
            )  # "20 jazz songs": the genre stays to be read
            if value is None or any(taken[start:stop]):
                at = match.start() + 1
                continue
            at = match.end()
            taken[start:stop] = [True] * (stop - start)
            field = {"hours": "minutes", "hm": "minutes"}.get(
                name, name if name in ("bpm", "minutes", "size") else "years"
            )
            out.append(Found(field, value, start, stop, match.group().strip()))
    return sorted(out, key=lambda f: f.start)


def number(text: str) -> float:
    """A count in digits or words."""
    return float(text) if text[0].isdigit() else float(_UNITS[text])


def decade_of(match: re.Match[str], second: str = "") -> int | None:
    """First year of a matched decade: "80s" is 1980, "10s" and "20s" are of this century."""
    four, two, word = (match.groupdict().get(n + second) for n in ("four", "two", "word"))
    if four:
        return int(four)
    if two is None and word is None:
        return None
    tens = int(two) if two is not None else _DECADES[str(word)]
    return (1900 if tens >= 30 else 2000) + tens


def _read(name: str, m: re.Match[str], plain: str) -> Any:
    said = m.groupdict()
    if name == "bpm":
        low, high = float(m["low"]), float(m["high"] or m["low"])
        return (low, high) if low <= high else (high, low)
    if name in ("hours", "hm"):
        hours = 0.5 if said["h"] == "half an" else number(said["h"])
        minutes = hours * 60 + float(said.get("m") or 0) + (30 if said.get("half") else 0)
        return minutes or None
    if name == "minutes":
        return number(m["n"]) or None
    if name == "size":
        n = int(number(m["n"]))
        return n if n > 1 or m["n"] == "one" or m["n"] == "1" else None
    if name == "year":
        return _bare_year(m, plain)
    return _span(name, m)


def _span(  # noqa: PLR0911
    name: str, m: re.Match[str]
) -> tuple[int | None, int | None] | None:
    """First and last year of a span; None: open, or no span at all."""
    said = m.groupdict()
    if name == "open":
        return int(said["y"]) if said.get("y") else decade_of(m), None
    if name in ("short", "pair"):
        first = 1900 + int(said.get("a") or m["tens"])
        return first, {"short": 1900 + int(said.get("b") or 0), "pair": first + 9}[name]
    if name in _SINGLE:
        return _SINGLE[name](m)
    if name == "span":
        first = int(m["a"])
        last = int(m["b"]) if len(m["b"]) == 4 else first // 100 * 100 + int(m["b"])
        return (first, last) if first <= last else (last, first)
    if said.get("nth"):
        first = (int(m["nth"]) - 1) * 100
        return first, first + 99 if name == "century" else None
    start = int(said["y"]) if said.get("y") else decade_of(m)
    second = decade_of(m, "2") if name == "decades" else None
    if start is None or (name == "decades" and (second is None or second <= start)):
        return None
    last = start if said.get("y") else start + 9
    if name in ("decade", "decades"):
        part, part2 = said.get("part"), said.get("part2")
        low = {"mid": 3, "middle": 3, "late": 5}.get(part or "", 0)
        high = {"early": 4, "mid": 6, "middle": 6}.get(part2 or part or "", 9)
        return start + low, start + high if second is None else second + 9
    return _open(name, m, start, last)


def _tens(m: re.Match[str]) -> tuple[int, int] | None:
    """ "1950-60s": both decades."""
    first = int(m["from4"])
    last = first // 100 * 100 + int(m["to2"])
    return (first, last + 9) if last > first else None


_SINGLE: dict[str, Callable[[re.Match[str]], tuple[int, int] | None]] = {
    "centuries": lambda m: (int(m["hundreds"]), int(m["hundreds"]) + 99),  # "the 1800s"
    "roaring": lambda m: (1920, 1929),
    "tens": _tens,
    "apostrophe": lambda m: (1900 + int(m["yy"]), 1900 + int(m["yy"])),  # "from '94"
}


def _open(name: str, m: re.Match[str], start: int, last: int) -> tuple[int | None, int | None]:
    """A span with one end: "since 2010", "before the 80s", "1990 and later"."""
    said = m.group()
    if name == "since" and said.startswith("from") and not _OPEN_FROM.search(said):
        return start, last
    if name == "since":
        return (last + 1 if said.startswith(("after", "post")) else start), None
    if name == "before":
        inclusive = said.startswith(("until", "up to", "no later", "not later"))
        return None, last if inclusive else start - 1
    later = name == "onward" or m["way"] in ("newer", "later", "after", "onward", "onwards")
    return (start, None) if later else (None, last)


def _bare_year(m: re.Match[str], plain: str) -> tuple[int, int] | None:
    """A year that stands alone means a year only where its neighbours say so."""
    before, after = plain[: m.start()], plain[m.end() :]
    if _TITLE_BEFORE.search(before):
        return None
    cue = _YEAR_CUE.search(before) or not before.strip() or before.rstrip()[-1:] in "|,.;:!?("
    if not (cue or _YEAR_AFTER.search(after)):
        return None
    return int(m["y"]), int(m["y"])
