"""Tables of what became of nights: what was looked at and heard, what is believed of it, experiments, evaluation."""

from __future__ import annotations

import pyarrow as pa

from transforms.tables.columns import LISTENER, TRACK, Column, Table

FOLLOWED: tuple[Table, ...] = (
    Table(
        "looks",
        "shelf that a listener surely looked at after a night",
        ("listener_id", "night", "surface", "shelf_id"),
        (
            LISTENER,
            Column("night", pa.date32(), "the night whose shelf it is"),
            Column("surface", pa.string(), "surface"),
            Column("shelf_id", pa.string(), "shelf"),
            Column("position", pa.int32(), "where it stood on its surface, from 1"),
            Column("context", pa.int32(), "`home_context` of the row that was shown"),
            Column("played", pa.bool_(), "a play that counts as heard names it"),
        ),
        personal=True,
    ),
    Table(
        "outcomes",
        "night x listener x track x horizon",
        ("listener_id", "night", "horizon", "track_id", "stage"),
        (
            Column("night", pa.date32(), "the night whose rows are joined"),
            LISTENER,
            TRACK,
            Column("horizon", pa.int32(), "days after the night"),
            Column("stage", pa.string(), "candidate, placed, shown or missed"),
            Column(
                "origin",
                pa.string(),
                "attributed: a heard play names the shelf it stood on (any, if on none); else organic",
                True,
            ),
            Column("shelf_id", pa.string(), "shelf it stood on", True),
            Column("rank", pa.int32(), "ranker's rank, or position where placed", True),
            Column("propensity", pa.float32(), "probability of the draw, on the night that drew it; null else", True),
            Column("inclusion", pa.float32(), "probability that the candidate row was kept"),
            Column("listened", pa.bool_(), "heard within the horizon, any version of the recording"),
            Column("completed", pa.bool_(), "completed; null where the log cannot know", True),
            Column("skipped", pa.bool_(), "skipped and never completed; null where the log cannot know", True),
            Column("saved", pa.bool_(), "saved; null where the log has no feedback", True),
            Column("returned", pa.bool_(), "heard on two or more days; null for a horizon of one day", True),
            Column("adopted", pa.bool_(), "heard on a later day by a play that names no shelf; null likewise", True),
            Column("heard_before", pa.bool_(), "heard by the end of the night"),
        ),
        personal=True,
        of_a_night=True,
    ),
    Table(
        "discoveries",
        "listener x recording first heard lately",
        ("listener_id", "recording_id"),
        (
            LISTENER,
            Column("recording_id", pa.string(), "recording"),
            TRACK,
            Column("shelf_id", pa.string(), "shelf that the first play names; empty = the listener's own find"),
            Column("discovered_on", pa.date32(), "date of the first play, UTC"),
            Column("days_heard", pa.int64(), "bit d - 1 is set: heard on the d-th day after, up to 59"),
        ),
        personal=True,
    ),
    Table(
        "beliefs",
        "reward x track x shelf",
        ("track_id", "shelf_id", "reward"),
        (
            Column("reward", pa.string(), "long-term reward"),
            Column("track_id", pa.string(), "track; empty = the prior"),
            Column("shelf_id", pa.string(), "shelf that led to it; empty = wherever it was found"),
            Column(
                "days", pa.int32(), "days after the first play that count; fewer than declared where the log is young"
            ),
            Column("prior_mean", pa.float64(), "days with a play, as believed of a track of which nothing is known"),
            Column("prior_variance", pa.float64(), "variance of that"),
            Column("mean", pa.float64(), "days with a play, as believed"),
            Column("variance", pa.float64(), "variance of that"),
            Column("traces", pa.int64(), "first plays it rests on"),
            Column("complete", pa.int64(), "of these, with all their days known"),
        ),
        sharded_by="track_id",
    ),
    Table(
        "model_trials",
        "model compared by two fits",
        ("model",),
        (
            Column("model", pa.string(), "blend = the untrained sum of all sources, or one source alone"),
            Column("night", pa.date32(), "the stored night that was retrieved anew, at least as late as both fits"),
            Column("horizon", pa.int32(), "days after the night that both are measured by"),
            Column("champion_fit", pa.date32(), "fit date of the older models"),
            Column("challenger_fit", pa.date32(), "fit date of the newer models"),
            Column("champion", pa.float64(), "NDCG@50 of discoveries with the older models, mean over listeners"),
            Column("challenger", pa.float64(), "with the newer models"),
            Column("difference", pa.float64(), "challenger minus champion, paired by listener"),
            Column("low", pa.float64(), "lower end of its 95% bootstrap interval; -1 of too few listeners"),
            Column(
                "high", pa.float64(), "upper end; below 0 of the blend: the champion is kept; 1 of too few listeners"
            ),
            Column("listeners", pa.int64(), "listeners with a discovery"),
        ),
        sharded_by=None,
    ),
    Table(
        "exposures",
        "listener x experiment",
        ("listener_id", "experiment"),
        (
            LISTENER,
            Column("experiment", pa.string(), "experiment"),
            Column("arm", pa.string(), "the arm the listener was dealt"),
            Column("first_exposed_on", pa.date32(), "date of the first impression of a shelf since it started, UTC"),
        ),
        personal=True,
    ),
    Table(
        "readouts",
        "experiment x arm x metric",
        ("experiment", "arm", "metric"),
        (
            Column("experiment", pa.string(), "experiment"),
            Column("arm", pa.string(), "arm, compared with the control"),
            Column("metric", pa.string(), "metric of exposed listeners since their first exposure"),
            Column("role", pa.string(), "success, guardrail or watched; of the long term implied or seen"),
            Column("base", pa.float64(), "the control's mean a listener, or its ratio"),
            Column("mean", pa.float64(), "the arm's"),
            Column("difference", pa.float64(), "arm minus control, adjusted for habit where that helped (CUPED)"),
            Column("low", pa.float64(), "lower end of the interval of the test that decides"),
            Column("high", pa.float64(), "upper end"),
            Column("p", pa.float64(), "p of that test; of a guardrail: of being worse than the margin"),
            Column(
                "explained", pa.float64(), "share of the variance that habit (of implied rows: the index) explained"
            ),
            Column("n", pa.int64(), "exposed listeners of both arms"),
            Column("verdict", pa.string(), "better, worse, not told apart, non-inferior or not shown non-inferior"),
            Column("sample_ratio_p", pa.float64(), "p of the listeners having been dealt as planned"),
            Column("decision", pa.string(), "on the arm: ship, do not ship, not yet or invalid"),
            Column("why", pa.string(), "the reason, in a sentence; of implied rows how far off such rows were"),
        ),
        sharded_by=None,
    ),
    Table(
        "evaluation",
        "metric",
        ("model", "target", "segment", "metric", "versus"),
        (
            Column("model", pa.string(), "shelf, ranker, source or baseline; policy:<name> of open slots; arm:<arm>"),
            Column("target", pa.string(), "unheard, repeat or all; shown (open slots with an impression); experiment"),
            Column(
                "segment", pa.string(), "which listeners; all = everyone; of policies a shelf, of arms the experiment"
            ),
            Column("metric", pa.string(), "metric, with its cut-off"),
            Column("value", pa.float64(), "mean over listeners"),
            Column("low", pa.float64(), "lower end of the 95% bootstrap interval by listener", True),
            Column("high", pa.float64(), "upper end", True),
            Column("n", pa.int64(), "listeners (or rows, for a metric of the whole; or slots, for policies)"),
            Column("versus", pa.string(), "the model it is compared with, for a paired difference", True),
        ),
        sharded_by=None,
    ),
)
