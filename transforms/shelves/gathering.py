"""Everything that could stand on the shelves of a block of listeners, as columns of numbers.

A row is a listener and a track. There are three sections, one after the other, each sorted by listener and by the track's
row in `Tracks`: the ranked candidates, the popular tracks of each listener's market (for `popular-now` and as a fallback),
and what stands on shelves that are carried. The same rules run over all of them, and what is decided for a listener never
depends on who else is in the block: facts of a track come from `Tracks` alone.

Rows of one listener with one recording share a number, their `piece`: what was heard, and what a surface already holds,
is kept by piece.

Example: candidates (ann, t1) and (ann, t1-remaster) of one recording and the carried row (ann, t7) are rows 0, 1 and 2 of
pieces 0, 0 and 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl

from transforms.shelves.carry import CARRIED_COLUMNS, carried_items
from transforms.shelves.popularity import Popular
from transforms.shelves.settings import NightContext, ShelfSettings
from transforms.shelves.tracks import Tracks

CANDIDATE, POPULAR, CARRIED = 0, 1, 2
TEXTS, TIMES = ("source", "reason", "reason_ref"), ("sampled_at", "last_heard_at")
_TEXT_SCHEMA = dict.fromkeys(TEXTS, pl.String())


@dataclass(frozen=True)
class Inputs:
    """The arguments of `assemble` of these names, restricted to the listeners of the roster.

    Attributes:
        roster: listener_id, market, explicit_ok and time_zone, sorted; a listener's place in it is their number.
    """

    candidates: pl.DataFrame
    roster: pl.DataFrame
    tracks: Tracks
    popular: Popular
    blocks: pl.DataFrame
    previous: pl.DataFrame | None
    library: pl.DataFrame | None
    impressions: pl.DataFrame | None

    @classmethod
    def of_the_roster(
        cls,
        candidates: pl.DataFrame,
        roster: pl.DataFrame,
        tracks: Tracks,
        popular: Popular | None,
        blocks: pl.DataFrame | None,
        previous: pl.DataFrame | None,
        library: pl.DataFrame | None,
        impressions: pl.DataFrame | None = None,
    ) -> Inputs:
        """Only what concerns listeners of the roster, each frame with their number in column `listener`."""
        columns = (("market", pl.String), ("explicit_ok", pl.Boolean), ("time_zone", pl.String))
        roster = roster.select(
            "listener_id",
            *(
                (pl.col(name) if name in roster.columns else pl.lit(None)).cast(dtype).alias(name)
                for name, dtype in columns
            ),
        ).sort("listener_id")
        numbered = roster.select("listener_id").with_row_index("listener")

        def here(frame: pl.DataFrame) -> pl.DataFrame:
            return frame.join(numbered, on="listener_id", maintain_order="left")

        no_blocks = pl.DataFrame(schema={"listener_id": pl.String, "kind": pl.String, "target": pl.String})
        return cls(
            here(candidates),
            roster,
            tracks,
            popular or Popular({}),
            here(no_blocks if blocks is None else blocks.select("listener_id", "kind", "target")),
            None if previous is None else here(previous),
            None if library is None else here(library),
            None if impressions is None else here(impressions),
        )


@dataclass
class Rows:
    """The rows of a block.

    Attributes:
        listener_ids: sorted; a listener is its place here.
        listener, track: int32 by row.
        section: int64[3, listeners + 1], where each listener's candidates, popular and carried rows begin.
        piece: int32 by row; pieces: how many there are.
        piece_keys: int64 by piece, ascending: listener * recordings + recording.
        columns: float32 by row, NaN where nothing is known; those that came with the candidates or were worked out since.
        texts: source, reason and reason_ref of the candidates' rows and of the carried rows.
        popular_market: the market ("" = everywhere) whose popular tracks each listener has.
        carried: of each carried row `shelf` (number), `refresh_date`, `spare`, `position`, `score`, `propensity`.
    """

    listener_ids: list[str]
    tracks: Tracks
    listener: np.ndarray
    track: np.ndarray
    section: np.ndarray
    piece: np.ndarray
    piece_keys: np.ndarray
    columns: dict[str, np.ndarray]
    texts: tuple[pl.DataFrame, pl.DataFrame]
    popular_market: list[str]
    carried: pl.DataFrame
    times: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.listener)

    @property
    def pieces(self) -> int:
        """How many pieces there are."""
        return len(self.piece_keys)

    @property
    def recording(self) -> np.ndarray:
        """int32 recording by row."""
        return self.tracks.recording[self.track]

    def column(self, name: str) -> np.ndarray:
        """A column by row; nothing is known of one that nobody gave."""
        return self.columns.get(name, self._unknown)

    @cached_property
    def _unknown(self) -> np.ndarray:
        return np.full(len(self), np.nan, np.float32)

    def within(self, origin: int) -> slice:
        """The rows of a section."""
        return slice(int(self.section[origin, 0]), int(self.section[origin, -1]))

    def find(self, listener: np.ndarray, recording: np.ndarray) -> np.ndarray:
        """int64 piece of each listener and recording, -1 where no row is of it (or the recording is -1)."""
        if not self.pieces:
            return np.full(len(listener), -1)
        keys = listener.astype(np.int64) * self.tracks.recordings + recording
        at = np.minimum(np.searchsorted(self.piece_keys, keys), self.pieces - 1)
        return np.where((self.piece_keys[at] == keys) & (recording >= 0), at, -1)

    def texts_of(self, rows: np.ndarray) -> pl.DataFrame:
        """source, reason and reason_ref of some rows, as they came."""
        origin = np.searchsorted(self.section[:, -1], rows, side="right")
        parts, order = [], []
        for number, frame in ((CANDIDATE, self.texts[0]), (CARRIED, self.texts[1])):
            here = np.flatnonzero(origin == number)
            parts.append(frame[rows[here] - self.section[number, 0]])
            order.append(here)
        here = np.flatnonzero(origin == POPULAR)
        market = pl.Series(self.popular_market, dtype=pl.String).gather(self.listener[rows[here]]).replace("", None)
        n = len(here)
        parts.append(
            pl.DataFrame(
                {
                    "source": pl.repeat("popular", n, dtype=pl.String, eager=True),
                    "reason": pl.repeat("popular_in", n, dtype=pl.String, eager=True),
                    "reason_ref": market,
                },
                schema=_TEXT_SCHEMA,
            )
        )
        order.append(here)
        back = np.empty(len(rows), np.int64)
        back[np.concatenate(order)] = np.arange(len(rows))
        return pl.concat(parts)[back]


def gather(
    inputs: Inputs,
    shelves: tuple[ShelfSettings, ...],
    night: NightContext,
    wanted: list[str],
    ahead: np.ndarray,
    also: pl.DataFrame | None = None,
) -> Rows:
    """The rows of a block.

    Args:
        inputs: restricted to the roster.
        shelves: the settings' shelves, of which those that are not due are carried.
        night: the night; nothing is carried into a greedy one.
        wanted: columns of the candidates that a rule or an order reads.
        ahead: by listener, see `carry.carried_items`.
        also: (listener, track) of tracks that are candidates though no source found them; source, reason.
    """
    tracks, count = inputs.tracks, inputs.roster.height
    carries = inputs.previous is not None and not night.greedy
    candidates, candidate_track = _candidates(inputs, also, wanted)
    popular = list(inputs.popular.markets_of(inputs.roster["market"]))
    carried = carried_items(inputs.previous, shelves, night, ahead) if inputs.previous is not None and carries else None
    carried, carried_track = _known_tracks(carried, tracks)

    sizes = [len(t) for _, t, _ in popular]
    listener = np.concatenate(
        [candidates["listener"].to_numpy(), np.repeat(np.arange(count), sizes), carried["listener"].to_numpy()]
    ).astype(np.int32)
    track = np.concatenate([candidate_track, *(t for _, t, _ in popular), carried_track]).astype(np.int32)
    starts = np.cumsum([0, len(candidate_track), sum(sizes), len(carried_track)])
    section = np.stack(
        [
            starts[n] + np.searchsorted(listener[starts[n] : starts[n + 1]], np.arange(count + 1))
            for n in (CANDIDATE, POPULAR, CARRIED)
        ]
    )
    keys = listener.astype(np.int64) * tracks.recordings + tracks.recording[track]
    piece_keys, piece = np.unique(keys, return_inverse=True)
    columns = {name: _column(candidates, name, len(listener)) for name in wanted if name in candidates.columns}
    score = np.full(len(listener), np.nan, np.float32)
    score[starts[1] : starts[2]] = np.concatenate([np.zeros(0, np.float32), *(s for *_, s in popular)])
    if "score_popular" not in columns:
        columns["score_popular"] = score
    else:
        columns["score_popular"][starts[1] : starts[2]] = score[starts[1] : starts[2]]
    return Rows(
        inputs.roster["listener_id"].to_list(),
        tracks,
        listener,
        track,
        section,
        piece.astype(np.int32),
        piece_keys,
        columns,
        (_texts(candidates), _texts(carried)),
        [market for market, *_ in popular],
        carried,
        {name: _times(candidates, name) for name in TIMES if name in candidates.columns},
    )


def _candidates(inputs: Inputs, also: pl.DataFrame | None, wanted: list[str]) -> tuple[pl.DataFrame, np.ndarray]:
    """The candidates in order, and the row of each one's track; `track` tells it where the caller knows it."""
    read = {"listener", *wanted, *TEXTS, *TIMES}
    frame, n = inputs.candidates, max(len(inputs.tracks), 1)
    track = frame["track"].to_numpy() if "track" in frame.columns else inputs.tracks.rows(frame["track_id"])
    frame = frame.select(name for name in frame.columns if name in read)
    key = frame["listener"].to_numpy().astype(np.int64) * n + track
    if also is not None and also.height:
        other = also["listener"].to_numpy().astype(np.int64) * n + also["track"].to_numpy()
        new = ~np.isin(other, key)
        frame = pl.concat([frame, also.filter(pl.Series(new)).drop("track")], how="diagonal")
        track, key = np.concatenate([track, also["track"].to_numpy()[new]]), np.concatenate([key, other[new]])
    order = np.argsort(key, kind="stable")
    order = order[track[order] >= 0]
    return frame[order], track[order]


def _known_tracks(carried: pl.DataFrame | None, tracks: Tracks) -> tuple[pl.DataFrame, np.ndarray]:
    """Carried items in order, without tracks that nothing is known of any more."""
    if carried is None:
        return pl.DataFrame(schema=CARRIED_COLUMNS), np.zeros(0, np.int32)
    track = tracks.rows(carried["track_id"])
    order = np.lexsort((carried["shelf"].to_numpy(), track, carried["listener"].to_numpy()))
    order = order[track[order] >= 0]
    return carried[order], track[order]


def _column(candidates: pl.DataFrame, name: str, rows: int) -> np.ndarray:
    out = np.full(rows, np.nan, np.float32)
    out[: candidates.height] = candidates[name].cast(pl.Float32).fill_null(float("nan")).to_numpy()
    return out


def _times(candidates: pl.DataFrame, name: str) -> np.ndarray:
    """int64 microseconds since 1970 of the candidates' rows, -1 where there is none."""
    return candidates[name].dt.epoch("us").fill_null(-1).to_numpy()


def _texts(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(pl.String).alias(name) for name in TEXTS
    ).select(TEXTS)
