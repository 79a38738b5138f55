"""Preference tuning within a fit: what it reads, the tuned decoder or the reason why the supervised one stays, in words.

    outcomes of nights with impressions -> lists of shown tracks -> pairs -> a tuned decoder -> a gate -> one of the two decoders

Pairs are of all listeners but a hashed share, whom the gate asks (`models.generative.preference_gate`). A tuned decoder that does
not pass is thrown away: the one that was fitted on listening stands in the models, and the log, the registry's entry and the
night's summary say why. Nothing of it is read or computed unless `models.use_preference` is on.

    >>> sentence({}) is None
    True
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from models.settings import PreferenceSettings
from pipelines.recommender.evidence import Evidence
from transforms.tables.as_of import AsOf
from transforms.tables.manifest import Heading, made_from
from transforms.tables.warehouse import Warehouse

if TYPE_CHECKING:
    from models.checkpoints import Checkpoints
    from models.generative.decoder import Decoder
    from models.generative.preference import Shown
    from models.sequence_data import Sequences

ASKED, LISTS, PAIRS, LEAST, SHIPS = (f"preference_{name}" for name in ("asked", "lists", "pairs", "least", "ships"))
WORDS = {
    "accuracy": "margin-weighted share of pairs in the preferred order",
    "reward_ndcg": "NDCG of shown tracks by their rewards",
    "recall": "recall of next listens",
    "ndcg": "NDCG of next listens",
    "distance": "distance of tracks of a list",
    "calibration": "calibration",
}
_KEY = ["listener", "night", "heard_before"]


def closed(past: AsOf, settings: PreferenceSettings) -> list[Heading]:
    """Outcomes of the nights whose shelves have impressions and whose horizon has closed, of the last `days` dates."""
    found = []
    for outcome in past.window("outcomes", settings.days):
        night = outcome.date - timedelta(settings.horizon)
        if outcome.rows and past.heading("shelves", night) is not None:
            logged = past.between("impressions", night + timedelta(1), outcome.date)
            found += [outcome] if any(m.rows for m in logged) else []
    return found


def lists_of(evidence: Evidence, listens: Sequences, length: int) -> Shown | None:
    """What listeners were shown, with their listens as of each night; None where nothing is known.

    Tracks outside the vocabulary, lists of one track, and listeners of whom no listen is known are left out.

    Args:
        listens: of the plays' listeners, in order of their hashes.
        length: most listens of a history.
    """
    from models.generative.preference import Shown

    plays, rows = evidence.plays, evidence.shown
    if rows is None or "started_at" not in plays.columns:
        return None
    people = plays["listener"].unique().sort()
    rows = rows.filter(pl.col("listener").is_in(people.implode()))
    rows = rows.with_columns(item=pl.Series(evidence.vocabulary.rows(rows["track_id"]), dtype=pl.Int32))
    rows = rows.filter(pl.col("item") > 0).filter(pl.len().over(_KEY) > 1).sort(*_KEY, "item")
    lists = rows.group_by(_KEY, maintain_order=True).len()
    row = np.asarray(people.search_sorted(lists["listener"]), np.int64)
    known = _known_by(plays, people, row, lists["night"])
    later = np.diff(listens.starts)[row] - known
    shown = Shown(
        np.concatenate([[0], np.cumsum(lists["len"].to_numpy())]).astype(np.int64),
        rows["item"].to_numpy(),
        rows["reward"].to_numpy(),
        rows["played"].to_numpy(),
        rows["looked_at"].to_numpy(),
        *listens.last(row, length, later),
        lists["listener"].to_numpy(),
    )
    return shown.only(np.asarray((shown.items > 0).any(axis=1)))


def _known_by(plays: pl.DataFrame, people: pl.Series, row: np.ndarray, nights: pl.Series) -> np.ndarray:
    """int64 [lists]: how many of a listener's plays had started by the end (UTC) of a night."""
    owner = np.asarray(people.search_sorted(plays["listener"]), np.int64)
    seconds = plays["started_at"].dt.epoch("s").to_numpy()
    key = np.sort(owner << 34 | seconds)
    ends = [int(datetime.combine(night + timedelta(1), time(), UTC).timestamp()) for night in nights.unique().sort()]
    end = np.array(ends, np.int64)[nights.rank("dense").to_numpy().astype(np.int64) - 1] if ends else row
    return np.asarray(np.searchsorted(key, row << 34 | end) - np.searchsorted(key, row << 34))


def preferred(
    reference: Decoder,
    evidence: Evidence,
    listens: Sequences,
    vectors: np.ndarray,
    settings: PreferenceSettings,
    seed: int,
    checkpoints: Checkpoints | None = None,
) -> tuple[Decoder, dict[str, float]]:
    """The tuned decoder where it passes the gate, else the reference; and what the registry notes of it.

    Args:
        reference: just fitted on `listens`.
        listens: of the plays' listeners, in order of their hashes.
        vectors: float32 [n_items, k], what variety is measured by.
    """
    from models.generative.preference import pairs_of, scores_of, tune
    from models.generative.preference_gate import held_out, judged, numbers

    shown = lists_of(evidence, listens, reference.settings.length)
    lists = float(len(shown) if shown is not None else 0)
    said = {ASKED: 1.0, SHIPS: 0.0, LISTS: lists, PAIRS: 0.0, LEAST: float(settings.least)}
    if shown is None or not len(shown):
        return reference, said
    out = held_out(shown.owner, settings.held, seed)
    own = shown.only(~out)
    pairs = pairs_of(own, scores_of(reference, own), settings, seed)
    said[PAIRS] = float(len(pairs))
    if not len(pairs):
        return reference, said
    tuned = tune(reference, own, pairs, settings, seed, checkpoints)
    people = evidence.plays["listener"].unique().sort().to_numpy()
    verdict = judged(reference, tuned, shown.only(out), listens, people, vectors, settings, seed)
    return tuned if verdict.ships else reference, said | numbers(verdict)


def counts(metrics: Mapping[str, float]) -> dict[str, int]:
    """What of a fit's metrics a manifest's `extra` holds: preference tuning's, figures in parts per million."""
    found = {name: value for name, value in metrics.items() if name.startswith("preference_") and np.isfinite(value)}
    return {
        name if _whole(name) else f"{name}_ppm": round(value if _whole(name) else value * 1e6)
        for name, value in found.items()
    }


def _whole(name: str) -> bool:
    return name in (ASKED, LISTS, PAIRS, LEAST, SHIPS) or name.endswith(("_listeners", "_failed"))


def sentence(extra: Mapping[str, Any]) -> str | None:
    """Why a manifest of `models` holds no tuned decoder; None where it holds one, or none was asked for."""
    if not extra.get(ASKED) or extra.get(SHIPS):
        return None
    stays = "the decoder is not tuned by preferences"
    if not extra.get(LISTS):
        return f"{stays}: no night whose outcomes have closed shows what its listeners did with two tracks or more"
    if not extra.get(PAIRS):
        return f"{stays}: in none of {extra[LISTS]:,} lists was a track preferred to one that was looked at"
    failed = [name for name in WORDS if extra.get(f"preference_{name}_failed")]
    return f"{stays}, the supervised one ships: of listeners it had not seen, " + "; ".join(
        _against(extra, name) for name in failed
    )


def _against(extra: Mapping[str, Any], name: str) -> str:
    n = extra.get(f"preference_{name}_listeners", 0)
    shown = {
        what: extra.get(f"preference_{name}_{what}_ppm", 0) / 1e6
        for what in ("reference", "tuned", "difference", "low", "high")
    }
    if n < extra.get(LEAST, 0):
        return f"{WORDS[name]} is known of {n:,} listeners, and {extra[LEAST]:,} are needed"
    return (
        f"{WORDS[name]} {shown['tuned']:.4f} against {shown['reference']:.4f} ({shown['difference']:+.4f}, 95% interval "
        f"{shown['low']:+.4f} to {shown['high']:+.4f}, {n:,} listeners)"
    )


def note_of(warehouse: Warehouse, night: Heading) -> str | None:
    """What a stored night has to say of its decoder; None where nothing was asked for, or what was asked for ships."""
    when = made_from(night, "models")
    models = warehouse.heading("models", when) if when else None
    return sentence(models.extra) if models else None
