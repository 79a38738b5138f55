"""The report's page: facts in, one self-contained HTML document out.

The facts are `facts.Night`. The template is `page.html`, its look `style.css`; nothing is loaded from outside, and no
script runs. Text is escaped by the template engine, since titles and ids come from other people's logs.

    >>> page = render(Night(day=date(2026, 1, 31), warehouse="w"))
    >>> page.startswith("<!doctype html>"), "http" in page
    (True, False)
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date  # noqa: F401  (the example above)
from html import unescape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import polars as pl

from transforms.common.printable import plain
from transforms.reporting import cost, models
from transforms.reporting.charts import Curve, Mark, bar_chart, curve_chart, number, quantity
from transforms.reporting.facts import Ledger, NightFacts, VarietyCurve
from transforms.reporting.quality import PRIMARY, differences_from_baseline, metric_table, quality, values_of
from transforms.reporting.responses import arm_tables, policy_tables
from transforms.reporting.verdict import verdict

if TYPE_CHECKING:
    from jinja2 import Environment

_HEADING = re.compile(r'<h2 id="([^"]+)">(.*?)</h2>')
BEYOND = ("coverage@50", "artist_gini@50", "novelty@50", "new_artist_share@50")
WORDS = {
    "ndcg": "NDCG",
    "recall": "Recall",
    "hit": "Hit rate",
    "mrr": "MRR",
    "coverage": "Coverage",
    "artist_gini": "Artist Gini",
    "novelty": "Novelty, bits",
    "new_artist_share": "New artists",
}


def _text(value: object) -> object:
    """What stands on the page for a value: of a text from outside no character that orders anything."""
    return plain(value, lines=True) if type(value) is str else value


def render(night: NightFacts, read_by: Mapping[str, Sequence[str]] | None = None) -> str:
    """The page.

    Args:
        night: the facts.
        read_by: fitted part -> the sources that read it, which are told as one.

    Returns:
        A whole HTML document, the same for the same facts.
    """
    facts: dict[str, Any] = dict(
        night=night,
        style=read("style.css"),
        verdict=verdict(night.checks, night.accepted, night.empty, night.remarks),
        cards=cards(night),
        quality=quality(night.evaluation),
        beyond=metric_table(night.evaluation, "unheard", BEYOND),
        beyond_names=BEYOND,
        variety=[(one, _curve(one)) for one in night.variety],
        policies=policy_tables(night.evaluation),
        experiments=arm_tables(night.evaluation),
        jobs=bar_chart([Mark(f"{j.name} {j.dates}", j.seconds, note=took(j.seconds)) for j in night.jobs]),
        costs=cost.table(night),
        models_took=models.table(night.jobs, read_by or {}),
        rejects=bar_chart(reject_marks(night.batches)),
        status_names=sorted({s for counts in night.statuses.values() for s in counts}),
    )
    page = environment().get_template("page.html")
    once = page.render(**facts, contents=[])
    chapters = [(at, unescape(words)) for at, words in _HEADING.findall(once)]
    return page.render(**facts, contents=chapters)


def _curve(of: VarietyCurve) -> Curve:
    return curve_chart([(getattr(p, of.against), p.ndcg, f"{p.strength:g}") for p in of.points])


def read(name: str) -> str:
    """A file that stands beside this one."""
    return files("transforms.reporting").joinpath(name).read_text(encoding="utf-8")


def environment() -> Environment:
    """The template engine: text is escaped, and what is not given is an error."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    made = Environment(
        loader=FunctionLoader(read),
        autoescape=True,
        finalize=_text,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(number=number, quantity=quantity, thousands=lambda n: f"{n:,}", took=took, metric=metric_words)
    return made


def took(seconds: float) -> str:
    """A duration for people.

    >>> took(4.26), took(61.0)
    ('4.3 s', '1 min 1 s')
    """
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"


def metric_words(name: str) -> str:
    """`ndcg@50` -> `NDCG@50`."""
    kind, _, k = name.partition("@")
    word = WORDS.get(kind, kind)
    if name in BEYOND:
        return word
    return f"{word}@{k}" if k else word


def cards(night: NightFacts) -> list[tuple[str, str, str]]:
    """(what, value, remark) of the page's head."""
    out = []
    if night.evaluation is not None:
        main = values_of(night.evaluation, "unheard", "ndcg@50").filter(pl.col("model") == PRIMARY)
        for row in main.iter_rows(named=True):
            remark = f"{number(row['low'])} to {number(row['high'])}, {row['n']:,} listeners"
            out.append(("NDCG@50, unheard, ranker", number(row["value"]), remark))
        differences = differences_from_baseline(night.evaluation, "unheard")
        for row in differences.filter(pl.col("model") == PRIMARY).iter_rows(named=True):
            remark = f"{number(row['low'], True)} to {number(row['high'], True)}"
            out.append((f"against {row['versus']}", number(row["value"], True), remark))
    if night.listeners:
        shelves = sum(sum(counts.values()) for counts in night.statuses.values())
        out.append(("listeners with shelves", f"{night.listeners:,}", f"{shelves:,} shelves"))
    if night.batches:
        rows = sum(b.rows for b in night.batches)
        duplicates, refused = (sum(n) for n in zip(*((b.duplicates, b.rejects) for b in night.batches), strict=True))
        remark = f"{duplicates:,} duplicates, {refused:,} refused"
        out.append(("lines ingested", f"{rows:,}", remark))
    if night.jobs:
        peak = max(j.peak_mb for j in night.jobs)
        out.append(("time of all jobs", took(sum(j.seconds for j in night.jobs)), f"peak {quantity(peak * 1e6)}"))
    return out


def reject_marks(batches: Sequence[Ledger]) -> list[Mark]:
    """Refused lines by reason, over all batches, most first."""
    total: dict[str, int] = {}
    for batch in batches:
        for reason, n in batch.reasons.items():
            total[reason] = total.get(reason, 0) + n
    ordered = sorted(total.items(), key=lambda pair: (-pair[1], pair[0]))
    return [Mark(reason, float(n), note=f"{n:,}", kind="refused") for reason, n in ordered]
