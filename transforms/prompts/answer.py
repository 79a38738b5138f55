"""An intent answered for one listener: constraints executed, tracks ranked, a list filled, and what could not be met said.

intent -> demands (masks) -> wishes (tiers) -> score -> list -> order -> unmet, reasons

>>> made = answer(intent, music, Listener(), date(2026, 1, 31))
>>> made.status, made.said
('answered', 'All of it was found.')
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from transforms.prompts.constraints import (
    Listener,
    Unmet,
    Wish,
    all_of,
    contradiction,
    demands,
    self_contradictions,
    tiers,
    wishes,
)
from transforms.prompts.fill import Length, fill
from transforms.prompts.intent import Intent
from transforms.prompts.music import Music
from transforms.prompts.ranking import Nearness, RankingSettings, fused, likeness, ranked, standardised, tag_answers
from transforms.shelves.ordering import Flow, FlowSettings, costs
from transforms.shelves.ordering import order as cheapest_path

POOL = 2000
SEEDS = 20  # tracks an example artist is known by, the most played
WORDS = ("genre", "mood", "instrument", "use", "tag", "languages")
ALIKE = 0.25  # likeness from which a track counts as like the examples

Order = Callable[[np.ndarray, Intent], np.ndarray]
"""Rows in rank order, intent -> the same rows as a session that flows."""


class AnswerSettings(BaseModel):
    """How prompts are answered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ranking: RankingSettings = Field(RankingSettings(), description="weights of the parts of a track's score")
    size: int = Field(25, ge=1, le=500, description="tracks of a list whose prompt says no length")
    artist_share: float = Field(
        0.2, gt=0, le=1, description="share of a list that one artist may have, unless asked for"
    )
    flows: bool = Field(False, description="put a list in an order that flows; otherwise it stands by rank")
    flow: FlowSettings = Field(FlowSettings(), description="what makes tracks neighbours in it")


@dataclass(frozen=True)
class Playlist:
    """What a prompt gets.

    Attributes:
        rows: tracks in order; scores, reasons, refs: one each (a reason's code and what it refers to).
        status: answered (every wish met), relaxed (some wish is not) or empty.
        said: sentences for the listener; unmet: the same, one by one; minutes: length of it all.
    """

    rows: np.ndarray
    scores: np.ndarray
    reasons: list[str]
    refs: list[str | None]
    status: str
    said: str
    minutes: float
    unmet: tuple[Unmet, ...] = field(default=())


def answer(
    intent: Intent,
    music: Music,
    listener: Listener,
    day: date,
    near: Nearness | None = None,
    settings: AnswerSettings | None = None,
    order: Order | None = None,
    kept: np.ndarray | None = None,
) -> Playlist:
    """Make the playlist of an intent.

    Args:
        music: the catalog.
        listener: whoever asks.
        day: the night; nothing later is known.
        near: tracks' company; None = likeness is by artist and tag alone.
        order: puts the chosen tracks in order; None = by rank.
        kept: rows of the list that this prompt follows up, which come first in their tier.
    """
    settings = settings or AnswerSettings()
    hard, unmet = demands(intent, music, listener, day)
    unmet = [*self_contradictions(intent), *(Unmet(u.partition(":")[0], u) for u in intent.unclear), *unmet]
    empty = contradiction(hard)
    if empty is not None:
        return _empty(empty, [*unmet, *wishes(intent, music, listener, day, None)[1]])
    allowed = all_of(hard, len(music))
    seeds = seeds_of(intent, music)
    like = _like(intent, music, seeds, near)
    found, unknown = wishes(intent, music, listener, day, None if like is None else like > ALIKE)
    tier = tiers(found, len(music))
    w = settings.ranking
    parts = (
        (w.taste, listener.scores),
        (w.like, like),
        (w.tags, tag_answers(intent, music, near) if intent.tags or intent.languages else None),
        (w.popular, np.log1p(music.plays)),
    )
    score = fused(parts, allowed)
    if kept is not None:
        score[kept] += 100
    length = Length(intent.size or (None if intent.minutes else settings.size), intent.minutes, settings.artist_share)
    best = ranked(allowed, tier, score, max(POOL, 20 * (length.size or 0)))
    pinned = _pinned(intent, music, best)
    best = np.concatenate([pinned, best[~np.isin(best, pinned)]])
    free = frozenset(music.artist_columns(i for name in intent.artists for i in name.ids))
    made = fill(best, music, length, free)
    rows = order(made.rows, intent) if order is not None and len(made.rows) > 1 else made.rows
    unmet += unknown + [u for wish in found if (u := _missed(wish, made.rows)) is not None]
    if made.short:
        unmet.append(Unmet("length", made.short))
    if len(rows) > 2 and not free and len(set(music.main_artist[rows].tolist())) == 1:
        unmet.append(Unmet("variety", "all tracks are by one artist, since nothing by others fits what must hold"))
    if intent.order in ("newest", "oldest"):
        rows = rows[
            np.argsort(-music.released[rows] if intent.order == "newest" else music.released[rows], kind="stable")
        ]
    reasons = [_reason(int(r), intent, music, found, listener, like) for r in rows]
    return Playlist(
        rows=rows,
        scores=score[rows],
        reasons=[code for code, _ in reasons],
        refs=[ref for _, ref in reasons],
        status="relaxed" if unmet else "answered",
        said=sentences(unmet),
        minutes=round(made.ms / 60_000, 2),
        unmet=tuple(unmet),
    )


def flowing(flow: Flow, settings: FlowSettings) -> Order:
    """The order of a session: what sessions play after each other, tracks alike side by side, an artist not after itself.

    The best track begins, which is a named one where there is one. Whoever asks for an order of their own gets that.
    """

    def order(rows: np.ndarray, intent: Intent) -> np.ndarray:
        if intent.order in ("newest", "oldest", "shuffled"):
            return rows
        return np.asarray(rows[cheapest_path(costs(rows, flow, settings), first=0)])

    return order


def seeds_of(intent: Intent, music: Music) -> np.ndarray:
    """Rows of what the intent names as examples: the tracks, and of artists the most played tracks, allowed or not."""
    out: list[int] = []
    for name in (*intent.like, *intent.tracks):
        rows = music.rows(name.ids)
        if name.kind == "artist":
            rows = np.flatnonzero(music.credited(name.ids))
        out += rows[np.lexsort((rows, -music.plays[rows]))][:SEEDS].tolist()
    return np.array(sorted(set(out)), np.int64)


def sentences(unmet: list[Unmet]) -> str:
    """What a listener is told."""
    if not unmet:
        return "All of it was found."
    return " ".join(f"{u.why[:1].upper()}{u.why[1:]}." for u in unmet)


def _like(intent: Intent, music: Music, seeds: np.ndarray, near: Nearness | None) -> np.ndarray | None:
    """Likeness to the examples, 0 for the examples' own tracks: who asks for music like somebody means others."""
    if not len(seeds):
        return None
    if near is not None:
        values = likeness(seeds, near)
    else:
        own = music.tags[seeds].sum(axis=0)
        values = np.asarray(music.tags @ np.asarray(own).ravel()).astype(np.float32)
        values /= max(float(values.max(initial=0)), 1e-9)
    artists = [i for name in intent.like if name.kind == "artist" for i in name.ids]
    values[music.credited(artists) | music.versions(seeds)] = 0
    return values


def _pinned(intent: Intent, music: Music, best: np.ndarray) -> np.ndarray:
    """The named tracks that may be played, one version each, in the order they were named."""
    out = []
    for name in intent.tracks:
        here = [r for r in music.rows(name.ids).tolist() if r in set(best.tolist())]
        out += here[:1]
    return np.array(out, np.int64)


def _missed(wish: Wish, rows: np.ndarray) -> Unmet | None:
    missed = int((~wish.mask[rows]).sum())
    if not missed:
        return None
    says = "tagged " if wish.kind in WORDS else ""
    of = "none of the tracks is" if missed == len(rows) else f"{missed} of {len(rows)} tracks are not"
    return Unmet(wish.says, f"{of} {says}{wish.says}, because too little else fits")


def _reason(
    row: int,
    intent: Intent,
    music: Music,
    found: list[Wish],
    listener: Listener,
    like: np.ndarray | None,
) -> tuple[str, str | None]:
    """Why a track is here: the most telling thing that is true of it."""
    credits = {str(music.artist_ids[a]) for a in music.credits(row)}
    for name in intent.artists:
        if credits & set(name.ids):
            return "asked_artist", name.ids[0]
    if any(row in music.rows(name.ids) for name in intent.tracks):
        return "asked_track", None
    if like is not None and like[row] > ALIKE:
        return "like_example", intent.like[0].text if intent.like else None
    for wish in reversed(found):
        if wish.kind in WORDS and wish.mask[row]:
            return "tagged", wish.says
    if listener.scores is not None and listener.scores[row] > 0:
        return "for_you", None
    return "popular_in", None


def _empty(why: str, unmet: list[Unmet]) -> Playlist:
    none = np.zeros(0, np.int64)
    every = (Unmet("everything", why.rstrip(".")), *unmet)
    return Playlist(none, none.astype(np.float32), [], [], "empty", sentences(list(every)), 0.0, every)


def taste(parts: list[np.ndarray], allowed: np.ndarray) -> np.ndarray | None:
    """float32[n]: sources' scores of one listener, standardised and averaged; None where there are none."""
    if not parts:
        return None
    return np.asarray(np.mean([standardised(p, allowed) for p in parts], axis=0), np.float32)
