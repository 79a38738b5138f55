"""How well each track answers a prompt for one listener: taste, examples, words and popularity, fused.

    score = taste z(taste) + like z(like) + tags z(tags) + popular z(log(1 + plays))

z standardises over the tracks that the constraints allow, so a weight says how many standard deviations of popularity one of
taste is worth, whatever the scale of a source. `like` is the cosine with the examples' vectors and how often they are played
together; `tags` counts the words a track answers, the rarer tag the more, softened by what is played together with tracks
that carry them (a track without tags still has a place).

What each part is worth on real tags: docs/benchmarks/prompts.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from transforms.prompts.intent import Intent
from transforms.prompts.music import Music


class RankingSettings(BaseModel):
    """Weights of the parts of a track's score, in standard deviations."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    taste: float = Field(1.0, ge=0, description="the listener's own taste")
    like: float = Field(1.5, ge=0, description="likeness to the named examples")
    tags: float = Field(1.5, ge=0, description="how many of the prompt's words a track answers, and how rare they are")
    popular: float = Field(0.3, ge=0, description="popularity among all listeners")


@dataclass(frozen=True)
class Nearness:
    """What is known of tracks' company, by row.

    Attributes:
        vectors: float32[n, d], tracks' embeddings of unit length; zero rows = unknown.
        together: CSR [n, n], how much two tracks are played together; None = not known.
    """

    vectors: np.ndarray
    together: object | None = None


def standardised(values: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """float32[n]: values in standard deviations from their mean over the allowed rows; 0 where they are all alike."""
    part = values[allowed]
    if not len(part):
        return np.zeros(len(values), np.float32)
    spread = float(part.std())
    return (
        ((values - float(part.mean())) / spread).astype(np.float32)
        if spread > 1e-9
        else np.zeros(len(values), np.float32)
    )


def likeness(seeds: np.ndarray, near: Nearness) -> np.ndarray:
    """float32[n]: how like the seeds each track is, 0 to about 2: cosine with their mean vector, and their company."""
    out = np.zeros(len(near.vectors), np.float32)
    if not len(seeds):
        return out
    centre = near.vectors[seeds].sum(axis=0)
    size = float(np.sqrt((centre**2).sum()))
    if size > 0:
        out += near.vectors @ (centre / size)
    if near.together is not None:
        company = np.asarray(near.together[seeds].sum(axis=0)).ravel()  # type: ignore[index]
        best = float(company.max(initial=0))
        if best > 0:
            out += np.sqrt(company / best).astype(np.float32)
    return out


def tag_answers(intent: Intent, music: Music, near: Nearness | None) -> np.ndarray:
    """float32[n]: sum over the prompt's words of idf where a track is tagged so, and a half of it by its company."""
    n = len(music)
    out = np.zeros(n, np.float32)
    for term in (*intent.tags, *intent.languages):
        rows = np.flatnonzero(music.tagged(term.ids))
        if not len(rows):
            continue
        rarity = float(np.log(1 + n / len(rows)))
        out[rows] += rarity
        if near is not None:
            centre = near.vectors[rows].mean(axis=0)
            size = float(np.sqrt((centre**2).sum()))
            if size > 0:
                out += 0.5 * rarity * np.clip(near.vectors @ (centre / size), 0, 1)
    return out


def fused(parts: Sequence[tuple[float, np.ndarray | None]], allowed: np.ndarray) -> np.ndarray:
    """float32[n]: the weighted sum of the standardised parts; a part that is None says nothing."""
    out = np.zeros(len(allowed), np.float32)
    for weight, values in parts:
        if weight and values is not None:
            out += np.float32(weight) * standardised(values, allowed)
    return out


def ranked(allowed: np.ndarray, tier: np.ndarray, score: np.ndarray, most: int) -> np.ndarray:
    """int64: allowed rows by tier, then score downwards, then row; at most so many."""
    rows = np.flatnonzero(allowed)
    if len(rows) > most:
        rough = tier[rows].astype(np.float64) * 1e4 - np.clip(score[rows], -4e3, 4e3)
        least = np.partition(rough, most - 1)[most - 1]
        rows = rows[rough <= least]
    return rows[np.lexsort((rows, -score[rows], tier[rows]))][:most]
