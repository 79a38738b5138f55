"""Negations that are composed of small words, which no list of phrases can hold.

    isnt, are not, doesn t, ...     what is said behind them is left out
    dont + a verb of wanting        the same; other verbs of the asker's own say nothing of music ("i dont remember")
    cant + stand, bear, take        the same; "cant find", "cant stop" say nothing of music
    a negated refusal               nothing is left out: "dont mind", "not bad", "cant get enough of", "not without"
    part of a whole                 nothing is left out: "not only", "not completely", "isnt always"
    a habit that is set aside       nothing is left out: "doesnt usually like"
    a question                      nothing is left out: "why not", "isnt there", "who doesnt love"
    a theme                         nothing is left out: "songs about not being loved"

>>> composed("songs that do not really sound like rap".split(), 2)
Cue(kind='without', length=5, strong=True, quality=True)
>>> composed("i cant get enough of rap".split(), 1).kind
'neutral'
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transforms.prompts.lexicon import KIND, phrases
from transforms.prompts.words import BREAKS

LISTS = phrases("cues.yaml")


def _pairs(section: str) -> dict[str, str]:
    return {said: family for said, _, family in (p.partition(" = ") for p in LISTS[section])}


_NEGATED, _AUXILIARIES = _pairs("negated"), _pairs("auxiliaries")
_STEMS = {w.removesuffix("t"): f for w, f in _NEGATED.items() if w.endswith("nt")} | {"can": "can"}
_CLASS = {
    name: frozenset(LISTS[name])
    for name in (
        "personal", "adverbs", "degrees", "partial", "habits", "wanting", "having", "enduring", "refusing", "saying", "vain",
        "before",
    )
}  # fmt: skip
_FIRST = frozenset((*_NEGATED, *_STEMS, *_AUXILIARIES, "not", "no", "too"))
_POINTING = frozenset(
    ("there", "it", "this", "these", "those", "they", "you", "we", "i", "anyone", "anybody", "someone")
)
_ASKING = frozenset(("there", "it", "this", "that", "these", "those", "they"))
_PAST = frozenset(("enough", "tired", "sick", "bored", "old", "over", "wrong", "past"))
_INTO = frozenset(("into", "looking", "interested", "keen", "fond", "feeling", "after", "big", "crazy"))
_HEARD = frozenset(
    ("hear", "listen", "have", "be", "get", "include", "use", "see", "feel", "play", "add", "it", "them")
)
_INTENDED = frozenset(("meant", "supposed", "intended", "going"))
_ABOUT = frozenset(
    ("not", "never", "how", "someone", "somebody", "people", "when", "why", "that", "you", "i", "what", "who")
)
_AFTER_ABOUT = 7


@dataclass(frozen=True, slots=True)
class Cue:
    """What small words decide: of which kind, how many words they are, and how far they reach.

    Attributes:
        kind: like, by, only, without or neutral.
        strong: it goes on over a list ("no X, Y or Z", "no X and Y").
        quality: what it denies is an adjective rather than a name ("not too X").
    """

    kind: str
    length: int
    strong: bool = False
    quality: bool = False


def composed(words: Sequence[str], n: int) -> Cue | None:  # noqa: PLR0911
    """The negation that is composed at a word; None where none begins."""
    word = words[n]
    if word not in _FIRST:
        return None
    then = words[n + 1] if n + 1 < len(words) else ""
    if word == "too":  # a complaint: "too much rap"
        return (
            Cue("without", 2, quality=True) if then in ("much", "many") and (n == 0 or words[n - 1] in BREAKS) else None
        )
    if word in ("not", "no"):
        return _plain(words, n, word, then)
    if word in _NEGATED:
        family, length = _NEGATED[word], 1
    elif then == "t" and word in _STEMS:
        family, length = _STEMS[word], 2
    elif then == "not" and word in _AUXILIARIES:
        family, length = _AUXILIARIES[word], 2
    else:
        return None
    at = n + length
    if _is_asked(words, n, at, family):
        return Cue("neutral", length + 1)
    if _is_theme(words, n):
        return Cue("neutral", length)
    me = _me(words, n)
    if n and words[n - 1] in _CLASS["habits"]:
        return Cue("neutral", length + 1)
    made = _be(words, at, me) if family == "be" else _verb(words, at, family, me)
    return Cue(made.kind, made.length + length, made.strong, made.quality)


def _plain(words: Sequence[str], n: int, word: str, then: str) -> Cue | None:
    """ "not" and "no" that deny nothing; None leaves them to the list of phrases."""
    before = words[n - 1] if n else ""
    if word == "no":
        skip = 1 if then in ("particular", "specific", "real", "big", "such", "set") else 0
        said = words[n + 1 + skip] if n + 1 + skip < len(words) else then
        return Cue("neutral", 2) if then in _CLASS["vain"] or (skip and said in _CLASS["vain"]) else None
    at = n + 1
    while at + 1 < len(words) and words[at] in ("really", "particularly", "quite", "entirely", "exactly"):
        at += 1
    if words[at : at + 1] and _is_nothing(words[at]):
        return Cue("neutral", at + 1 - n)
    if then in ("a", "an") and n + 2 < len(words) and words[n + 2] in _CLASS["vain"]:
        return Cue("neutral", 3)
    if then == "to":
        verb = words[n + 2] if n + 2 < len(words) else ""
        return Cue("without", 3, True) if verb in _CLASS["having"] and verb != "be" else Cue("neutral", 2)
    if before in ("im", "am") and then not in _INTO and then not in ("a", "in", "really", "very", "too", "that"):
        return Cue("neutral", 1)
    return Cue("neutral", 1) if _is_theme(words, n) else None


def _is_nothing(word: str) -> bool:
    """Whether a negation of this word leaves nothing out: "not only", "not sure", "not against", "not usually"."""
    return any(word in _CLASS[name] for name in ("partial", "vain", "refusing", "habits"))


def _is_asked(words: Sequence[str], n: int, at: int, family: str) -> bool:
    """Whether it is a question that expects a yes: "why dont you", "isnt there", "who doesnt love"."""
    then = words[at] if at < len(words) else ""
    before = words[n - 1] if n else ""
    if before == "why" or (words[n - 2 : n] == ["how", "come"]):
        return True
    if family == "be" and then == "there":
        return True
    first = not before or before in BREAKS
    if first and then in (_ASKING if family == "be" else _POINTING) and family != "never":
        return True
    return before == "who" and (n < 2 or words[n - 2] in BREAKS) and then in _CLASS["wanting"]


def _is_theme(words: Sequence[str], n: int) -> bool:
    """Whether it is inside what songs are about: "songs about someone who does not love you"."""
    for back in range(n - 1, max(-1, n - 1 - _AFTER_ABOUT), -1):
        word = words[back]
        if word in BREAKS or word in ("but", "with", "preferably", "without"):
            return False
        if word == "about":
            then = words[back + 1]
            return then in _ABOUT or then.endswith("ing")
    return False


def _me(words: Sequence[str], n: int) -> bool:
    """Whether the asker (or the one who is asked) is the subject."""
    back = n - 1
    while back >= 0 and words[back] in _CLASS["adverbs"]:
        back -= 1
    return back >= 0 and words[back] in _CLASS["personal"]


def _be(words: Sequence[str], at: int, me: bool) -> Cue:  # noqa: PLR0911
    """What follows "isnt"; lengths are counted from there."""
    n = at + 2 if words[at : at + 2] == ["all", "that"] else at
    while n < len(words) and words[n] in _CLASS["degrees"]:
        n += 1
    then = words[n] if n < len(words) else ""
    if then in ("a", "an", "my") and n + 1 < len(words):
        article, then = n, words[n + 1]
        if then in _CLASS["vain"]:
            return Cue("neutral", n + 2 - at)
        then = then if words[article] != "my" else ""
    if _is_nothing(then):
        return Cue("neutral", n + 1 - at)
    if me and then not in _INTO and then != "fan":
        return Cue("neutral", n - at)
    if then in _INTENDED and words[n + 1 : n + 3] == ["to", "be"]:
        return Cue("neutral" if _is_taken_back(words, n) else "without", n + 3 - at, quality=True)
    if then in _CLASS["before"] or then in _INTO or then in ("featuring", "one", "fan"):
        return Cue("without", _behind(words, n + 1) - at, True)
    if _is_taken_back(words, n):
        return Cue("neutral", n - at)
    return Cue("without", n - at, n == at, True)


def _verb(words: Sequence[str], at: int, family: str, me: bool) -> Cue:  # noqa: PLR0911
    """What follows "dont", "cant", "wont", "never"; lengths are counted from there."""
    n = at
    while n < len(words) and words[n] in _CLASS["adverbs"]:
        n += 1
    then = words[n] if n < len(words) else ""
    behind = words[n + 1] if n + 1 < len(words) else ""
    if behind in _PAST:  # "cant get enough of", "never get tired of"
        return Cue("neutral", _behind(words, n + 2) - at)
    if then in _CLASS["habits"] or then in _CLASS["partial"]:
        return Cue("neutral", min(n + 2, len(words)) - at)
    if then == "care" and behind != "for":
        return Cue("neutral", n + 1 - at)
    if family in ("did", "have", "need") or then in _CLASS["refusing"] or then in _CLASS["saying"]:
        return Cue("neutral", n + (1 if then and then not in BREAKS else 0) - at)
    if then in ("have", "need", "got") and behind == "to":
        return Cue("neutral", n + 2 - at + (words[n + 2 : n + 3] == ["be"]))
    if then in ("want", "like", "need", "love") and behind == "to" and words[n + 2 : n + 3][-1:] != []:
        return Cue("without", n + 3 - at, True) if words[n + 2] in _HEARD else Cue("neutral", n + 3 - at)
    if then == "be":
        return Cue("without", n + 1 - at, True, True)
    known = _CLASS["enduring"] if family == "can" else _CLASS["wanting"] if me else _CLASS["having"]
    if then in known:
        return Cue("without", _behind(words, n + 1) - at, True, then in ("sound", "feel", "seem", "look"))
    if (
        family == "never"
        and then.endswith("d")
        and then.removesuffix("d") in _CLASS["wanting"] | {"want", "lik", "car"}
    ):
        return Cue("without", _behind(words, n + 1) - at, True)
    if family == "never" and (n > at or then in KIND):
        return Cue("without", n - at, quality=True)
    if family == "do" and not me:  # "that dont rock": the verb itself may be what is denied
        return Cue("without", n - at + (then not in KIND and behind != "" and behind not in BREAKS))
    return Cue("neutral", n - at)


def _behind(words: Sequence[str], n: int) -> int:
    """The word behind the small words that belong to a verb: "listen to", "sound like", "care for"."""
    while n < len(words) and words[n] in _CLASS["before"]:
        n += 1
    return n


def _is_taken_back(words: Sequence[str], n: int) -> bool:
    """Whether it is taken back in the same sentence: "that arent meant to be creepy but are"."""
    for at in range(n, min(n + 8, len(words) - 1)):
        if words[at] in BREAKS:
            return False
        if words[at] == "but" and words[at + 1] in ("are", "is", "do", "does", "was", "were"):
            return at + 2 >= len(words) or words[at + 2] in BREAKS
    return False
