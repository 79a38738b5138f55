"""The page: well-formed, self-contained, escaped, and silent about what is missing."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser

import polars as pl

from transforms.evaluation.variety import Point
from transforms.gates.check import Check
from transforms.reporting.facts import Job, Ledger, Model, NightFacts, Sample, Shelf, ShelfItem, TableRows, VarietyCurve
from transforms.reporting.loop import Believed
from transforms.reporting.page import cards, reject_marks, render
from transforms.reporting.quality import kind_of, quality
from transforms.reporting.verdict import EmptyShelf
from transforms.tables.schema import TABLES

DAY = date(2026, 1, 24)
VOID = {"meta", "line", "br", "link", "img"}


def evaluation() -> pl.DataFrame:
    rows = []
    for target in ("unheard", "repeat"):
        for model, value in (
            ("ranker", 0.09),
            ("source:als", 0.07),
            ("item-knn", 0.06),
            ("shelf:discover-weekly", 0.08),
        ):
            for metric in (
                "ndcg@50",
                "ndcg@10",
                "recall@50",
                "recall@10",
                "hit@10",
                "mrr@10",
                "novelty@50",
                "new_artist_share@50",
            ):
                ends = {"value": value, "low": value - 0.01, "high": value + 0.01, "n": 489}
                rows.append({"model": model, "target": target, "segment": "all", "metric": metric, **ends})
            rows.append(
                {"model": model, "target": target, "segment": "all", "metric": "coverage@50", "value": 0.2, "n": 489}
            )
            rows.append(
                {
                    "model": model,
                    "target": target,
                    "segment": "history 1-49",
                    "metric": "ndcg@50",
                    "value": value,
                    "n": 30,
                }
            )
            if model != "item-knn":
                gain = {
                    "value": value - 0.06,
                    "low": value - 0.065,
                    "high": value - 0.055,
                    "n": 489,
                    "versus": "item-knn",
                }
                rows.append({"model": model, "target": target, "segment": "all", "metric": "ndcg@50", **gain})
        rows.append(
            {"model": "targets", "target": target, "segment": "all", "metric": "targets", "value": 7.5, "n": 489}
        )
        rows.append(
            {"model": "targets", "target": target, "segment": "all", "metric": "unknown_share", "value": 0.31, "n": 489}
        )
    return pl.DataFrame(rows, schema=TABLES["evaluation"].polars)


NIGHT = NightFacts(
    day=DAY,
    warehouse="./warehouse",
    evaluation=evaluation(),
    evaluated_days=7,
    statuses={"discover-weekly": {"personal": 480, "fallback": 20}},
    jobs=[Job("features", "2026-01-01 to 2026-01-24", 12.5, 812.0, 1_000_000, 900_000, 64.0)],
    tables=[TableRows("shelves", DAY, 3_000_000, 2_500, 4_000_000, 4, "abc123")],
    batches=[Ledger("5f1c", "csv", 2, 100, 90, 7, 3, {"future": 2, "bad_time": 1})],
    samples=[
        Sample(
            "listener-7",
            "1 of 1 shelves personal",
            (
                Shelf(
                    "Discover Weekly",
                    "discover-weekly",
                    "personal",
                    "",
                    (
                        ShelfItem(
                            1,
                            "<script>alert(1)</script> & more",
                            "Ann",
                            "because you played Roads",
                            "als",
                            "drawn, p 0.10",
                        ),
                    ),
                    "29 more, 20 spares",
                ),
            ),
        )
    ],
    models=[Model("als", "als", "v1", "2026-01-24", {"ndcg@50": 0.07, "loss": None})],
    listeners=500,
)


class Tags(HTMLParser):
    """Collects tags and attributes, and insists that every tag is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing that is open"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def parsed(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    return tags


def test_the_page_is_well_formed_and_loads_nothing() -> None:
    page = render(NIGHT)
    tags = parsed(page)
    names = {tag for tag, _ in tags.seen}
    assert not names & {"script", "link", "img", "iframe", "object", "embed"}
    assert not re.search(r"https?:|//[a-z]|url\(|@import|javascript:", page)
    assert not any(key in {"src", "srcset", "onclick"} for _, attrs in tags.seen for key in attrs)
    assert {"svg", "table", "details"} <= names


def test_contents_lead_to_every_chapter_and_to_the_gallery_where_there_is_one() -> None:
    for page in (render(NIGHT), render(replace(NIGHT, gallery="gallery/index.html"))):
        seen = parsed(page).seen
        chapters = [attrs["id"] for tag, attrs in seen if tag == "h2"]
        links = [str(attrs["href"]) for tag, attrs in seen if tag == "a"]
        assert [link for link in links if link.startswith("#")] == [f"#{at}" for at in chapters] and len(chapters) > 5
        assert len(set(chapters)) == len(chapters)
        assert [link for link in links if link[0] != "#"] == (["gallery/index.html"] if "gallery/" in page else [])


def test_alarms_stand_in_the_header() -> None:
    much = EmptyShelf("rediscover", "Rediscover", 100, 20, "left alone <too> short")
    page = render(replace(NIGHT, empty=[much], checks=[Check("volume", "PASS")]))
    header = page[page.index("<header>") : page.index("</header>")]
    assert "The night passed its checks: 1 of 1." in header
    assert "Rediscover is empty for 20 of 100 listeners with a history (20%): left alone &lt;too&gt; short" in header
    assert "is empty for" not in render(NIGHT)


def test_what_variety_costs_is_a_curve_and_a_table_a_shelf() -> None:
    points = [
        Point({"mmr": 0.0}, 0.0, ndcg=0.2, paid=0.0, distance=0.5, divergence=0.3, coverage=0.1, gini=0.9),
        Point({"mmr": 0.4}, 2.0, ndcg=0.19, paid=0.05, distance=0.8, divergence=0.2, coverage=0.2, gini=0.8),
    ]
    of = VarietyCurve("Fresh <Finds>", 30, DAY, 1234, points)
    page = render(replace(NIGHT, variety=[of]))
    assert "Fresh &lt;Finds&gt;: relevance against variety" in page and "1,234 listeners found" in page
    assert '<polyline points="30,15 310,155" />' in page, "from the most relevant to the most varied"
    assert "mmr .4000 (&times;2)" in page and "5.0%" in page and "distance</text>" in page
    calibrated = replace(of, points=[replace(one, setting={"calibration": 0.4}) for one in points])
    assert "divergence</text>" in render(replace(NIGHT, variety=[calibrated]))
    assert "What variety costs" not in render(NIGHT)


def test_what_came_from_the_log_is_escaped() -> None:
    page = render(NIGHT)
    assert "<script>" not in page and "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in page


def test_it_tells_metrics_with_intervals_rejects_rows_shelves_and_models() -> None:
    page = render(NIGHT)
    for text in (
        "24 January 2026",
        ".0900",
        ".0800 to .1000",
        "against item-knn",
        "+.0300",
        "31.0% of a listener",
        "future",
        "900,000",
        "12.5 s",
        "because you played Roads",
        "listener-7",
        "480",
        "drawn, p 0.10",
    ):
        assert text in page, text


def test_a_night_with_nothing_but_a_date_is_a_page_too() -> None:
    page = render(NightFacts(day=DAY, warehouse="w"))
    parsed(page)
    assert "How good it was" not in page and "Models" not in page


def test_the_page_is_the_same_for_the_same_facts() -> None:
    assert render(NIGHT) == render(NIGHT)


def test_models_are_ordered_by_what_they_reach_and_coloured_by_kind() -> None:
    first = quality(evaluation())[0]
    assert [r.label for r in first.chart.rows] == ["ranker", "discover-weekly", "als", "item-knn"]
    assert [r.kind for r in first.chart.rows] == ["ranker", "shelf", "source", "baseline"]
    assert first.versus == "item-knn" and [r.text for r in first.differences.rows] == ["+.0300", "+.0200", "+.0100"]  # type: ignore[union-attr]
    assert first.segments[0][0] == "history 1-49, 30 listeners"
    assert kind_of("blend") == "blend"


def test_rejects_add_up_over_batches_most_first() -> None:
    batches = [Ledger("a", "csv", 1, 9, 5, 1, 3, {"x": 1, "y": 2}), Ledger("b", "csv", 1, 9, 5, 1, 3, {"x": 3})]
    assert [(m.label, m.note) for m in reject_marks(batches)] == [("x", "4"), ("y", "2")]


def test_the_head_names_the_primary_metric_first() -> None:
    assert cards(NIGHT)[0][:2] == ("NDCG@50, unheard, ranker", ".0900")


def test_readouts_and_beliefs_are_told_where_there_are_any() -> None:
    best = (("A <song>", 4.25, 0.5, 31),)
    night = NightFacts(
        day=DAY,
        warehouse="w",
        readouts=(("fewer, arm one, through 2026-01-24: SHIP: plays got better", "  120 exposed listeners"),),
        believed=Believed(59, 3.1, 0.7, 12, 340, best),
    )
    page = render(night)
    assert "fewer, arm one, through 2026-01-24: SHIP: plays got better\n  120 exposed listeners</pre>" in page
    assert "among the 59 after a first one, believed from 340 first plays of 12 tracks" in page
    assert "A &lt;song&gt;" in page and ">31<" in page
    silent = render(NightFacts(day=DAY, warehouse="w"))
    assert "believed to last" not in silent and "as read" not in silent
