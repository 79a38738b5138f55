"""The small words that decide what a name or a genre is wanted for: like it, by it, or without it.

A cue governs what follows it up to a break: a mark, a "but", a new clause, a further cue. "No X, Y or Z" goes on over commas as
long as the list does. Some stand behind what they leave out ("X is not my thing", "vocal-free"). Phrases come from `cues.yaml`,
composed negations from `negation`; the longer reading wins.

    >>> governed([w.text for w in words("songs like Low but no drums, bass or synths")])[-1]
    'without'
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from transforms.prompts.lexicon import COMMON, KIND
from transforms.prompts.negation import LISTS, Cue, composed
from transforms.prompts.words import BREAKS

WITHOUT, QUALITY = "without", "quality without"  # what is left out; the same where the cue denies an adjective
MOST = 8  # telling words that a negation reaches over, at most
_BACK = 4  # words before a cue that stands behind what it leaves out, at most
_CLAUSE, _STRONG, _ARTICLES, _STARTS, _QUALITIES, _OPENERS = (
    frozenset(LISTS[name]) for name in ("clause", "strong", "articles", "starts", "qualities", "openers")
)
_STOPS = frozenset(("|", ".", ";", ":", "?", "!", "\n", "(", ")"))
_TURNS = frozenset(("but", "though", "although", "with", "because", "except"))
_EXCEPT = frozenset(("but", "except", "exept", "excluding", "besides", "apart", "aside", "other"))
_ALL = frozenset(("anything", "everything", "anyone", "anybody", "everyone", "genre", "genres", "all", "kind"))
_FREE_OF = frozenset(("lyric", "lyrics", "vocal", "word", "voice", "bass", "profanity", "explicit"))
_BEGIN_NAMES = frozenset(("no", "dont", "never", "nothing", "without", "anti", "less", "cant", "hate"))
_NOT = frozenset(("isnt", "arent", "aint", "wasnt", "not"))

Tree = dict[str, dict[tuple[str, ...], Cue]]


def _indexed(phrases: Iterable[tuple[str, Cue]]) -> Tree:
    """First word -> phrases -> cue, the longest first."""
    out: Tree = {}
    for said, cue in sorted(phrases, key=lambda p: -len(p[0].split())):
        parts = tuple(said.split())
        out.setdefault(parts[0], {}).setdefault(parts, cue)
    return out


def _phrase(kind: str, said: str) -> tuple[str, Cue]:
    return said, Cue(kind, len(said.split()), said in _STRONG, said in _QUALITIES)


_CUES = _indexed(_phrase(kind, p) for kind in ("like", "by", "only", "without", "neutral") for p in LISTS[kind])
_EXCLUDED = _indexed(_phrase("excluded", p) for p in LISTS["excluded"])
_BEHIND = _indexed(_phrase("excluded", p) for p in LISTS["behind"])
_NOTHING = Cue("", 0)


def _found(tree: Tree, words: Sequence[str], n: int) -> Cue:
    """The longest phrase of a tree that begins at a word."""
    for parts, cue in tree.get(words[n], {}).items() if n < len(words) else ():
        if len(parts) == 1 or tuple(words[n : n + len(parts)]) == parts:
            return cue
    return _NOTHING


def cue_at(words: Sequence[str], n: int) -> Cue:
    """The cue that begins at a word; of no length where none does."""
    listed, made = _found(_CUES, words, n), composed(words, n)
    if made is None:
        listed = listed if listed.length or words[n] not in _OPENERS else _parted(words, n)
        return listed
    if made.length < listed.length:
        return listed
    return made if made.length <= len(words) - n else replace(made, length=len(words) - n)


def _parted(words: Sequence[str], n: int) -> Cue:
    """ "leave X out": the verb leaves out what stands before its "out"."""
    for at in range(n + 2, min(n + 6, len(words))):
        if words[at] in BREAKS:
            break
        if words[at] == "out" and (
            at + 1 == len(words) or words[at + 1] in BREAKS or words[at + 1] in ("of", "please")
        ):
            return Cue("without", 1, True)
    return _NOTHING


def _excluded(words: Sequence[str], n: int) -> int:
    """How many words at `n` leave out what stands before them: "excluded", "is not my thing"; 0 for none."""
    word = words[n]
    found = _found(_EXCLUDED, words, n).length
    if found:
        return 0 if words[n + found : n + found + 1] in (["from"], ["of"]) else found
    if word == "free" and (words[n - 1] in _FREE_OF or KIND.get(words[n - 1]) == "instrument"):
        return 0 if words[n + 1 : n + 2] in (["of"], ["from"]) else 1
    at = n + 2 if word in ("is", "are", "was") and words[n + 1 : n + 2] == ["not"] else n + 1 if word in _NOT else 0
    if not at:
        return 0
    while at < len(words) and words[at] in ("really", "exactly", "quite", "just"):
        at += 1
    behind = _found(_BEHIND, words, at).length
    return at + behind - n if behind else 0


def _leave_out(out: list[str], words: Sequence[str], alone: bool) -> None:
    """Let what stands before a cue be left out, back to where its clause begins."""
    for at in range(len(words) - 1, max(-1, len(words) - 1 - (1 if alone else _BACK)), -1):
        if out[at] or words[at] in BREAKS or words[at] in _CLAUSE:
            return
        out[at] = WITHOUT


def governed(words: Sequence[str], held: Sequence[int] = ()) -> list[str]:
    """The cue that governs each word; a cue's own words carry `cue:` before theirs.

    Args:
        words: words and breaks.
        held: for each word 1 inside a name that was recognised, whose words are no cues; may be empty.
    """
    out: list[str] = []
    now, cue, since, reach, n = "", _NOTHING, 0, MOST, 0
    while n < len(words):
        word = words[n]
        inside = bool(held) and held[n] == 1
        behind = 0 if inside or not n else _excluded(words, n)
        if behind:
            _leave_out(out, words[:n], word == "free")
            out += ["cue:"] * behind
            now, n = "", n + behind
            continue
        here = _NOTHING if inside else _free(cue_at(words, n), words, n, held)
        if here.length:
            if now in (WITHOUT, QUALITY) and words[n] == "anything" and here.kind == "without":
                now, cue, since = "", _NOTHING, 0  # "i dont want anything but X": only X is wanted
                out += ["cue:only"] * here.length
            elif (
                n and out[-1] == "cue:like" and here.kind == "without" and words[n] in _BEGIN_NAMES and not here.quality
            ):
                out += ["like"] * here.length  # "similar to No Church in the Wild"
            elif now in (WITHOUT, QUALITY) and since <= 1 and _carries(here, n, held):
                out += ["cue:without"] * here.length  # "not like X", "no songs by X": X is not wanted
                now = WITHOUT
            else:
                now, cue, since = _name(here), here, 0
                reach = 1 if words[n : n + here.length] == ["non"] else MOST
                out += [f"cue:{now}"] * here.length
            n += here.length
            continue
        if not inside and _ends(words, n, now, cue, since >= reach, since):
            now = ""
        out.append(now)
        since += (
            0 if word in COMMON or word in _ARTICLES or not word[0].isalnum() else 1
        )  # "no songs with drums" goes on to the drums
        n += 1
    return out


def _carries(cue: Cue, n: int, held: Sequence[int]) -> bool:
    """Whether a negation goes on over a cue; "no Umbrella by Rihanna" leaves out the track only."""
    return cue.kind == "like" or (cue.kind == "by" and not (held and held[n - 1] == 1))


def _name(cue: Cue) -> str:
    return "" if cue.kind == "neutral" else QUALITY if cue.kind == WITHOUT and cue.quality else cue.kind


def _free(cue: Cue, words: Sequence[str], n: int, held: Sequence[int]) -> Cue:
    """A cue whose words are in no name; the first word alone where the others are ("no big band")."""
    if not held or not any(held[n : n + cue.length]):
        return cue
    listed = _found(_CUES, words[n : n + 1], 0)
    return listed if listed.length else _NOTHING


def _ends(words: Sequence[str], n: int, now: str, cue: Cue, far: bool, since: int) -> bool:
    """Whether what governs ends before this word."""
    word = words[n]
    if not now:
        return False
    if word in _STOPS:
        return True
    if now in (WITHOUT, QUALITY):
        if word == ",":
            return not (cue.strong and _goes_on(words, n))
        if word == "and":
            return not cue.strong or (since > 0 and n + 1 < len(words) and words[n + 1] in _STARTS)
        return (word in _CLAUSE and (since > 0 or word == "but")) or far or (word == "than" and since > 0)
    return word in _TURNS or (now == "only" and since > 4)


def _goes_on(words: Sequence[str], comma: int) -> bool:
    """Whether a list goes on behind a comma: an "or" or a further item and "or"/"and" come before any other break."""
    start = comma - 1
    for n in range(comma + 1, min(comma + 8, len(words))):
        if words[n] in ("or", "nor"):
            return True
        if words[n] == "and":
            return n - comma <= 4 and words[n + 1 : n + 2] != [] and words[n + 1] not in _STARTS
        if words[n] in (".", "|", ";", "but") or words[n] in _CLAUSE or (cue_at(words, n).kind not in ("", "by")):
            return False
    while start > 0 and start > comma - 8 and words[start] not in _EXCEPT:
        start -= 1
    excepted = (
        start > 0
        and words[start] in _EXCEPT
        and words[start - 1] in _ALL
        and "," in (*words[start:comma], *words[comma + 1 :])
    )
    return excepted and not any(w in _STARTS for w in words[comma + 1 : comma + 8])  # "anything but X, Y, Z"
