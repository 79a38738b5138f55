"""Words people use for music, by kind: what a prompt can ask for even where the catalog has no tag of that name.

A catalog's own tags come first (`vocabulary`); the list (`lexicon.yaml`) names the kind of a word, joins spellings that mean
one tag, and lets the playlist say "no track is tagged ukulele" instead of passing over the word. Plain words, collected by
hand; users add their own spellings in the settings (`prompts.aliases`).

    >>> KIND["dubstep"], KIND["melancholic"], ALIASES["dnb"]
    ('genre', 'mood', 'drum and bass')
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from transforms.common.safe_yaml import read


def phrases(name: str) -> Mapping[str, list[str]]:
    """Section -> its phrases, of a file of word lists that stands beside this one."""
    text = (Path(__file__).parent / name).read_text(encoding="utf-8")
    return {section: [p.strip() for p in said.split(",")] for section, said in read(text, name).items()}


_LISTS = phrases("lexicon.yaml")
KIND = {word: kind for kind in ("use", "country", "mood", "instrument", "genre") for word in _LISTS[kind]}
ALIASES = {said: meant for said, _, meant in (pair.partition(" = ") for pair in _LISTS["aliases"])}
SLOW, FAST = frozenset(_LISTS["slow"]), frozenset(_LISTS["fast"])
COMMON = frozenset(_LISTS["common"])
"""What stands around a request and names nothing: no tag or title of that name is meant by it."""
