"""Follow-ups: an earlier intent edited by what is said now, and everything that was not criticised kept.

now says                        what becomes of the earlier intent
another length, order, tempo,   replaces it
  era, familiarity, years
without X                       X is left out, and no longer asked for
X (that was left out before)    is asked for, and no longer left out
genres, moods, names            are added; "instead" replaces those of the same kind
longer / shorter                half as long again / two thirds as long
start over                      nothing is kept

>>> followed(Intent(tags=(Term(text="sad"), Term(text="piano"))), Intent(without_tags=(Term(text="sad"),)), "less sad").tags
(Term(text='piano', kind='tag', ids=()),)
"""

from __future__ import annotations

import re
from typing import Any

from transforms.prompts.intent import MOST_MINUTES, MOST_TRACKS, Intent, Name, Term
from transforms.prompts.lexicon import FAST, SLOW
from transforms.prompts.words import readable

_AFRESH = re.compile(
    r"\b(?:start over|start again|from scratch|forget (?:that|all that|it)|something (?:completely|totally|"
    r"entirely) different|new playlist)\b"
)
_INSTEAD = re.compile(r"\b(?:instead|rather|replace|change (?:it|that) to|switch to|make it (?:all )?about)\b")
_LONGER = re.compile(r"\b(?:longer|more songs|more tracks|extend)\b")
_SHORTER = re.compile(r"\b(?:shorter|fewer songs|fewer tracks|less songs|less tracks)\b")
_OTHERS = re.compile(
    r"\b(?:(?:some|any)?(?:thing|one)?s? (?:else|different)|other (?:songs|tracks|ones)|different (?:songs|tracks|"
    r"ones)|try again|not these|none of these)\b"
)
_FASTER = re.compile(r"\b(?:faster|more (?:upbeat|energetic|energy|lively)|livelier|higher energy)\b")
_SLOWER = re.compile(
    r"\b(?:slower|calmer|more (?:calm|chill|relaxed|relaxing|mellow|quiet)|quieter|softer|less (?:energetic|upbeat|"
    r"intense|loud|fast))\b"
)
_PAIRS = (
    ("artists", "without_artists"), ("tracks", "without_tracks"), ("tags", "without_tags"), ("languages", "without_languages"),
    ("like", "without_artists"),
)  # fmt: skip
_REPLACED = ("era", "bpm", "explicit", "familiarity", "popularity", "size", "minutes", "order")


def afresh(text: str) -> bool:
    """Whether a follow-up says that nothing of before is to be kept."""
    return bool(_AFRESH.search(readable(text)))


def others(text: str) -> bool:
    """Whether a follow-up asks for other tracks than those of before."""
    return bool(_OTHERS.search(readable(text)))


def followed(before: Intent, now: Intent, text: str) -> Intent:
    """The intent of a follow-up.

    Args:
        before: the earlier intent.
        now: what the follow-up alone says.
        text: the follow-up, for what means something only beside an earlier one.
    """
    if afresh(text):
        return now
    plain = readable(text)
    kept: dict[str, Any] = {name: getattr(before, name) for name in Intent.model_fields}
    said: dict[str, Any] = {name: getattr(now, name) for name in Intent.model_fields}
    instead = bool(_INSTEAD.search(plain))
    for wanted, refused in _PAIRS:
        kept[wanted] = _less(kept[wanted], said[refused])
        kept[refused] = _less(kept[refused], said[wanted])
        kept[wanted] = said[wanted] if instead and said[wanted] else _union(kept[wanted], said[wanted])
        kept[refused] = _union(kept[refused], said[refused])
    for name in _REPLACED:
        if said[name] is not None:
            kept[name] = said[name]
    if now.years:
        kept["years"], kept["without_years"], kept["era"] = now.years, (), None
    kept["without_years"] = (*kept["without_years"], *(y for y in now.without_years if y not in kept["without_years"]))
    if now.minutes and not now.size:
        kept["size"] = None
    if now.size and not now.minutes:
        kept["minutes"] = None
    if now.era:
        kept["years"] = ()
    _lengthen(kept, now, plain)
    _tempo(kept, now, plain)
    kept["unclear"] = now.unclear
    return Intent(**kept)


def _same(a: Name | Term, b: Name | Term) -> bool:
    return a.text == b.text or bool(set(a.ids) & set(b.ids))


def _less(found: tuple[Any, ...], gone: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(f for f in found if not any(_same(f, g) for g in gone))


def _union(found: tuple[Any, ...], more: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*found, *_less(more, found))


def _lengthen(kept: dict[str, Any], now: Intent, plain: str) -> None:
    if now.size or now.minutes:
        return
    times = 1.5 if _LONGER.search(plain) else 2 / 3 if _SHORTER.search(plain) else None
    if times is None:
        return
    if kept["minutes"]:
        kept["minutes"] = min(round(kept["minutes"] * times, 1), MOST_MINUTES)
    else:
        kept["size"] = max(1, min(round((kept["size"] or 25) * times), MOST_TRACKS))


def _tempo(kept: dict[str, Any], now: Intent, plain: str) -> None:
    """A tempo said now replaces the earlier one, and takes out the words of the opposite."""
    tempo = "fast" if _FASTER.search(plain) else "slow" if _SLOWER.search(plain) else now.tempo
    if tempo is None:
        return
    kept["tempo"] = tempo
    opposite = SLOW if tempo == "fast" else FAST if tempo == "slow" else frozenset()
    kept["tags"] = tuple(t for t in kept["tags"] if t.text not in opposite)
