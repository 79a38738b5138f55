"""Answers as rows of the tables `intents` and `playlists`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from transforms.formats.base import end_of
from transforms.prompts.answer import Playlist
from transforms.prompts.constraints import said_years
from transforms.prompts.intent import Intent
from transforms.prompts.music import Music
from transforms.tables.schema import TABLES

SOURCE = "prompt"
LONGEST_TITLE = 80


@dataclass(frozen=True)
class Asked:
    """A prompt understood: `now` is what it says itself, `intent` what it means beside the one it follows."""

    prompt_id: str
    listener_id: str
    follows: str | None
    text_hash: str
    read_by: str
    model_intent: str | None
    now: Intent
    intent: Intent


@dataclass(frozen=True)
class Made:
    """What rows carry of the run that made them."""

    day: date
    version: str
    model_version: str


def intent_rows(asked: Sequence[Asked]) -> pl.DataFrame:
    """Table `intents`; fields that say nothing are left out of the JSON."""
    rows = [
        {
            "prompt_id": a.prompt_id,
            "listener_id": a.listener_id,
            "follows": a.follows,
            "text_hash": a.text_hash,
            "read_by": a.read_by,
            "model_intent": a.model_intent,
            "intent": a.intent.model_dump_json(exclude_defaults=True),
            "said": a.now.said(),
        }
        for a in asked
    ]
    return pl.DataFrame(rows, schema=TABLES["intents"].polars)


def playlist_rows(made: Sequence[tuple[Asked, Playlist]], music: Music, run: Made) -> pl.DataFrame:
    """Table `playlists`."""
    rows = []
    for a, one in made:
        items = [
            {
                "position": n + 1,
                "track_id": str(music.track_ids[row]),
                "artist_ids": [str(music.artist_ids[c]) for c in music.credits(row)],
                "score": float(score),
                "source": SOURCE,
                "reason": reason,
                "reason_ref": ref,
                "propensity": None,
                "explored": False,
                "last_heard_at": None,
            }
            for n, (row, score, reason, ref) in enumerate(
                zip(one.rows.tolist(), one.scores.tolist(), one.reasons, one.refs, strict=True)
            )
        ]
        rows.append(
            {
                "run_date": run.day,
                "version": run.version,
                "prompt_id": a.prompt_id,
                "listener_id": a.listener_id,
                "follows": a.follows,
                "title": title(a.intent),
                "status": one.status,
                "said": one.said,
                "unmet": [{"wish": u.wish, "why": u.why} for u in one.unmet],
                "minutes": one.minutes,
                "data_cutoff": end_of(run.day) - timedelta(microseconds=1),
                "model_version": run.model_version,
                "items": items,
            }
        )
    return pl.DataFrame(rows, schema=TABLES["playlists"].polars)


def title(intent: Intent) -> str:
    """A title of what was asked for.

    >>> title(Intent())
    'For you'
    """
    said = [*(t.text for t in (*intent.languages, *intent.tags)), *(n.text for n in (*intent.artists, *intent.tracks))]
    if intent.like:
        said.append("like " + " and ".join(n.text for n in intent.like[:2]))
    if intent.years:
        said.append(said_years(intent.years))
    text = ", ".join(said)
    text = text if len(text) <= LONGEST_TITLE else text[: LONGEST_TITLE - 1].rsplit(" ", 1)[0] + "…"
    return text[:1].upper() + text[1:] if text else "For you"
