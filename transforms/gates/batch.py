"""What a batch is held to before an ingest commits any of its dates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from transforms.gates.check import Check, skipped, usual, within
from transforms.gates.settings import GateSettings


@dataclass(frozen=True)
class BatchFacts:
    """What is known of a batch when all its files are written and none is committed.

    Attributes:
        rows, duplicates, rejects: of the log, as its account says.
        known: of the duplicates, those that earlier batches had brought already.
        reasons: rejects by reason.
        filed: the batch's listens by date.
        stored: listens of earlier batches by date.
        tracks, unknown: distinct tracks, and how many of them no catalog had; None = there was no catalog.
        unknown_before: that share in earlier batches.
    """

    rows: int
    duplicates: int
    rejects: int
    known: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    filed: dict[date, int] = field(default_factory=dict)
    stored: dict[date, int] = field(default_factory=dict)
    tracks: int = 0
    unknown: int | None = None
    unknown_before: Sequence[float] = ()


def check_batch(facts: BatchFacts, settings: GateSettings) -> list[Check]:
    """Every check of a batch, in a fixed order."""
    return [
        _volume(facts, settings),
        _rejects(facts, settings),
        _duplicates(facts, settings),
        _unknown(facts, settings),
    ]


def _volume(facts: BatchFacts, settings: GateSettings) -> Check:
    newest = max(facts.filed, default=None)
    if newest is None:
        return skipped("volume", "no listens")
    before = [n for d, n in facts.stored.items() if 0 < (newest - d).days <= settings.history and n]
    normal = usual(before, settings.min_history)
    today = facts.filed[newest] + facts.stored.get(newest, 0)
    if normal is None:
        return skipped("volume", f"{len(before)} dates stored before {newest}, {settings.min_history} needed")
    if max(normal, today) < settings.min_rows:
        return skipped("volume", f"{today:,} listens on {newest}, {settings.min_rows:,} needed to judge")
    said = f"the median of {len(before)} dates before ({newest}: {today:,} listens, {normal:,.0f} usual)"
    limits = settings.ingest
    return within("volume", today / normal, low=limits.volume_low, high=limits.volume_high, unit="times", detail=said)


def _rejects(facts: BatchFacts, settings: GateSettings) -> Check:
    if facts.rows < settings.min_rows:
        return skipped("rejects", f"{facts.rows:,} lines, {settings.min_rows:,} needed to judge")
    most = sorted(facts.reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = [f"{reason} {n:,}" for reason, n in most]
    share = facts.rejects / facts.rows
    said = f"of {facts.rows:,} lines were refused"
    return within("rejects", share, high=settings.ingest.rejects, unit="share", detail=said, examples=shown)


def _duplicates(facts: BatchFacts, settings: GateSettings) -> Check:
    fresh = facts.rows - facts.known
    if fresh < settings.min_rows:
        return skipped("duplicates", f"{fresh:,} lines that no earlier batch had, {settings.min_rows:,} needed")
    share = max(0, facts.duplicates - facts.known) / fresh
    said = f"of {fresh:,} lines that no earlier batch had are there twice"
    return within("duplicates", share, high=settings.ingest.duplicates, unit="share", detail=said)


def _unknown(facts: BatchFacts, settings: GateSettings) -> Check:
    if facts.unknown is None or not facts.tracks:
        return skipped("unknown tracks", "no catalog to look them up in")
    normal = usual(facts.unknown_before, settings.min_history)
    if normal is None or facts.tracks < settings.min_rows:
        few = f"{facts.tracks:,} tracks, {len(facts.unknown_before)} batches before"
        return skipped("unknown tracks", f"{few}: too few to judge")
    share = facts.unknown / facts.tracks
    said = f"more tracks new to the catalog than usual ({share:.1%} of {facts.tracks:,}, {normal:.1%} usual)"
    return within("unknown tracks", share - normal, high=settings.ingest.unknown_rise, unit="share", detail=said)
