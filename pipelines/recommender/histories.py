"""Listeners' histories as a fit reads them: frames without a listener's id, and a bounded sample of sessions.

A chunk of listeners gives one frame of each of HISTORIES (library pairs), MARKETS and PLAYS (of a hashed share of listeners),
of SESSIONS (a hashed share of the newest sessions), and of SHOWN (what some were shown, where preferences are learned), behind a
tag of one letter. They reach the fit as files
(`pipelines.recommender.example_files`). `gather` puts the frames of a tag together again, in an order that does not depend on
how listeners were cut into chunks.

    >>> examples = [(PLAYS, pl.DataFrame(schema=STREAMS[PLAYS]))]
    >>> gather(tagged(examples, PLAYS), PLAYS).height, tagged(examples, MARKETS)
    (0, [])
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from transforms.candidates.popular import recency
from transforms.common.hashing import stable_hash, uniform
from transforms.listening.exclusions import still_out, taste, union, without_plays
from transforms.listening.feedback import plays_of, settled, standing, unwanted, without_pairs
from transforms.listening.library import merge
from transforms.listening.sessions import last_known
from transforms.listening.track_stats import TrackStatsSettings
from transforms.next_in_session.sample import in_time, sampled
from transforms.outcomes import preferences
from transforms.outcomes.rewards import RewardSettings
from transforms.tables.chunks import Chunk
from transforms.tables.schema import TABLES

Example = tuple[bytes, pl.DataFrame]  # tag and rows
HISTORIES, MARKETS, PLAYS, SESSIONS, SHOWN = b"L", b"M", b"P", b"S", b"O"
STREAMS: dict[bytes, dict[str, type[pl.DataType]]] = {  # what is gathered where there is nobody to send anything
    HISTORIES: {"track_id": pl.String, "value": pl.Int32, "recency": pl.Float32, "listener": pl.UInt64},
    MARKETS: {"market": pl.String, "listener": pl.UInt64},
    PLAYS: {"listener": pl.UInt64, "session": pl.Int64, "track_id": pl.String, "started_at": pl.Datetime("us", "UTC")},  # type: ignore[dict-item]
    SHOWN: {**{name: kind for name, kind in preferences.SHOWN.items() if name != "listener_id"}, "listener": pl.UInt64},
}
COLUMNS = {
    "library": tuple(TABLES["library"].polars),
    "sessions": ("listener_id", "started_at", "session_id", "open", "plays", "tracks"),
    "listeners": ("listener_id", "market"),
    "feedback": ("listener_id", "kind", "target", "at"),
    "suspects": ("listener_id",),
    "outcomes": preferences.READ,
}


@dataclass(frozen=True)
class Preferences:
    """Whose preferences are learned, and what they are told by. Picklable.

    Attributes:
        listeners: share of listeners, by the same hash as the others' share.
        horizon: days after a night.
    """

    listeners: float
    rewards: RewardSettings
    horizon: int


@dataclass(frozen=True)
class Sampling:
    """Who and what is learned from. Picklable.

    Attributes:
        day: the fit date.
        listeners: share of listeners, by hash.
        first: the first date of the sessions that are sampled.
        sessions: share of these sessions, by hash; 0 = nothing is learned of how sessions go on.
        preferences: None = nothing is learned of what was preferred.
    """

    day: date
    seed: int
    listeners: float
    first: date
    sessions: float
    popularity: TrackStatsSettings
    preferences: Preferences | None = None

    def of_chunk(self, chunk: Chunk) -> tuple[list[Example], Chunk | None]:
        """The examples of a chunk, and its rows of table `session_sample` (None where nothing is learned of sessions)."""
        chunk = _people(chunk)
        out = unwanted(standing(chunk["feedback"]))
        asked = still_out(chunk["exclusions"], chunk["feedback"])
        excluded = union([asked, plays_of(chunk["sessions"], out)])
        library = taste(settled(merge([chunk["library"]]), chunk["feedback"]), asked)
        library = without_pairs(library, out)
        kept = library.select("listener_id").unique()
        kept = self._drawn(kept, self.listeners)
        popularity = self.popularity
        pairs = library.join(kept, on="listener_id", how="semi").with_columns(
            value=pl.col("heard") + pl.col("saved").cast(pl.Int32),
            recency=recency(self.day, popularity.recent_half_life_days, popularity.window_days),
        )
        pairs = pairs.filter(pl.col("value") > 0).select("listener_id", "track_id", "value", "recency")
        people = chunk["listeners"].drop_nulls("market").join(kept, on="listener_id", how="semi")
        own = without_plays(chunk["sessions"].join(kept, on="listener_id", how="semi"), excluded)
        examples = [
            (HISTORIES, hashed(pairs)),
            (MARKETS, hashed(people.select("listener_id", "market"))),
            (PLAYS, session_plays(own)),
        ]
        if self.preferences is not None:
            own = self._drawn(kept, self.preferences.listeners)
            became = chunk["outcomes"].join(own, on="listener_id", how="semi", maintain_order="left")
            shown = preferences.shown(became, self.preferences.rewards, self.preferences.horizon)
            examples.append((SHOWN, hashed(shown)))
        if not self.sessions:
            return examples, None
        sessions = last_known(without_plays(chunk["sessions"], excluded))
        sample = sampled(sessions, self.first, self.sessions, self.seed)
        examples.append((SESSIONS, in_time(sample).drop("listener_id")))
        return examples, Chunk(chunk.shard, {"session_sample": sample})

    def _drawn(self, listeners: pl.DataFrame, share: float) -> pl.DataFrame:
        return listeners.filter(pl.Series(uniform(self.seed, "examples", listeners["listener_id"]) < share))


def _people(chunk: Chunk) -> Chunk:
    """The chunk without suspects: a machine trains nothing."""
    machines = chunk["suspects"].select("listener_id").unique()
    if not machines.height:
        return chunk
    tables = {
        name: frame.join(machines, on="listener_id", how="anti", maintain_order="left")
        for name, frame in chunk.tables.items()
    }
    return Chunk(chunk.shard, tables)


def hashed(frame: pl.DataFrame) -> pl.DataFrame:
    """The same rows with `listener`, a hash, for `listener_id`, sorted by it: order without meaning, and no person."""
    return (
        frame.with_columns(listener=pl.Series(stable_hash(frame["listener_id"], purpose="examples"), dtype=pl.UInt64))
        .drop("listener_id")
        .sort("listener", maintain_order=True)
    )


def session_plays(sessions: pl.DataFrame) -> pl.DataFrame:
    """`listener`, `session` (start in microseconds), `track_id`, `started_at`, in order of play."""
    plays = (
        last_known(sessions)
        .select("listener_id", session=pl.col("started_at").dt.epoch("us"), play="tracks")
        .explode("play")
        .drop_nulls("play")
    )
    fields = pl.col("play").struct.field("track_id", "started_at")
    return hashed(plays.select("listener_id", "session", fields)).select(
        "listener", "session", "track_id", "started_at"
    )


def gather(frames: Sequence[pl.DataFrame], tag: bytes) -> pl.DataFrame:
    """The frames of one tag as one, by listener hash: the same whatever order the chunks came in."""
    return pl.concat([pl.DataFrame(schema=STREAMS[tag]), *frames]).sort("listener", maintain_order=True)


def tagged(examples: Iterable[Example], tag: bytes) -> list[pl.DataFrame]:
    """The frames of one tag."""
    return [frame for own, frame in examples if own == tag]
