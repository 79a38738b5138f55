"""Words people use for music, by kind: what a prompt can ask for even where the catalog has no tag of that name.

A catalog's own tags come first (`vocabulary`); the list (`lexicon.yaml`) names the kind of a word, joins spellings that mean
one tag, and lets the playlist say "no track is tagged ukulele" instead of passing over the word. Plain words, collected by
hand; users add their own spellings in the settings (`prompts.aliases`).

    >>> KIND["dubstep"], KIND["melancholic"], ALIASES["dnb"]
    ('genre', 'mood', 'drum and bass')
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from transforms.common.safe_yaml import read


def phrases(name: str) -> Mapping[str, list[str]]:
    """Section -> its phrases, of a file of word lists that stands beside this one."""
    text = (Path(__file__).parent / name).read_text(encoding="utf-8")
    return {section: [p.strip() for p in said.split(",")] for section, said in read(text, name).items()}


def _compared(word: str) -> tuple[str, str]:
    """ "Sadder" and "saddest" of "sad"."""
    if word.endswith("y"):
        stem = word[:-1] + "i"
    elif word.endswith("e"):
        stem = word[:-1]
    elif len(word) <= 4 and word[-1] not in "aeiouwyx" and word[-2] in "aeiou" and word[-3] not in "aeiou":
        stem = word + word[-1]
    else:
        stem = word
    return f"{stem}er", f"{stem}est"


def _forms(word: str, kind: str) -> Iterator[str]:
    """Other forms in which a word is said: plural, joined, "synthy", "sadder"; people write them all."""
    if " " in word:
        if kind == "genre":
            yield word.replace(" ", "")
            yield f"{word}s"
        return
    if kind in ("genre", "instrument"):
        yield (
            f"{word}es"
            if word.endswith(("s", "z", "x", "ch", "sh"))
            else f"{word[:-1]}ies"
            if word.endswith("y")
            else f"{word}s"
        )
        if not word.endswith(("y", "o", "a", "i", "s")):
            yield f"{word.removesuffix('e')}y"
    elif kind == "mood" and len(word) <= _SHORT:
        yield from _compared(word)


_SHORT = 7  # letters of the moods that are compared by an ending; longer ones take "more"
_LISTS = phrases("lexicon.yaml")
KIND = {word: kind for kind in ("use", "country", "mood", "instrument", "genre") for word in _LISTS[kind]}
ALIASES = {said: meant for said, _, meant in (pair.partition(" = ") for pair in _LISTS["aliases"])}
SLOW, FAST = frozenset(_LISTS["slow"]), frozenset(_LISTS["fast"])
COMMON, _OTHERWISE = (
    frozenset(_LISTS["common"]),
    frozenset(_LISTS["otherwise"]),
)  # what looks like a form and is another word
"""What stands around a request and names nothing: no tag or title of that name is meant by it."""
FORMS = {
    said: word
    for word, kind in KIND.items()
    for said in _forms(word, kind)
    if len(word) > 2 and said not in KIND and said not in ALIASES and said not in COMMON and said not in _OTHERWISE
}
"""Other forms of those words -> the word: plurals, joined compounds, "synthy", "sadder"."""
