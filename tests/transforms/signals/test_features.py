"""Features of signals, by hand: means, shares, how alike a listener and a track are, and what stands of a pair."""

from __future__ import annotations

import math
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from tests.transforms.signals.worlds import DAY, SIGNALS, VOLUME, at, drawn, values
from transforms.signals.declared import Signal
from transforms.signals.features import FLOOR, Said, features, names_of
from transforms.signals.fold import SCALE, add, listener_sums, track_sums
from transforms.signals.profiles import TRUST, TrackSignals, added_up

ITEMS = ["", "a", "b", "c"]
KEY = ["track_id", "signal", "value"]
NOTHING = pl.DataFrame(
    schema={
        "track_id": pl.String,
        "signal": pl.String,
        "at": pl.Datetime("us", "UTC"),
        "number": pl.Float64,
        "text": pl.String,
    }
)
PAIRS = np.array([0, 0, 1, 1]), np.array([1, 2, 1, 3])


def rows_of(ids: pl.Series) -> np.ndarray:
    return np.array([ITEMS.index(t) if t in ITEMS else 0 for t in ids.to_list()], np.int32)


def sums(*rows: tuple[str, str, str, int, float]) -> pl.DataFrame:
    """track, signal, value, n, total."""
    table = pl.DataFrame(rows, schema=[*KEY, "n", "total"], orient="row")
    return table.with_columns((pl.col("total") * SCALE).cast(pl.Int64))


def said(*rows: tuple[str, str, str, int, float, float | None], held: pl.DataFrame | None = None) -> Said:
    table = pl.DataFrame(rows, schema=["listener_id", "signal", "value", "n", "total", "last"], orient="row")
    days = table.with_columns(
        (pl.col("total") * SCALE).cast(pl.Int64), pl.col("last").cast(pl.Float64), last_at=pl.lit(at(9))
    )
    return Said.of(days if rows else None, held)


def made(
    said_of: Said, tracks: TrackSignals, signals: dict[str, Signal], plays: np.ndarray | None = None
) -> dict[str, list[float]]:
    history = sparse.csr_matrix(np.zeros((2, 4)) if plays is None else plays, dtype=np.float32)
    found = features(said_of, ["ann", "bob"], history, tracks, signals, PAIRS, rows_of)
    assert sorted(found) == sorted(n for name, one in signals.items() for n in names_of(name, one))
    return {name: v.tolist() for name, v in found.items()}


def test_a_number_of_listens_by_hand() -> None:
    one = {"volume": VOLUME}
    tracks = TrackSignals.fit(
        sums(("a", "volume", "", 5, 50.0), ("b", "volume", "", 5, 150.0)), NOTHING, one, rows_of, 4
    )
    middle = 20.0
    a, b = (50 + TRUST * middle) / 10, (150 + TRUST * middle) / 10
    spread = (b - a) / 2
    found = made(said(("ann", "volume", "", 5, 150.0, 35.0)), tracks, one)
    assert found["f_signal_l_volume"][:2] == [25.0, 25.0] and found["f_signal_last_volume"][:2] == [35.0, 35.0]
    assert found["f_signal_t_volume"][:3] == [a, b, a]
    assert found["f_signal_match_volume"][:2] == pytest.approx([-(25 - a) / spread, 0.0])
    assert all(
        math.isnan(found[f"f_signal_{part}_volume"][3]) for part in ("l", "match", "t")
    )  # bob said nothing, c has none


def test_a_category_is_a_lift_between_listener_and_track() -> None:
    one = {"mood": SIGNALS["mood"]}
    counts = sums(("a", "mood", "calm", 15, 0.0), ("b", "mood", "loud", 15, 0.0))
    tracks = TrackSignals.fit(counts, NOTHING, one, rows_of, 4)
    found = made(said(("ann", "mood", "calm", 5, 0.0, None)), tracks, one)
    trust = 5 / (5 + TRUST) * 15 / (15 + TRUST)
    alike, other = math.log(1 + trust * (1 / 0.5 - 1)), math.log(1 - trust)
    assert found["f_signal_match_mood"][:2] == pytest.approx([alike, other], rel=1e-5) and math.log(FLOOR) < other
    assert found["f_signal_l_mood"][:2] == [1.0, 1.0] and math.isnan(found["f_signal_match_mood"][2])


def test_a_listeners_category_meets_the_tracks_of_others_like_him() -> None:
    one = {"plan": SIGNALS["plan"]}
    counts = sums(("a", "plan", "paid", 15, 0.0), ("b", "plan", "free", 15, 0.0))
    tracks = TrackSignals.fit(counts, NOTHING, one, rows_of, 4)
    held = values(("ann", "plan", "", at(1), None, "free"), ("ann", "plan", "", at(2), None, "paid"))
    match = made(said(held=held), tracks, one)["f_signal_match_plan"]
    assert match[0] > 0 > match[1]  # the later value holds


def test_tracks_tables_and_pairs() -> None:
    tempo = Signal(column="bpm", kind="number", of="track")
    style = Signal(column="style", kind="tag", of="track")
    love = Signal(column="love", kind="number", of="pair")
    signals = {"love": love, "style": style, "tempo": tempo}
    held = pl.DataFrame(
        [
            ("a", "tempo", at(1), 90.0, None),
            ("a", "tempo", at(2), 100.0, None),
            ("b", "tempo", at(1), 140.0, None),
            ("a", "style", at(1), None, "Jazz;Soul"),
            ("b", "style", at(1), None, "metal"),
        ],
        schema=NOTHING.schema,
        orient="row",
    )
    tracks = TrackSignals.fit(sums(("a", "none", "", 1, 0.0)).clear(), held, signals, rows_of, 4)
    own = values(
        ("ann", "love", "b", at(1), 3.0, None),
        ("ann", "love", "b", at(5), 4.0, None),
        ("bob", "love", "x", at(1), 9.0, None),
    )
    found = made(said(held=own), tracks, signals, np.array([[0, 1, 3, 0], [0, 0, 0, 2]]))
    assert found["f_signal_t_tempo"][:3] == [100.0, 140.0, 100.0]
    assert found["f_signal_l_tempo"][0] == (100 + 3 * 140) / 4 and math.isnan(found["f_signal_l_tempo"][2])
    assert found["f_signal_match_style"][1] > 0 > found["f_signal_match_style"][0]
    assert (
        np.isnan(found["f_signal_p_love"]).tolist() == [True, False, True, True] and found["f_signal_p_love"][1] == 4.0
    )
    assert found["f_signal_has_love"] == [0.0, 1.0, 0.0, 0.0]


def test_saved_and_loaded_and_the_same_bytes(tmp_path: Path) -> None:
    plays = drawn(1)
    whole = added_up([add([track_sums(plays, SIGNALS)])], KEY)
    rows = lambda ids: np.array([int(t.split()[1]) + 1 for t in ids.to_list()], np.int32)  # noqa: E731
    fitted = TrackSignals.fit(whole, NOTHING, SIGNALS, rows, 16)
    fitted.save(tmp_path / "a.npz")
    TrackSignals.fit(whole.sample(fraction=1.0, shuffle=True, seed=2), NOTHING, SIGNALS, rows, 16).save(
        tmp_path / "b.npz"
    )
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    loaded = TrackSignals.load(tmp_path / "a.npz")
    assert loaded.values == fitted.values and set(loaded.numbers) == {"volume"} and loaded.middle == fitted.middle
    assert np.array_equal(loaded.shares["mood"].shares.toarray(), fitted.shares["mood"].shares.toarray())


def test_days_add_up_in_any_order_and_the_last_is_the_latest() -> None:
    plays = drawn(3)
    by_day = [listener_sums(plays.filter(pl.col("date") == DAY + timedelta(d)), SIGNALS) for d in (2, 0, 1)]
    days = [frame.drop("date") for frame in by_day]
    key = ["listener_id", "signal", "value"]
    whole = added_up(days, key)
    assert whole.equals(added_up(days[::-1], key)) and whole.equals(added_up(iter(days), key, held=10))
    volume = (
        plays.drop_nulls("signal_number_volume")
        .sort("started_at")
        .group_by("listener_id")
        .agg(pl.col("signal_number_volume").last())
    )
    last = whole.filter(pl.col("signal") == "volume").join(volume, on="listener_id")
    assert last.height == volume.height and (last["last"] == last["signal_number_volume"]).all()
    assert isinstance(by_day[0]["date"][0], date)
