"""Rules: a prompt's text to its intent, with the catalog's vocabulary. Deterministic, about a millisecond a prompt.

What the rules do not recognise is not in the intent. `followed` then edits an earlier intent with a new one.

    >>> intent = read("45 minutes of soul from the 70s by Bill Withers, nothing by Drake", vocabulary)
    >>> intent.minutes, [t.text for t in intent.tags], [n.text for n in intent.without_artists]
    (45.0, ['soul'], ['drake'])
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from transforms.prompts.intent import MOST_MINUTES, MOST_TRACKS, Intent, Name, Term, Years
from transforms.prompts.mentions import NAMES, VOICES, Mention, Read, read_words
from transforms.prompts.vocabulary import Vocabulary
from transforms.prompts.words import readable

_CLEAN = re.compile(
    r"\b(?:clean|family friendly|kid friendly|child friendly|safe for (?:kids|work|school)|for (?:kids|children)|sfw|"
    r"(?:no|not|non|nothing|without|without any|no more) (?:explicit|swearing|swear words|cursing|curse words|"
    r"profanity|"
    r"bad language|parental advisory)\w*|non explicit)\b"
)
_EXPLICIT = re.compile(r"\b(?:explicit only|only explicit|explicit (?:songs|tracks|lyrics|versions?|music) only)\b")
_NEW_TO_ME = re.compile(
    r"\b(?:new to me|(?:i|ive) (?:havent|have not|have never|never|didnt|did not) (?:yet )?(?:heard|hear|listened|"
    r"know|played)|"
    r"nothing i(?:ve| have)?(?: already)? (?:heard|know|played|listened to)|(?:i )?(?:dont|do not) know(?: yet)?(?=$|"
    r" ?[,.|])|discover(?:y|ies)?|unheard|unfamiliar|not (?:yet )?heard|never heard)\b"
)
_KNOWN = re.compile(
    r"\b(?:i (?:already )?(?:know|love|play|listen to)(?: already| a lot| most)?(?=$| ?[,.|])|my favou?rites?|"
    r"familiar|ones i know|"
    r"songs i know|ive heard|i have heard|my library|my saved|already know|already heard|from my (?:library|"
    r"collection))\b"
)
_RECENT = re.compile(
    r"\b(?:recent(?:ly)?(?: released)?|modern|new releases?|newly released|latest|newest|contemporary|current|"
    r"this year|brand new|(?:last|past) (?:(?:few|couple(?: of)?|two|three|five|ten|\d{1,2}) )?(?:years?|months|weeks|"
    r"decade)|"
    r"fresh|up to date|the more recent|nowadays|todays)\b"
)
_OLD = re.compile(r"\b(?:old|older|old ?school|oldies|old time|olden|throwbacks?|vintage|back in the day)\b")
_NOT_OLD = re.compile(r"\b(?:year|years|months?) old\b|\bold (?:me|man|days?|friend)\b")
_POPULAR = re.compile(
    r"\b(?:popular|famous|mainstream|well known|greatest hits|hits|chart(?: toppers?|s)?|radio hits|big hits)\b"
)
_OBSCURE = re.compile(
    r"\b(?:obscure|underground|lesser known|less known|little known|unknown|hidden gems?|deep cuts?|underrated|"
    r"not (?:too |very |so )?"
    r"(?:popular|famous|mainstream|well known)|unpopular|no hits|without hits|non mainstream|niche)\b"
)
_ORDERS = (
    ("rising", re.compile(
        r"\b(?:(?:start|starts|starting|begin|begins|beginning) (?:off )?(?:slow|soft|quiet|calm|mellow|low|"
        r"chill)\w*.{0,40}?"
        r"(?:build|rise|end|get|finish|grow|pick|faster|up)|build(?:s|ing)? up|slow(?:ly)? to fast|rising energy|"
        r"crescendo|warm up to)\b")),
    ("falling", re.compile(
        r"\b(?:(?:start|starts|begin|begins) (?:off )?(?:fast|loud|high|energetic|upbeat|strong).{0,40}?(?:slow|calm|"
        r"end|wind|down)|"
        r"wind(?:s|ing)? down|cool(?:s|ing)? down|fast to slow|slows? down)\b")),
    ("newest", re.compile(r"\b(?:newest first|latest first|most recent first|reverse chronological(?:ly)?)\b")),
    ("oldest", re.compile(r"\b(?:oldest first|chronological(?:ly)?(?: order)?|in order of release|by release date|"
                          r"old to new)\b")),
    ("shuffled", re.compile(r"\b(?:shuffle|shuffled|random order|any order|mixed up)\b")),
)  # fmt: skip
_SLOWER = re.compile(r"\b(?:slow|slower|slow paced|downtempo|calm|calmer)\b")
_FASTER = re.compile(r"\b(?:fast|faster|fast paced|up ?tempo|upbeat|energetic|high energy)\b")
_MEDIUM = re.compile(r"\b(?:mid ?tempo|medium tempo|moderate tempo)\b")
_NEGATED = re.compile(r"\b(?:no|not|not too|not so|nothing|without|isnt|arent|less|non|not very|nothing too|no more) $")


def read(text: str, vocabulary: Vocabulary) -> Intent:
    """The intent of a prompt, as far as rules can read it."""
    return intent_of(text, read_words(text, vocabulary), vocabulary)


def intent_of(text: str, found: Read, vocabulary: Vocabulary) -> Intent:
    """The intent of a prompt whose words were read."""
    plain, unclear = re.sub(r"[-]", " ", readable(text)), list[str]()
    names = {f: [m for m in found.mentions if m.kind in NAMES and _field(m) == f] for f in _NAME_FIELDS}
    terms = [m for m in found.mentions if m.kind not in NAMES]
    numbers = _numbers(found, unclear)
    by = _without_performers(names["artists"], [*names["tracks"], *names["without_tracks"]])
    intent: dict[str, Any] = {
        "artists": _names(by),
        "tracks": _names(names["tracks"]),
        "like": _names(names["like"]),
        "without_artists": _names(names["without_artists"]),
        "without_tracks": _names(names["without_tracks"]),
        "tags": _terms(terms, "+", country=False),
        "languages": _terms(terms, "+", country=True),
        "without_tags": _terms(terms, "-", country=False),
        "without_languages": _terms(terms, "-", country=True),
        "explicit": _explicit(plain, unclear),
        "familiarity": _one(plain, (("new", _NEW_TO_ME), ("known", _KNOWN))),
        "era": None if numbers["years"] else _era(plain),
        "popularity": _one(plain, (("obscure", _OBSCURE), ("popular", _POPULAR))),
        "tempo": _tempo(plain),
        "order": _one(plain, _ORDERS),
        **numbers,
        "unclear": tuple(unclear),
    }
    if any(t.text in VOICES for t in intent["without_tags"]) and not any(
        t.text == "instrumental" for t in intent["tags"]
    ):
        intent["tags"] = (
            *intent["tags"],
            Term(text="instrumental", kind="instrument", ids=vocabulary.tag("instrumental")),
        )
    if intent["explicit"]:  # said by a rule of its own, so it is no tag as well
        for field in ("tags", "without_tags"):
            intent[field] = tuple(t for t in intent[field] if t.text not in ("clean", "explicit", "children"))
    return Intent(**intent)


_NAME_FIELDS = ("artists", "tracks", "like", "without_artists", "without_tracks")


def _field(m: Mention) -> str:
    kind = "track" if m.kind == "track" else "artist"
    if m.sign == "-":
        return f"without_{kind}s"
    return "like" if m.sign == "~" else f"{kind}s"


def _without_performers(artists: Sequence[Mention], tracks: Sequence[Mention]) -> list[Mention]:
    """Without artists who are only named as performers of a track that is asked for or left out."""
    ends = {t.last for t in tracks}
    return [a for a in artists if not (a.by and a.first - 2 in ends)]


def _names(found: Sequence[Mention]) -> tuple[Name, ...]:
    out = {m.text: Name(text=m.text[:200], kind=m.kind, ids=m.ids) for m in found}  # type: ignore[arg-type]
    return tuple(out.values())


def _terms(found: Sequence[Mention], sign: str, country: bool) -> tuple[Term, ...]:
    mine = [m for m in found if m.sign == sign and (m.kind == "country") == country]
    return tuple({m.text: Term(text=m.text[:100], kind=m.kind, ids=m.ids) for m in mine}.values())  # type: ignore[arg-type]


def _numbers(found: Read, unclear: list[str]) -> dict[str, Any]:
    out: dict[str, Any] = {"years": [], "without_years": [], "size": None, "minutes": None, "bpm": None}
    for f, sign in zip(found.numbers, found.number_signs, strict=True):
        if f.field == "years":
            span = Years(first=f.value[0], last=f.value[1], text=f.text[:60])
            field = out["without_years" if sign == "-" else "years"]
            if span not in field:
                field.append(span)
            continue
        most = {"size": MOST_TRACKS, "minutes": MOST_MINUTES}.get(f.field)
        value = min(f.value, most) if most else f.value
        if most and f.value > most:
            unclear.append(f"{f.text}: at most {most}")
        if out[f.field] is None:
            out[f.field] = value
        elif out[f.field] != value:
            unclear.append(f"{f.text}: another {'length' if f.field == 'minutes' else 'number'} was said first")
    return {k: tuple(v) if isinstance(v, list) else v for k, v in out.items()}


def _one(plain: str, rules: Sequence[tuple[str, re.Pattern[str]]]) -> str | None:
    return next((value for value, rule in rules if _said(rule, plain)), None)


def _said(rule: re.Pattern[str], plain: str) -> bool:
    return any(not _NEGATED.search(plain[: m.start()]) for m in rule.finditer(plain))


def _era(plain: str) -> str | None:
    """Recent or old; the other of what is denied ("nothing too old") where neither is asked for."""
    aged = _NOT_OLD.sub(" ", plain)
    if _said(_RECENT, plain):
        return "recent"
    if _said(_OLD, aged):
        return "old"
    return "recent" if _OLD.search(aged) else "old" if _RECENT.search(plain) else None


def _explicit(plain: str, unclear: list[str]) -> str | None:
    clean, only = _CLEAN.search(plain), _EXPLICIT.search(plain)
    if clean and only:
        unclear.append(f"{only.group()}: no explicit music was asked for too, which counts")
    return "no" if clean else "only" if only else None


def _tempo(plain: str) -> str | None:
    found = [name for name, rule in (("slow", _SLOWER), ("fast", _FASTER), ("medium", _MEDIUM)) if _said(rule, plain)]
    return found[0] if len(found) == 1 else None
