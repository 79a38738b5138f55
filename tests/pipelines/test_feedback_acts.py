"""Every kind of feedback changes what is shown, and undoing it changes it back: one small night of listeners who are alike.

All of them have the same history. One says nothing; of every kind one says it, and one says it and takes it back a day
later. Whoever took it back is shown the very shelves of the one who said nothing.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipelines.file_prompts import file_prompts
from pipelines.ingest import ingest
from pipelines.nightly import night
from pipelines.prompt import prompt
from pipelines.runtime.config import Settings
from transforms.tables.warehouse import Warehouse

FIRST = date(2026, 1, 1)
NIGHT = FIRST + timedelta(7)
SETTINGS = Settings.model_validate(
    {
        "shards": 1,
        "models": {"als": {"factors": 8, "iterations": 2}, "use_two_tower": False, "use_sequence": False},
        "candidates": {"per_source": 80},
        "bootstrap": {"nights": 1, "days_apart": 2},
        "outcomes": {"horizons": [2]},
        "ranker": {"kind": "blend"},
    }
)
TRACKS = [f"t{n}" for n in range(40)]
MINE = TRACKS[:10]  # what the listeners who are alike have played
TARGETS = {
    "save": "t25",
    "like": "t26",
    "own": "t27",
    "dislike": "t3",
    "block_track": "t28",
    "block_artist": "art14",
    "follow_artist": "Newcomer",
    "exclude_from_taste": "speaker",
}
UNDOING = {
    "save": "unsave",
    "like": "unlike",
    "own": "un-own",
    "dislike": "undislike",
    "block_track": "unblock_track",
    "block_artist": "unblock_artist",
    "follow_artist": "unfollow",
    "exclude_from_taste": "include_in_taste",
}


def plays() -> list[tuple[str, str, str, str]]:
    """listener, track, start, device: the second half of what the listeners who are alike play comes from a speaker."""
    rows = []
    alike = ["quiet", *TARGETS, *(f"{kind}-undone" for kind in TARGETS)]
    for day in range(8):
        start = datetime.combine(FIRST + timedelta(day), datetime.min.time(), UTC) + timedelta(hours=9)
        for n in range(14):
            heard = [TRACKS[(7 * n + 5 * day + 3 * k) % len(TRACKS)] for k in range(9)]
            rows += [(f"u{n}", t, (start + timedelta(minutes=4 * k)).isoformat(), "phone") for k, t in enumerate(heard)]
        for who in alike:
            heard = [MINE[(day + 2 * k) % len(MINE)] for k in range(5)]
            rows += [
                (who, t, (start + timedelta(minutes=4 * k)).isoformat(), "phone" if MINE.index(t) < 5 else "speaker")
                for k, t in enumerate(heard)
            ]
    return rows


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    folder = tmp_path_factory.mktemp("feedback")
    pl.DataFrame(plays(), schema=["listener_id", "track_id", "started_at", "device_id"], orient="row").write_csv(
        folder / "log.csv"
    )
    lines = [
        "track_id,title,artist_ids,released_on",
        "fresh,Fresh,Newcomer,2026-01-04",
        "fresher,Fresher,Newcomer,2026-01-05",
    ]
    lines += [f"{t},Song {t},art{n // 2},2001-01-01" for n, t in enumerate(TRACKS)]
    (folder / "tracks.csv").write_text("\n".join(lines) + "\n")
    said = ["listener_id,kind,target,at"]
    for kind, target in TARGETS.items():
        said += [f"{who},{kind},{target},2026-01-03T00:00:00Z" for who in (kind, f"{kind}-undone")]
        said.append(f"{kind}-undone,{UNDOING[kind]},{target},2026-01-04T00:00:00Z")
    (folder / "feedback.csv").write_text("\n".join(said) + "\n")
    url = str(folder / "warehouse")
    found = ingest(
        url,
        "csv",
        [str(folder / "log.csv")],
        tracks=str(folder / "tracks.csv"),
        feedback=str(folder / "feedback.csv"),
        end_date=NIGHT,
        settings=SETTINGS,
    )
    assert found.tables["feedback"]["rejects"] == 0
    night(url, NIGHT, SETTINGS, greedy=True)
    return Warehouse(url)


@pytest.fixture(scope="module")
def shown(warehouse: Warehouse) -> pl.DataFrame:
    """listener_id, shelf_id, tracks in order."""
    tracks = pl.col("items").list.eval(pl.element().struct.field("track_id"))
    return warehouse.read("shelves", NIGHT).select("listener_id", "shelf_id", tracks=tracks)


def of(shown: pl.DataFrame, who: str) -> dict[str, list[str]]:
    return dict(shown.filter(listener_id=who).select("shelf_id", "tracks").rows())


@pytest.mark.parametrize("kind", TARGETS)
def test_an_act_changes_the_shelves_and_undoing_it_changes_them_back(shown: pl.DataFrame, kind: str) -> None:
    quiet = of(shown, "quiet")
    assert of(shown, kind) != quiet
    assert of(shown, f"{kind}-undone") == quiet


@pytest.mark.parametrize("kind", ["save", "like", "own"])
def test_what_is_saved_liked_or_owned_is_no_discovery(shown: pl.DataFrame, kind: str) -> None:
    assert TARGETS[kind] in of(shown, "quiet")["discover-weekly"]
    assert TARGETS[kind] not in of(shown, kind)["discover-weekly"]


def test_a_block_takes_the_track_or_all_of_the_artist(shown: pl.DataFrame) -> None:
    everywhere = {t for tracks in of(shown, "quiet").values() for t in tracks}
    assert {"t28", "t29"} <= everywhere
    assert "t28" not in {t for tracks in of(shown, "block_track").values() for t in tracks}
    assert not {"t28", "t29"} & {t for tracks in of(shown, "block_artist").values() for t in tracks}


def test_a_disliked_track_is_gone_and_no_seed_any_more(shown: pl.DataFrame) -> None:
    assert "t3" in of(shown, "quiet")["on-repeat"]
    mine = of(shown, "dislike")
    assert "t3" not in {t for tracks in mine.values() for t in tracks}
    without = [t for t in of(shown, "quiet")["discover-weekly"]]
    assert mine["discover-weekly"] != without, "it no longer pulls what is like it upwards"


def test_what_is_played_on_a_device_that_is_out_of_taste_comes_last_and_stays_heard(shown: pl.DataFrame) -> None:
    phone, speaker = set(MINE[:5]), set(MINE[5:])
    assert speaker & set(of(shown, "quiet")["on-repeat"][:5])
    assert set(of(shown, "exclude_from_taste")["on-repeat"][:5]) == phone
    assert not speaker & set(of(shown, "exclude_from_taste")["discover-weekly"])


def test_following_an_artist_brings_the_releases(shown: pl.DataFrame) -> None:
    quiet, mine = ({t for tracks in of(shown, who).values() for t in tracks} for who in ("quiet", "follow_artist"))
    assert {"fresh", "fresher"} <= mine and not {"fresh", "fresher"} <= quiet


def test_a_prompt_leaves_out_what_is_blocked_until_the_block_is_undone(warehouse: Warehouse, tmp_path: Path) -> None:
    blocked = {"dislike": {"t3"}, "block_track": {"t28"}, "block_artist": {"t28", "t29"}}
    people = ["quiet", *blocked, *(f"{kind}-undone" for kind in blocked)]
    rows = [{"prompt_id": who, "listener_id": who, "text": "60 songs"} for who in people]
    (tmp_path / "prompts.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    file_prompts(warehouse.url, NIGHT, str(tmp_path / "prompts.jsonl"), settings=SETTINGS)
    prompt(warehouse.url, NIGHT, settings=SETTINGS)
    made = warehouse.read("playlists", NIGHT)
    listed = {who: {i["track_id"] for i in items} for who, items in made.select("listener_id", "items").rows()}
    for kind, tracks in blocked.items():
        assert tracks <= listed["quiet"] and tracks <= listed[f"{kind}-undone"]
        assert not tracks & listed[kind]
