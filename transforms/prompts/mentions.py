"""What a prompt mentions: names, genres, moods, instruments, uses and countries, each with what it is wanted for.

1. Phrases that the catalog or the lexicon knows are found, longest first. A single common word is no title ("love", "music").
2. Cues say what each is for: wanted, not wanted, or an example of what it should be like.
3. Behind "like" and "by" stand names, whether or not the catalog has them: what remains there is looked up by near spelling, and
   where nothing is near it stays a name without an id, so that the playlist can say so.

    >>> [(m.text, m.kind, m.sign) for m in mentions("dark techno like Surgeon, no vocals", vocabulary)]
    [('dark', 'mood', '+'), ('techno', 'genre', '+'), ('surgeon', 'artist', '~'), ('vocals', 'instrument', '-')]
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from transforms.prompts.cues import QUALITY, WITHOUT, governed
from transforms.prompts.lexicon import COMMON, FORMS, KIND
from transforms.prompts.negation import LISTS
from transforms.prompts.numbers import Found, find
from transforms.prompts.titles import titled
from transforms.prompts.vocabulary import Ids, Vocabulary
from transforms.prompts.words import BREAKS, Word, words

LONGEST_NAME = 8
_BEFORE_NAMES = frozenset(
    ("by", "like", "to", "of", "from", ",", "and", "as", "feat", "ft", "or", "the", "without", "no", "not", "except")
)
NAMES = ("artist", "track", "unknown")
_RULED = frozenset(
    ("explicit", "swearing", "swear", "cursing", "profanity", "heard", "popular", "mainstream", "famous", "known")
)
VOICES = frozenset(
    ("vocals", "lyrics", "singing", "words", "vocal", "voices", "singer", "lyric", "voice", "singers")
)  # music without them is instrumental
_PLAINLY = frozenset((*LISTS["around"], *LISTS["plainly"]))
_BEFORE_PLAIN = frozenset(LISTS["determiners"])
_BEFORE_TITLES = frozenset(("play", "hear", "called", "titled", "|", ",", "song", "track"))
_DEGREES = frozenset(LISTS["degrees"])
_ARTICLES = frozenset(LISTS["articles"])
_DENIABLE = frozenset(LISTS["deniable"])
_NO_TITLE = (
    frozenset(LISTS["around"])
    | frozenset(LISTS["starts"])
    | frozenset(LISTS["clause"])
    | {
        "any",
        "ft",
        "feat",
        "who",
        "for",
        "in",
        "from",
        "style",
        "type",
        "or",
        "what",
        "does",
        "do",
        "would",
        "could",
        "help",
        "on",
        "etc",
    }
)
_SEPARATORS = frozenset(("and", "or", "by", ",", "/", "+", "&", "nor", "from"))


@dataclass(frozen=True)
class Mention:
    """A phrase of a prompt.

    Attributes:
        text: as said, folded.
        kind: artist, track, unknown (a name the catalog lacks), genre, mood, instrument, use, country or tag.
        sign: + wanted, - not wanted, ~ an example of what it should be like.
        by: a performer, as "by X" says.
        first, last: its words; ids: what the catalog has of that name.
    """

    text: str
    kind: str
    sign: str
    first: int
    last: int
    ids: Ids = ()
    by: bool = False


@dataclass(frozen=True)
class Read:
    """A prompt read: its words, its numbers, its mentions."""

    words: list[Word]
    numbers: list[Found]
    number_signs: list[str]
    mentions: list[Mention]


def mentions(text: str, vocabulary: Vocabulary) -> list[Mention]:
    """Everything a prompt mentions, in the order it is said."""
    return read_words(text, vocabulary).mentions


def read_words(text: str, vocabulary: Vocabulary) -> Read:
    """A prompt's words with what is known of them."""
    found, numbers = words(text), find(text)
    plain = [w.text for w in found]
    titles = titled(plain, vocabulary) if "by" in plain else []
    named = [found[n] for first, last in titles for n in range(first, last + 1)]
    numbers = [
        f for f in numbers if not _is_name(f, found, plain, vocabulary) and not any(_inside(w, (f,)) for w in named)
    ]
    taken = [_inside(w, numbers) for w in found]
    for first, last in titles:
        taken[first : last + 1] = [True] * (last + 1 - first)
    known = [*_phrases(plain, taken, vocabulary), *(_title(plain, first, last, vocabulary) for first, last in titles)]
    held = [0] * len(plain)
    for m in known:
        if m.last > m.first or m.kind in NAMES:
            held[m.first : m.last + 1] = [1] * (m.last + 1 - m.first)
    cues = governed(plain, held)
    known = [judged for m in known if (judged := _judged(m, plain, cues)) is not None]
    mine = [False] * len(plain)
    for m in known:
        mine[m.first : m.last + 1] = [True] * (m.last + 1 - m.first)
    free, artists = [a or b for a, b in zip(taken, mine, strict=True)], {m.last for m in known if m.kind == "artist"}
    known += _unknown(plain, cues, free, vocabulary, artists)
    known += _denied(plain, cues, mine, vocabulary)
    known.sort(key=lambda m: m.first)
    signs = [_number_sign(_at(found, f.start), cues, known) for f in numbers]
    return Read(found, numbers, signs, known)


def _title(plain: Sequence[str], first: int, last: int, vocabulary: Vocabulary, sign: str = "") -> Mention:
    text = " ".join(plain[first : last + 1])
    ids = vocabulary.track(text)
    near = None if ids else vocabulary.near(text, "track")
    ids = near[1] if near else ids
    return Mention(text, "track" if ids else "unknown", sign, first, last, ids)


def _is_name(number: Found, found: Sequence[Word], plain: Sequence[str], vocabulary: Vocabulary) -> bool:
    """Whether a year belongs to a name: "the 1975", "1979 by the Smashing Pumpkins", "similar to 1985"."""
    at = [n for n, w in enumerate(found) if number.start < w.stop and w.start < number.stop]
    if number.field != "years" or not at or not plain[at[0]].isdigit():
        return False
    first, last = at[0], at[-1]
    before, behind = plain[max(0, first - 2) : first], plain[last + 1 : last + 2]
    if behind == ["by"] or before[-1:] == ["like"] or before[-2:] == ["similar", "to"]:
        return True
    return bool(before) and bool(vocabulary.artists.get(f"{before[-1]} {plain[first]}"))


def _inside(word: Word, numbers: Sequence[Found]) -> bool:
    return any(f.start < word.stop and word.start < f.stop for f in numbers)


def _at(found: Sequence[Word], start: int) -> int:
    return next((n for n, w in enumerate(found) if w.stop > start), len(found) - 1)


def _phrases(plain: Sequence[str], taken: Sequence[bool], vocabulary: Vocabulary) -> list[Mention]:
    """Longest known phrases, from left to right."""
    out, n = list[Mention](), 0
    while n < len(plain):
        found = None
        for length in range(min(LONGEST_NAME, len(plain) - n), 0, -1):
            if any(taken[n : n + length]) or any(len(w) == 1 and not w.isalnum() for w in plain[n : n + length]):
                continue
            found = _phrase(plain, n, length, vocabulary)
            if found is not None:
                break
        if found is not None:
            out.append(found)
            n = found.last + 1
        else:
            n += 1
    return out


def _phrase(  # noqa: PLR0911
    plain: Sequence[str], n: int, length: int, vocabulary: Vocabulary
) -> Mention | None:
    parts = plain[n : n + length]
    text = " ".join(parts)
    common = sum(w in COMMON for w in parts)
    lacking = _lacking(text) if length == 1 and text.endswith("less") else ""
    if lacking and not vocabulary.tags.get(text):
        return Mention(lacking, "instrument", "-", n, n, vocabulary.tag(lacking))
    term = KIND.get(text)
    if common == length and length < 3 and (length == 1 or term is None):
        return None
    tags = vocabulary.tag(text)
    rare = length - common
    if rare == 0 and term is None:
        tags = ()  # "love this song" is somebody's tag and nobody's wish
    if term is None and not tags and length > 1 and rare == 0 and length < 4:
        return None
    cued = n > 0 and plain[n - 1] in _BEFORE_NAMES
    artist, track = vocabulary.artist(text), vocabulary.track(text)
    if term is None and text in FORMS and not vocabulary.artists.get(text):
        term = KIND[FORMS[text]]
    if term is not None or (tags and not (artist or track)):
        return Mention(text, term or "tag", "", n, n + length - 1, tags)
    if artist and (length > 1 or cued or len(plain) <= 4 or len(text) > 5):
        return Mention(text, "artist", "", n, n + length - 1, artist)
    if tags:
        return Mention(text, "tag", "", n, n + length - 1, tags)
    if track and (rare >= 2 or (rare and (cued or length > 2))):
        return Mention(text, "track", "", n, n + length - 1, track)
    return None


def _lacking(text: str) -> str:
    """What a word says is missing: "drumless", "wordless"; empty where it is no such word."""
    stem = text.removesuffix("less")
    return next((w for w in (f"{stem}s", stem) if w in VOICES or KIND.get(w) == "instrument"), "")


def _denied(plain: Sequence[str], cues: Sequence[str], mine: Sequence[bool], vocabulary: Vocabulary) -> list[Mention]:
    """Words that stand around a request and say nothing, except where they are left out: "no covers", "without words"."""
    return [
        Mention(w, KIND.get(w, "instrument" if w in VOICES else "tag"), "-", n, n, vocabulary.tag(w))
        for n, w in enumerate(plain)
        if cues[n] in (WITHOUT, QUALITY) and w in _DENIABLE and not mine[n] and _is_bare(plain, cues, n)
    ]


def _is_bare(plain: Sequence[str], cues: Sequence[str], n: int) -> bool:
    """Whether nothing says which of them: "no lyrics", but not "no explicit lyrics"."""
    return n == 0 or cues[n - 1].startswith("cue:") or plain[n - 1] in _SEPARATORS or plain[n - 1] in _ARTICLES


def _sign_of(cue: str) -> str:
    return "-" if cue.endswith(WITHOUT) else "+"


def _number_sign(at: int, cues: Sequence[str], known: Sequence[Mention]) -> str:
    """Whether years are wanted: behind a name that is left out they are ("no Drake from the 90s"), behind the cue not."""
    if not cues[at].endswith(WITHOUT):
        return "+"
    begun = max((n for n in range(at) if cues[n].startswith("cue:")), default=-1)
    return "+" if any(m.kind in NAMES and begun < m.first < at for m in known) else "-"


def _judged(  # noqa: PLR0911
    m: Mention, plain: Sequence[str], cues: Sequence[str]
) -> Mention | None:
    """A mention with its sign; None where it turns out to be part of a cue."""
    cue = cues[m.first]
    if m.sign:
        return replace(m, sign="+") if cue in (WITHOUT, QUALITY) else m  # "nothing drumless"
    if cue.startswith("cue:") and m.kind not in NAMES:
        return None
    cue = cue.removeprefix("cue:")
    if m.kind not in NAMES:
        return replace(m, sign=_sign_of(cue))
    if cue in (WITHOUT, QUALITY):
        return replace(m, sign="-")
    by = m.first > 0 and plain[m.first - 1] == "by"
    if not by and _by_chance(m, plain, cues):
        return None
    if cue in ("like", "by") or "like" in cues[: m.first] or "cue:like" in cues[: m.first]:
        example = "like" in cues[: m.first] or "cue:like" in cues[: m.first]
        return replace(m, sign="~" if example else "+", by=by)
    return replace(m, sign="+", by=by)


def _by_chance(m: Mention, plain: Sequence[str], cues: Sequence[str]) -> bool:
    """Whether somebody is called by a plain word that is used as such: "a journey", "about freedom", "the intro"."""
    if m.first == m.last and plain[m.first] in _PLAINLY:
        return True
    if m.first == 0 or cues[m.first - 1] == "cue:like":
        return False
    liked = any(c in ("like", "cue:like") for c in cues[: m.first])
    if plain[m.first - 1] in _BEFORE_PLAIN and (m.first == m.last or (m.kind == "track" and not liked)):
        return True
    return (
        m.kind == "track"
        and m.first == m.last
        and not liked
        and len(plain) > 4
        and plain[m.first - 1] not in _BEFORE_TITLES
    )


def _unknown(
    plain: Sequence[str],
    cues: Sequence[str],
    taken: Sequence[bool],
    vocabulary: Vocabulary,
    artists: Collection[int],
) -> list[Mention]:
    """Names behind "like" and "by" that no exact look-up found."""
    out, n = list[Mention](), 0
    while n < len(plain):
        if cues[n] not in ("like", "by", WITHOUT, QUALITY) or taken[n]:
            n += 1
            continue
        stop = n
        while stop < len(plain) and cues[stop] == cues[n] and not taken[stop] and plain[stop] not in _SEPARATORS:
            stop += 1
        first, last = n, stop - 1
        while first <= last and (_says_nothing(plain[first]) or (first < last and plain[first] in _DEGREES)):
            first += 1
        while last >= first and _says_nothing(plain[last]):
            last -= 1
        text = " ".join(plain[first : last + 1])
        example = "cue:like" in cues[:first]
        if {*plain[first : last + 1]} & _RULED and cues[n].endswith(WITHOUT):
            first = last + 1  # "nothing explicit" is read by a rule of its own
        if _follows_a_name(plain, n, stop, first, last, artists, cues):
            out.append(_title(plain, n, last, vocabulary, "~"))
            n = stop
            continue
        if (
            first
            and plain[first - 1] in _BEFORE_PLAIN
            and not cues[first - 1].startswith("cue:")
            and not cues[n].endswith(WITHOUT)
        ):
            first = last + 1  # "like this entrance"
        begins = n == 0 or plain[n - 1] in _SEPARATORS or cues[n - 1].startswith("cue:")
        if begins and first <= last and last - first < LONGEST_NAME and len(text) > 1:
            out += _looked_up(text, cues[n], first, last, example, plain, vocabulary)
        n = max(stop, n + 1)
    return out


def _follows_a_name(
    plain: Sequence[str], n: int, stop: int, first: int, last: int, artists: Collection[int], cues: Sequence[str]
) -> bool:
    """Whether words directly behind an artist that is an example are a title: "like Elliott Smith Say Yes"."""
    if n - 1 not in artists or cues[n] != "like" or first > last or last - n >= LONGEST_NAME or last < stop - 1:
        return False
    return plain[n] not in _NO_TITLE and (stop == len(plain) or plain[stop] in BREAKS or plain[stop] in _SEPARATORS)


def _says_nothing(word: str) -> bool:
    return word in COMMON or word in _PLAINLY or not word.isalnum()


def _looked_up(
    text: str, cue: str, first: int, last: int, example: bool, plain: Sequence[str], vocabulary: Vocabulary
) -> list[Mention]:
    sign = "-" if cue.endswith(WITHOUT) else "~" if example or cue == "like" else "+"
    by = first > 0 and plain[first - 1] == "by"
    for kind in ("artist",) if by else ("tag",) if cue == QUALITY else ("artist", "track", "tag"):
        near = vocabulary.near(text, kind)
        if near is not None:
            return [Mention(text, kind, sign if kind != "tag" or sign == "-" else "+", first, last, near[1], by)]
    if cue.endswith(WITHOUT) and last - first > 2:
        return []  # a clause, and no name
    if cue == QUALITY:
        return [Mention(text, "tag", sign, first, last)]
    return [Mention(text, "unknown", sign, first, last, (), by)]
