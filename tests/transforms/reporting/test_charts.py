"""Charts: everything lands inside its axis, and numbers read as people write them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from transforms.reporting.charts import Mark, bar_chart, interval_chart, nice_step, number, quantity, short


def test_positions_by_hand() -> None:
    chart = interval_chart([Mark("als", 0.05, 0.04, 0.06), Mark("popular", 0.01)])
    assert [(t.at, t.text) for t in chart.ticks] == [(0.0, "0"), (33.333, ".02"), (66.667, ".04"), (100.0, ".06")]
    first, second = chart.rows
    assert (first.low, first.at, first.high) == (66.667, 83.333, 100.0)
    assert (first.text, first.span) == (".0500", ".0400 to .0600")
    assert (second.at, second.low, second.high, second.span) == (16.667, 16.667, 16.667, "")


def test_differences_have_signs_and_a_line_at_zero() -> None:
    chart = interval_chart([Mark("als", -0.01, -0.03, 0.01)], signed=True)
    assert chart.rows[0].text == "−.0100" and chart.rows[0].span == "−.0300 to +.0100"
    assert chart.zero is not None and chart.rows[0].low < chart.rows[0].at < chart.zero < chart.rows[0].high
    assert interval_chart([Mark("als", 0.3)]).zero is None


def test_bars_are_shares_of_the_longest() -> None:
    chart = bar_chart([Mark("a", 4.0, note="4"), Mark("b", 1.0, note="1")])
    assert [(r.at, r.text) for r in chart.rows] == [(100.0, "4"), (25.0, "1")]
    assert bar_chart([]).rows == ()


values = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(st.tuples(values, values, values), max_size=8))
def test_everything_lands_inside_the_axis(triples: list[tuple[float, float, float]]) -> None:
    chart = interval_chart([Mark("m", v, min(v, a), max(v, b)) for v, a, b in triples])
    for row in chart.rows:
        assert -1e-6 <= row.low <= row.at <= row.high <= 100 + 1e-6
    assert chart.ticks[0].at == 0.0 and len(chart.ticks) <= 7
    assert interval_chart([Mark("nothing", float("nan"))]).rows == ()


def test_numbers_and_quantities() -> None:
    assert [number(v) for v in (0.0859, 1.0, -0.0, 1234.5, float("nan"))] == [".0859", "1.00", ".0000", "1,234.50", "–"]
    assert [short(v) for v in (0.0, 0.25, -0.5, 3.0)] == ["0", ".25", "−.5", "3"]
    assert [quantity(v) for v in (0, 12, 4_200, 1.5e7)] == ["0 B", "12 B", "4.2 kB", "15.0 MB"]
    assert [nice_step(s) for s in (1, 3, 7, 0.02)] == [0.5, 1.0, 2.0, 0.005]
