"""Recordings: which tracks are the same music, by a table of examples."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.ingest.catalog import merge_tracks, normalised_title, recordings, version_words, with_recordings

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


def test_an_isrc_joins_what_titles_would_not_but_never_a_live_version() -> None:
    one, spelt, live, untitled = recording_ids(
        [
            {"track_id": "a", "title": "Song", "artist_ids": ["low"], "isrc": "USABC1234567"},
            {"track_id": "b", "title": "Chanson", "artist_ids": ["Low (band)"], "isrc": "us-abc-12-34567"},
            {"track_id": "c", "title": "Song (Live)", "artist_ids": ["low"], "isrc": "USABC1234567"},
            {"track_id": "d", "title": None, "artist_ids": None, "isrc": "USABC1234567"},
        ]
    )
    assert one == spelt == untitled != live


def test_groups_are_transitive_across_ids_and_titles() -> None:
    ids = recording_ids(
        [
            {"track_id": "a", "title": "Song", "artist_ids": ["low"]},
            {"track_id": "b", "title": "Song", "artist_ids": ["low"], "mbid": "M1"},
            {"track_id": "c", "title": "Lied", "artist_ids": ["tief"], "mbid": "m1", "isrc": "X1"},
            {"track_id": "d", "title": "Canto", "artist_ids": ["x"], "isrc": "X1"},
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
