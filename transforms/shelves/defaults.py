"""The shelves that stand without any settings, in order."""

from __future__ import annotations

from transforms.shelves.cadence import DAYPARTS
from transforms.shelves.columns import MIXES, NEXT
from transforms.shelves.shelf import ShelfSettings

FOR_NEWCOMERS = ("popular-without-history",)
# The strongest that cost nothing on earlier nights of a simulated world: docs/benchmarks/shelves.md
CALIBRATED = {"calibration": 0.4}

_DISCOVER = ShelfSettings(
    shelf_id="discover-weekly",
    title="Discover Weekly",
    size=30,
    spares=20,
    pool="unheard",
    refresh="monday",
    rules={"cool_down": {"days": 28}},
    # The strongest that cost less than 2% of NDCG on earlier nights: docs/benchmarks/shelves.md
    variety={"calibration": 0.4},
)
_RELEASES = ShelfSettings(
    shelf_id="release-radar",
    title="Release Radar",
    size=30,
    pool="unheard",
    requires=("score_release",),
    order={"score_release": 1.0, "ranker_score": 0.25},
    rules={"artist_cap": {"most": 3}, "released_within": {"days": 90}},
    refresh="friday",
    fallback=FOR_NEWCOMERS,
    why_empty="nothing new in {released_within.days} days by artists one follows or plays, or near them",
)
_REPEAT = ShelfSettings(
    shelf_id="on-repeat",
    title="On Repeat",
    pool="heard",
    order={"decayed_plays": 1.0, "activation": 1.0, "ranker_score": 0.5},
    rules={"artist_cap": {"most": 4}},
    fallback=FOR_NEWCOMERS,
    why_empty="nothing heard lately passes the rules",
)
_REDISCOVER = ShelfSettings(
    shelf_id="rediscover",
    title="Rediscover",
    pool="heard",
    order={"plays": 1.0, "ranker_score": 0.5},
    rules={"artist_cap": {"most": 3}, "rest": {"days": 60}, "min_plays": {"plays": 3}},
    fallback=FOR_NEWCOMERS,
    why_empty="nothing played often was left alone long enough: {rest.days} days, less where the history is short or quick",
)
_RADIO = ShelfSettings(
    shelf_id="artist-radio",
    title="Artist Radio",
    size=25,
    pool="any",
    requires=("score_radio",),
    order={"score_radio": 1.0, "ranker_score": 0.5},
    rules={"artist_cap": {"most": 5}},
    variety=CALIBRATED,
    fallback=FOR_NEWCOMERS,
    named_by="radio",
    why_empty="no artist is played often enough",
)
_FRESH = ShelfSettings(
    shelf_id="fresh-finds",
    title="Fresh Finds",
    pool="unheard",
    sources={
        "content": None,
        "two_tower": None,
        "adjacent_artists": None,
        "similar_listeners": None,
        "artists": None,
        "albums": None,
        "new_releases": None,
    },
    rules={"few_listeners": {"most": 10}},
    refresh="wednesday",
    fallback=FOR_NEWCOMERS,
    why_empty="nothing that few have heard passes the rules",
)
_POPULAR = ShelfSettings(
    shelf_id="popular-now",
    title="Popular now",
    pool="popular",
    order={"score_popular": 1.0},
    # The same for everyone in a market: a draw here would tell nothing about a listener.
    open_slots=0,
)
_DAYPARTS = tuple(
    ShelfSettings(
        shelf_id=f"daypart-{part}",
        title=f"Your {part}",
        surface="dayparts",
        daypart=part,
        pool="any",
        requires=(f"score_{part}",),
        order={f"score_{part}": 1.0, "ranker_score": 0.25},
        rules={"artist_cap": {"most": 3}},
        variety=CALIBRATED,
        fallback=FOR_NEWCOMERS,
        why_empty=f"no session lately began in the {part}" if part != "night" else "no session lately began at night",
    )
    for part in DAYPARTS
)
_MIXES = tuple(
    ShelfSettings(
        shelf_id=f"daily-mix-{k + 1}",
        title=f"Daily Mix {k + 1}",
        surface="mixes",
        size=25,
        pool="any",
        requires=(f"score_mix_{k + 1}",),
        order={f"score_mix_{k + 1}": 1.0, "decayed_plays": 1.0, "ranker_score": 0.5},
        rules={"artist_cap": {"most": 5}},
        fallback=FOR_NEWCOMERS if k == 0 else (),
        named_by=f"mix_{k + 1}",
        why_empty="their taste has fewer clusters",
    )
    for k in range(MIXES)
)
_PLAYING = ShelfSettings(
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
)
_NEXT = tuple(
    ShelfSettings(
        shelf_id=f"next-session-{k + 1}",
        title="Now Playing",
        surface="next-session",
        instead=True,
        pool="any",
        requires=(f"score_next_{k + 1}",),
        order={f"score_next_{k + 1}": 1.0, "ranker_score": 0.25},
        rules={"artist_cap": {"most": 3}},
        variety=CALIBRATED,
        fallback=FOR_NEWCOMERS if k == 0 else (),
        named_by=f"next_{k + 1}",
        why_empty="no session lately" if k == 0 else "their sessions lately have fewer contexts",
    )
    for k in range(NEXT)
)

# What rests belongs to Rediscover, so On Repeat chooses after it: of who has heard little it would take everything.
# On one surface a shelf takes what no earlier one has; mixes and dayparts are of what On Repeat has too, so they stand apart.
DEFAULT = (
    *(_DISCOVER, _RELEASES, _REDISCOVER, _REPEAT, _RADIO, _FRESH, _POPULAR),
    *_DAYPARTS,
    *_MIXES,
    _PLAYING,
    *_NEXT,
)
