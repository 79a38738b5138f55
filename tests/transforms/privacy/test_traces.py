"""Traces of an id as a pattern for a service that knows no lookarounds: all that is found here is found there."""

from __future__ import annotations

import base64
from hashlib import sha256

import duckdb
import pytest

from transforms.privacy.traces import Traces

WHO = ["ann smith+1", "7", "björn/2.0|x", 'a\\E"b']
HELD = [
    *(f"the plays of {who}" for who in WHO if len(who) > 3),
    *(f"{who},t1" for who in WHO if len(who) > 3),
    *(f"id={who.encode().hex()};" for who in WHO if len(who) > 3),
    base64.b64encode(b"xy" + WHO[0].encode() + b"z").decode(),
    *("sha256:" + sha256(who.encode()).hexdigest() for who in WHO),
    "7",
    "exports/7.csv",
    "exports/ann%20smith%2B1/a.csv",
    "ann&#x27;s, ann smith+1",
]
FREE = ["joann smith+1", "ann smith", "ann smith+12", "t7", "exports/77.csv", "line 7 of it", "björn/2x0|x", ""]


def matches(pattern: str, text: str) -> bool:
    """DuckDB's patterns are RE2's, as BigQuery's are."""
    return bool(duckdb.execute("SELECT regexp_matches(?, ?)", [text, pattern]).fetchall()[0][0])


@pytest.mark.parametrize("text", HELD)
def test_what_gives_somebody_away_is_found_by_the_pattern_too(text: str) -> None:
    traces = Traces(WHO)
    assert traces.given_away(text) and matches(traces.re2, text)


@pytest.mark.parametrize("text", FREE)
def test_what_does_not_is_left(text: str) -> None:
    traces = Traces(WHO)
    assert not traces.given_away(text) and not matches(traces.re2, text)


def test_of_nobody_nothing_is_found() -> None:
    assert not any(matches(Traces([]).re2, text) for text in (*HELD, *FREE, "\n", "a\nb"))
