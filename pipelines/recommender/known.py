"""What a night knows of a chunk's listeners: who they are, what they heard, what is in their taste, what they said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from pipelines.recommender.scoring_plan import Plan
from transforms.candidates.blocks import Block, Catalog, build_blocks
from transforms.common.sample import in_sample
from transforms.listening.exclusions import still_out, taste, union, without_plays
from transforms.listening.feedback import plays_of, settled, standing, unwanted, without_pairs
from transforms.listening.library import merge
from transforms.listening.sessions import last_known
from transforms.listening.suspects import why
from transforms.tables.chunks import Chunk


@dataclass(frozen=True)
class Known:
    """What is known of a chunk's listeners.

    Attributes:
        roster: who they are.
        library: all they heard; of `liked` and `sessions` only what is in their taste.
        acts: the feedback that stands.
        machines: who is suspected of being one, with the reason in words; they have no library and no sessions.
    """

    roster: pl.DataFrame
    library: pl.DataFrame
    liked: pl.DataFrame
    sessions: pl.DataFrame
    acts: pl.DataFrame
    machines: pl.DataFrame

    def blocks(self, catalog: Catalog, plan: Plan) -> Iterator[Block]:
        """The listeners as sources see them."""
        own = (self.roster, self.liked, self.sessions)
        return build_blocks(*own, catalog, plan.day, settings=plan.library, acts=self.acts)


def known_of(chunk: Chunk, plan: Plan, facts: pl.DataFrame) -> Known:
    """What is known of the chunk's listeners.

    Args:
        facts: track_id, recording_id, album_id, artist_ids of every track: what is blocked is told by them.
    """
    roster, acts, machines = roster_of(chunk, plan), standing(chunk["feedback"]), why(chunk["suspects"])
    library = settled(merge([chunk["library"]]), chunk["feedback"]).join(roster, on="listener_id", how="semi")
    sessions = last_known(chunk["sessions"]).join(roster, on="listener_id", how="semi")
    library, sessions = (
        f.join(machines, on="listener_id", how="anti", maintain_order="left") for f in (library, sessions)
    )
    out = unwanted(acts, facts)
    asked = still_out(chunk["exclusions"], chunk["feedback"])
    excluded = union([asked, plays_of(sessions, out)])
    liked = without_pairs(taste(library, asked), out)
    return Known(roster, library, liked, without_plays(sessions, excluded), acts, machines)


def roster_of(chunk: Chunk, plan: Plan) -> pl.DataFrame:
    """Everyone who had joined by the night, is in the library or heard of through a session, in order."""
    also = pl.concat([chunk[t].select("listener_id") for t in ("library", "sessions")]).unique()
    joined = pl.col("joined_on").is_null() | (pl.col("joined_on") <= plan.day)
    known = chunk["listeners"].filter(joined | pl.col("listener_id").is_in(also["listener_id"].implode()))
    known = known.select("listener_id", "market", "time_zone", "explicit_ok")
    roster = known.join(also, on="listener_id", how="full", coalesce=True).sort("listener_id")
    if plan.only:
        roster = roster.filter(pl.col("listener_id").is_in(list(plan.only)))
    if plan.sample < 1:
        roster = roster.filter(in_sample(roster["listener_id"], plan.sample, plan.seed))
    return roster
