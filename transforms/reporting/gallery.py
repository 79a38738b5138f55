"""The gallery of a night: listeners' shelves as files that a page on disk can load, a few listeners at a time.

A page that was opened as a file may load no data but scripts, so every file is one call with JSON in it:

    gallery/tracks.js        nightshelf.tracks([["Roads", "Portishead"], ...])
    gallery/listeners.js     nightshelf.listeners({"rows": [["ann", 0, "SE", 812, 15, 0], ...], ...})
    gallery/part-0003.js     nightshelf.part(3, {"17": [[4, 0, 12, -1, "2026-01-26", 20, [[8, 2, 0, 31, 0.041], ...], ...], ...]})

Listeners are numbered by the hash of their ids and stand `PART` to a file; a file's name and the page's address never name one.
Items are numbers that point into tracks and texts, since an item in words would be ten times as long.

Symbols in a part: a listener's shelves in the order of their surfaces, each
`[shelf, status, reason, subtitle, chosen on, spares, items, items the night before or null, removed]`, an item
`[track, source, reason, cited track or -1, p or 0]`, a removed entry `[rule, tracks kept off, [some of them]]`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from transforms.common.hashing import stable_hash
from transforms.shelves.reasons import sentence

PART = 16
STATUSES = ("personal", "fallback", "empty")
SEGMENTS = (  # words, and the fewest tracks in the library
    ("no history", 0),
    ("1 to 49 tracks", 1),
    ("50 to 199 tracks", 50),
    ("200 to 999 tracks", 200),
    ("1,000 tracks and more", 1000),
)
SUSPECT = "looks like a machine"
NAMED = 5  # removed tracks of a rule that are named
REF = "\u0001"  # stands for the cited track in a reason


@dataclass(frozen=True)
class GalleryFacts:
    """What the gallery shows.

    Attributes:
        day: the night.
        before: the night before it that is shown beside it; None where there is none.
        shelves: rows of table `shelves` of the listeners who are shown.
        earlier: theirs of the night before: listener_id, shelf_id, items.
        removed: theirs of table `removed`.
        people: listener_id, market, tracks (in the library), suspect; one row each.
        titles: track_id, title, artists of every track named.
        everybody: listeners of the night, of whom these are some.
    """

    day: date
    before: date | None
    shelves: pl.DataFrame
    earlier: pl.DataFrame
    removed: pl.DataFrame
    people: pl.DataFrame
    titles: pl.DataFrame
    everybody: int


class Words:
    """Texts by number, in the order in which they are first asked for."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def number(self, text: str | None) -> int:
        """Its number; -1 for none."""
        return -1 if text is None else self.known.setdefault(text, len(self.known))

    def numbers(self, texts: pl.Series) -> pl.Series:
        """The numbers of a column; -1 where it is null."""
        named = {text: self.number(text) for text in texts.drop_nulls().unique(maintain_order=True).to_list()}
        return texts.replace_strict(named, default=-1, return_dtype=pl.Int32)


def gallery_files(facts: GalleryFacts) -> Iterator[tuple[str, str]]:
    """(name, text) of the gallery's files of data; the same for the same facts."""
    people = numbered(facts.people)
    tracks, texts = Words(), Words()
    for track in facts.titles["track_id"].to_list():
        tracks.number(track)
    shelves = _shelf_rows(facts, people, tracks, texts)
    yield "tracks.js", _call("tracks", facts.titles.select("title", "artists").rows())
    yield "listeners.js", _call("listeners", _listeners(facts, people, shelves, texts))
    for (part,), rows in shelves.group_by("part", maintain_order=True):
        own = rows.group_by("number", maintain_order=True).agg(pl.col("json").str.join(","))
        body = ",".join(f'"{number}":[{encoded}]' for number, encoded in own.iter_rows())
        yield f"part-{int(str(part)):04d}.js", f"nightshelf.part({part},{{{body}}});\n"


def numbered(people: pl.DataFrame) -> pl.DataFrame:
    """People in the order of their ids' hash, with `number`, `part`, and the segment they are in."""
    order = people.with_columns(_hash=stable_hash(people["listener_id"], purpose="gallery")).sort(
        "_hash", "listener_id"
    )
    least = pl.Series([fewest for _, fewest in SEGMENTS])
    segment = (
        order["tracks"].map_elements(lambda n: int((least <= n).sum()) - 1, return_dtype=pl.Int32).alias("segment")
    )
    of_machines = pl.lit(len(SEGMENTS), dtype=pl.Int32)
    out = order.drop("_hash").with_row_index("number").with_columns(segment, part=pl.col("number") // PART)
    return out.with_columns(segment=pl.when("suspect").then(of_machines).otherwise(segment)).drop("suspect")


def _listeners(facts: GalleryFacts, people: pl.DataFrame, shelves: pl.DataFrame, texts: Words) -> dict[str, Any]:
    personal = shelves.group_by("number").agg(personal=(pl.col("status") == 0).sum())
    rows = people.join(personal, on="number", how="left", maintain_order="left").with_columns(
        pl.col("personal").fill_null(0)
    )
    kinds = facts.shelves.select("shelf_id", "title", "surface").unique("shelf_id").sort("shelf_id")
    return {
        "night": str(facts.day),
        "before": str(facts.before) if facts.before else None,
        "everybody": facts.everybody,
        "rows": rows.select(
            "listener_id", "segment", pl.col("market").fill_null(""), "tracks", "personal", "part"
        ).rows(),
        "segments": [*(words for words, _ in SEGMENTS), SUSPECT],
        "shelves": kinds.rows(),
        "texts": list(texts.known),
        "statuses": STATUSES,
    }


def _shelf_rows(facts: GalleryFacts, people: pl.DataFrame, tracks: Words, texts: Words) -> pl.DataFrame:
    """number, part, status and `json`, one row a listener and shelf in the order of the surfaces."""
    ids = facts.shelves["shelf_id"].unique().sort().to_list()
    rows = facts.shelves.join(people.select("listener_id", "number", "part"), on="listener_id")
    rows = rows.sort("number", "surface", "home_position", "shelf_id").with_row_index("row")
    beside = rows.select("row", "listener_id", "shelf_id")
    before = beside.join(facts.earlier, on=["listener_id", "shelf_id"], how="left", maintain_order="left")
    taken = _removed(facts.removed, tracks, texts)
    frame = rows.select(
        "row",
        "number",
        "part",
        pl.col("shelf_id").replace_strict({s: n for n, s in enumerate(ids)}, return_dtype=pl.Int32).alias("shelf"),
        pl.col("status").replace_strict({s: n for n, s in enumerate(STATUSES)}, return_dtype=pl.Int32),
        texts.numbers(rows["status_reason"]).alias("reason"),
        texts.numbers(rows["subtitle"]).alias("subtitle"),
        pl.col("refresh_date").cast(pl.String).alias("chosen"),
        pl.col("spares").list.len().alias("spares"),
    )
    frame = frame.join(_items(rows, tracks, texts), on="row", how="left", maintain_order="left")
    frame = frame.join(_before(before, tracks), on="row", how="left", maintain_order="left")
    kept_off = beside.join(taken, on=["listener_id", "shelf_id"], how="left", maintain_order="left").select(
        "row", "removed"
    )
    frame = frame.join(kept_off, on="row", how="left", maintain_order="left")
    stood = pl.lit("null") if facts.before is None else pl.col("before").fill_null("null")
    encoded = pl.format(
        '[{},{},{},{},"{}",{},[{}],{},[{}]]',
        "shelf",
        "status",
        "reason",
        "subtitle",
        "chosen",
        "spares",
        pl.col("items").fill_null(""),
        stood,
        pl.col("removed").fill_null(""),
    )
    return frame.with_columns(json=encoded)


def _items(rows: pl.DataFrame, tracks: Words, texts: Words) -> pl.DataFrame:
    """row, `items` as JSON without its brackets."""
    items = rows.select("row", "items").explode("items", keep_nulls=False).drop_nulls("items").unnest("items")
    known = pl.DataFrame({"track_id": list(tracks.known)}, schema={"track_id": pl.String})
    cited = items["reason_ref"].is_in(known["track_id"].implode())
    why = items.select("reason", ref=pl.when(cited).then(pl.lit(REF)).otherwise("reason_ref"))
    words = {pair: sentence(*pair) for pair in why.unique(maintain_order=True).rows()}
    sentences = pl.Series([words[pair] for pair in why.iter_rows()], dtype=pl.String)
    chance = pl.col("propensity").fill_nan(None).round(3).fill_null(0.0)
    return (
        items.select(
            "row",
            "position",
            item=pl.format(
                "[{},{},{},{},{}]",
                _numbers(items["track_id"], tracks),
                texts.numbers(items["source"]),
                texts.numbers(sentences),
                _numbers(items["reason_ref"], tracks),
                pl.when(pl.col("explored")).then(chance).otherwise(0.0),
            ),
        )
        .sort("row", "position")
        .group_by("row", maintain_order=True)
        .agg(items=pl.col("item").str.join(","))
    )


def _before(before: pl.DataFrame, tracks: Words) -> pl.DataFrame:
    """row, `before` as a JSON list of tracks; null where the shelf did not stand."""
    ids = before.select("row", track_id=pl.col("items").list.eval(pl.element().struct.field("track_id")))
    flat = ids.explode("track_id", keep_nulls=False).drop_nulls("track_id")
    titled = flat.select("row", number=_numbers(flat["track_id"], tracks)).group_by("row", maintain_order=True)
    lists = titled.agg(before=pl.col("number").cast(pl.String).str.join(","))
    stood = before.filter(pl.col("items").is_not_null()).select("row")
    return stood.join(lists, on="row", how="left").select(
        "row", before=pl.format("[{}]", pl.col("before").fill_null(""))
    )


def _removed(removed: pl.DataFrame, tracks: Words, texts: Words) -> pl.DataFrame:
    """listener_id, shelf_id, `removed` as JSON without its brackets, most first."""
    named = pl.Series([[tracks.known[t] for t in some[:NAMED] if t in tracks.known] for some in removed["tracks"].to_list()],
                      dtype=pl.List(pl.Int32))  # fmt: skip
    some = named.cast(pl.List(pl.String)).list.join(",")
    rules = texts.numbers(removed["rule"].str.replace_all("_", " "))
    counted = removed.select(
        "listener_id", "shelf_id", "removed", "rule", json=pl.format("[{},{},[{}]]", rules, pl.col("removed"), some)
    )
    ordered = counted.sort("listener_id", "shelf_id", "removed", "rule", descending=[False, False, True, False])
    by = ordered.group_by("listener_id", "shelf_id", maintain_order=True)
    return by.agg(removed=pl.col("json").str.join(","))


def _numbers(ids: pl.Series, tracks: Words) -> pl.Series:
    return ids.replace_strict(tracks.known, default=-1, return_dtype=pl.Int32)


def _call(name: str, body: Sequence[Any] | Mapping[str, Any]) -> str:
    return f"nightshelf.{name}({json.dumps(body, ensure_ascii=False, separators=(',', ':'))});\n"


def named_tracks(shelves: pl.DataFrame, earlier: pl.DataFrame, removed: pl.DataFrame) -> pl.Series:
    """Ids of every track that the gallery names, sorted."""
    fields = [
        frame.select(pl.col("items").explode(keep_nulls=False)).drop_nulls("items").unnest("items")
        for frame in (shelves, earlier)
    ]
    ids = [f[c] for f in fields for c in ("track_id", "reason_ref") if c in f.columns]
    some = removed.select(pl.col("tracks").list.head(NAMED).explode(keep_nulls=False))["tracks"]
    return pl.concat([pl.Series(dtype=pl.String), *(i.cast(pl.String) for i in ids), some]).drop_nulls().unique().sort()
