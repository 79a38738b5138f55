"""Follow-ups: what is said now changes the earlier intent, and nothing else does."""

from tests.transforms.prompts.tiny import vocabulary
from transforms.prompts.followups import followed, others
from transforms.prompts.intent import Intent
from transforms.prompts.parser import read

VOCABULARY = vocabulary()


def after(*texts: str) -> Intent:
    intent = read(texts[0], VOCABULARY)
    for text in texts[1:]:
        intent = followed(intent, read(text, VOCABULARY), text)
    return intent


def words(found: tuple) -> list[str]:
    return [f.text for f in found]


def test_what_was_not_criticised_is_kept() -> None:
    made = after("45 minutes of sad rock from the 90s without Drake", "not sad please")
    assert words(made.tags) == ["rock"]
    assert words(made.without_tags) == ["sad"]
    assert words(made.without_artists) == ["drake"]
    assert (made.minutes, made.years[0].first) == (45, 1990)


def test_lengths_and_years_replace_earlier_ones() -> None:
    made = after("45 minutes of rock from the 90s", "20 songs from the 80s")
    assert (made.size, made.minutes, made.years[0].first) == (20, None, 1980)
    assert after("20 rock songs", "longer").size == 30
    assert after("30 minutes of rock", "a bit shorter").minutes == 20


def test_who_was_left_out_may_come_back() -> None:
    made = after("hip hop without Drake", "songs by Drake are fine, after all")
    assert made.without_artists == ()
    assert words(made.artists) == ["drake"]


def test_instead_replaces_and_otherwise_words_are_added() -> None:
    assert words(after("rock", "soul too").tags) == ["rock", "soul"]
    assert words(after("rock", "make it soul instead").tags) == ["soul"]


def test_more_upbeat_takes_out_what_is_slow() -> None:
    made = after("calm mellow trip-hop", "more upbeat")
    assert (made.tempo, words(made.tags)) == ("fast", ["trip hop", "upbeat"])


def test_starting_over_keeps_nothing_and_others_are_asked_for() -> None:
    assert after("rock without Drake", "start over: soul").without_artists == ()
    assert others("something else please")
    assert not others("more upbeat")
