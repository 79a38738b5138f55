"""What a language model reads in a prompt, and how far it is believed: schema-checked, grounded in the text, overruled by rules.

A model is asked for names and words only, by the schema `Reading`. An answer that is not of the schema is no answer. Of what it
says, each name and word must stand in the text, near spellings allowed: what is not in the text is dropped. Years, lengths,
counts and everything else that rules read well is never taken from a model, and where rules give a word a meaning theirs counts.

    text -> instructions -> model -> answer -> checked -> grounded -> merged with what rules read

    >>> merged(rules, grounded(checked('{"genres": ["jazz", "polka"]}'), "some jazz please", vocabulary)).tags[0].text
    'jazz'
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from transforms.prompts.intent import NAMES, TERMS, Intent, Name, Term
from transforms.prompts.lexicon import COMMON, KIND
from transforms.prompts.vocabulary import Vocabulary, edits
from transforms.prompts.words import key

MOST = 40
LONGEST_ANSWER = 20_000
_Words = tuple[str, ...]


class Reading(BaseModel):
    """What a model is asked for: names and words as they stand in the text."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    artists: _Words = Field((), max_length=MOST, description="artists whose own music is wanted")
    tracks: _Words = Field((), max_length=MOST, description="songs that are wanted themselves")
    like: _Words = Field((), max_length=MOST, description="artists or songs that the music should be like")
    without_artists: _Words = Field((), max_length=MOST, description="artists that are not wanted")
    genres: _Words = Field((), max_length=MOST, description="genres that are wanted")
    moods: _Words = Field((), max_length=MOST, description="moods that are wanted")
    instruments: _Words = Field((), max_length=MOST, description="instruments and kinds of voices that are wanted")
    uses: _Words = Field((), max_length=MOST, description="what the music is for")
    languages: _Words = Field((), max_length=MOST, description="languages or countries that are wanted")
    without: _Words = Field((), max_length=MOST, description="genres, moods or instruments that are not wanted")


_KINDS = {"genres": "genre", "moods": "mood", "instruments": "instrument", "uses": "use"}


def instructions() -> str:
    """What a model is told before the text; with the schema and one example, whose words are no listener's."""
    fields = "; ".join(f"{name}: {f.description}" for name, f in Reading.model_fields.items())
    example = {"genres": ["soul"], "moods": ["warm"], "like": ["bill withers"], "without": ["drums"]}
    return (
        "You read a request for music. Answer with one JSON object and nothing else. Its keys, each a list of strings that "
        f"stand in the request: {fields}. Leave out a key that has nothing. Never add what the request does not say.\n"
        f"Request: warm soul like bill withers but no drums\nAnswer: {json.dumps(example)}"
    )


def checked(answer: str | None) -> Reading | None:
    """The reading in a model's answer: its first JSON object, if it is of the schema; None otherwise."""
    if not answer or len(answer) > LONGEST_ANSWER:
        return None
    start = answer.find("{")
    while start >= 0:
        try:
            body, _ = json.JSONDecoder().raw_decode(answer[start:])
            return Reading.model_validate({k: _listed(v) for k, v in body.items()})
        except (ValueError, ValidationError, RecursionError, AttributeError):
            start = answer.find("{", start + 1)
    return None


def _listed(value: Any) -> Any:
    """Small models write one string for a list of one, and null for none."""
    return [value] if isinstance(value, str) else [] if value is None else value


def grounded(reading: Reading, text: str, vocabulary: Vocabulary) -> Intent:
    """The reading as an intent, without what does not stand in the text, resolved by the catalog's vocabulary."""
    said = key(text).split()

    def here(words: Iterable[str]) -> list[str]:
        keys = dict.fromkeys(key(w) for w in words)
        return [k for k in keys if k and len(k) <= 100 and not set(k.split()) <= COMMON and _stands(k.split(), said)]

    def names(words: Iterable[str], kinds: Sequence[str] = ("artist", "track")) -> tuple[Name, ...]:
        return tuple(_name(w, vocabulary, kinds) for w in here(words))

    tags = tuple(_term(w, kind, vocabulary) for field, kind in _KINDS.items() for w in here(getattr(reading, field)))
    return Intent(
        artists=names(reading.artists, ("artist",)),
        tracks=names(reading.tracks, ("track",)),
        like=names(reading.like),
        without_artists=names(reading.without_artists, ("artist",)),
        tags=tags,
        languages=tuple(_term(w, "country", vocabulary) for w in here(reading.languages)),
        without_tags=tuple(_term(w, KIND.get(w, "tag"), vocabulary) for w in here(reading.without)),
    )


def merged(rules: Intent, model: Intent) -> Intent:
    """What rules read, and of what the model read beside it only names and words that rules say nothing of."""
    taken = {w for field in (*NAMES, *TERMS) for one in getattr(rules, field) for w in one.text.split()}
    ids = {i for field in (*NAMES, *TERMS) for one in getattr(rules, field) for i in one.ids}
    more: dict[str, Any] = {}
    for field in (*NAMES, *TERMS):
        fresh = [one for one in getattr(model, field) if not (set(one.text.split()) & taken or set(one.ids) & ids)]
        if fresh:
            more[field] = (*getattr(rules, field), *fresh)
            taken |= {w for one in fresh for w in one.text.split()}
            ids |= {i for one in fresh for i in one.ids}
    return rules.model_copy(update=more)


def _stands(words: list[str], said: list[str]) -> bool:
    """Whether words stand in the text one after another, each at most a letter or two away."""
    n = len(words)
    return any(
        all(_near(a, b) for a, b in zip(words, said[at : at + n], strict=True)) for at in range(len(said) - n + 1)
    )


def _near(a: str, b: str) -> bool:
    return a == b or (len(a) > 4 and edits(a, b, 1) <= 1)


def _name(text: str, vocabulary: Vocabulary, kinds: Sequence[str]) -> Name:
    for kind in kinds:
        ids = vocabulary.artist(text) if kind == "artist" else vocabulary.track(text)
        near = None if ids else vocabulary.near(text, kind)
        if ids or near:
            return Name(text=text, kind=kind, ids=ids or near[1])  # type: ignore[arg-type, index]
    return Name(text=text)


def _term(text: str, kind: str, vocabulary: Vocabulary) -> Term:
    return Term(text=text, kind=kind, ids=vocabulary.tag(text))  # type: ignore[arg-type]
