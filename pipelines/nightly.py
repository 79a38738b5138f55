"""A night as data: its jobs in order, each with the tables it reads and makes; and the local night, which follows it.

    listens -> features -> (outcomes of earlier nights -> trial of models) -> models -> ranker -> score -> shelves

Locally `nightshelf run` starts the steps one after the other and skips what is current; in production a workflow starts the same
jobs in the same order. On a fresh log some earlier nights are made first, for the ranker to learn from.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pipelines.night import steps as local
from pipelines.night.blends import make_blends
from pipelines.night.earlier import FOLDING, LEARNING, make_earlier, take
from pipelines.night.fold import fold
from pipelines.night.prompts import answer_prompts
from pipelines.night.rewards import believe
from pipelines.runtime.config import Settings
from pipelines.runtime.night_ahead import expected, planned, prepared
from pipelines.runtime.processes import processes_of
from pipelines.runtime.progress import numbered
from pipelines.runtime.schedule import Night, Step
from transforms.common.processes import warm
from transforms.tables.warehouse import Warehouse

OWN, ABOUT, LATELY = ("library", "sessions"), ("tracks", "listeners"), ("carried", "shelves", "looks", "impressions")
SUMS, ACTS, SAID = ("track_stats", "co_listens"), ("listens", "feedback"), ("feedback", "exclusions", "suspects")
GIVEN, SIGNALS = ("signal_values", "track_values"), ("listener_signals", "track_signals")
FITTED, ANSWERS = ("session_sample", "semantic_ids", "track_embeddings", "models"), ("intents", "playlists")
KNOWN, CLOSED = (*OWN, *ABOUT, "artists", *SAID), ("candidates", "outcomes")
GROUPS = ("blends", "models", *ABOUT, "artists", "candidates", "listener_embeddings", "feedback", "shelves")
MEASURED = ("candidates", "shelves", "draws", "library", *ACTS, "impressions", "tracks")
NIGHT = (
    Step("check", ("listens",), (), local.check_log),
    Step("features", (*ACTS, *OWN, *ABOUT, *GIVEN[:1]), (*OWN, "suspects", *SUMS, *SIGNALS), fold, earlier=True),
    Step("exclusions", (*ACTS, "sessions"), ("exclusions",), local.take_out, earlier=True),
    Step("outcomes", (*MEASURED, "suspects"), ("outcomes", "looks"), local.join_outcomes),
    Step("try_models", (*CLOSED, "models", *KNOWN, SIGNALS[0], GIVEN[0]), ("model_trials",), local.try_fits),
    Step("beliefs", ("listens", "library", "discoveries", "tracks"), ("discoveries", "beliefs"), believe),
    Step(
        "train", (*OWN, *ABOUT, *SUMS, *SAID, SIGNALS[1], GIVEN[1], CLOSED[1]), FITTED, local.fit_models, earlier=True
    ),
    Step("train_ranker", (*CLOSED, "rankers"), ("rankers",), local.fit_ranker),
    Step(
        "score",
        ("models", "model_trials", "rankers", "beliefs", "session_sample", *KNOWN, *LATELY, *SIGNALS, *GIVEN),
        ("candidates", "draws", "listener_embeddings", "removed", "market_defaults", "carried", "shelves"),
        local.score_night,
        earlier=True,
    ),
    Step("blend", GROUPS, ("blend_shelves",), make_blends),
    Step("prompt", ("prompts", "models", *OWN[:1], *ABOUT, *SAID, *ANSWERS), ANSWERS, answer_prompts),
)
WORKFLOW = (
    Step("ingest", (), (*ACTS, "impressions", "blends", *GIVEN, *ABOUT, "artists", "rejects")),
    *NIGHT,
    Step("evaluate", MEASURED, ("evaluation",)),
    Step("experiments", ("shelves", *ACTS, "impressions", "listeners"), ("exposures", "readouts")),
    Step("publish", ("shelves",)),
    Step("export", ("shelves", "blend_shelves", "shelf_changes"), ("shelf_changes",)),
)


def night(
    warehouse: str,
    day: date,
    settings: Settings,
    *,
    fit_date: date | None = None,
    greedy: bool = False,
    accept_gates: bool = False,
    beam_args: Sequence[str] = (),
) -> None:
    """Make the night of `day` and whatever is missing before it.

    Args:
        fit_date: learn from other listeners only up to this date; default: the night itself.
        greedy: the ranker's order under eligibility rules only.
        accept_gates: commit the night even if a check fails.

    Raises:
        GateFailed: the night failed a check and was not committed; what was current stays so.
        UserError: there is no listening to work on, or `fit_date` is later than the night.
    """
    count, fit = processes_of(settings, warehouse, day, beam_args), fit_date or day
    made, earlier = prepared(
        Night(warehouse, day, fit, settings, 0, beam_args, False, greedy, accept_gates, processes=count)
    )
    with numbered(*expected(planned(NIGHT, made, earlier))):
        take(NIGHT[:1], made)
        if count > 1 and Warehouse(warehouse).current("shelves", day) is None:
            warm()
        done: Sequence[str] = ()
        if earlier:  # only what is missing: a night is made once
            done = (*FOLDING, LEARNING) if count > 1 else ()
            make_earlier(NIGHT, [made.earlier(past) for past in earlier], made if done else None)
        take([step for step in NIGHT[1:] if step.job not in done], made)
