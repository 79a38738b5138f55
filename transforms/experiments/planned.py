"""What an experiment would need, from what listeners did in the days before: means, spread and habit of its metrics."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
import polars as pl

from transforms.common.errors import UserError
from transforms.common.sample import in_sample
from transforms.experiments.exposure import COLUMNS
from transforms.experiments.metrics import METRICS, per_listener
from transforms.experiments.moments import Moments
from transforms.experiments.planning import detectable, needed, shared_alpha, shared_power
from transforms.experiments.settings import ExperimentsSettings
from transforms.tables.as_of import as_of
from transforms.tables.manifest import Heading
from transforms.tables.warehouse import Warehouse

MOST = 50_000  # listeners that means and spread are taken from


def planned(
    warehouse: str, name: str, day: date | None, days: int, experiments: ExperimentsSettings, seed: int
) -> Iterator[str]:
    """Lines that say what each metric of an experiment needs, and what all listeners together would show.

    Raises:
        UserError: there is no such experiment, or the log holds fewer than twice the days.
    """
    one = experiments.named(name)
    opened = Warehouse(warehouse)
    newest = opened.newest("listens", day or date.max)
    if newest is None or (past := as_of(warehouse, newest.date)).dates("listens")[0] > newest.date - timedelta(
        2 * days - 1
    ):
        raise UserError(
            f"a plan for {days} days reads {2 * days} days of listens, and the log holds fewer; choose fewer --days"
        )
    first = past.day - timedelta(2 * days - 1)
    size = len({*_column(opened, past.between("listens", first), "listener_id")})
    listens = _sampled(opened, past.between("listens", first), COLUMNS["listens"], size, seed)
    feedback = _sampled(opened, past.between("feedback", first), COLUMNS["feedback"], size, seed)
    people = listens["listener_id"].unique().sort()
    exposed = pl.DataFrame({"listener_id": people}).with_columns(
        experiment=pl.lit(name), arm=pl.lit("all"), first_exposed_on=pl.lit(past.day - timedelta(days - 1))
    )
    values = per_listener(exposed, listens, feedback if past.holds("feedback") else None, past.day, days)
    arms = len(one.arms)
    each = int(size * one.share * (1 - experiments.holdout) * min(_shares(one.arms.values())))
    alpha, power = shared_alpha(one.alpha, len(one.success), arms - 1), shared_power(one.power, len(one.guardrails))
    yield f"{name}: {arms} arms, {size:,} listeners were there in {2 * days} days, so about {each:,} in the smallest arm"
    for metric, kind in METRICS.items():
        role = "success" if metric in one.success else "guardrail" if metric in one.guardrails else None
        if role is None:
            continue
        m = _moments(values, metric)
        mean, variance = (m.ratio, m.ratio_variance) if kind.denominator else (m.mean, m.variance)
        habit = 0.0 if kind.denominator else _correlation(m)
        change = one.change if role == "success" else one.guardrails[metric]  # type: ignore[index]
        level, one_sided = (alpha, False) if role == "success" else (one.alpha, True)
        if not mean:
            yield f"  {metric} ({role}): nobody has any, so nothing can be planned"
            continue
        wanted = needed(mean, variance, change, alpha=level, power=power, correlation=habit, one_sided=one_sided)
        least = detectable(mean, variance, each, alpha=level, power=power, correlation=habit, one_sided=one_sided)
        enough = "enough" if wanted <= each else f"too few: they would show {least:.1%}"
        yield f"  {metric} ({role}): mean {mean:.3g}, a change of {change:.1%} needs {wanted:,} an arm, {each:,} are {enough}"


def _shares(arms: object) -> list[float]:
    weights = [arm.weight for arm in arms if arm.weight]  # type: ignore[attr-defined]
    return [w / sum(weights) for w in weights]


def _moments(values: pl.DataFrame, metric: str) -> Moments:
    kind = METRICS[metric]
    d = values[kind.denominator].to_numpy() if kind.denominator else np.zeros(values.height)
    return Moments.of(values[kind.numerator].to_numpy(), x=values[f"before_{kind.numerator}"].to_numpy(), d=d)


def _correlation(m: Moments) -> float:
    spread = m.variance * m.variance_before
    return m.covariance / spread**0.5 if spread > 0 else 0.0


def _column(warehouse: Warehouse, manifests: list[Heading], name: str) -> list[str]:
    parts = [warehouse.read_manifest(m, [name])[name].unique() for m in manifests]
    return pl.concat(parts).unique().to_list() if parts else []


def _sampled(
    warehouse: Warehouse, manifests: list[Heading], columns: tuple[str, ...], size: int, seed: int
) -> pl.DataFrame:
    parts = [warehouse.read_manifest(m, list(columns)) for m in manifests]
    if not parts:
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    frame = pl.concat(parts)
    return frame.filter(in_sample(frame["listener_id"], min(1.0, MOST / max(size, 1)), seed))
