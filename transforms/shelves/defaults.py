"""The shelves that stand without any settings, in order."""

from __future__ import annotations

from transforms.shelves.shelf import ShelfSettings

DEFAULT = (
    ShelfSettings(
        shelf_id="discover-weekly",
        title="Discover Weekly",
        size=30,
        spares=20,
        pool="unheard",
        refresh="monday",
        rules={"cool_down": {"days": 28}},
    ),
    ShelfSettings(
        shelf_id="on-repeat",
        title="On Repeat",
        pool="heard",
        order={"decayed_plays": 1.0, "activation": 1.0, "ranker_score": 0.5},
        rules={"artist_cap": {"most": 4}},
        fallback="no-history",
        why_empty="nothing heard lately passes the rules",
    ),
    ShelfSettings(
        shelf_id="rediscover",
        title="Rediscover",
        pool="heard",
        order={"plays": 1.0, "ranker_score": 0.5},
        rules={"artist_cap": {"most": 3}, "rest": {"days": 60}, "min_plays": {"plays": 3}},
        fallback="no-history",
        why_empty="nothing played often was left alone for {rest.days} days",
    ),
    ShelfSettings(
        shelf_id="popular-now",
        title="Popular now",
        pool="popular",
        order={"score_popular": 1.0},
        # The same for everyone in a market: a draw here would tell nothing about a listener.
        open_slots=0,
    ),
    ShelfSettings(
        shelf_id="now-playing",
        title="Now Playing",
        surface="now-playing",
        pool="any",
        requires=("rank_next_in_session", "score_next_tracks", "score_last_session", "rank_sequence"),
        preferred="continues",
        order={
            "score_next_in_session": 1.0,
            "score_next_tracks": 1.0,
            "score_last_session": 0.5,
            "score_sequence": 1.0,
            "ranker_score": 0.5,
        },
        rules={"artist_cap": {"most": 6}},
        why_empty="no last session that could be continued",
    ),
)
