"""A catalog small enough to read: eight tracks of five artists."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl

from transforms.prompts.music import Music
from transforms.prompts.vocabulary import Vocabulary
from transforms.tables.schema import TABLES

DAY = date(2026, 1, 31)
ROWS = [
    # id, title, artists, tags, released, minutes, explicit, markets
    ("t1", "Roads", ["portishead"], ["trip-hop", "sad"], date(1994, 8, 22), 5, False, None),
    ("t2", "Glory Box", ["portishead"], ["trip-hop", "soul"], date(1994, 8, 22), 5, False, None),
    ("t3", "Help! (Remastered)", ["beatles"], ["rock", "happy"], date(1965, 8, 6), 2, False, None),
    ("t4", "Hotline Bling", ["drake"], ["hip-hop"], date(2015, 7, 31), 4, True, None),
    ("t5", "Take Care (feat. Rihanna)", ["drake", "rihanna"], ["hip-hop", "soul"], date(2011, 11, 15), 4, False, None),
    ("t6", "Umbrella", ["rihanna"], ["pop"], date(2007, 3, 29), 4, False, ["US"]),
    ("t7", "Paranoid Android", ["radiohead"], ["rock", "sad"], date(1997, 5, 26), 6, False, None),
    ("t8", "Help!", ["cover band"], ["rock"], None, 3, False, None),
]  # fmt: skip
NAMES = {"portishead": "Portishead", "beatles": "The Beatles", "drake": "Drake", "rihanna": "Rihanna", "radiohead": "Radiohead",
         "cover band": "Cover Band"}  # fmt: skip
PLAYS = {"t1": 5.0, "t2": 4.0, "t3": 9.0, "t4": 8.0, "t5": 7.0, "t6": 6.0, "t7": 3.0, "t8": 1.0}


def tracks() -> pl.DataFrame:
    rows = [
        {"track_id": i, "title": t, "artist_ids": a, "recording_id": i, "tags": g, "released_on": r, "duration_ms": m * 60_000,
         "explicit": e, "markets": k}
        for i, t, a, g, r, m, e, k in ROWS
    ]  # fmt: skip
    return pl.DataFrame(rows, schema={c: k for c, k in TABLES["tracks"].polars.items() if c in rows[0]})


def artists() -> pl.DataFrame:
    return pl.DataFrame({"artist_id": list(NAMES), "name": list(NAMES.values())})


def vocabulary() -> Vocabulary:
    return Vocabulary.build(tracks(), artists(), PLAYS)


def music() -> Music:
    return Music.build(["", *PLAYS], tracks(), np.array([0.0, *PLAYS.values()]))
