"""From ranked candidates to every listener's shelves.

Each shelf takes, in the order of the settings, what its rules allow and no earlier shelf of its surface holds: the
order of work is rules (whole block, in columns), then variety (a walk per listener over integers), then draws. Every
listener of the roster gets a row for every shelf. A listener without history gets what is popular in their market, and
so does a listener for whom nothing passes, where the shelf allows it; a shelf that stays empty says why. Fallbacks are
filled last: they must not take a track from a shelf that means it. Of a listener without history every shelf is one, so the
first in the settings has the best of what is popular; shelves that stand in for such listeners only (On Repeat) come after all
others.

    >>> made = assemble(candidates, roster, popular=popular, night=Night(dt.date(2024, 5, 6)))   # doctest: +SKIP
    >>> made.shelves.select("listener_id", "shelf_id", "status").row(0)                           # doctest: +SKIP
    ('ann', 'discover-weekly', 'personal')
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from transforms.common.hashing import stable_hash
from transforms.common.text import name_key
from transforms.shelves.carry import AS_CARRIED, carried_rows, refresh_dates, repair, shown_lately
from transforms.shelves.eligibility import BLOCKS_TRACK, OWNS, judge, known_recordings
from transforms.shelves.filling import Filled, SlotDraws, fill_shelf
from transforms.shelves.output import Assembled, draws_frame, shelves_frame, stages_frame
from transforms.shelves.pools import fallback_pool, order_columns, passes, pool
from transforms.shelves.reasons import with_reasons
from transforms.shelves.rows import CANDIDATE, CARRIED, as_rows, in_order, popular_rows, recordings, with_facts
from transforms.shelves.settings import Night, ShelfSettings, ShelvesSettings
from transforms.shelves.variety import Facts, Tray

Explain = Callable[[pl.DataFrame], pl.DataFrame]
NO_BLOCKS = pl.DataFrame(schema={"listener_id": pl.String, "kind": pl.String, "target": pl.String})


def assemble(
    candidates: pl.DataFrame,
    roster: pl.DataFrame,
    *,
    night: Night,
    settings: ShelvesSettings | None = None,
    blocks: pl.DataFrame | None = None,
    previous: pl.DataFrame | None = None,
    popular: pl.DataFrame | None = None,
    library: pl.DataFrame | None = None,
    catalog: pl.DataFrame | None = None,
    explain: Explain | None = None,
) -> Assembled:
    """Make the shelves of a block of listeners.

    Args:
        candidates: listener_id, track_id and of the columns of `rows.COLUMNS` and the order columns what there is.
        roster: listener_id, market, explicit_ok; every listener of it gets every shelf.
        night: date, version, seed.
        settings: the shelves; the defaults when None.
        blocks: feedback, (listener_id, kind, target); kinds that block nothing are ignored.
        previous: rows of table `shelves` of earlier nights, for carrying and cool-down.
        popular: (market, track_id, score) with facts of the track, for `popular-now` and as a fallback.
        library: (listener_id, recording_id[, heard, sampled_at, last_heard_at]) of everything ever heard or sampled;
            without it, "heard" is what the candidates say, which a fallback or carried track may escape.
        catalog: table `tracks`; without it, carried tracks keep the facts that candidates give.
        explain: where reasons are dear to compute: given (listener_id, track_id, rests) of the candidates placed or
            spare, returns them with source, reason and reason_ref. `rests`: on a shelf of what was not heard lately.

    Returns:
        Frames of tables `shelves` and `draws`, and (listener_id, track_id, stage) of what was placed or is spare.
    """
    settings = settings or ShelvesSettings()
    block = _Block(_Inputs(candidates, roster, blocks, previous, popular, library, catalog), settings, night)
    waiting: list[tuple[int, ShelfSettings, list[int]]] = []
    for number, shelf in enumerate(settings.shelves):
        waiting.append((number, shelf, block.fill(number, shelf)))
    for number, shelf, listeners in sorted(waiting, key=lambda each: _stands_in(each[1])):
        block.fill_fallback(number, shelf, listeners)
    if explain is not None:
        block.explain(explain)
    return Assembled(
        shelves=shelves_frame(block.listener_ids, block.rows, block.shelves(), settings, night),
        draws=draws_frame(block.listener_ids, block.rows, block.draws, settings.exploration, night),
        stages=stages_frame(block.listener_ids, block.rows, block.shelves()),
    )


@dataclass
class Made:
    """One listener's finished shelf, with rows as numbers."""

    status: str
    status_reason: str | None
    refresh_date: dt.date
    filled: Filled = field(default_factory=Filled)


@dataclass(frozen=True)
class _Inputs:
    """The arguments of `assemble` of these names."""

    candidates: pl.DataFrame
    roster: pl.DataFrame
    blocks: pl.DataFrame | None
    previous: pl.DataFrame | None
    popular: pl.DataFrame | None
    library: pl.DataFrame | None
    catalog: pl.DataFrame | None

    def of_the_roster(self) -> _Inputs:
        """Only what concerns listeners of the roster, and the roster with all its columns, in order."""
        columns = (("market", pl.String), ("explicit_ok", pl.Boolean))
        roster = self.roster.select(
            "listener_id",
            *(
                (pl.col(name) if name in self.roster.columns else pl.lit(None)).cast(dtype).alias(name)
                for name, dtype in columns
            ),
        ).sort("listener_id")

        def here(frame: pl.DataFrame | None) -> pl.DataFrame | None:
            return None if frame is None else frame.join(roster.select("listener_id"), on="listener_id", how="semi")

        return replace(
            self,
            candidates=self.candidates.join(roster, on="listener_id", how="semi"),
            roster=roster,
            blocks=here(NO_BLOCKS if self.blocks is None else self.blocks),
            previous=here(self.previous),
            library=here(self.library),
            popular=None if self.popular is None or self.popular.is_empty() else self.popular,
            catalog=None if self.catalog is None or self.catalog.is_empty() else self.catalog,
        )


class _Block:
    """The block's rows as columns and as plain lists, and what has been placed so far."""

    def __init__(self, inputs: _Inputs, settings: ShelvesSettings, night: Night) -> None:
        self.night, self.settings = night, settings
        inputs = inputs.of_the_roster()
        self.listener_ids: list[str] = inputs.roster["listener_id"].to_list()
        rows, self.cooled = _gather(inputs, settings, night)
        blocks = _blocks_by_recording(inputs, rows)
        known = known_recordings(rows, inputs.library, blocks.filter(pl.col("kind").is_in(OWNS)))
        judged = judge(
            rows,
            roster=inputs.roster,
            blocks=blocks,
            known=known,
            cutoff=night.data_cutoff,
            sampled_days=settings.sampled_days,
        )
        self.rows = with_reasons(judged)
        self._index()
        self.has_history = self._with_history(known, told=inputs.library is not None)

        carried = self.rows.filter(pl.col("origin") == CARRIED)
        self.refreshed = refresh_dates(carried)
        self.taken: dict[str, list[set[int]]] = {
            surface: [set() for _ in self.listener_ids] for surface in {s.surface for s in settings.shelves}
        }
        self.made: dict[tuple[int, int], Made] = {}
        self.scores: dict[int, np.ndarray] = {}
        self.draws: list[SlotDraws] = []

    def _with_history(self, known: pl.DataFrame, told: bool) -> list[bool]:
        """By listener, whether there is anything to be personal about.

        Without a library the listener's candidates must tell, and any that is not merely popular does.
        """
        have = known["listener_id"]
        if not told:
            found = self.rows.filter((pl.col("origin") == CANDIDATE) & pl.col("source").ne_missing("popular"))
            have = pl.concat([have, found["listener_id"]])
        listeners = set(have.to_list())
        return [listener in listeners for listener in self.listener_ids]

    def _index(self) -> None:
        """Lists for walking: recording and artists of each row, hashes for draws."""
        rows = self.rows
        credits = rows.select("row", "artist_ids").explode("artist_ids", keep_nulls=False).drop_nulls()
        credits = credits.select("row", name=name_key(pl.col("artist_ids"))).drop_nulls()
        names = credits.select(pl.col("name").unique()).with_row_index("artist")
        codes = credits.join(names, on="name", how="left", maintain_order="left")
        bounds = np.searchsorted(codes["row"].to_numpy(), np.arange(rows.height + 1))
        self.facts = Facts(rows["recording"].to_list(), codes["artist"].to_list(), bounds.tolist())
        self.track_hash = rows["tie"].to_numpy().view(np.int64)
        self.listener_hash = stable_hash(pl.Series(self.listener_ids, dtype=pl.String)).view(np.int64)

    def shelves(self) -> list[tuple[int, int, Made, np.ndarray]]:
        """(listener, shelf number, what was made, scores by row), by listener id and shelf id."""
        ids = [shelf.shelf_id for shelf in self.settings.shelves]
        keys = sorted(self.made, key=lambda key: (key[0], ids[key[1]]))
        return [(listener, number, self.made[listener, number], self.scores[number]) for listener, number in keys]

    def fill(self, number: int, shelf: ShelfSettings) -> list[int]:
        """Carry or fill a shelf for everyone it can be personal for; returns the others."""
        scores = np.full(self.rows.height, np.nan, dtype=np.float32)
        self.scores[number] = scores
        carried = self._carry(number, shelf, scores) if shelf.refresh != "daily" else set()
        chosen = pool(self.rows, shelf, self.night.data_cutoff, self._cooled(shelf))
        ready = [
            listener
            for listener in range(len(self.listener_ids))
            if listener not in carried and self.has_history[listener]
        ]
        trays = self._trays(shelf, chosen, ready, scores)
        filled, draws = self._fill_shelf(shelf, trays, scores, 0 if self.night.greedy else shelf.open_slots)
        self.draws.extend(draws)
        left = []
        for listener in range(len(self.listener_ids)):
            if listener in carried:
                continue
            if listener in filled and filled[listener].items:
                self.made[listener, number] = Made("personal", None, self.night.date, filled[listener])
            else:
                left.append(listener)
        return left

    def fill_fallback(self, number: int, shelf: ShelfSettings, listeners: list[int]) -> None:
        """Popular tracks for these listeners where the shelf allows it, and the reason where it stays empty."""
        why = {listener: _why(shelf) if self.has_history[listener] else NO_HISTORY for listener in listeners}
        allowed = [
            listener
            for listener in listeners
            if not self.has_history[listener] or (shelf.pool != "popular" and shelf.fallback == "always")
        ]
        filled: dict[int, Filled] = {}
        if allowed:
            scores = self.scores[number]
            theirs = self.rows.filter(pl.col("listener").is_in(allowed))
            if shelf.pool == "popular":
                chosen = pool(theirs, shelf, self.night.data_cutoff, self._cooled(shelf))
            else:
                chosen = fallback_pool(theirs, shelf, self.night.data_cutoff)
            trays = self._trays(shelf, chosen, allowed, scores)
            filled, _ = self._fill_shelf(shelf, trays, scores, 0)
        for listener in listeners:
            if listener in filled and filled[listener].items:
                made = Made("fallback", why[listener], self.night.date, filled[listener])
            else:
                tail = "; nothing popular is left under the rules" if listener in filled else ""
                made = Made("empty", why[listener] + tail, self.night.date)
            self.made[listener, number] = made

    def _cooled(self, shelf: ShelfSettings) -> pl.DataFrame | None:
        """What is cooling down on a shelf."""
        return None if self.cooled is None else self.cooled.filter(pl.col("shelf_id") == shelf.shelf_id)

    def explain(self, explain: Explain) -> None:
        """Ask for source and reason of what stands on shelves, and keep them with its rows."""
        on_shelves: dict[int, bool] = {}  # row -> whether a shelf it stands on wants tracks that rest
        for (_, number), made in self.made.items():
            rests = self.settings.shelves[number].rest_days > 0
            for row in (*made.filled.items, *made.filled.spares):
                on_shelves[row] = rests or on_shelves.get(row, False)
        chosen = sorted(on_shelves)
        shown = self.rows[chosen].with_columns(rests=pl.Series([on_shelves[row] for row in chosen], dtype=pl.Boolean))
        pairs = (
            shown.filter(pl.col("origin") == CANDIDATE).group_by("listener_id", "track_id").agg(pl.col("rests").any())
        )
        told = explain(pairs.sort("listener_id", "track_id"))
        told = told.select(
            "listener_id", "track_id", "source", "reason", "reason_ref", origin=pl.lit(CANDIDATE, pl.Int8)
        )
        keys = ["listener_id", "track_id", "origin"]
        self.rows = with_reasons(self.rows.update(told, on=keys, how="left", maintain_order="left"))

    def _fill_shelf(
        self, shelf: ShelfSettings, trays: dict[int, Tray], scores: np.ndarray, open_slots: int
    ) -> tuple[dict[int, Filled], list[SlotDraws]]:
        return fill_shelf(
            shelf,
            trays,
            scores=scores,
            listener_hash=self.listener_hash,
            track_hash=self.track_hash,
            exploration=self.settings.exploration,
            night=self.night,
            open_slots=open_slots,
        )

    def _trays(
        self, shelf: ShelfSettings, chosen: pl.DataFrame, listeners: list[int], scores: np.ndarray
    ) -> dict[int, Tray]:
        order = chosen["row"].to_numpy()
        scores[order] = chosen["score"].to_numpy()
        bounds = np.searchsorted(chosen["listener"].to_numpy(), np.arange(len(self.listener_ids) + 1)).tolist()
        cap = None if self.night.greedy else shelf.artist_cap
        return {
            i: Tray(self.facts, order[bounds[i] : bounds[i + 1]].tolist(), self.taken[shelf.surface][i], cap)
            for i in listeners
        }

    def _carry(self, number: int, shelf: ShelfSettings, scores: np.ndarray) -> set[int]:
        rows = self.rows.filter((pl.col("origin") == CARRIED) & (pl.col("shelf_id") == shelf.shelf_id))
        if rows.is_empty():
            return set()
        rows = rows.with_columns(keeps=passes(shelf, self.night.data_cutoff)).sort("listener", "spare", "position")
        index = rows["row"].to_numpy()
        scores[index] = rows["score"].to_numpy()
        keeps = dict(zip(index.tolist(), rows["keeps"].to_list(), strict=True))
        first = dict(zip(index.tolist(), rows["propensity"].to_list(), strict=True))
        grouped = rows.group_by("listener", maintain_order=True).agg(
            items=pl.col("row").filter(~pl.col("spare")), spares=pl.col("row").filter("spare")
        )
        carried = set()
        for listener, items, spares in grouped.iter_rows():
            taken = self.taken[shelf.surface][listener]
            now, rest = repair(items, spares, keeps, taken, self.facts.recording)
            if not now:
                continue
            # A spare was never drawn, so a replacement brings no propensity along.
            p = [float("nan") if first[row] is None else first[row] for row in now]
            filled = Filled(now, p, rest)
            date = self.refreshed[self.listener_ids[listener], shelf.shelf_id]
            self.made[listener, number] = Made("personal", None, date, filled)
            carried.add(listener)
        return carried


NO_HISTORY = "no listening history yet"


def _stands_in(shelf: ShelfSettings) -> bool:
    """Whether popular tracks are here only because there is no history: the shelf's title promises something else."""
    return shelf.pool != "popular" and shelf.fallback == "no-history"


def _why(shelf: ShelfSettings) -> str:
    """Why a shelf has nothing of its own for a listener with a history."""
    if shelf.pool == "popular":
        return "nothing popular passes the rules"
    if shelf.requires:
        return "no last session that could be continued"
    if shelf.rest_days:
        return f"nothing played often was left alone for {shelf.rest_days} days"
    return "no candidate passes the rules" if shelf.pool == "any" else f"no {shelf.pool} candidate passes the rules"


def _gather(inputs: _Inputs, settings: ShelvesSettings, night: Night) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """All rows of the block in order, and what is cooling down, by recording."""
    columns = order_columns(settings.shelves)
    carries = inputs.previous is not None and not night.greedy
    parts = [as_rows(inputs.candidates, CANDIDATE, columns)]
    if inputs.popular is not None:
        parts.append(popular_rows(inputs.popular, inputs.roster, columns))
    if inputs.previous is not None and carries:
        parts.append(carried_rows(inputs.previous, settings.shelves, night, columns))
    rows = with_facts(pl.concat(parts, how="diagonal"), inputs.catalog, inputs.popular)
    rows = rows.with_columns(
        pl.lit(None, dtype=dtype).alias(name) for name, dtype in AS_CARRIED.items() if name not in rows.columns
    )
    numbered = inputs.roster.select("listener_id").with_row_index("listener")
    rows = in_order(rows.join(numbered, on="listener_id")).with_row_index("row")
    if inputs.previous is None or not carries:
        return rows, None
    shown = shown_lately(inputs.previous, settings.shelves, night)
    return rows, recordings(shown, rows, inputs.catalog, inputs.popular)


def _blocks_by_recording(inputs: _Inputs, rows: pl.DataFrame) -> pl.DataFrame:
    """Feedback with the recording of every track that it blocks or owns."""
    blocks = NO_BLOCKS if inputs.blocks is None else inputs.blocks
    of_track = pl.col("kind").is_in([*BLOCKS_TRACK, *OWNS])
    pairs = blocks.filter(of_track).select("listener_id", "kind", track_id="target").unique()
    tracks = recordings(pairs, rows, inputs.catalog, inputs.popular).rename({"track_id": "target"})
    return pl.concat([tracks, blocks.filter(~of_track).select("listener_id", "kind", "target")], how="diagonal")
