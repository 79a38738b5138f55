"""Kinds of English negation, each put together from patterns and things to leave out: what is denied is left out, and no more."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transforms.prompts.tiny import vocabulary
from transforms.prompts.cues import governed
from transforms.prompts.parser import read

VOCABULARY = vocabulary()
THINGS = ("rap", "metal", "trumpets")  # nouns
MOODS = ("sad", "aggressive", "cheesy")  # adjectives

NOUNS = """
no {x} | not {x} | without {x} | without any {x} | with no {x} | except {x} | except for {x} | anything but {x}
everything but {x} | anything except {x} | all but {x} | any genre but {x} | other than {x} | apart from {x}
aside from {x} | excluding {x} | minus {x} | sans {x} | but not {x} | but no {x} | instead of {x} | rather than {x}
as opposed to {x} | avoid {x} | please avoid {x} | skip {x} | skip the {x} | leave out {x} | leave {x} out
leave the {x} out please | keep {x} out of it | ditch the {x} | omit {x} | exclude {x} | hate {x} | i hate {x}
i really hate {x} | i despise {x} | i dislike {x} | i don't like {x} | i dont like {x} | i do not like {x}
i don t like {x} | i don’t really like {x} | i never liked {x} | i can't stand {x} | i cant stand {x}
i cannot stand {x} | i can not bear {x} | i'm tired of {x} | im sick of {x} | i am bored of {x} | fed up with {x}
enough of {x} | i've had enough of {x} | i don't want {x} | dont want any {x} | i don't want to hear {x}
i do not want to hear any {x} | i don't need {x} | dont play {x} | don't play me any {x} | please don't include {x}
do not add {x} | don't give me {x} | never play {x} | i'm not into {x} | im not a fan of {x} | not a big fan of {x}
i'm not a huge fan of {x} | not interested in {x} | i'm not really into {x} | not in the mood for {x}
i could do without {x} | no more {x} | less {x} | nothing with {x} | none of the {x} | zero {x} | free of {x}
stay away from {x} | steer clear of {x} | that doesn't have {x} | that dont have {x} | that do not contain {x}
that does not include {x} | which doesn't feature {x} | that doesn't use {x} | that don't involve {x}
should not have {x} | that wont have {x} | not too much {x} | not so much {x} | try not to include {x} | unlike {x}
the opposite of {x} | w/o {x} | {x} is not my thing | {x} isn't my thing | {x} isnt really my thing | {x} isn't for me
{x} excluded | {x} aside | {x} not allowed | that isn't {x} | that aren't {x} | that is not {x} | which are not {x}
isnt {x} | that ain't {x} | that won't be {x} | i don't care for {x} | that don't sound like {x}
that doesn't sound like {x} | nothing like {x} | i don't listen to {x} | i don't enjoy {x} | no {x} please | not any {x}
lacking {x} | devoid of {x} | forget about {x} | spare me the {x} | no, no {x}
"""
ADJECTIVES = """
nothing too {x} | nothing overly {x} | not too {x} | not so {x} | not very {x} | not overly {x} | not {x} | isn't {x}
isnt {x} | that isn't too {x} | that arent {x} | that aren't very {x} | that are not {x} | that are not too {x}
that is not so {x} | less {x} | that doesn't sound {x} | that dont sound too {x} | that don't feel {x}
that do not get too {x} | nothing {x} | never {x} | that's not {x} | thats not too {x} | that was not {x}
shouldn't be {x} | should not be too {x} | that won't be too {x} | without being {x} | without being too {x}
it can't be {x} | nothing that is too {x} | not that {x} | far from {x} | a bit too {x} | that aren't meant to be {x}
non {x} | not really {x} | hardly {x} | with too much {x} | but not {x} | isn't all that {x}
"""
NOTHING = """
not only {x} | not just {x} | not necessarily {x} | not exclusively {x} | not completely {x} | not always {x}
not all {x} | it doesn't have to be {x} | it does not have to be {x} | doesn't need to be {x} | does not need to be {x}
i don't mind {x} | i do not mind {x} | i dont hate {x} | i don't dislike {x} | i can't get enough of {x}
i cant get enough {x} | never get tired of {x} | i'm not sick of {x} | i never get sick of {x} | not bad {x}
no problem with {x} | no problem, {x} | why not {x} | why not some {x} | why don't you play {x} | why dont we try {x}
isn't there any {x} | aren't there {x} songs | don't you have {x} | who doesn't love {x} | can't you find {x}
i can't stop listening to {x} | cant live without {x} | i can't find {x} | i couldn't find any {x} | not sure if {x}
i'm not sure, {x} | if not {x} | no idea, {x} | i have no idea but {x} | no offense but {x} | not without {x}
not opposed to {x} | i'm not against {x} | nothing against {x} | nothing wrong with {x} | nothing beats {x}
no rush, {x} | no particular artist, {x} | i don't know much {x} | i dont know any {x} | i didn't know {x}
i haven't heard {x} | never heard {x} | don't forget {x} | please don't skip {x} | don't leave out {x}
you can't go wrong with {x} | no more than 10 {x} songs | nothing but {x} | i don't usually like {x}
who doesn't usually like {x} | i normally don't like {x} | it isn't a problem if {x} | songs about not being loved, {x}
that aren't just {x} | that isn't only {x} | that don't just do {x} | not to mention {x}
songs about someone who never loves {x} | i'm not the best with titles, {x} | i cant believe it, {x}
not limited to {x} | it doesn't matter if {x} | i don't care if {x} | less than 20 {x} songs | more or less {x}
no preference, {x} | no limits, {x}
"""


def patterns(text: str) -> list[str]:
    """The patterns of a table."""
    return [p.strip() for line in text.strip().splitlines() for p in line.split("|")]


def left_out(text: str) -> list[str]:
    """Tags that a prompt leaves out."""
    return [t.text for t in read(text, VOCABULARY).without_tags]


def wanted(text: str) -> list[str]:
    """Tags that a prompt asks for."""
    return [t.text for t in read(text, VOCABULARY).tags]


@pytest.mark.parametrize("pattern", patterns(NOUNS))
def test_nouns_are_left_out(pattern: str) -> None:
    for x in THINGS:
        text = f"jazz songs {pattern.format(x=x)}" if pattern[0] != "{" else f"jazz songs, {pattern.format(x=x)}"
        assert (wanted(text), left_out(text)) == (["jazz"], [x]), text
        assert left_out(pattern.format(x=x)) == [x]


@pytest.mark.parametrize("pattern", patterns(ADJECTIVES))
def test_qualities_are_left_out(pattern: str) -> None:
    for x in MOODS:
        text = f"some jazz {pattern.format(x=x)}"
        assert (wanted(text), left_out(text)) == (["jazz"], [x]), text


@pytest.mark.parametrize("pattern", patterns(NOTHING))
def test_what_only_looks_like_a_negation_leaves_nothing_out(pattern: str) -> None:
    for x in THINGS:
        assert left_out(pattern.format(x=x)) == [], pattern.format(x=x)


@pytest.mark.parametrize("pattern", [p for p in patterns(NOUNS) if p.endswith("{x}")])
def test_a_negation_ends_where_a_new_clause_begins(pattern: str) -> None:
    for then in (", but i love ", " but with ", ". ", "; ", " | ", ", more ", ", please play "):
        text = f"{pattern.format(x='rap')}{then}jazz"
        assert left_out(text) == ["rap"], text


LISTS = ("rap or metal", "rap, metal or trumpets", "rap, metal, or trumpets", "rap nor metal")
STRONG = (
    "no", "without", "avoid", "except", "anything but", "i hate", "i don't like", "i can't stand", "excluding", "apart from",
    "please don't play", "tired of", "i'm not into", "that don't have", "leave out", "other than", "minus",
)  # fmt: skip


@pytest.mark.parametrize(("cue", "said"), product(STRONG, (*LISTS, "rap and metal", "rap, metal and trumpets")))
def test_a_list_is_left_out_as_a_whole(cue: str, said: str) -> None:
    assert left_out(f"jazz, {cue} {said}") == [t for t in ("rap", "metal", "trumpets") if t in said]


@pytest.mark.parametrize(
    ("text", "gone", "kept"),
    [
        ("no rap and more jazz", ["rap"], ["jazz"]),
        ("no rap and something with trumpets", ["rap"], ["trumpets"]),
        ("no rap, jazz please", ["rap"], ["jazz"]),
        ("no rap, no metal, jazz", ["rap", "metal"], ["jazz"]),
        ("not too slow and dreamy", ["slow"], ["dreamy"]),
        ("jazz instead of rap", ["rap"], ["jazz"]),
        ("less rap more jazz", ["rap"], ["jazz"]),
        ("rap isn't my thing, jazz is", ["rap"], ["jazz"]),
        ("i love jazz but rap is not my cup of tea", ["rap"], ["jazz"]),
        ("anything but rap, metal, trumpets", ["rap", "metal", "trumpets"], []),
        ("songs that aren't meant to be creepy but are", [], ["creepy"]),
        ("vocal-free techno", ["vocal"], ["techno", "instrumental"]),
        ("free jazz with guitar", [], ["free jazz", "guitar"]),
        ("drumless ambient", ["drums"], ["ambient"]),
        ("wordless jazz", ["words"], ["jazz", "instrumental"]),
        ("jazz with no lyrics", ["lyrics"], ["jazz", "instrumental"]),
        ("rock, no covers or remixes", ["covers", "remixes"], ["rock"]),
        ("jazz, no explicit lyrics", [], ["jazz"]),
        ("jazz without sad lyrics", ["sad"], ["jazz"]),
        ("jazz, except rap or metal, family friendly", ["rap", "metal"], ["jazz"]),
        ("rock covers", [], ["rock"]),
        ("jazz, no big band", ["big band"], ["jazz"]),
        ("not only jazz but also rap", [], ["jazz", "rap"]),
        ("no lo-fi", ["lo fi"], []),
    ],
)
def test_what_is_left_out_and_what_is_not(text: str, gone: list[str], kept: list[str]) -> None:
    assert (left_out(text), wanted(text)) == (gone, kept)


@pytest.mark.parametrize(
    "text",
    [
        "no Drake", "anything but Drake", "nothing by Drake", "not by Drake", "songs that aren't by Drake", "i can't stand Drake",
        "i'm sick of Drake", "Drake excluded", "Drake isn't my thing", "no songs by Drake", "without any Drake songs",
        "w/o Drake", "don't play Drake", "not like Drake", "that doesn't sound like Drake", "leave Drake out",
        "artists other than Drake",
    ],
)  # fmt: skip
def test_artists_are_left_out(text: str) -> None:
    intent = read(f"rock, {text}", VOCABULARY)
    assert [a.text for a in intent.without_artists] == ["drake"]
    assert intent.artists == intent.like == ()


@pytest.mark.parametrize("text", ["nothing old", "not too old", "no oldies", "nothing vintage"])
def test_an_age_that_is_denied_asks_for_the_other(text: str) -> None:
    assert read(f"rock, {text}", VOCABULARY).era == "recent"
    assert read("rock, nothing modern", VOCABULARY).era == "old"


def test_a_quality_that_no_list_knows_is_no_name() -> None:
    intent = read("jazz that isn't overproduced", VOCABULARY)
    assert [t.text for t in intent.without_tags] == ["overproduced"]
    assert intent.without_artists == ()


SMALL = (
    "no", "not", "t", "don", "isnt", "dont", "like", "by", "without", "but", "and", ",", "|", "free", "aside", "leave", "out",
    "to", "be", "cant", "stand", "rap", "about", "jazz", "only", "is", "my", "thing", "why", "there", "never", "im", "a",
)  # fmt: skip


@given(st.lists(st.sampled_from(SMALL), max_size=14), st.data())
def test_every_word_gets_one_cue_whatever_is_said(said: list[str], data: st.DataObject) -> None:
    held = data.draw(st.lists(st.integers(0, 1), min_size=len(said), max_size=len(said)))
    found = governed(said, held)
    assert len(found) == len(said)
    assert not any(f.startswith("cue:") for f, inside in zip(found, held, strict=True) if inside)


@given(st.sampled_from(patterns(NOUNS)), st.sampled_from(THINGS), st.booleans())
def test_apostrophes_case_and_marks_change_nothing(pattern: str, x: str, shout: bool) -> None:
    text = pattern.format(x=x)
    plain = text.replace("'", "").replace("’", "")
    assert left_out(plain.upper() if shout else plain) == left_out(text.replace("'", "’")) == [x]
