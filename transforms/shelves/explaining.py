"""Why the tracks that stand on shelves stand there: asked only of what is shown, since it is too dear for every candidate."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import polars as pl

from transforms.shelves.filling import Made
from transforms.shelves.gathering import CANDIDATE, CARRIED, TEXTS, Rows
from transforms.shelves.reasons import with_reasons

Explain = Callable[[pl.DataFrame], pl.DataFrame]


def texts_of_shown(rows: Rows, made: Iterable[Made], explain: Explain | None) -> tuple[np.ndarray, pl.DataFrame]:
    """source, reason and reason_ref of everything that is placed or spare.

    Args:
        rows: the block.
        made: its finished shelves.
        explain: given (listener_id, track_id, rests, shelf) of candidates, returns them with source, reason and
            reason_ref; None: what came with the candidates. `rests`: on a shelf of what was not heard lately; `shelf`: a
            number of the shelf it stands on.

    Returns:
        the rows shown, ascending, and a frame of as many rows.
    """
    stands, rests = np.zeros(len(rows), np.bool_), np.zeros(len(rows), np.bool_)
    shelf = np.zeros(len(rows), np.int64)
    for number, one in enumerate(made):
        for part in (one.items, one.spares):
            stands[part[part >= 0]] = True
            shelf[part[part >= 0]] = number
            if one.shelf.rests:
                rests[part[part >= 0]] = True
    shown = np.flatnonzero(stands)
    texts = rows.texts_of(shown)
    if explain is not None:
        texts = _explained(rows, shown, rests[shown], shelf[shown], texts, explain)
    return shown, with_reasons(texts)


def _explained(
    rows: Rows, shown: np.ndarray, rests: np.ndarray, shelf: np.ndarray, texts: pl.DataFrame, explain: Explain
) -> pl.DataFrame:
    """Answers for candidates and for carried rows, whose reasons of an earlier night may no longer be true.

    A carried track that is no candidate today keeps its source and stands with the plain reason.
    """
    carried = shown >= rows.section[CARRIED, 0]
    asked = carried | (shown < rows.section[CANDIDATE, -1])
    ids = pl.Series("listener_id", rows.listener_ids, dtype=pl.String)
    pairs = pl.DataFrame(
        {
            "listener_id": ids.gather(rows.listener[shown[asked]]),
            "track_id": rows.tracks.ids.gather(rows.track[shown[asked]]),
            "rests": rests[asked],
            "shelf": shelf[asked],
        }
    )
    key = ["listener_id", "track_id"]
    answers = explain(pairs.unique(key, keep="first", maintain_order=True).sort(key)).select(*key, *TEXTS)
    found = pairs.select(key).join(answers, on=key, how="left", maintain_order="left")
    place = np.full(len(shown), -1)
    place[asked] = np.arange(int(asked.sum()))
    at = pl.Series(place).replace(-1, None)
    now = {name: found[name].gather(at).alias("now") for name in TEXTS}
    stale = pl.Series("stale", carried) & now["reason"].is_null()
    return texts.with_columns(
        pl.select(pl.when(stale & pl.lit(name != "source")).then(None).otherwise(pl.coalesce(now[name], texts[name])))
        .to_series()
        .alias(name)
        for name in TEXTS
    )
