"""The source `albums` on the world reckoned by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tests.transforms.candidates.worlds import (
    NIGHT,
    ROSTER,
    blocks_of,
    catalog_of,
    default_sources,
    item,
    learned_from,
    listens,
)
from transforms.candidates import albums
from transforms.candidates.albums import Albums
from transforms.candidates.settings import SourceSettings

PLAYS = listens()
# ann heard a b c, cat heard f g: of k remain e and h to ann, the second of which follows c
TRACKS = pl.DataFrame(
    {
        "track_id": list("abcdefgh"),
        "album_id": ["k", "k", "k", "single", "k", "m", "m", "k"],
        "disc_no": [1, 1, 1, 1, 1, None, None, 1],
        "track_no": [1, 2, 4, 1, 9, 1, 2, 5],
    }
)
CATALOG = catalog_of(PLAYS, TRACKS)
BLOCK = blocks_of(PLAYS, CATALOG)[0]
ANN, CAT = ROSTER.index("ann"), ROSTER.index("cat")


def listed(source: Albums, row: int, k: int = 10) -> list[str]:
    found = source.score(BLOCK).top(k, BLOCK.heard(CATALOG))
    return [CATALOG.track_ids[i] for i in found.items[found.rows == row]]


def test_the_rest_of_an_album_is_found_and_what_comes_next_is_first() -> None:
    assert listed(Albums(CATALOG), ANN) == ["h", "e"]
    assert listed(Albums(CATALOG), CAT) == []  # cat has heard all of m


def test_the_score_grows_with_plays_and_with_the_share_that_was_heard() -> None:
    mine = BLOCK.history.filter(pl.col("row") == ANN)
    liked = np.log1p(mine["decayed_plays"].sum() + 3 * 0.05) * np.sqrt(3 / 5)
    scores = Albums(CATALOG).score(BLOCK).of(np.int32([ANN, ANN]), np.int32([item(CATALOG, t) for t in "he"]))
    assert scores.tolist() == pytest.approx([2 * liked, liked], rel=1e-5)


def test_a_limit_bounds_what_is_retrieved() -> None:
    assert listed(Albums(CATALOG, most=1), ANN) == ["h"]


def test_the_reason_is_a_heard_track_of_the_album() -> None:
    why = Albums(CATALOG).explain(BLOCK, np.int32([ANN, ANN]), np.int32([item(CATALOG, "h"), item(CATALOG, "d")]))
    assert CATALOG.track_ids[why[0]] in ("a", "b") and why[1] == 0


def test_an_id_that_too_many_tracks_share_is_no_album(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(albums, "LARGEST", 4)
    assert listed(Albums(CATALOG), ANN) == []


def test_without_albums_or_switched_off_there_is_no_such_source() -> None:
    learned = learned_from(PLAYS, CATALOG)

    def names(catalog: object, **settings: bool) -> list[str]:
        return [s.name for s in default_sources(learned, catalog, NIGHT, settings=SourceSettings(**settings))]  # type: ignore[arg-type]

    assert "albums" in names(CATALOG)
    assert "albums" not in names(CATALOG, albums=False) and "albums" not in names(catalog_of(PLAYS))
