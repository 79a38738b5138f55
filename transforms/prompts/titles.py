"""Titles that their performer tells of: what stands between "like" and "by" is one title, whatever words it is made of.

"Songs like No Woman No Cry by Bob Marley" denies nothing, and "like late night by ..." asks for no night: without this the words
inside a title would be read as tags and negations.

    >>> titled("songs like bad dog no biscuits by seatbelts".split(), vocabulary)
    [(2, 5)]
"""

from __future__ import annotations

from collections.abc import Sequence

from transforms.prompts.cues import cue_at
from transforms.prompts.lexicon import COMMON, KIND
from transforms.prompts.negation import LISTS
from transforms.prompts.vocabulary import Vocabulary
from transforms.prompts.words import BREAKS

LONGEST_TITLE = 8
_AROUND, _MADE = frozenset(LISTS["around"]), frozenset(LISTS["made"])
_JOINS = frozenset(("and", "or"))
_SMALL = frozenset(("of", "to", "in", "from", "is", "the", "called", "named", "on", "at", "for"))


def titled(plain: Sequence[str], vocabulary: Vocabulary) -> list[tuple[int, int]]:
    """First and last word of every title before a "by"."""
    out, behind = list[tuple[int, int]](), 0
    for by, word in enumerate(plain):
        if word != "by" or by + 1 >= len(plain) or not by or plain[by - 1] in _MADE:
            continue
        first = _first(plain, behind, by, vocabulary, bool(out))
        if first is not None:
            out.append((first, by - 1))
        behind = by + 1
    return out


def _first(plain: Sequence[str], behind: int, by: int, vocabulary: Vocabulary, before: bool) -> int | None:
    """Where the title before a "by" begins, which stands at or after `behind`; None where none does."""
    first, n, liked = None, behind, before and behind > 0
    while n < by:
        if plain[n] in BREAKS:
            first, liked = (n + 1, liked) if plain[n] in (",", "+", "/") and liked else (None, False)
        elif (cue := cue_at(plain, n)).kind == "like" and n + cue.length < by:
            n += cue.length - 1
            first, liked = n + 1, True
        elif (cue.kind in ("like", "without") and first is None) or plain[n] == "but":
            return None
        elif plain[n] in _JOINS and liked and (first is None or _stands_alone(plain[first:n], vocabulary)):
            first = n + 1
        n += 1
    if first is None:
        return _alone(plain, behind, by, vocabulary)
    if vocabulary.track(" ".join(plain[first:by])):
        return first
    for at in range(first, by):
        if plain[at] in _AROUND:
            first = at + 1
            while first < by and plain[first] in _SMALL and plain[first] != "the":
                first += 1
    return first if first < by and _is_title(plain[first:by], vocabulary) else None


def _stands_alone(parts: Sequence[str], vocabulary: Vocabulary) -> bool:
    said = " ".join(parts)
    return bool(not parts or said in KIND or vocabulary.artist(said) or vocabulary.track(said))


def _alone(plain: Sequence[str], behind: int, by: int, vocabulary: Vocabulary) -> int | None:
    """A title that begins its sentence ("Halo by Beyonce"): only where no word of it means something else."""
    first = behind if behind == 0 else by
    for n in range(behind, by):
        if plain[n] in BREAKS and n + 1 < by:
            first = n + 1
    parts = plain[first:by]
    if not parts or len(parts) > LONGEST_TITLE or any(w in _AROUND or w in _MADE or w in BREAKS for w in parts):
        return None
    if vocabulary.track(" ".join(parts)):
        return first
    if parts[0] in COMMON or any(w in KIND or w in vocabulary.tags for w in parts):
        return None
    return first


def _is_title(parts: Sequence[str], vocabulary: Vocabulary) -> bool:
    said = " ".join(parts)
    if len(parts) > LONGEST_TITLE or any((w.isdigit() and len(w) == 4) or w.endswith("0s") for w in parts):
        return bool(vocabulary.track(said))
    return KIND.get(said) not in ("genre", "instrument", "country") or bool(vocabulary.track(said))
