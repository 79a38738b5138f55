"""The gallery's files: small numbers for long words, and a listener's shelves as they stood, beside the night before."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from transforms.reporting.gallery import PART, REF, GalleryFacts, gallery_files, named_tracks, numbered
from transforms.tables.schema import TABLES

DAY, BEFORE = date(2026, 1, 24), date(2026, 1, 23)
SCHEMA = TABLES["shelves"].polars


def item(position: int, track: str, **facts: object) -> dict[str, object]:
    return {"position": position, "track_id": track, "reason": "you_keep_playing", "source": "library", **facts}


def shelf(listener: str, shelf_id: str, items: list[dict[str, object]], **facts: object) -> dict[str, object]:
    plain = {"surface": "home", "title": shelf_id.title(), "home_position": 1, "status": "personal", "spares": []}
    return {"listener_id": listener, "shelf_id": shelf_id, "refresh_date": DAY, "items": items, **plain, **facts}


def rows(*shelves: dict[str, object]) -> pl.DataFrame:
    names = (
        *("listener_id", "surface", "shelf_id", "title", "subtitle", "home_position", "status", "status_reason"),
        *("refresh_date", "items", "spares"),
    )
    return pl.DataFrame(list(shelves), schema={n: SCHEMA[n] for n in names})


SHELVES = rows(
    shelf("ann", "discover", [item(1, "a", reason="because_you_played", reason_ref="h", source="als"),
                              item(2, "b", propensity=0.0412, explored=True)], subtitle='for "Ann" </script>'),
    shelf("ann", "repeat", [], home_position=2, status="empty", status_reason="nothing heard lately"),
    shelf("bob", "discover", [item(1, "b", reason="popular_in", reason_ref="SE", source="popular")], status="fallback"),
)  # fmt: skip
EARLIER = rows(shelf("ann", "discover", [item(1, "b"), item(2, "c")])).select("listener_id", "shelf_id", "items")
REMOVED = pl.DataFrame(
    [("ann", "discover", "unheard", 12, ["c", "gone"]), ("ann", "discover", "artist_cap", 30, [])],
    schema=["listener_id", "shelf_id", "rule", "removed", "tracks"],
    orient="row",
)
TITLES = pl.DataFrame(
    [("a", "Roads", "Portishead"), ("b", "Jóga", "Björk"), ("c", "Low", ""), ("h", "Teardrop", "Massive Attack")],
    schema=["track_id", "title", "artists"],
    orient="row",
)
PEOPLE = pl.DataFrame(
    [("ann", "SE", 812, False), ("bob", None, 0, False), ("machine", "SE", 9, True)],
    schema={"listener_id": pl.String, "market": pl.String, "tracks": pl.Int32, "suspect": pl.Boolean},
    orient="row",
)
FACTS = GalleryFacts(DAY, BEFORE, SHELVES, EARLIER, REMOVED, PEOPLE, TITLES, 300)


def files(facts: GalleryFacts = FACTS) -> dict[str, object]:
    """Every file by its name, its JSON read; of parts the second argument."""
    out: dict[str, object] = {}
    for name, text in gallery_files(facts):
        body = text[text.index("(") + 1 : text.rindex(")")]
        out[name] = json.loads(body.partition(",")[2] if name.startswith("part") else body)
    return out


def test_a_listener_is_found_in_their_part_with_shelves_in_the_order_of_the_surface() -> None:
    found = files()
    listeners = found["listeners.js"]
    assert isinstance(listeners, dict)
    assert (listeners["night"], listeners["before"], listeners["everybody"]) == ("2026-01-24", "2026-01-23", 300)
    by_id = {row[0]: (n, row) for n, row in enumerate(listeners["rows"])}
    number, ann = by_id["ann"]
    assert ann[1:] == [3, "SE", 812, 1, number // PART]
    assert listeners["segments"][ann[1]] == "200 to 999 tracks"
    assert listeners["segments"][by_id["bob"][1][1]] == "no history" and by_id["bob"][1][2] == ""
    assert listeners["segments"][by_id["machine"][1][1]] == "looks like a machine"
    texts, tracks = listeners["texts"], found["tracks.js"]
    assert isinstance(tracks, list)
    (discover, repeat) = found["part-0000.js"][str(number)]  # type: ignore[index]
    kind, status, reason, subtitle, chosen, spares, items, before, removed = discover
    assert (
        listeners["shelves"][kind] == ["discover", "Discover", "home"] and listeners["statuses"][status] == "personal"
    )
    assert reason == -1 and texts[subtitle] == 'for "Ann" </script>' and chosen == "2026-01-24" and spares == 0
    track, source, why, cited, chance = items[0]
    assert tracks[track] == ["Roads", "Portishead"] and texts[source] == "als" and chance == 0
    assert texts[why].replace(REF, tracks[cited][0]) == "because you played Teardrop"
    assert items[1][4] == 0.041 and items[1][3] == -1 and texts[items[1][2]] == "you keep playing it"
    assert [tracks[t][0] for t in before] == ["Jóga", "Low"]
    assert [(texts[rule], count, [tracks[t][0] for t in some]) for rule, count, some in removed] == [
        ("artist cap", 30, []),
        ("unheard", 12, ["Low"]),
    ]
    assert repeat[6:] == [[], None, []] and texts[repeat[2]] == "nothing heard lately"
    (bobs,) = found["part-0000.js"][str(by_id["bob"][0])]  # type: ignore[index]
    assert texts[bobs[6][0][2]] == "popular in SE" and bobs[6][0][3] == -1


def test_a_first_night_has_nothing_beside_it_and_the_same_facts_are_the_same_files() -> None:
    alone = replace(FACTS, before=None, earlier=EARLIER.clear(), removed=REMOVED.clear())
    part = files(alone)["part-0000.js"]
    assert isinstance(part, dict) and all(shelf[7] is None for shelves in part.values() for shelf in shelves)
    assert list(gallery_files(FACTS)) == list(gallery_files(FACTS))


def test_no_file_is_named_after_a_listener_and_parts_hold_few() -> None:
    many = pl.DataFrame({"listener_id": [f"zq-{n}" for n in range(100)]}).with_columns(
        market=pl.lit("SE"), tracks=pl.lit(5, dtype=pl.Int32), suspect=pl.lit(False)
    )
    shelves = rows(*(shelf(who, "discover", [item(1, "a")]) for who in many["listener_id"]))
    found = dict(gallery_files(replace(FACTS, people=many, shelves=shelves)))
    assert len([name for name in found if name.startswith("part")]) == -(-100 // PART)
    assert not any("zq" in name for name in found)
    assert "zq-1" in found["listeners.js"] and not any("zq" in text for name, text in found.items() if "part" in name)
    shuffled = numbered(many.sample(fraction=1, shuffle=True, seed=1))
    assert shuffled.equals(numbered(many)), "numbers are by hash, not by the order in which listeners come"


@pytest.mark.parametrize(("tracks", "segment"), [(0, 0), (1, 1), (49, 1), (50, 2), (199, 2), (1000, 4), (10_000, 4)])
def test_segments_by_what_listeners_have_played(tracks: int, segment: int) -> None:
    one = PEOPLE.head(1).with_columns(tracks=pl.lit(tracks, dtype=pl.Int32))
    assert numbered(one)["segment"].to_list() == [segment]


def test_every_track_that_is_named_has_a_title() -> None:
    assert named_tracks(SHELVES, EARLIER, REMOVED).to_list() == ["SE", "a", "b", "c", "gone", "h"]
