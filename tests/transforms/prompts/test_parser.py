"""Prompts read by rules: what is said is in the intent, what is not said is not."""

import polars as pl
import pytest

from tests.transforms.prompts.tiny import vocabulary
from transforms.common.text import folded
from transforms.prompts.intent import Intent
from transforms.prompts.numbers import find
from transforms.prompts.parser import read
from transforms.prompts.words import LONGEST, fold, words

VOCABULARY = vocabulary()


def said(text: str) -> dict[str, object]:
    """The intent's fields that say something, names and terms as their words."""
    intent = read(text, VOCABULARY)
    out = {}
    for name in intent.said():
        value = getattr(intent, name)
        if name in ("years", "without_years"):
            value = [(y.first, y.last) for y in value]
        elif isinstance(value, tuple) and value and hasattr(value[0], "text"):
            value = [v.text for v in value]
        out[name] = value
    return out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("45 minutes of soul", {"tags": ["soul"], "minutes": 45.0}),
        ("an hour and a half of trip-hop", {"tags": ["trip hop"], "minutes": 90.0}),
        ("20 rock songs", {"tags": ["rock"], "size": 20}),
        ("rock from the late 90s", {"tags": ["rock"], "years": [(1995, 1999)]}),
        ("rock, 1965 to 1970", {"tags": ["rock"], "years": [(1965, 1970)]}),
        ("60s 70s rock", {"tags": ["rock"], "years": [(1960, 1969), (1970, 1979)]}),
        ("rock not from the 80s", {"tags": ["rock"], "without_years": [(1980, 1989)]}),
        ("hip hop since 2010", {"tags": ["hip hop"], "years": [(2010, None)]}),
        ("hip hop before 2010", {"tags": ["hip hop"], "years": [(None, 2009)]}),
        ("rock from '94", {"tags": ["rock"], "years": [(1994, 1994)]}),
        ("80s to now rock", {"tags": ["rock"], "years": [(1980, None)]}),
        ("2016+ rock", {"tags": ["rock"], "years": [(2016, None)]}),
        ("rock, 1950-60s", {"tags": ["rock"], "years": [(1950, 1969)]}),
        ("music from the 1800s", {"years": [(1800, 1899)]}),
        ("rock from the 80 s", {"tags": ["rock"], "years": [(1980, 1989)]}),
        ("roaring twenties rock", {"tags": ["rock"], "years": [(1920, 1929)]}),
        ("rock from the last 5 years", {"tags": ["rock"], "era": "recent"}),
        ("12 rock and r&b songs", {"tags": ["rock", "r and b"], "size": 12}),
        ("like Portishead Mysterons", {"like": ["portishead", "mysterons"]}),
        ("songs like late night rain by Portishead", {"like": ["late night rain", "portishead"]}),
        ("no Umbrella by Rihanna", {"without_tracks": ["umbrella"]}),
        ("triphop with guitars, sadder", {"tags": ["triphop", "guitars", "sadder"]}),
        ("20th century rock", {"tags": ["rock"], "years": [(1900, 1999)]}),
        ("hip hop without Drake", {"tags": ["hip hop"], "without_artists": ["drake"]}),
        ("hip hop without Drake, Beatles or Rihanna", {"tags": ["hip hop"], "without_artists": ["drake", "beatles", "rihanna"]}),
        ("no drake, rock please", {"tags": ["rock"], "without_artists": ["drake"]}),
        ("like Radiohead but no drums", {"like": ["radiohead"], "without_tags": ["drums"]}),
        ("breakup songs that arent sad", {"tags": ["breakup"], "without_tags": ["sad"]}),
        ("not only rock", {"tags": ["rock"]}),
        ("a non sad rock song", {"tags": ["rock"], "without_tags": ["sad"]}),
        ("songs by Rihanna", {"artists": ["rihanna"]}),
        ("something like Roads by Portishead", {"like": ["roads", "portishead"]}),
        ("music similar to radiohed", {"like": ["radiohed"]}),
        ("rock, nothing explicit", {"tags": ["rock"], "explicit": "no"}),
        ("rock I have never heard", {"tags": ["rock"], "familiarity": "new"}),
        ("obscure rock", {"tags": ["obscure", "rock"], "popularity": "obscure"}),
        ("rock that starts slow and builds up", {"tags": ["rock", "slow"], "tempo": "slow", "order": "rising"}),
        ("", {}),
        ("please", {}),
    ],
)  # fmt: skip
def test_what_is_said_is_read_and_nothing_else(text: str, expected: dict[str, object]) -> None:
    assert said(text) == expected


def test_names_carry_the_catalogs_ids_also_where_they_are_misspelt() -> None:
    (name,) = read("music similar to radiohed", VOCABULARY).like
    assert (name.kind, name.ids) == ("artist", ("radiohead",))


def test_a_name_that_the_catalog_lacks_stays_a_name() -> None:
    (name,) = read("songs similar to neutral milk hotel", VOCABULARY).like
    assert (name.text, name.kind, name.ids) == ("neutral milk hotel", "unknown", ())


def test_a_second_length_is_not_obeyed_and_not_passed_over() -> None:
    intent = read("30 minutes, no wait, 45 minutes of soul", VOCABULARY)
    assert intent.minutes == 30
    assert "45 minutes" in intent.unclear[0]


@pytest.mark.parametrize(
    "text", ["songs like doom 2016 soundtrack by mick", "teeth by 5 seconds of summer", "chapter 7", "soft 808 vibe"]
)
def test_numbers_that_mean_nothing_are_left_alone(text: str) -> None:
    assert find(text) == []


@pytest.mark.parametrize("text", ["Café del Mar", "BJÖRK & straße", "Ænima", "Пётр", "ﬁne", "a\x00b", "日本語"])
def test_prompts_fold_as_titles_do(text: str) -> None:
    assert fold(text) == pl.select(folded(pl.lit(text))).item()


def test_a_very_long_prompt_is_read_to_its_limit() -> None:
    assert len(words("rock " * 10_000)) <= LONGEST
    assert read("rock " * 10_000, VOCABULARY).tags[0].text == "rock"


@pytest.mark.parametrize(
    "text", ["🎸🎸", "\x00\x1b[2J", "a" * 5000, "no no no not without", "((((", "-1 minutes", "0 minutes", "9999 songs"]
)
def test_nothing_that_is_typed_is_an_error(text: str) -> None:
    assert isinstance(read(text, VOCABULARY), Intent)
