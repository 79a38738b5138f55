"""The small words that decide what a name or a genre is wanted for: like it, by it, or without it.

A cue governs what follows it up to a break: a mark, a "but", a further cue. "No X, Y or Z" goes on over commas as long as the
list does. A negation of a negation, or of the wish itself ("not only jazz", "doesn't have to be new"), asks for nothing to be
left out.

    >>> governed([w.text for w in words("songs like Low but no drums, bass or synths")])[-1]
    'without'
"""

from __future__ import annotations

from collections.abc import Sequence

from transforms.prompts.lexicon import COMMON, phrases

_LISTS = phrases("cues.yaml")
_CUES = {tuple(p.split()): cue for cue in ("like", "by", "only", "without", "neutral") for p in _LISTS[cue]}
_LONGEST = max(map(len, _CUES))
_CLAUSE, _STRONG, _ARTICLES = (frozenset(_LISTS[name]) for name in ("clause", "strong", "articles"))
MOST = 8  # telling words that a negation reaches over, at most


def cue_at(words: Sequence[str], n: int) -> tuple[str, int]:
    """The longest cue that begins at a word, and how many words it has; ("", 0) for none."""
    for length in range(min(_LONGEST, len(words) - n), 0, -1):
        cue = _CUES.get(tuple(words[n : n + length]))
        if cue is not None:
            return cue, length
    return "", 0


def governed(words: Sequence[str], held: Sequence[int] = ()) -> list[str]:
    """The cue that governs each word; a cue's own words carry `cue:` before theirs.

    Args:
        words: words and breaks.
        held: for each word 1 inside a name that was recognised, whose words are no cues; may be empty.
    """
    out: list[str] = []
    now, strong, since, reach, n = "", False, 0, MOST, 0
    while n < len(words):
        word = words[n]
        inside = bool(held) and held[n] == 1
        cue, length = ("", 0) if inside else cue_at(words, n)
        if length and held and any(held[n : n + length]):
            cue, length = "", 0
        if cue:
            if cue == "like" and now == "without" and since <= 1:
                out += ["cue:without"] * length  # "not like X": X is not wanted
            else:
                said = " ".join(words[n : n + length])
                now, since, strong = cue.replace("neutral", ""), 0, said in _STRONG
                reach = 1 if said == "non" else MOST
                out += [f"cue:{now}"] * length
            n += length
            continue
        if not inside and _ends(words, n, now, strong, since >= reach, since):
            now = ""
        out.append(now)
        since += (
            0 if word in COMMON or word in _ARTICLES or not word[0].isalnum() else 1
        )  # "no songs with drums" goes on to the drums
        n += 1
    return out


def _ends(words: Sequence[str], n: int, now: str, strong: bool, far: bool, since: int) -> bool:
    """Whether what governs ends before this word."""
    word = words[n]
    if not now:
        return False
    if word in ("|", ".", ";", ":", "?", "!", "\n", "(", ")"):
        return True
    if now == "without":
        if word == ",":
            return not (strong and _goes_on(words, n))
        if word == "and":
            return not strong
        return (word in _CLAUSE and (since > 0 or word == "but")) or far
    return word in ("but", "though", "although", "with", "because", "except") or (now == "only" and since > 4)


def _goes_on(words: Sequence[str], comma: int) -> bool:
    """Whether a list goes on behind a comma: an "or" or a further item and "or"/"and" come before any other break."""
    for n in range(comma + 1, min(comma + 8, len(words))):
        if words[n] in ("or", "nor"):
            return True
        if words[n] == "and":
            return n - comma <= 4
        if words[n] in (".", "|", ";", "but") or words[n] in _CLAUSE or (cue_at(words, n)[0] not in ("", "by")):
            return False
    return False
