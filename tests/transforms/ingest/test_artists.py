"""Names beside ids: which of several is the name, what is an alias, and what a catalog's word is worth."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from transforms.formats.songs import CATALOGS_WORD, add_artists, artists_of
from transforms.formats.tables import names_of
from transforms.ingest.artists import merge_artists, with_artist_names


def said(*rows: tuple[str, str, int]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["artist_id", "name", "plays"], orient="row")


def test_the_name_is_what_most_plays_say_and_mere_spellings_are_no_aliases() -> None:
    found = merge_artists(
        None, said(("q", "Queen", 9), ("q", "QUEEN ", 5), ("q", "Queen & Adam Lambert", 1), ("b", "Bowie", 1))
    )
    assert found.rows() == [("b", "Bowie", []), ("q", "Queen", ["Queen & Adam Lambert"])]


def test_a_known_name_stays_whatever_plays_say_and_a_catalog_may_change_it() -> None:
    before = merge_artists(None, said(("q", "Queen", 1)))
    assert merge_artists(before, said(("q", "The Queen", 99))).rows() == [("q", "Queen", ["The Queen"])]
    changed = merge_artists(before, said(("q", "The Queen", CATALOGS_WORD)))
    assert changed.rows() == [("q", "The Queen", ["Queen"])]
    assert merge_artists(changed, said(("q", "Queen", 50))).rows() == changed.rows()


def test_a_catalog_file_may_name_its_artists() -> None:
    frame = pl.DataFrame(
        {"track_id": ["t1", "t2"], "artist_ids": ["q; b", "q"], "artist_names": ["Queen; David Bowie", ""]}
    )
    found = names_of("tracks", frame)
    assert found.select("artist_id", "name").rows() == [("b", "David Bowie"), ("q", "Queen")]
    assert found["plays"].min() == CATALOGS_WORD
    assert names_of("tracks", frame.drop("artist_names")).is_empty()


def test_tracks_are_shown_with_names_and_with_the_id_where_nobody_says_one() -> None:
    tracks = pl.DataFrame({"track_id": ["a", "b", "c", "d"], "artist_ids": [["q", "x"], ["q"], None, ["q", "x"]]})
    artists = merge_artists(None, said(("q", "Queen", 1)))
    named = with_artist_names(tracks, artists)
    assert named["artist_names"].to_list() == [["Queen", "x"], ["Queen"], None, ["Queen", "x"]]
    assert with_artist_names(tracks, None)["artist_names"].to_list() == tracks["artist_ids"].to_list()


credits = st.lists(st.tuples(st.sampled_from(["q", "b"]), st.sampled_from(["Queen", "QUEEN", "Bowie"])), max_size=3)


@given(st.lists(credits, max_size=8), st.integers(0, 8))
def test_counts_of_names_do_not_depend_on_how_a_log_is_cut(plays: list, at: int) -> None:
    def counted(rows: list) -> pl.DataFrame:
        lists = {"artist_ids": [[i for i, _ in r] for r in rows], "artist_names": [[n for _, n in r] for r in rows]}
        return artists_of(pl.DataFrame(lists, schema=dict.fromkeys(lists, pl.List(pl.String))))

    whole = counted(plays)
    assert add_artists([counted(plays[at:]), counted(plays[:at])]).equals(whole)
    assert whole["plays"].sum() == sum(len(r) for r in plays)
