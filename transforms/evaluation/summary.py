"""What was measured by listener, as rows of table `evaluation`: means, intervals, paired differences, coverage.

Listeners and models are numbers here, and a list's metrics a matrix with a row a listener, so that the bootstrap weighs all of
them at once: its weights are drawn once for everybody (`Bootstrap`), and a segment takes those of its own listeners.

    rows of `measure`, exposures, the chosen baselines  ->  model, target, segment, metric, value, low, high, n, versus
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl

from transforms.evaluation.facts import MeasureFacts
from transforms.evaluation.lists import METRICS, TOP
from transforms.evaluation.measure import PRIMARY, TARGETS
from transforms.metrics import beyond
from transforms.metrics.intervals import DRAWS, Bootstrap
from transforms.tables.schema import TABLES

COMPARED = ("ndcg@50", "recall@50")
IN_SEGMENTS = ("ndcg@50", "recall@50", "hit@10")
OF_TARGETS = ("targets", "unknown_share")
Row = dict[str, object]


def summarise(
    rows: pl.DataFrame,
    exposures: pl.DataFrame,
    chosen: Mapping[str, str],
    facts: MeasureFacts,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> pl.DataFrame:
    """Everything measured, as rows of table `evaluation`.

    Args:
        rows: of `measure`, all shards and models.
        exposures: likewise.
        chosen: target -> the baseline chosen on an earlier origin, which the others are compared with.
        facts: of the night.

    Returns:
        Rows of the table, sorted by its key, differences after the value they belong to.
    """
    ids = rows["listener_id"].unique().sort()
    places = pl.DataFrame({"listener_id": ids, "row": np.arange(len(ids))})
    rows = rows.join(places, on="listener_id", maintain_order="left").drop("listener_id")
    bootstrap = Bootstrap.of(ids, draws, seed)
    out: list[Row] = []
    for target in TARGETS:
        shown = exposures.filter(pl.col("target") == target)
        listing = shown["model"].unique().to_list()
        here = rows.filter((pl.col("target") == target) & pl.col("model").is_in(["targets", *listing]))
        if here.is_empty():
            continue
        measured = {str(model): own for (model,), own in sorted(here.partition_by("model", as_dict=True).items())}
        segment_of = here.select("row", "segment").unique("row").sort("row")
        everyone, segment = segment_of["row"].to_numpy(), segment_of["segment"]
        values = {
            model: _laid_out(own, len(ids), OF_TARGETS if model == "targets" else METRICS)
            for model, own in measured.items()
        }
        for name in ("all", *segment.unique().sort()):
            who = everyone if name == "all" else everyone[(segment == name).to_numpy()]
            out += _means(bootstrap, values, who, target, name, chosen.get(target))
        out += _of_the_whole(shown, {model: own["row"].n_unique() for model, own in measured.items()}, target, facts)
    schema = TABLES["evaluation"].polars
    return pl.DataFrame(out, schema=schema).sort(*TABLES["evaluation"].key, "versus", nulls_last=False)


def _laid_out(own: pl.DataFrame, listeners: int, metrics: tuple[str, ...]) -> dict[str, np.ndarray]:
    """By metric, float64 by listener; NaN where nothing was measured."""
    out = np.full((len(metrics), listeners), np.nan)
    at = own["row"].to_numpy()
    for number, metric in enumerate(metrics):
        if metric in own.columns:
            out[number, at] = own[metric].cast(pl.Float64).fill_null(np.nan).to_numpy()
    return dict(zip(metrics, out, strict=True))


def _means(
    bootstrap: Bootstrap,
    values: Mapping[str, Mapping[str, np.ndarray]],
    who: np.ndarray,
    target: str,
    segment: str,
    chosen: str | None,
) -> Iterator[Row]:
    """Mean, interval and paired differences of every model for one target and the listeners of one segment."""
    labels: list[tuple[str, str, str | None]] = []
    columns: list[np.ndarray] = []
    for model, own in values.items():
        kept = own if model == "targets" or segment == "all" else IN_SEGMENTS
        labels += [(model, metric, None) for metric in kept]
        columns += [own[metric][who] for metric in kept]
    pairs = [(m, chosen) for m in values if chosen in values and m not in (chosen, "targets")]
    pairs += [(PRIMARY, m) for m in values if PRIMARY in values and m not in (PRIMARY, "targets", chosen)]
    for model, other in pairs if segment == "all" else []:
        labels += [(model, metric, other) for metric in COMPARED]
        columns += [values[model][metric][who] - values[str(other)][metric][who] for metric in COMPARED]
    found = bootstrap.intervals(np.column_stack(columns), who)
    for (model, metric, versus), i in zip(labels, found, strict=True):
        if i.n:
            named = {"model": model, "target": target, "segment": segment, "metric": metric}
            yield {**named, "value": i.value, "low": i.low, "high": i.high, "n": i.n, "versus": versus}


def _of_the_whole(shown: pl.DataFrame, listeners: Mapping[str, int], target: str, facts: MeasureFacts) -> Iterator[Row]:
    """Coverage and artist Gini of every model: properties of all lists together, without an interval."""
    heard = facts.audience > 0
    bounds, artists = facts.artists
    credit = np.repeat(np.arange(len(heard)), np.diff(bounds))
    credit, artists = credit[heard[credit]], artists[heard[credit]]
    _, artist = np.unique(artists, return_inverse=True)
    for (model,), own in sorted(shown.partition_by("model", as_dict=True).items()):
        counts = np.bincount(own["item"].to_numpy(), own["exposures"].to_numpy(), minlength=len(heard))[: len(heard)]
        held = int(heard.sum())
        values = {f"coverage@{TOP}": int((counts[heard] > 0).sum()) / held if held else 0.0}
        if len(credit):
            values[f"artist_gini@{TOP}"] = beyond.gini(np.bincount(artist, counts[credit]))
        named = {"model": model, "target": target, "segment": "all"}
        yield from ({**named, "metric": m, "value": v, "n": listeners[str(model)]} for m, v in values.items())
