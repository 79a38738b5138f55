"""What the fit is told of everybody: the same however listeners were cut into chunks, and defined where there is nobody."""

from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipelines.recommender.evidence import Evidence
from pipelines.recommender.fitting import Fitted, fit
from pipelines.recommender.histories import (
    COLUMNS,
    HISTORIES,
    PLAYS,
    SESSIONS,
    STREAMS,
    Example,
    Preferences,
    Sampling,
    gather,
    tagged,
)
from pipelines.recommender.settings import ModelSettings
from pipelines.runtime.config import Settings
from pipelines.train_ranker import train_ranker
from tests.pipelines.tiny import LISTENERS, frame, listens_of, put
from transforms.common.arrays import load_arrays, save_arrays
from transforms.common.errors import UserError
from transforms.listening.library import day_library, first_plays
from transforms.listening.sessions import sessionize
from transforms.next_in_session.sample import in_time
from transforms.tables.chunks import Chunk
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse

DAY = date(2026, 1, 20)
WINDOW = [DAY - timedelta(n) for n in range(5)]
PAIRS = TABLES["co_listens"].empty().with_columns(pl.col(pl.Int64, pl.Int32).cast(pl.Float64))
SMALL = ModelSettings.model_validate(
    {"als": {"factors": 4, "iterations": 1}, "use_two_tower": False, "use_sequence": False}
)


@pytest.fixture(scope="module")
def everybody() -> Chunk:
    """Five days of twelve listeners, most of them of a known market."""
    listens = pl.concat([listens_of(day) for day in WINDOW]).with_columns(date=pl.col("started_at").dt.date())
    sessions = sessionize(listens.with_columns(new=first_plays(listens)), through=DAY)
    people = [{"listener_id": who, "market": ("DE", "SE", None)[n % 3]} for n, who in enumerate(sorted(LISTENERS))]
    tables = {
        "library": day_library(listens),
        "sessions": sessions.select(COLUMNS["sessions"]).sort("listener_id", "started_at", "session_id"),
        "listeners": frame("listeners", people).select(COLUMNS["listeners"]),
        "exclusions": TABLES["exclusions"].empty(),
        "feedback": TABLES["feedback"].empty(),
        "suspects": TABLES["suspects"].empty(),
        "outcomes": frame("outcomes", [shown_to(who) for who in sorted(LISTENERS)]).select(COLUMNS["outcomes"]),
    }
    return Chunk(0, tables)


def shown_to(who: str) -> dict[str, object]:
    row = {"night": WINDOW[1], "listener_id": who, "track_id": "t1", "horizon": 1, "stage": "shown", "inclusion": 1.0}
    return {**row, "listened": who.endswith("1"), "heard_before": False}


def cut(chunk: Chunk, size: int) -> list[Chunk]:
    """The same listeners, so many a chunk, in an order of their own."""
    names = sorted(LISTENERS)
    parts = [pl.Series(names[n : n + size]) for n in range(0, len(names), size)]
    random.Random(size).shuffle(parts)
    return [
        Chunk(n, {t: f.filter(pl.col("listener_id").is_in(part.implode())) for t, f in chunk.tables.items()})
        for n, part in enumerate(parts)
    ]


def sent(chunks: list[Chunk]) -> list[Example]:
    told = Preferences(1.0, Settings().rewards, 1)
    sampling = Sampling(DAY, 1, 1.0, WINDOW[-1], 0.7, Settings().track_stats, told)
    return [example for chunk in chunks for example in sampling.of_chunk(chunk)[0]]


def test_however_listeners_are_cut_into_chunks_the_fit_reads_the_same(everybody: Chunk) -> None:
    whole = sent([everybody])
    assert 20 < len(in_time(pl.concat(tagged(whole, SESSIONS)))) < 5 * len(LISTENERS)
    for size in (1, 5):
        parts = sent(cut(everybody, size))
        for tag in STREAMS:
            assert gather(tagged(whole, tag), tag).height > 0
            assert_frame_equal(gather(tagged(parts, tag), tag), gather(tagged(whole, tag), tag))
        one, other = (in_time(pl.concat(tagged(streams, SESSIONS))) for streams in (whole, parts))
        assert_frame_equal(one, other)


def test_no_listener_is_named_in_what_the_fit_reads(everybody: Chunk) -> None:
    for _, rows in sent([everybody]):
        assert "listener_id" not in rows.columns


def test_where_there_is_nobody_the_evidence_is_empty_and_of_the_same_types(everybody: Chunk) -> None:
    for tag in STREAMS:
        assert_frame_equal(gather([], tag), gather(tagged(sent([everybody]), tag), tag).clear())


def test_where_there_is_nobody_the_models_know_nobody_and_no_ranker_is_made(tmp_path: Path) -> None:
    none = {name: TABLES[name].empty() for name in ("tracks", "track_stats", "candidates", "outcomes")}
    nobody = Evidence(
        gather([], HISTORIES), gather([], PLAYS), none["tracks"], PAIRS, none["track_stats"], none["track_stats"]
    )
    fitted = fit(nobody, SMALL, 1)
    fitted.save(tmp_path / "models")
    assert len(Fitted.load(tmp_path / "models", SMALL).vocabulary) == 1
    warehouse = Warehouse(str(tmp_path / "warehouse"))
    put(warehouse, "candidates", DAY, none["candidates"])
    put(warehouse, "outcomes", DAY + timedelta(7), none["outcomes"])
    train_ranker(warehouse.url, DAY + timedelta(7), settings=Settings())
    assert warehouse.current("rankers", DAY + timedelta(7)) is None


def test_models_that_an_older_version_wrote_are_an_error_of_one_sentence(everybody: Chunk, tmp_path: Path) -> None:
    library, plays = (gather(tagged(sent([everybody]), tag), tag) for tag in (HISTORIES, PLAYS))
    tracks, stats = (TABLES[name].empty() for name in ("tracks", "track_stats"))
    fitted = fit(Evidence(library, plays, tracks, PAIRS, stats, stats), SMALL, 1)
    fitted.save(tmp_path)
    assert len(Fitted.load(tmp_path, SMALL).vocabulary) == len(fitted.vocabulary)
    arrays = load_arrays(tmp_path / "popularity.npz")
    save_arrays(tmp_path / "popularity.npz", {name: values for name, values in arrays.items() if name != "reach"})
    with pytest.raises(UserError, match="without 'reach'; make them again with `nightshelf run --date`"):
        Fitted.load(tmp_path, SMALL)
