"""Names stand wherever a person reads: every format that has them fills `artists`, and a night carries them to its items.

Each format's log says the same: ann played "Monkey" by Low; where the format has ids of artists, Low's is `LOW_ID`.
"""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from nightshelf.reader import open_night
from pipelines.cli.report import report
from pipelines.cli.show import show
from pipelines.ingest import ingest
from pipelines.nightly import night
from pipelines.runtime.config import Settings
from pipelines.simulate import simulate
from transforms.serving.changes import KEY
from transforms.serving.lines import lines
from transforms.tables.as_of import as_of
from transforms.tables.warehouse import Warehouse

LOW_ID, MONKEY_ID = "9b1f2c3d-1111-4000-8000-000000000001", "9b1f2c3d-2222-4000-8000-000000000002"
START = datetime(2026, 1, 5, 10, tzinfo=UTC)
END = date(2026, 1, 9)
SPOTIFY = {
    "ts": "2026-01-05T10:03:20Z",
    "ms_played": 200_000,
    "master_metadata_track_name": "Monkey",
    "master_metadata_album_artist_name": "Low",
    "spotify_track_uri": "spotify:track:m",
}
BRAINZ = {
    "user_name": "ann",
    "listened_at": int(START.timestamp()),
    "track_metadata": {
        "track_name": "Monkey",
        "artist_name": "Low",
        "additional_info": {"recording_mbid": MONKEY_ID, "artist_mbids": [LOW_ID]},
    },
}
COLUMNS = {
    "listener_id": "ann",
    "track_id": "m",
    "started_at": START,
    "title": "Monkey",
    "artist_id": LOW_ID,
    "artist": "Low",
}


def written(format_name: str, path: Path) -> Path:
    if format_name == "lastfm-1k":
        path.write_text(f"ann\t2026-01-05T10:00:00Z\t{LOW_ID}\tLow\t{MONKEY_ID}\tMonkey\n")
    elif format_name == "listenbrainz":
        path.write_text(json.dumps(BRAINZ) + "\n")
    elif format_name == "spotify-history":
        path.write_text(json.dumps([SPOTIFY]))
    elif format_name == "csv":
        pl.DataFrame([COLUMNS]).with_columns(pl.col("started_at").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).write_csv(path)
    else:
        pl.DataFrame([COLUMNS]).write_parquet(path)
    return path


def names_of(url: str, day: date) -> dict[str, str]:
    """Table `artists` as a night of `day` reads it."""
    manifest = as_of(url, day).artists()
    assert manifest is not None
    return dict(Warehouse(url).read("artists", manifest.date).select("artist_id", "name").rows())


@pytest.mark.parametrize(
    ("format_name", "artist_id", "over"),
    [
        ("lastfm-1k", LOW_ID, {}),
        ("listenbrainz", LOW_ID, {}),
        ("spotify-history", "Low", {"listener": "ann"}),
        ("csv", LOW_ID, {}),
        ("parquet", LOW_ID, {}),
    ],
)
def test_every_format_with_names_fills_the_table_of_artists(
    tmp_path: Path, format_name: str, artist_id: str, over: dict[str, Any]
) -> None:
    log = written(format_name, tmp_path / "log")
    url = str(tmp_path / "warehouse")
    ingest(url, format_name, [str(log)], end_date=END, settings=Settings.model_validate({"shards": 1}), **over)
    assert names_of(url, END) == {artist_id: "Low"}
    (track,) = Warehouse(url).read("tracks", START.date()).select("title", "artist_ids").rows()
    assert track == ("Monkey", [artist_id])


def test_the_simulators_artists_have_names_too(tmp_path: Path) -> None:
    simulate(listeners=20, tracks=60, days=3, out=str(tmp_path / "world"), seed=4)
    world = tmp_path / "world"
    found = ingest(
        str(tmp_path / "warehouse"),
        "csv",
        [str(world / "listens" / "*")],
        mapping=str(world / "mapping.yaml"),
        tracks=str(world / "tracks.parquet"),
        end_date=date(2026, 1, 31),
        settings=Settings.model_validate({"shards": 1}),
        accept_gates=True,
    )
    assert found.listens
    names = names_of(str(tmp_path / "warehouse"), date(2026, 1, 31))
    credited = set(pl.read_parquet(world / "tracks.parquet")["artist_ids"].explode())
    assert credited <= set(names) and all(name and name != artist for artist, name in names.items())


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A night of eight listeners over a Last.fm log: artists are UUIDs there, with names beside them."""
    folder = tmp_path_factory.mktemp("names")
    uuid = "00000000-{:04}-4000-8000-{:012}"
    lines = []
    for day in range(5):
        for n in range(8):
            for k in range(6):
                t = (5 * n + 3 * day + 2 * k) % 24
                at = START + timedelta(days=day, minutes=4 * k)
                lines.append(
                    f"u{n}\t{at:%Y-%m-%dT%H:%M:%SZ}\t{uuid.format(1, t // 3)}\tBand {t // 3}\t{uuid.format(2, t)}\tSong {t}"
                )
    (folder / "log.tsv").write_text("\n".join(lines) + "\n")
    settings = Settings.model_validate(
        {
            "shards": 1,
            "models": {"als": {"factors": 8, "iterations": 2}, "use_two_tower": False, "use_sequence": False},
            "bootstrap": {"nights": 1, "days_apart": 1},
            "outcomes": {"horizons": [1]},
            "ranker": {"kind": "blend"},
        }
    )
    url = str(folder / "warehouse")
    ingest(url, "lastfm-1k", [str(folder / "log.tsv")], end_date=END, settings=settings)
    night(url, END, settings)
    return url


def items(url: str, listener: str) -> list[dict[str, Any]]:
    return [item for shelf in open_night(url).shelves(listener) for item in (*shelf["items"], *shelf["spares"])]


def test_items_carry_title_and_names_beside_ids(named: str) -> None:
    found = items(named, "u1")
    assert found
    for item in found:
        number = int(item["track_id"][-12:])
        assert item["title"] == f"Song {number}" and item["artist_names"] == [f"Band {number // 3}"]
        assert item["artist_ids"][0].startswith("00000000-0001")


def test_a_published_line_carries_them(named: str) -> None:
    rows = Warehouse(named).read("shelves", END).filter(listener_id="u1")
    changes = rows.select(*KEY, changed_at=pl.lit(START))
    (line,) = lines(rows, changes, START)["line"]
    first = next(shelf["items"][0] for shelf in json.loads(line)["shelves"] if shelf["items"])
    number = int(first["track_id"][-12:])
    assert (first["title"], first["artist_names"]) == (f"Song {number}", [f"Band {number // 3}"])


def test_the_terminal_shows_names_in_items_and_reasons_and_no_id(named: str) -> None:
    out = io.StringIO()
    show(named, "u1", why=True, console=Console(file=out, width=160))
    text = out.getvalue()
    assert "Song " in text and "Band " in text and "00000000-" not in text
    cites = [i for i in items(named, "u1") if i["reason_ref"] and i["reason"] != "popular_in"]
    assert cites, "some reason names a track"
    told = {f"Song {n} · Band {n // 3}" for n in (int(item["reason_ref"][-12:]) for item in cites)}
    assert all(f"{one}\n" in text or one in text for one in told)


def test_the_report_and_its_gallery_show_names(named: str) -> None:
    report(named, END)
    texts = [path.read_text() for path in (Path(named) / "reports").rglob("*") if path.is_file()]
    assert any("Band 1" in text for text in texts)
