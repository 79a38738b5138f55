"""From ranked candidates to every listener's shelves.

Each shelf takes, in the order of the settings, what its rules allow and no earlier shelf of its surface holds: the
order of work is rules (whole block, in columns), then variety (a walk per listener over integers), then draws. Every
listener of the roster gets a row for every shelf. Each part stands in a file of its own:

    gathering    candidates, popular tracks and carried items as rows of numbers
    judging      which rule keeps each row off a shelf
    pools        what a shelf chooses from, best first
    filling      carried, fixed, drawn and spare tracks (`carry`, `placing`, `exploration`)
    fallback     popular tracks where nothing of the listener's own can stand, and why
    explaining   source and reason of what is shown
    output       the tables

    >>> made = assemble(candidates, roster, tracks=tracks, night=Night(dt.date(2024, 5, 6)))      # doctest: +SKIP
    >>> made.shelves.select("listener_id", "shelf_id", "status").row(0)                           # doctest: +SKIP
    ('ann', 'discover-weekly', 'personal')
"""

from __future__ import annotations

import numpy as np
import polars as pl

from transforms.shelves.explaining import Explain, texts_of_shown
from transforms.shelves.facts import Facts
from transforms.shelves.fallback import fill_fallback, in_order_of_fallback
from transforms.shelves.filling import OPEN, PERSONAL, Board
from transforms.shelves.gathering import Inputs, gather
from transforms.shelves.judging import Judge
from transforms.shelves.known import known_of
from transforms.shelves.output import Assembled, draws_frame, shelves_frame, stages_frame
from transforms.shelves.pools import pool
from transforms.shelves.popularity import Popular
from transforms.shelves.settings import Night, ShelvesSettings
from transforms.shelves.tracks import Tracks

READ_BY_RULES = ("heard_before", "plays", "saved", "listeners")  # columns of the candidates, beside those of the orders


def assemble(
    candidates: pl.DataFrame,
    roster: pl.DataFrame,
    *,
    tracks: Tracks,
    night: Night,
    settings: ShelvesSettings | None = None,
    blocks: pl.DataFrame | None = None,
    previous: pl.DataFrame | None = None,
    popular: Popular | None = None,
    library: pl.DataFrame | None = None,
    explain: Explain | None = None,
) -> Assembled:
    """Make the shelves of a block of listeners.

    Args:
        candidates: listener_id, track_id (or `track`, its row in `tracks`), heard_before, sampled_at, last_heard_at,
            plays, saved, source, reason, reason_ref and the columns that shelves are ordered by; of these what there is.
        roster: listener_id, market, explicit_ok; every listener of it gets every shelf.
        tracks: every track that may stand on a shelf.
        night: date, version, seed.
        settings: the shelves; the defaults when None.
        blocks: feedback, (listener_id, kind, target); kinds that mean nothing here are ignored.
        previous: rows of table `shelves` of earlier nights, for carrying and cool-down.
        popular: the popular tracks of each market, for `popular-now` and as a fallback.
        library: (listener_id, track_id or track[, heard, sampled_at, last_heard_at]) of everything ever heard or sampled;
            without it, "heard" is what the candidates say, which a fallback or carried track may escape.
        explain: where reasons are dear to compute: given (listener_id, track_id, rests) of the candidates placed or
            spare, returns them with source, reason and reason_ref. `rests`: on a shelf of what was not heard lately.

    Returns:
        Frames of tables `shelves` and `draws`, and (listener_id, track_id, stage) of what was placed or is spare.
    """
    settings = settings or ShelvesSettings()
    shelves = settings.shelves
    inputs = Inputs.of_the_roster(candidates, roster, tracks, popular, blocks, previous, library)
    wanted = sorted({*READ_BY_RULES, *(name for shelf in shelves for name in shelf.columns)})
    rows = gather(inputs, shelves, night, wanted)
    known = known_of(inputs, rows)
    facts = Facts(inputs, rows, known, night)
    board = Board(rows, Judge(facts), settings, night)
    for number, shelf in enumerate(shelves):
        made = board.put_up(number, shelf)
        ready = np.flatnonzero((made.status == OPEN) & known.has_history)
        board.fill(made, pool(rows, shelf, made.fates), ready, PERSONAL, drawing=True)
    for shelf in in_order_of_fallback(shelves):
        fill_fallback(board, board.made[shelves.index(shelf)], known.has_history)
    finished = list(board.made.values())
    shown, texts = texts_of_shown(rows, finished, explain)
    return Assembled(
        shelves=shelves_frame(rows, finished, shown, texts, facts.last_heard, settings, night),
        draws=draws_frame(rows, finished, settings.exploration, night),
        stages=stages_frame(rows, finished),
    )
