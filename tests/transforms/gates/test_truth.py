"""Reasons are counted as untrue by what listeners did and said."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from transforms.gates.truth import reasons

NIGHT = date(2026, 1, 31)
TRACKS = pl.DataFrame(
    {
        "track_id": ["a", "a-remaster", "b", "c", "n"],
        "recording_id": ["A", "A", "B", "C", "N"],
        "album_id": ["x", "x", "x", "y", "x"],
        "artist_ids": [["Queen"], ["Queen"], ["Queen", "Bowie"], ["Abba"], ["Queen"]],
    }
)


def played(track: str, plays: int = 5, days: float = 1, heard: int | None = None) -> dict[str, object]:
    at = datetime(2026, 2, 1, tzinfo=UTC) - timedelta(days=days)
    return {
        "listener_id": "ann",
        "track_id": track,
        "plays": plays,
        "heard": plays if heard is None else heard,
        "saved": False,
        "last_played_at": at,
    }


LIBRARY = pl.DataFrame([played("a"), played("b", 1), played("c", 9, 40)])
ONLY_SKIPPED = pl.DataFrame([played("a", 4, heard=0)])
NONE_SAID = pl.DataFrame(schema={"listener_id": pl.String, "kind": pl.String, "target": pl.String})


def said(kind: str, target: str) -> pl.DataFrame:
    return pl.DataFrame({"listener_id": ["ann"], "kind": [kind], "target": [target]})


def counts(
    track: str, reason: str, ref: str | None, library: pl.DataFrame = LIBRARY, feedback: pl.DataFrame = NONE_SAID
) -> dict[str, int]:
    item = pl.Struct({"track_id": pl.String, "reason": pl.String, "reason_ref": pl.String})
    rows = {"listener_id": ["ann"], "shelf_id": ["s"], "items": [[(track, reason, ref)]], "spares": [[]]}
    schema = {"listener_id": pl.String, "shelf_id": pl.String, "items": pl.List(item), "spares": pl.List(item)}
    shelves = pl.DataFrame(rows, schema=schema, strict=False)
    return reasons(shelves, library, feedback, TRACKS, NIGHT, 28).counts


def test_what_holds_is_no_fault() -> None:
    for track, reason, ref in (
        ("n", "because_you_played", "a"),
        ("n", "because_you_played", "a-remaster"),  # any version of what was heard
        ("n", "same_album", "b"),
        ("n", "new_from", "b"),
        ("a", "you_keep_playing", "a"),
        ("c", "not_heard_lately", "c"),
        ("n", "popular_in", None),
    ):
        assert counts(track, reason, ref) == {"reasons": 1}, reason


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("cites disliked", counts("n", "follows", "a", feedback=said("dislike", "a-remaster"))),
        ("cites disliked", counts("n", "follows", "a", feedback=said("block_track", "a"))),
        ("cites blocked artist", counts("n", "follows", "b", feedback=said("block_artist", "BOWIE"))),
        ("cites unheard", counts("n", "follows", "a", library=ONLY_SKIPPED)),
        ("cites unheard", counts("n", "follows", "n")),
        ("not kept playing", counts("b", "you_keep_playing", "b")),
        ("not kept playing", counts("c", "you_keep_playing", "c")),
        ("heard lately", counts("a", "not_heard_lately", "a")),
        ("other album", counts("n", "same_album", "c")),
        ("other artist", counts("n", "new_from", "c")),
    ],
)
def test_what_does_not_hold_is_counted_by_kind(kind: str, given: dict[str, int]) -> None:
    assert given == {"reasons": 1, f"untrue {kind}": 1}
