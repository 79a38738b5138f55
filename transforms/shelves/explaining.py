"""Why the tracks that stand on shelves stand there: asked only of what is shown, since it is too dear for every candidate."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import polars as pl

from transforms.shelves.filling import Made
from transforms.shelves.gathering import CANDIDATE, TEXTS, Rows
from transforms.shelves.reasons import with_reasons

Explain = Callable[[pl.DataFrame], pl.DataFrame]


def texts_of_shown(rows: Rows, made: Iterable[Made], explain: Explain | None) -> tuple[np.ndarray, pl.DataFrame]:
    """source, reason and reason_ref of everything that is placed or spare.

    Args:
        rows: the block.
        made: its finished shelves.
        explain: given (listener_id, track_id, rests) of candidates, returns them with source, reason and reason_ref;
            None: what came with the candidates. `rests`: on a shelf of what was not heard lately.

    Returns:
        the rows shown, ascending, and a frame of as many rows.
    """
    stands, rests = np.zeros(len(rows), np.bool_), np.zeros(len(rows), np.bool_)
    for one in made:
        for part in (one.items, one.spares):
            stands[part[part >= 0]] = True
            if one.shelf.rests:
                rests[part[part >= 0]] = True
    shown = np.flatnonzero(stands)
    texts = rows.texts_of(shown)
    if explain is not None:
        texts = _explained(rows, shown, rests[shown], texts, explain)
    return shown, with_reasons(texts)


def _explained(rows: Rows, shown: np.ndarray, rests: np.ndarray, texts: pl.DataFrame, explain: Explain) -> pl.DataFrame:
    here = shown < rows.section[CANDIDATE, -1]
    ids = pl.Series("listener_id", rows.listener_ids, dtype=pl.String)
    pairs = pl.DataFrame(
        {
            "listener_id": ids.gather(rows.listener[shown[here]]),
            "track_id": rows.tracks.ids.gather(rows.track[shown[here]]),
            "rests": rests[here],
        }
    )
    answers = explain(pairs.sort("listener_id", "track_id")).select("listener_id", "track_id", *TEXTS)
    found = pairs.select("listener_id", "track_id").join(
        answers, on=["listener_id", "track_id"], how="left", maintain_order="left"
    )
    place = np.full(len(shown), -1)
    place[here] = np.arange(int(here.sum()))
    at = pl.Series(place).replace(-1, None)
    return texts.with_columns(pl.coalesce(found[name].gather(at), name).alias(name) for name in TEXTS)
