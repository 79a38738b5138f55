"""Recordings: which tracks are the same music, by a table of examples."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.common.text import normalised_title, version_words
from transforms.ingest.catalog import merge_tracks, recordings, with_recordings

SAME = [
    ("Song", "Song - 2011 Remaster"),
    ("Song", "Song - Remastered 2011"),
    ("Song", "Song (Remastered)"),
    ("Song", "Song [2009 Digital Remaster]"),
    ("Song", "Song - Remastered Version"),
    ("Song", "Song (Mono)"),
    ("Song", "Song - Stereo Mix"),
    ("Song", "Song - Mono / 2011 Remaster"),
    ("Song", "Song (Explicit)"),
    ("Song", "Song (Clean Version)"),
    ("Song", "Song (feat. Ann)"),
    ("Song", "Song [ft. Ann & Bob]"),
    ("Song", "Song feat. Ann"),
    ("Song", "Song - Album Version"),
    ("Song", "Song (Single Version)"),
    ("Song", "Song - Original Mix"),
    ("Song", "Song (2011)"),
    ("Song", "Song - Bonus Track"),
    ("Song", "Song (feat. Ann) - 2011 Remaster"),
    ("Song", "Song (feat. Ann) [2011 Remaster]"),
    ("Song", "  SONG  "),
    ("Don't Stop", "Don’t Stop"),
    ("Rock & Roll", "Rock and Roll"),
    ("Café", "Cafe"),
    ("Ｓｏｎｇ", "Song"),
    ("Große Freiheit", "Grosse Freiheit"),
    ("Song (Live)", "Song - Live"),
    ("Song (Live) [2011 Remaster]", "Song - Live"),
    ("Song (feat. Ann) (Live)", "Song - Live"),
    ("さくら", "さくら (2011 Remaster)"),
]
DIFFERENT = [
    ("Song", "Song (Live)"),
    ("Song", "Song - Live at Wembley, 1986"),
    ("Song", "Song feat. Ann - Live"),
    ("Song", "Song (Acoustic)"),
    ("Song", "Song - Bob Remix"),
    ("Song", "Song (Cover)"),
    ("Song", "Song (Karaoke Version)"),
    ("Song", "Song - Instrumental"),
    ("Song", "Song (Demo)"),
    ("Song", "Song - Extended Mix"),
    ("Song", "Song (Part 2)"),
    ("Song", "Song 2"),
    ("(I Can't Get No) Satisfaction", "Satisfaction"),
    ("Live Forever", "Forever"),
    ("1999", "1999 (Remix)"),
    ("か", "が"),
    ("!!!", "???"),
    ("Remaster", "Mono"),
]


def recording_ids(rows: list[dict[str, object]]) -> list[str]:
    schema = {
        "track_id": pl.String,
        "title": pl.String,
        "artist_ids": pl.List(pl.String),
        "isrc": pl.String,
        "mbid": pl.String,
    }
    return recordings(pl.DataFrame(rows, schema=schema)).to_list()


def by_one_artist(*titles: str) -> list[str]:
    return recording_ids([{"track_id": f"t{i}", "title": t, "artist_ids": ["low"]} for i, t in enumerate(titles)])


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_recording(one: str, other: str) -> None:
    first, second = by_one_artist(one, other)
    assert first == second


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_not_the_same_recording(one: str, other: str) -> None:
    first, second = by_one_artist(one, other)
    assert first != second


def test_the_main_artist_decides_and_guests_do_not() -> None:
    mine, ours, yours = recording_ids(
        [
            {"track_id": "a", "title": "Song", "artist_ids": ["low"]},
            {"track_id": "b", "title": "Song", "artist_ids": ["low", "ann"]},
            {"track_id": "c", "title": "Song", "artist_ids": ["ann", "low"]},
        ]
    )
    assert mine == ours != yours


ISRC = "USABC1234567"
MBID = "9b1f2c3d-1111-4000-8000-000000000001"


def test_an_isrc_joins_what_artists_would_not_but_never_a_live_version() -> None:
    one, spelt, longer, live, untitled = recording_ids(
        [
            {"track_id": "a", "title": "Song", "artist_ids": ["low"], "isrc": ISRC},
            {"track_id": "b", "title": "SONG - 2011 Remaster", "artist_ids": ["Low (band)"], "isrc": "us-abc-12-34567"},
            {"track_id": "e", "title": "Song, Part One", "artist_ids": ["Low (band)"], "isrc": ISRC},
            {"track_id": "c", "title": "Song (Live)", "artist_ids": ["low"], "isrc": ISRC},
            {"track_id": "d", "title": None, "artist_ids": None, "isrc": ISRC},
        ]
    )
    assert one == spelt == longer == untitled != live


@pytest.mark.parametrize(("column", "value"), [("isrc", ISRC), ("mbid", MBID)])
def test_an_id_does_not_join_titles_that_disagree(column: str, value: str) -> None:
    one, other, untitled = recording_ids(
        [
            {"track_id": "a", "title": "Song", "artist_ids": ["low"], column: value},
            {"track_id": "b", "title": "Dance", "artist_ids": ["can"], column: value},
            {"track_id": "c", "title": None, "artist_ids": None, column: value},
        ]
    )
    assert len({one, other, untitled}) == 3, "and whose untitled track it is, nobody knows"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("isrc", v) for v in ("N/A", "none", "0", "-", "USABC123456", "12ABC1234567", "USABC0000000")),
        *(("mbid", v) for v in ("None", "N/A", "m1", "00000000-0000-0000-0000-000000000000")),
    ],
)
def test_an_id_that_is_none_joins_nothing(column: str, value: str) -> None:
    rows = [{"track_id": f"t{n}", "title": "Intro", "artist_ids": [f"x{n}"], column: value} for n in range(3)]
    assert len(set(recording_ids(rows))) == 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Low", "LOW"),
        ("Bj\u00f6rk", "Bjo\u0308rk"),
        ("Simon & Garfunkel", "Simon and Garfunkel"),
        (" Simon  &  Garfunkel ", "Simon&Garfunkel"),
        ("Guns N\u2019 Roses", "Guns N' Roses"),
        ("Jay\u2010Z", "Jay-Z"),
    ],
)
def test_spellings_of_an_artists_name_are_one_artist(one: str, other: str) -> None:
    rows = [{"track_id": n, "title": "Song", "artist_ids": [name]} for n, name in (("a", one), ("b", other))]
    assert len(set(recording_ids(rows))) == 1


@pytest.mark.parametrize(("one", "other"), [("AC/DC", "ACDC"), ("!!!", "???"), ("\u304b", "\u304c"), ("Low", "Lows")])
def test_names_that_differ_in_more_are_two_artists(one: str, other: str) -> None:
    rows = [{"track_id": n, "title": "Song", "artist_ids": [name]} for n, name in (("a", one), ("b", other))]
    assert len(set(recording_ids(rows))) == 2


def test_groups_are_transitive_across_ids_and_titles() -> None:
    ids = recording_ids(
        [
            {"track_id": "a", "title": "Song", "artist_ids": ["low"]},
            {"track_id": "b", "title": "Song", "artist_ids": ["low"], "mbid": MBID.upper()},
            {"track_id": "c", "title": "The Song", "artist_ids": ["tief"], "mbid": MBID, "isrc": ISRC},
            {"track_id": "d", "title": "The Song", "artist_ids": ["x"], "isrc": ISRC},
        ]
    )
    assert len(set(ids)) == 1


def test_tracks_nothing_is_known_of_are_their_own_recordings() -> None:
    ids = recording_ids(
        [{"track_id": "a"}, {"track_id": "b"}, {"track_id": "c", "title": "Song"}, {"track_id": "d", "title": "Song"}]
    )
    assert len(set(ids)) == 4


@given(st.permutations(range(6)))
def test_order_of_input_does_not_matter(order: list[int]) -> None:
    rows = [
        {"track_id": f"t{i}", "title": t, "artist_ids": ["low"]}
        for i, t in enumerate(["A", "A (Mono)", "B", "B - Live", "A (Live)", "A - Live"])
    ]
    expected = dict(zip((r["track_id"] for r in rows), recording_ids(rows), strict=True))
    shuffled = [rows[i] for i in order]
    assert dict(zip((r["track_id"] for r in shuffled), recording_ids(shuffled), strict=True)) == expected


@given(st.text(max_size=30))
def test_any_title_has_a_name_and_keeps_it(title: str) -> None:
    name, words = (
        pl.DataFrame({"t": [title]}).select(n=normalised_title(pl.col("t")), w=version_words(pl.col("t"))).row(0)
    )
    assert name is not None and words is not None
    assert bool(name) == bool(title.strip()) or not name


def test_a_catalog_row_wins_over_the_log_and_the_log_fills_gaps() -> None:
    before = with_recordings(pl.DataFrame({"track_id": ["a", "b"], "title": ["Old", None], "album_id": ["x", None]}))
    given_rows = pl.DataFrame({"track_id": ["a"], "title": ["New"]})
    derived = pl.DataFrame({"track_id": ["b", "c", "a"], "title": ["From log", "Also", "Ignored"]})
    after = merge_tracks(before, given_rows, derived)
    assert after.select("track_id", "title", "album_id").rows() == [
        ("a", "New", None),
        ("b", "From log", None),
        ("c", "Also", None),
    ]


def test_merging_nothing_changes_nothing() -> None:
    before = with_recordings(pl.DataFrame({"track_id": ["b", "a"], "title": ["B", "A"]}))
    none = pl.DataFrame(schema={"track_id": pl.String})
    assert merge_tracks(before, none, none).equals(before)
