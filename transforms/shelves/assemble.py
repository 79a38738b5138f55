"""From ranked candidates to every listener's shelves.

Each shelf takes, in the order of the settings, what its rules allow and no earlier shelf of its surface holds: the
order of work is rules (whole block, in columns), then variety (a walk per listener over integers), then draws. Every
listener of the roster gets a row for every shelf. Each part stands in a file of its own:

    gathering    candidates, popular tracks and carried items as rows of numbers
    judging      which rule keeps each row off a shelf
    evidence     columns that speak for rows: mixes, dayparts, releases, an artist's radio
    pools        what a shelf chooses from, best first
    filling      carried, fixed, drawn and spare tracks (`carry`, `placing`, `exploration`)
    fallback     popular tracks where nothing of the listener's own can stand, and why
    explaining   source and reason of what is shown
    output       the tables; `removed` counts what each rule kept off

    >>> made = assemble(candidates, roster, tracks=tracks, night=Night(dt.date(2024, 5, 6)))      # doctest: +SKIP
    >>> made.shelves.select("listener_id", "shelf_id", "status").row(0)                           # doctest: +SKIP
    ('ann', 'discover-weekly', 'personal')
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from transforms.shelves.cadence import Clock
from transforms.shelves.columns import SPREAD
from transforms.shelves.evidence.base import Scene
from transforms.shelves.evidence.collect import asks_for_releases, collect, tastes
from transforms.shelves.evidence.releases import followed_releases
from transforms.shelves.explaining import Explain, texts_of_shown
from transforms.shelves.facts import TrackFacts
from transforms.shelves.fallback import fill_fallback, in_order_of_fallback
from transforms.shelves.filling import EMPTY, OPEN, PERSONAL, Board
from transforms.shelves.gathering import Inputs, gather
from transforms.shelves.history import History, TrackSide
from transforms.shelves.home import Looks, home_order
from transforms.shelves.judging import Judge
from transforms.shelves.known import known_of
from transforms.shelves.output import Assembled, draws_frame, shelves_frame, stages_frame
from transforms.shelves.pools import pool
from transforms.shelves.popularity import Popular
from transforms.shelves.removed import removed_frame
from transforms.shelves.settings import NightContext, ShelvesSettings
from transforms.shelves.tracks import Tracks

# Columns of the candidates that rules and evidence read, beside those of the orders.
READ = (
    *("heard_before", "plays", "saved", "listeners", "ranker_score", "rank_adjacent_artists", "rank_content"),
    SPREAD,
)


@dataclass(frozen=True)
class Given:
    """What a block's shelves are made of, beside candidates and roster.

    Attributes:
        tracks: every track that may stand on a shelf.
        popular: the popular tracks of each market, for `popular-now` and as a fallback.
        side: what is known of tracks for evidence and variety; None = nothing.
        blocks: feedback, (listener_id, kind, target); kinds that mean nothing here are ignored.
        previous: rows of table `shelves` of earlier nights, for carrying, and for cool-down where no impressions tell.
        library: (listener_id, track_id or track[, heard, sampled_at, last_heard_at]) of everything ever heard or sampled;
            without it, "heard" is what the candidates say, which a fallback or carried track may escape.
        plays, sessions: see `History.of`; None = nothing is known.
        impressions: listener_id, shelf_id, track_id, shown_at of what these shelves showed lately; None = nobody says.
        looks: rows of table `looks` lately; None = none.
        looked: counts of looks by `LooksAt`, of everybody; what Home's order is learned from.
        keep: ids of the listeners of whom removed tracks are named; None = everyone.
    """

    tracks: Tracks
    popular: Popular | None = None
    side: TrackSide | None = None
    blocks: pl.DataFrame | None = None
    previous: pl.DataFrame | None = None
    library: pl.DataFrame | None = None
    plays: pl.DataFrame | None = None
    sessions: pl.DataFrame | None = None
    keep: pl.Series | None = None
    impressions: pl.DataFrame | None = None
    looks: pl.DataFrame | None = None
    looked: Mapping[str, int] = field(default_factory=dict)


def assemble(
    candidates: pl.DataFrame,
    roster: pl.DataFrame,
    given: Given,
    *,
    night: NightContext,
    settings: ShelvesSettings | None = None,
    explain: Explain | None = None,
) -> Assembled:
    """Make the shelves of a block of listeners.

    Args:
        candidates: listener_id, track_id (or `track`, its row in `tracks`), heard_before, sampled_at, last_heard_at,
            plays, saved, source, reason, reason_ref and the columns that shelves are ordered by; of these what there is.
        roster: listener_id, market, explicit_ok, time_zone; every listener of it gets every shelf.
        given: everything else that is known.
        night: date, version, seed.
        settings: the shelves; the defaults when None.
        explain: where reasons are dear to compute: given (listener_id, track_id, rests) of the candidates placed or
            spare, returns them with source, reason and reason_ref. `rests`: on a shelf of what was not heard lately.

    Returns:
        Frames of tables `shelves`, `draws` and `removed`, and (listener_id, track_id, stage) of what was placed or is spare.
    """
    settings = settings or ShelvesSettings()
    shelves = settings.shelves
    own = [shelf.shelf_id for shelf in shelves]
    impressions = None if given.impressions is None else given.impressions.filter(pl.col("shelf_id").is_in(own))
    inputs = Inputs.of_the_roster(
        candidates, roster, given.tracks, given.popular, given.blocks, given.previous, given.library, impressions
    )
    clock = Clock(night.date, night.data_cutoff, inputs.roster["time_zone"].to_list())
    wanted = sorted({*READ, *(name for shelf in shelves for name in shelf.columns)})
    also = followed_releases(inputs, night) if asks_for_releases(shelves) else None
    rows = gather(inputs, shelves, night, wanted, clock.ahead(), also)
    known = known_of(inputs, rows)
    history = _history(given, inputs)
    names = collect(Scene(inputs, rows, known, history, clock, night, settings), shelves)

    facts = TrackFacts(inputs, rows, known, night)
    judge = Judge(facts)
    board = Board(rows, judge, settings, night, tastes(history, len(rows.listener_ids)))
    for number, shelf in enumerate(shelves):
        made = board.put_up(number, shelf)
        ready = np.flatnonzero((made.status == OPEN) & known.has_history)
        board.fill(made, pool(rows, shelf, made.fates), ready, PERSONAL, drawing=True)
    for shelf in in_order_of_fallback(shelves):
        fill_fallback(board, board.made[shelves.index(shelf)], known.has_history)

    finished = list(board.made.values())
    shown, texts = texts_of_shown(rows, finished, explain)
    there = {one.shelf.shelf_id: one.status != EMPTY for one in finished}
    looks = Looks(inputs.library, given.looks, given.looked)
    home = home_order(rows.listener_ids, there, looks, settings, night)
    return Assembled(
        shelves_frame(rows, finished, (shown, texts), facts.last_heard, names, clock, night, home),
        draws_frame(rows, finished, settings, night),
        stages_frame(rows, finished),
        removed_frame(rows, judge, finished, _kept(given, inputs), settings.removed_listed),
    )


def _history(given: Given, inputs: Inputs) -> History:
    side = given.side or TrackSide.of(given.tracks)
    nothing = pl.DataFrame(schema={"listener_id": pl.String, "track_id": pl.String, "decayed_plays": pl.Float32})
    plays = nothing if given.plays is None else given.plays
    return History.of(plays, given.sessions, inputs.roster, given.tracks, side)


def _kept(given: Given, inputs: Inputs) -> np.ndarray:
    """By listener, whether their removed tracks are named."""
    if given.keep is None:
        return np.ones(inputs.roster.height, np.bool_)
    return inputs.roster["listener_id"].is_in(given.keep.implode()).to_numpy()
