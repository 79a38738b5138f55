"""Home's order, learned: the prior's order where nothing is known, what people play from where it is, exact propensities."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest

from tests.transforms.shelves.worlds import MONDAY, candidate, days_ago, frame, make, roster
from transforms.common.typed_names import LOOKS, PLAYS, LooksAt
from transforms.shelves.home import Looks, home_order
from transforms.shelves.home_learning import CONTEXTS, HomeSettings, believed, contexts, counted, vectors
from transforms.shelves.settings import NightContext, ShelfSettings, ShelvesSettings

IDS = ("a", "b", "c", "d")
SHELVES = tuple(ShelfSettings(shelf_id=name, title=name) for name in IDS)
PEOPLE = [f"l{n}" for n in range(400)]
SURE = HomeSettings(epsilon=0.0, least_looks=0, shared=0.01, deviation=0.01)


def looks_of(rates: dict[str, float], looks: int = 200, codes: Sequence[int] = range(CONTEXTS)) -> dict[str, int]:
    """Counts of equally many looks at each shelf in each context, and the plays of these rates."""
    out = {}
    for shelf, rate in rates.items():
        for code in codes:
            out[str(LooksAt(shelf, code, LOOKS))] = looks
            out[str(LooksAt(shelf, code, PLAYS))] = round(rate * looks)
    return out


def placed(
    counts: dict[str, int],
    home: HomeSettings | None = None,
    people: list[str] = PEOPLE,
    empty: dict[str, np.ndarray] | None = None,
    date: dt.date = MONDAY,
    looks: pl.DataFrame | None = None,
    greedy: bool = False,
) -> pl.DataFrame:
    there = {name: np.ones(len(people), np.bool_) for name in IDS} | (empty or {})
    settings = ShelvesSettings(shelves=SHELVES, home=home or HomeSettings(), home_swap=0.0)
    return home_order(people, there, Looks(looks=looks, counts=counts), settings, NightContext(date, greedy=greedy))


def mean_place(found: pl.DataFrame) -> dict[str, float]:
    return dict(found.group_by("shelf_id").agg(pl.col("home_position").mean()).rows())


def test_before_anything_was_looked_at_shelves_stand_as_the_settings_say() -> None:
    for found in (
        placed({}),
        placed(looks_of({"d": 0.9}, 1, [0]), HomeSettings(least_looks=2)),
        placed(looks_of({"d": 0.9}), greedy=True),
        placed(looks_of({"d": 0.9}), HomeSettings(learned=False)),
    ):
        assert mean_place(found) == {"a": 1, "b": 2, "c": 3, "d": 4} and found["home_propensity"].is_null().all()
    assert placed({})["home_context"].null_count() == 0, "what is known is noted from the first night on"
    assert placed({}, HomeSettings(learned=False))["home_context"].is_null().all()


def test_the_prior_is_the_order_of_the_settings() -> None:
    found = placed(looks_of(dict.fromkeys(IDS, 0.2), 1, [13]), SURE)
    assert mean_place(found) == {"a": 1, "b": 2, "c": 3, "d": 4}


def test_what_is_played_from_comes_first() -> None:
    order = mean_place(placed(looks_of({"a": 0.05, "b": 0.1, "c": 0.2, "d": 0.4}), HomeSettings(epsilon=0.0)))
    assert sorted(order, key=order.__getitem__) == ["d", "c", "b", "a"]


def test_the_order_is_ones_own() -> None:
    """Who played from c lately sees it first, where others seldom do: the counts say that they play from it again."""
    rates = looks_of(dict.fromkeys(IDS, 0.15)) | looks_of({"c": 0.7}, codes=[c for c in range(CONTEXTS) if c % 3 == 2])
    looks = pl.DataFrame(
        {"listener_id": ["l0"], "shelf_id": ["c"], "night": [MONDAY - dt.timedelta(days=3)], "played": [True]}
    )
    found = placed(rates, HomeSettings(epsilon=0.0, exploration=1.0), looks=looks).filter(shelf_id="c")
    assert found.filter(listener_id="l0")["home_position"].item() == 1
    assert found["home_position"].mean() > 2


def test_an_empty_shelf_comes_last_and_leaves_no_hole() -> None:
    empty = {"a": np.arange(len(PEOPLE)) % 2 == 0, "d": np.zeros(len(PEOPLE), np.bool_)}
    found = placed(looks_of({"a": 0.6, "b": 0.1, "c": 0.1, "d": 0.9}), HomeSettings(epsilon=0.3), empty=empty)
    for who, here in zip(PEOPLE, empty["a"], strict=True):
        rows = found.filter(listener_id=who).sort("home_position")
        assert rows["home_position"].to_list() == [1, 2, 3, 4]
        assert rows["shelf_id"].to_list()[3 if here else 2 :] == (["d"] if here else ["a", "d"])
        assert rows.filter(pl.col("home_propensity").is_null())["shelf_id"].to_list() == (["d"] if here else ["a", "d"])


def test_stored_propensities_are_the_frequencies_of_many_listeners() -> None:
    """All are in one context, so all have the same chances; 20,000 of them are dealt an order."""
    people = [f"p{n}" for n in range(20_000)]
    counts = looks_of({"a": 0.2, "b": 0.22, "c": 0.18, "d": 0.21}, 20)
    found = placed(counts, HomeSettings(epsilon=0.1, draws=16), people)
    by = found.group_by("shelf_id", "home_position").agg(
        share=pl.len() / len(people), p=pl.col("home_propensity").first(), kinds=pl.col("home_propensity").n_unique()
    )
    assert by["kinds"].max() == 1 and by.height == 16
    for share, p in by.select("share", "p").iter_rows():
        assert share == pytest.approx(p, abs=4.5 * np.sqrt(p * (1 - p) / len(people)))
    assert by.group_by("shelf_id").agg(pl.col("p").sum())["p"].to_list() == pytest.approx([1.0] * 4)


def test_an_order_depends_on_nobody_else_and_on_the_date() -> None:
    counts = looks_of(dict.fromkeys(IDS, 0.2), 10)
    alone, among = placed(counts, people=["l7"]), placed(counts)
    assert alone.equals(among.filter(listener_id="l7"))
    assert not among.equals(placed(counts, date=MONDAY + dt.timedelta(days=1)))


def test_beliefs_find_what_is_true_and_do_not_depend_on_how_counts_were_added_up() -> None:
    rng = np.random.default_rng(1)
    theta = np.array([-1.0, 0.5, -0.5, 0.4, 0.0, -0.6, 1.2]) + rng.normal(0, 0.3, (4, 7))
    chance = 1 / (1 + np.exp(-theta @ vectors().T))
    looks = np.full((4, CONTEXTS), 4000.0)
    plays = rng.binomial(4000, chance).astype(float)
    loose = HomeSettings(shared=5.0, deviation=5.0)
    assert np.abs(believed(looks, plays, loose).mean - theta).max() < 0.12
    names = {str(LooksAt(s, c, w)): int(v[k, c]) for w, v in ((LOOKS, looks), (PLAYS, plays)) for k, s in enumerate(IDS) for c in range(CONTEXTS)}  # fmt: skip  # noqa: E501
    again = counted(names, IDS)
    assert (again[0] == looks).all() and (again[1] == plays).all()


def test_what_was_known_of_a_listener_and_a_shelf() -> None:
    def heard(tracks: int, fresh: int) -> list[dict[str, object]]:
        return [
            {
                "listener": 0,
                "heard": True,
                "last_heard_at": days_ago(1),
                "first_heard_at": days_ago(2 if k < fresh else 90),
            }
            for k in range(tracks)
        ]

    looks = pl.DataFrame(
        {
            "listener_id": ["ann"] * 4,
            "shelf_id": ["a", "b", "b", "c"],
            "night": [MONDAY - dt.timedelta(days=n) for n in (1, 2, 3, 40)],
            "played": [False, False, True, True],
        }
    )
    own = contexts(["ann"], list("abcd"), None, looks, MONDAY)
    assert own.tolist() == [[9 + 1, 9 + 2, 9, 9]], "looked at, played from, long ago, never; nothing heard"
    for tracks, fresh, level in ((9, 0, 0), (9, 9, 18), (20, 10, 9 + 3), (60, 0, 6)):
        assert contexts(["ann"], ["a"], pl.DataFrame(heard(tracks, fresh)), None, MONDAY).tolist() == [[level]]


def test_a_nights_shelves_stand_in_the_learned_order() -> None:
    people = roster(*PEOPLE[:60])
    block = frame(*(candidate(f"t{n}", 1.0 - 0.1 * n, listener_id=who) for who in PEOPLE[:60] for n in range(4)))
    looked = looks_of({"popular-now": 0.05, "discover-weekly": 0.6})
    settings = ShelvesSettings(home=HomeSettings(epsilon=0.0))
    rows = make(block, NightContext(MONDAY), settings=settings, roster=people, looked=looked).shelves
    home = rows.filter(surface="home").sort("listener_id", "home_position")
    assert (home.group_by("listener_id").agg(pl.col("shelf_id").first())["shelf_id"] == "discover-weekly").all()
    empty_last = pl.col("status").eq("empty").cast(pl.Int8).diff().fill_null(0).min().over("listener_id") >= 0
    assert home.select(empty_last.all()).item()
    assert home.filter(pl.col("status") != "empty")["home_propensity"].null_count() == 0
    assert rows.filter(pl.col("surface") != "home")["home_context"].is_null().all()
