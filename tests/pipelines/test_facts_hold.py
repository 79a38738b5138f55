"""What is known of a track holds on every shelf: a whole small night whose log and catalog are as untidy as real ones.

Twelve listeners share a taste for ten special tracks that carry the untidiness; a few others share the taste, have never
heard these, and each has one reason why one of them must not be shown.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from pipelines.ingest import ingest
from pipelines.nightly import night
from pipelines.runtime.config import Settings
from transforms.tables.warehouse import Warehouse

FIRST = date(2026, 1, 1)
NIGHT = FIRST + timedelta(7)
SETTINGS = Settings.model_validate(
    {
        "shards": 1,
        "models": {"als": {"factors": 8, "iterations": 2}, "use_two_tower": False, "use_sequence": False},
        "candidates": {"per_source": 60},
        "bootstrap": {"nights": 1, "days_apart": 2},
        "outcomes": {"horizons": [2]},
        "ranker": {"kind": "linear"},
    }
)
CATALOG = """track_id,title,artist_ids,released_on,explicit,markets,isrc
early,Early Single,madge,2026-02-13,true,SE,
late,Late Single,madge,2001,true,SE,
song,Tune,tuner,2001-01-01,false,,
remaster,Tune - 2026 Remaster,tuner,2026-02-13,false,,
blanks,Under Water,queen; bowie,2001-01,false,SE; NO,
composed,Jóga,NFC,2001-01-01,false,,
decomposed,Jóga,NFD,2001-01-01,false,,
loud,Loud,loud,2001-01-01,1.0,,
one,One,x1,2001-01-01,0.0,,N/A
two,Two,x2,2001-01-01,0.0,,N/A
"""
SPECIAL = [line.split(",")[0] for line in CATALOG.splitlines()[1:]]
PLAIN = [f"t{n}" for n in range(20)]
READERS = (
    "no-madge",
    "no-bowie",
    "clean",
    "nan-clean",
    "abroad",
    "knows-song",
    "knows-composed",
    "knows-one",
    "anyone",
)


def plays() -> list[tuple[str, str, str]]:
    rows = []
    for day in range(8):
        start = datetime.combine(FIRST + timedelta(day), datetime.min.time(), UTC) + timedelta(hours=9)
        for n in range(12):
            pool = PLAIN + SPECIAL
            heard = [pool[(7 * n + 5 * day + 3 * k) % len(pool)] for k in range(8)]
            rows += [(f"u{n}", t, (start + timedelta(minutes=4 * k)).isoformat()) for k, t in enumerate(heard)]
        for n, who in enumerate(READERS):
            known = who.removeprefix("knows-")
            heard = [PLAIN[(n + day + 2 * k) % 12] for k in range(4)] + ([known] if known in SPECIAL else [])
            rows += [(who, t, (start + timedelta(minutes=4 * k)).isoformat()) for k, t in enumerate(heard)]
    return rows


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """listener_id, track_id of every item and spare of the night."""
    folder = tmp_path_factory.mktemp("facts")
    pl.DataFrame(plays(), schema=["listener_id", "track_id", "started_at"], orient="row").write_csv(folder / "log.csv")
    forms = {"NFC": unicodedata.normalize("NFC", "Björk"), "NFD": unicodedata.normalize("NFD", "BJÖRK")}
    catalog = CATALOG
    for word, name in forms.items():
        catalog = catalog.replace(word, name)
    plain = "".join(f"{t},Song {t},art{n // 2},2001-01-01,false,,\n" for n, t in enumerate(PLAIN))
    (folder / "tracks.csv").write_text(catalog + plain)
    (folder / "listeners.csv").write_text(
        "listener_id,market,explicit_ok\nclean,SE,0.0\nnan-clean,SE,nan\nabroad,us,yes\n"
    )
    (folder / "feedback.csv").write_text(
        "listener_id,kind,target,at\n"
        "no-madge, Block_Artist ,MADGE,2026-01-02T00:00:00Z\nno-bowie,block-artist, bowie ,2026-01-02T00:00:00Z\n"
    )
    url = str(folder / "warehouse")
    files = {"tracks": "tracks.csv", "listeners_file": "listeners.csv", "feedback": "feedback.csv"}
    ingest(
        url,
        "csv",
        [str(folder / "log.csv")],
        end_date=NIGHT,
        settings=SETTINGS,
        **{option: str(folder / name) for option, name in files.items()},
    )
    night(url, NIGHT, SETTINGS)
    shelves = Warehouse(url).read("shelves", NIGHT)
    parts = [
        shelves.select("listener_id", "shelf_id", entry=pl.col(kind)).explode("entry").drop_nulls("entry")
        for kind in ("items", "spares")
    ]
    return pl.concat(parts).unnest("entry").select("listener_id", "shelf_id", "track_id")


def seen_by(shown: pl.DataFrame, who: str, shelf: str | None = None) -> set[str]:
    mine = shown.filter(pl.col("listener_id") == who)
    return set((mine.filter(pl.col("shelf_id") == shelf) if shelf else mine)["track_id"].to_list())


def test_the_special_tracks_are_shown_where_nothing_speaks_against_them(shown: pl.DataFrame) -> None:
    found = seen_by(shown, "anyone")
    assert {"late", "song", "blanks", "loud", "one", "two"} <= found and found & {"composed", "decomposed"}


def test_nobody_is_shown_what_is_not_released_yet_though_some_have_played_it(shown: pl.DataFrame) -> None:
    assert not set(shown["track_id"]) & {"early", "remaster"}


@pytest.mark.parametrize(
    ("who", "never"),
    [
        ("no-madge", {"early", "late"}),
        ("no-bowie", {"blanks"}),
        ("clean", {"early", "late", "loud"}),
        ("nan-clean", {"early", "late", "loud"}),
        ("abroad", {"early", "late", "blanks"}),
    ],
)
def test_blocks_explicit_and_market_hold_however_they_are_written(
    shown: pl.DataFrame, who: str, never: set[str]
) -> None:
    found = seen_by(shown, who)
    assert found and not found & never


@pytest.mark.parametrize(
    ("who", "never", "still"),
    [
        ("knows-song", {"song", "remaster"}, {"one"}),
        ("knows-composed", {"composed", "decomposed"}, {"song"}),
        ("knows-one", {"one"}, {"two"}),
    ],
)
def test_a_heard_song_does_not_come_back_and_a_placeholder_hides_no_other(
    shown: pl.DataFrame, who: str, never: set[str], still: set[str]
) -> None:
    found = seen_by(shown, who, "discover-weekly")
    assert still <= found and not found & never
