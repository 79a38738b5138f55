"""What an intent demands and what it wishes, as masks over the catalog.

Hard, never broken: what is left out (artists on any credit, tracks in any version, tags), years, explicit content, the
listener's market and blocks. Wishes give way in a stated order, `RELAXED`, first to last: a track's tier is 0 if it meets
every wish, else the place in that order of the most important wish that it misses. A list is filled tier by tier, so what is
said last and means least goes first.

    popularity > era > tempo > languages > uses > moods > instruments > tags > genres > familiarity > like > artists
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from transforms.prompts.intent import Intent, Name, Years
from transforms.prompts.lexicon import FAST, SLOW
from transforms.prompts.music import Music
from transforms.prompts.words import key

RELAXED = (
    *("popularity", "era", "tempo", "languages", "use", "mood", "instrument", "tag", "genre", "familiarity"),
    *("like", "artists"),
)
RECENT_YEARS = 3
OLD_YEARS = 25
POPULAR_SHARE = 0.1
MIDDLE_BPM = 100


@dataclass(frozen=True)
class Listener:
    """What is known of whoever asks, as of the night; all of it may be unknown.

    Attributes:
        listener_id: None = nobody known. market: None = anything plays. explicit_ok: explicit tracks may be played.
        blocked: bool[n] or None: blocked or disliked tracks in any version, tracks of blocked artists.
        heard: bool[n] or None: tracks of which any version was heard.
        scores: float32[n] or None: how well each track fits the listener, in standard deviations.
    """

    listener_id: str | None = None
    market: str | None = None
    explicit_ok: bool = True
    blocked: np.ndarray | None = None
    heard: np.ndarray | None = None
    scores: np.ndarray | None = None


@dataclass(frozen=True)
class Demand:
    """A hard constraint: what it says, for a sentence, and the tracks that satisfy it. `asked`: the prompt said it."""

    says: str
    mask: np.ndarray
    asked: bool = True


@dataclass(frozen=True)
class Wish:
    """A wish: its kind in `RELAXED`, what it says, and the tracks that meet it."""

    kind: str
    says: str
    mask: np.ndarray


@dataclass(frozen=True)
class Unmet:
    """Something asked for that the list does not give, and why, in a sentence."""

    wish: str
    why: str


def demands(intent: Intent, music: Music, listener: Listener, day: date) -> tuple[list[Demand], list[Unmet]]:
    """Every hard constraint, and those that nothing in the catalog can be held to."""
    out, unmet = _given(music, listener, day), list[Unmet]()
    for name in intent.without_artists:
        if name.ids:
            out.append(Demand(f"without {name.text}", ~music.credited(name.ids)))
    for name in intent.without_tracks:
        if name.ids:
            out.append(Demand(f"without the track {name.text}", ~music.versions(music.rows(name.ids))))
    for term in (*intent.without_tags, *intent.without_languages):
        if term.ids:
            out.append(Demand(f"without {term.text}", ~music.tagged(term.ids)))
        else:
            unmet.append(Unmet(f"without {term.text}", f"no track says whether it is or has {term.text}"))
    if intent.years:
        mask = np.zeros(len(music), bool)
        for years in intent.years:
            mask |= _within(music, years)
        out.append(Demand(f"released {said_years(intent.years)}", mask))
    for years in intent.without_years:
        known = music.released > -(10**8)
        out.append(Demand(f"not released {said_years([years])}", known & ~_within(music, years)))
    if intent.explicit == "no":
        out.append(Demand("not explicit", music.clean))
    if intent.explicit == "only":
        out.append(Demand("explicit", music.explicit))
    return out, unmet


def _given(music: Music, listener: Listener, day: date) -> list[Demand]:
    """What holds whatever the prompt says."""
    out = [Demand("in the catalog and released", _released(music, day), asked=False)]
    if listener.market:
        out.append(Demand("playable where the listener is", music.licensed(listener.market), asked=False))
    if not listener.explicit_ok:
        out.append(Demand("not explicit, as the listener's account says", music.clean, asked=False))
    if listener.blocked is not None:
        out.append(Demand("not blocked by the listener", ~listener.blocked, asked=False))
    return out


def wishes(
    intent: Intent, music: Music, listener: Listener, day: date, like: np.ndarray | None
) -> tuple[list[Wish], list[Unmet]]:
    """Every wish that the catalog knows of, in the order in which they give way, and those it knows nothing of.

    Args:
        like: bool[n], tracks with any tie to what the intent names as examples; None = it names none, or none that is known.
    """
    found, unmet = list[Wish](), list[Unmet]()
    for wish, otherwise in (*_plain(intent, music, listener, day), *_words(intent, music)):
        if wish.mask.any():
            found.append(wish)
        else:
            unmet.append(Unmet(wish.says, otherwise))
    if like is not None:
        found.append(Wish("like", f"like {said_names(intent.like)}", like))
    named = [i for name in intent.artists for i in name.ids]
    if named:
        found.append(Wish("artists", f"by {said_names(n for n in intent.artists if n.ids)}", music.credited(named)))
    for name in (*intent.artists, *intent.tracks, *intent.like):
        if not name.ids:
            unmet.append(Unmet(name.text, f"the catalog has no artist or track named {name.text}"))
    return sorted(found, key=lambda w: RELAXED.index(w.kind)), unmet


def _plain(intent: Intent, music: Music, listener: Listener, day: date) -> Iterator[tuple[Wish, str]]:
    """Wishes that are one word of the schema, each with what is said where the catalog knows nothing of it."""
    if intent.popularity:
        yield Wish("popularity", intent.popularity, _popular(music, intent.popularity)), "no track's plays are known"
    if intent.era:
        yield Wish("era", intent.era, _era(music, intent.era, day)), f"no track is known to be {intent.era}"
    tempo = intent.tempo or (
        "slow" if intent.bpm and sum(intent.bpm) < 2 * MIDDLE_BPM else "fast" if intent.bpm else None
    )
    if tempo:
        named = {"slow": SLOW, "fast": FAST}.get(tempo, frozenset())
        mask = music.tagged(t for t in music.tag_of if key(t) in named)
        yield Wish("tempo", f"{tempo} in tempo", mask), "no track says how fast it is"
    if intent.familiarity:
        new, heard = intent.familiarity == "new", listener.heard
        mask = np.zeros(len(music), bool) if heard is None else ~heard if new else heard
        says = "new to the listener" if new else "known to the listener"
        yield Wish("familiarity", says, mask), "what the listener has heard is not known"


def _words(intent: Intent, music: Music) -> Iterator[tuple[Wish, str]]:
    """Wishes that are tags; a word that was understood as the tempo and is no tag is that one wish, not two."""
    for term in (*intent.languages, *intent.tags):
        if not (intent.tempo and not term.ids and term.text in SLOW | FAST):
            kind = "languages" if term.kind == "country" else term.kind
            yield Wish(kind, term.text, music.tagged(term.ids)), f"nothing in the catalog is tagged {term.text}"


def tiers(found: Sequence[Wish], n: int) -> np.ndarray:
    """int16[n]: 0 where every wish is met, else 1 + the place of the most important one that is missed."""
    out = np.zeros(n, np.int16)
    for place, wish in enumerate(found):
        out[~wish.mask] = place + 1
    return out


def all_of(found: Iterable[Demand], n: int) -> np.ndarray:
    """bool[n]: the tracks that satisfy every demand."""
    out = np.ones(n, bool)
    out[0] = False
    for demand in found:
        out &= demand.mask
    return out


def contradiction(found: Sequence[Demand]) -> str | None:
    """Why no track satisfies all demands, in a sentence; None if some do."""
    n = len(found[0].mask)
    if all_of(found, n).any():
        return None
    given = all_of([d for d in found if not d.asked], n)
    asked = [d for d in found if d.asked]
    if not given.any():
        return "No track can be played by this listener here."
    for demand in asked:
        if not (given & demand.mask).any():
            return f"No track that can be played is {demand.says}."
    for n_one, one in enumerate(asked):
        for other in asked[n_one + 1 :]:
            if not (given & one.mask & other.mask).any():
                return (
                    f"No track is both {one.says} and {other.says}, so there is nothing to play; take one of them back."
                )
    return f"No track is all of: {', '.join(d.says for d in asked)}; take something back."


def self_contradictions(intent: Intent) -> list[Unmet]:
    """Names and words that are asked for and left out at once: what is left out counts."""
    out = []
    for wanted, refused in ((intent.artists, intent.without_artists), (intent.tracks, intent.without_tracks)):
        gone = {i for name in refused for i in name.ids}
        out += [
            Unmet(n.text, f"{n.text} is asked for and left out; it is left out") for n in wanted if gone & set(n.ids)
        ]
    gone_tags = {i for t in (*intent.without_tags, *intent.without_languages) for i in (*t.ids, t.text)}
    for t in (*intent.tags, *intent.languages):
        if gone_tags & {*t.ids, t.text}:
            out.append(Unmet(t.text, f"{t.text} is asked for and left out; it is left out"))
    return out


def said_years(spans: Iterable[Years]) -> str:
    """Spans of years in words.

    >>> said_years([Years(first=1990, last=1999), Years(first=2015)])
    'in 1990 to 1999 or since 2015'
    """
    parts = []
    for s in spans:
        if s.first and s.last:
            parts.append(f"in {s.first}" if s.first == s.last else f"in {s.first} to {s.last}")
        else:
            parts.append(f"since {s.first}" if s.first else f"up to {s.last}")
    return " or ".join(parts)


def said_names(names: Iterable[Name]) -> str:
    """Names in words."""
    return " or ".join(n.text for n in names)


def _released(music: Music, day: date) -> np.ndarray:
    return music.released <= (day - date(1970, 1, 1)).days


def _within(music: Music, years: Years) -> np.ndarray:
    low, high = years.days()
    return (music.released >= max(low, -(10**8))) & (music.released <= high)


def _popular(music: Music, how: str) -> np.ndarray:
    played = np.sort(music.plays[music.plays > 0])
    if not len(played):
        return np.zeros(len(music), bool)
    if how == "popular":
        return music.plays >= played[int(len(played) * (1 - POPULAR_SHARE))]
    return music.plays < played[len(played) // 2]


def _era(music: Music, era: str, day: date) -> np.ndarray:
    today = (day - date(1970, 1, 1)).days
    if era == "recent":
        return music.released > today - 365.25 * RECENT_YEARS
    return (music.released > -(10**8)) & (music.released < today - 365.25 * OLD_YEARS)
