"""Prompts over a simulated catalog, with the truth of what each demands: what a test of constraints needs to know.

Each prompt is put together from parts, each of which adds words to the text and a line to the truth: years or decades,
artists left out, nothing explicit, minutes, a number of tracks, tags, an artist to be like, an artist wanted. Some contradict
themselves, some name what the catalog does not have. Every draw is a hash of seed and number.

    >>> prompts_frame(tracks, artists, 2, seed=1)["text"].to_list()
    ['jazz songs from the 1990s, without The Amber River', '45 minutes of rock and soul, nothing explicit']
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from transforms.common.hashing import uniform

_STRINGS = pl.List(pl.String)
TRUTH: dict[str, pl.DataType | type[pl.DataType]] = {
    **dict.fromkeys(("first", "last", "not_first", "not_last", "size"), pl.Int32),
    **dict.fromkeys(("without", "tags", "without_tags", "unknown"), _STRINGS),
    **dict.fromkeys(("like", "wanted"), pl.String),
    **dict.fromkeys(("explicit", "contradiction"), pl.Boolean),
    "minutes": pl.Float64,
}
_UNKNOWN = ("ukulele", "theremin", "bagpipes", "kalimba", "accordion")
_LEFT_OUT = ("without", "no", "nothing by", "but not", "except", "excluding")
_LENGTHS = (10, 15, 20, 30, 40, 45, 60, 90, 120)
_SIZES = (3, 5, 8, 10, 12, 15, 20, 25, 30, 50)


class _Draws:
    """Numbers in [0, 1) for prompt n, by purpose."""

    def __init__(self, seed: int, n: int) -> None:
        self._seed, self._keys, self._made = seed, np.arange(n), dict[str, np.ndarray]()

    def of(self, purpose: str, n: int) -> float:
        if purpose not in self._made:
            self._made[purpose] = uniform(self._seed, f"prompt {purpose}", self._keys)
        return float(self._made[purpose][n])

    def pick(self, purpose: str, n: int, choices: Sequence[Any]) -> Any:
        return choices[int(self.of(purpose, n) * len(choices))]


def prompts_frame(
    tracks: pl.DataFrame, artists: pl.DataFrame, count: int, seed: int, listeners: Sequence[str] = ()
) -> pl.DataFrame:
    """Prompts and their truth.

    Args:
        tracks: table `tracks`. artists: artist_id, name.
        listeners: who asks, in turn; none = nobody is named.

    Returns:
        prompt_id, listener_id (null = nobody), text, and the columns of `TRUTH`: null or empty where nothing is demanded.
    """
    names = dict(artists.select("artist_id", "name").rows())
    played = tracks.select(pl.col("artist_ids").explode()).to_series().drop_nulls().unique().sort().to_list()
    known = [(i, names[i]) for i in played if i in names]
    tags = tracks.select(pl.col("tags").explode()).to_series().drop_nulls().unique().sort().to_list()
    tags = [t for t in tags if not t.startswith("style-")]
    draws = _Draws(seed, count)
    rows = []
    for n in range(count):
        text, truth = _prompt(n, draws, known, tags)
        who = listeners[int(draws.of("who", n) * len(listeners))] if listeners else None
        rows.append({"prompt_id": f"prompt-{seed}-{n:06d}", "listener_id": who, "text": text, **truth})
    return pl.DataFrame(rows, schema={"prompt_id": pl.String, "listener_id": pl.String, "text": pl.String, **TRUTH})


def _prompt(n: int, draws: _Draws, known: Sequence[tuple[str, str]], tags: Sequence[str]) -> tuple[str, dict[str, Any]]:
    truth: dict[str, Any] = {k: [] if isinstance(v, pl.List) else None for k, v in TRUTH.items()} | {
        "contradiction": False
    }
    head, tail = list[str](), list[str]()
    if draws.of("size?", n) < 0.35:
        truth["size"] = draws.pick("size", n, _SIZES)
    if draws.of("minutes?", n) < (0.05 if truth["size"] else 0.4):
        truth["minutes"] = float(draws.pick("minutes", n, _LENGTHS))
    if draws.of("tags?", n) < 0.7:
        truth["tags"] = [draws.pick("tag", n, tags)]
        if draws.of("two?", n) < 0.25:
            truth["tags"] = sorted({*truth["tags"], draws.pick("tag 2", n, tags)})
        head.append(" and ".join(truth["tags"]))
    if draws.of("unknown?", n) < 0.1:
        truth["unknown"] = [draws.pick("unknown", n, _UNKNOWN)]
        tail.append(f"with {truth['unknown'][0]}")
    _names(n, draws, known, truth, tail)
    _years(n, draws, truth, tail)
    if draws.of("left out tag?", n) < 0.1:
        gone = draws.pick("left out tag", n, tags)
        if gone not in truth["tags"]:
            truth["without_tags"] = [gone]
            tail.append(f", no {gone}")
    if draws.of("explicit?", n) < 0.25:
        truth["explicit"] = False
        tail.append(draws.pick("explicit", n, (", nothing explicit", ", no explicit lyrics", ", family friendly")))
    what = f"{' '.join(head)} songs".strip()
    if truth["size"]:
        what = f"{truth['size']} {what}"
    if truth["minutes"]:
        length = f"{truth['minutes']:g} minutes"
        what = f"{length} of {what}" if draws.of("before", n) < 0.5 else f"{what} for {length}"
    return " ".join([what, *tail]).replace(" ,", ","), truth


def _names(n: int, draws: _Draws, known: Sequence[tuple[str, str]], truth: dict[str, Any], tail: list[str]) -> None:
    """Artists to be like, wanted, and left out; a few left out and wanted at once."""
    drawn = draws.of("names?", n)
    if drawn < 0.2:
        truth["like"], name = draws.pick("like", n, known)
        tail.append(f"like {name}")
    elif drawn < 0.3:
        truth["wanted"], name = draws.pick("wanted", n, known)
        tail.append(f"by {name}")
    if draws.of("left out?", n) < 0.45:
        gone = {draws.pick(f"left out {i}", n, known) for i in range(1 + (draws.of("several?", n) < 0.3))}
        if truth["wanted"] and draws.of("both?", n) < 0.2:
            gone = {next(k for k in known if k[0] == truth["wanted"])}
            truth["contradiction"] = True
        gone -= {k for k in gone if k[0] in (truth["like"], truth["wanted"]) and not truth["contradiction"]}
        if gone:
            truth["without"] = sorted(i for i, _ in gone)
            tail.append(f", {draws.pick('cue', n, _LEFT_OUT)} {' or '.join(sorted(name for _, name in gone))}")


def _years(n: int, draws: _Draws, truth: dict[str, Any], tail: list[str]) -> None:
    """A year, a decade, a span, an open span; a few contradict themselves."""
    drawn = draws.of("years?", n)
    decade = 1970 + 10 * int(draws.of("decade", n) * 5)
    year = 1980 + int(draws.of("year", n) * 40)
    if drawn < 0.2:
        truth["first"], truth["last"] = decade, decade + 9
        short = f"{decade % 100:02d}s" if decade < 2000 else f"{decade}s"
        tail.append(f"from the {short}")
        if draws.of("contradiction?", n) < 0.1:
            truth["not_first"], truth["not_last"], truth["contradiction"] = decade, decade + 9, True
            tail.append(f", but nothing from the {short}")
    elif drawn < 0.28:
        truth["first"] = truth["last"] = year
        tail.append(f"from {year}")
    elif drawn < 0.36:
        truth["first"], truth["last"] = year, year + 7
        tail.append(
            draws.pick(
                "span", n, (f"between {year} and {year + 7}", f"from {year} to {year + 7}", f"{year}-{year + 7}")
            )
        )
    elif drawn < 0.42:
        truth["first"] = year
        tail.append(f"since {year}")
    elif drawn < 0.48:
        truth["last"] = year - 1
        tail.append(f"before {year}")
    elif drawn < 0.53:
        truth["not_first"], truth["not_last"] = decade, decade + 9
        tail.append(f", not from the {decade}s")
