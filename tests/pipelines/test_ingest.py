"""The ingest job: accounts that balance, files ingested once, batches in any order, kills that lose nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipelines.ingest import ingest
from pipelines.runtime.config import Settings
from transforms.ingest import beam as ingest_beam
from transforms.ingest import commit as ingest_commit
from transforms.ingest import rejects as ingest_rejects
from transforms.ingest.batch import Batch
from transforms.ingest.result import Ingested
from transforms.tables.chunks import shard_of
from transforms.tables.manifest import Manifest
from transforms.tables.runs import Written, finish, plan
from transforms.tables.warehouse import Warehouse

END = date(2026, 1, 8)
START = datetime(2026, 1, 5, tzinfo=UTC)
MAPPING = "columns: {listener_id: u, track_id: t, started_at: at, ms_played: ms}\n"


def log(path: Path, *rows: tuple[str, str, float], broken: int = 0) -> str:
    """A csv log of (listener, track, hours after START)."""
    lines = [f"{u},{t},{(START + timedelta(hours=h)).isoformat()},60000" for u, t, h in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["u,t,at,ms", *lines, *["broken"] * broken]) + "\n")
    return str(path)


@pytest.fixture
def world(tmp_path: Path) -> Path:
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    return tmp_path


def run(world: Path, *inputs: str, to: str = "w", shards: int = 2, **over: Any) -> Ingested:
    given_options = {
        "mapping": str(world / "mapping.yaml"),
        "end_date": END,
        "settings": Settings(shards=shards),
        **over,
    }
    return ingest(str(world / to), "csv", list(inputs), **given_options)


def listens(world: Path, to: str = "w") -> pl.DataFrame:
    warehouse = Warehouse(str(world / to))
    frames = [warehouse.read("listens", d).with_columns(date=pl.lit(d)) for d in warehouse.dates("listens")]
    return pl.concat(frames).sort("listener_id", "started_at", "track_id") if frames else pl.DataFrame()


def plays(world: Path, to: str = "w") -> list[tuple[str, str, float]]:
    rows = listens(world, to).select("listener_id", "track_id", "started_at").iter_rows()
    return [(u, t, (at - START).total_seconds() / 3600) for u, t, at in rows]


ROWS = [("ann", "t1", 1), ("ann", "t1", 1), ("bob", "t2", 2), ("ann", "t3", 30), ("bob", "t1", 1000), ("cyd", "t1", 50)]


def test_rows_in_equal_listens_duplicates_and_rejects(world: Path) -> None:
    done = run(world, log(world / "a.csv", *ROWS, broken=2))
    assert (done.rows, done.listens, done.duplicates, done.rejects) == (8, 4, 1, 3)
    assert done.reasons == {"broken_line": 2, "future": 1}
    warehouse = Warehouse(str(world / "w"))
    account = warehouse.need("rejects", END).extra["batches"][done.batch or ""]
    assert (account["rows"], account["listens"], account["duplicates"], account["rejects"]) == (8, 4, 1, 3)
    rejects = warehouse.read("rejects", END)
    assert rejects.select("file", "line", "reason").rows() == [
        ("a.csv", 6, "future"),
        ("a.csv", 8, "broken_line"),
        ("a.csv", 9, "broken_line"),
    ]
    assert rejects["raw"].str.starts_with("sha256:").all()


def test_refused_lines_stand_by_shard_and_every_one_is_there(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_rejects, "LINES", 4)
    done = run(world, log(world / "a.csv", *ROWS, broken=30), log(world / "b.csv", ("ann", "t1", 9)), shards=4)
    warehouse = Warehouse(str(world / "w"))
    manifest = warehouse.need("rejects", END)
    assert manifest.shards == 4 and len({f.shard for f in manifest.files}) == len(manifest.files) > 1
    rejects = warehouse.read("rejects", END)
    assert done.rejects == rejects.height == 31
    assert sorted(rejects.select("file", "line").rows()) == [("a.csv", 6), *(("a.csv", n) for n in range(8, 38))]
    for entry in manifest.files:
        (frame,) = warehouse.read_files([entry])
        assert frame.equals(frame.sort("file", "line"))
    # a later batch of the same date adds to the shards that are there
    run(world, log(world / "c.csv", ("bob", "t9", 10), broken=9), shards=8, accept_gates=True)
    after = warehouse.need("rejects", END)
    assert after.shards == 4 and set(manifest.files) <= set(after.files) and after.rows == 40


def test_a_step_that_is_tried_again_keeps_no_refused_line_twice(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, tries = ingest_commit.WriteRejects.process, []

    def tried_twice(self: ingest_commit.WriteRejects, keyed: tuple[str, Iterable[bytes]]) -> Iterator[Written]:
        blocks = list(keyed[1])
        for order in (blocks, blocks[::-1]):
            tries.append(len(order))
            yield from write(self, (keyed[0], order))

    monkeypatch.setattr(ingest_commit.WriteRejects, "process", tried_twice)
    done = run(
        world, log(world / "a.csv", *ROWS, broken=3), log(world / "b.csv", broken=2), shards=1, accept_gates=True
    )
    assert len(tries) == 2 and tries[0] > 1
    manifest = Warehouse(str(world / "w")).need("rejects", END)
    assert done.rejects == manifest.rows == 6 and len(manifest.files) == 1


def test_listens_stand_by_date_and_shard_sorted(world: Path) -> None:
    run(world, log(world / "a.csv", *ROWS), shards=4)
    warehouse = Warehouse(str(world / "w"))
    assert warehouse.dates("listens") == [date(2026, 1, 5), date(2026, 1, 6), date(2026, 1, 7)]
    for day in warehouse.dates("listens"):
        manifest = warehouse.need("listens", day)
        assert manifest.shards == 4
        for entry in manifest.files:
            (frame,) = warehouse.read_files([entry])
            assert set(shard_of(frame["listener_id"], 4)) == {entry.shard}
            assert frame.equals(frame.sort("listener_id", "started_at", "track_id"))
            assert frame["started_at"].dt.date().unique().to_list() == [day]


def test_tracks_and_listeners_come_from_the_log_where_there_is_no_catalog(world: Path) -> None:
    run(world, log(world / "a.csv", *ROWS))
    warehouse = Warehouse(str(world / "w"))
    first = date(2026, 1, 5)
    assert warehouse.dates("tracks") == warehouse.dates("listeners") == [first]
    tracks = warehouse.read("tracks", first)
    assert tracks["track_id"].to_list() == ["t1", "t2", "t3"] and tracks["recording_id"].n_unique() == 3
    who = warehouse.read("listeners", first).sort("listener_id").select("listener_id", "joined_on").rows()
    assert who == [("ann", first), ("bob", first), ("cyd", date(2026, 1, 7))]


def test_a_file_already_ingested_is_left_out_whatever_its_name(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = log(world / "a.csv", *ROWS)
    run(world, first)
    before = listens(world)
    again = log(world / "renamed.csv", *ROWS)
    done = run(world, again)
    assert done.batch is None and done.known == ("renamed.csv",)
    assert "already ingested, left out: renamed.csv" in capsys.readouterr().out
    assert run(world, first, again, log(world / "b.csv", ("dee", "t9", 3))).rows == 1
    assert listens(world).filter(pl.col("listener_id") != "dee").equals(before)


def test_a_second_batch_adds_files_and_repeats_nothing(world: Path) -> None:
    run(world, log(world / "a.csv", *ROWS))
    warehouse = Warehouse(str(world / "w"))
    before = {f.path: f.sha256 for f in warehouse.need("listens", date(2026, 1, 5)).files}
    done = run(world, log(world / "b.csv", ("ann", "t1", 1), ("ann", "t4", 1.5), ("bob", "t2", 2.001)))
    assert (done.listens, done.duplicates) == (1, 2)
    files = warehouse.need("listens", date(2026, 1, 5)).files
    assert before.items() <= {f.path: f.sha256 for f in files}.items()
    assert {f.batch for f in files} == {done.batch, *{f.batch for f in files if f.path in before}}
    assert warehouse.read("tracks", date(2026, 1, 5))["track_id"].to_list() == ["t1", "t2", "t3", "t4"]
    assert len(warehouse.need("rejects", END).extra["batches"]) == 2


def test_a_batch_of_one_listener_keeps_the_listeners_of_every_shard(world: Path) -> None:
    everyone = [f"who{n}" for n in range(12)]
    run(world, log(world / "a.csv", *((who, "t1", n) for n, who in enumerate(everyone))))
    run(world, log(world / "b.csv", (everyone[0], "t2", 50)))
    warehouse = Warehouse(str(world / "w"))
    assert len(warehouse.dates("listeners")) == 2
    for day in warehouse.dates("listeners"):
        assert sorted(warehouse.read("listeners", day)["listener_id"]) == sorted(everyone)
    # a batch that brings nothing new changes nothing
    before = warehouse.need("listeners", day)
    assert run(world, log(world / "c.csv", (everyone[0], "t2", 50), (everyone[0], "t2", 50))).listens == 0
    assert warehouse.need("listeners", day) == before


def test_the_number_of_shards_may_double_on_any_date(world: Path) -> None:
    """Dates that are there keep theirs; what is found twice, and who is who, does not depend on it."""
    who = [f"who{n}" for n in range(12)]
    first = [(w, f"t{n % 3}", h) for n, w in enumerate(who) for h in (1, 25)]
    second = [(w, f"t{n % 3}", h) for n, w in enumerate(who) for h in (25, 26, 49)]  # the first of them again
    for to, shards in (("same", 2), ("doubled", 8)):
        run(world, log(world / to / "a.csv", *first), to=to, shards=2)
        done = run(world, log(world / to / "b.csv", *second), to=to, shards=shards)
        assert (done.listens, done.duplicates) == (24, 12)
    warehouse = Warehouse(str(world / "doubled"))
    assert [warehouse.need("listens", d).shards for d in warehouse.dates("listens")] == [2, 2, 8]
    assert listens(world, "doubled").equals(listens(world, "same"))
    for day in warehouse.dates("listens"):
        manifest = warehouse.need("listens", day)
        for entry in manifest.files:
            (frame,) = warehouse.read_files([entry])
            assert set(shard_of(frame["listener_id"], manifest.shards)) == {entry.shard}
    newest = warehouse.newest("listeners", END)
    assert newest is not None and sorted(warehouse.read_manifest(newest)["listener_id"]) == sorted(who)
    # and it never shrinks: a smaller setting leaves the finer split alone
    run(world, log(world / "c.csv", ("who1", "t9", 70)), to="doubled", shards=2)
    assert warehouse.need("listens", warehouse.dates("listens")[-1]).shards == 8


def close(world: Path, day: date) -> None:
    """As a night would: fold the date into a library."""
    warehouse = Warehouse(str(world / "w"))
    folded = plan(warehouse, "library", day, shards=2, inputs={}, settings={}, step_version="1")
    assert folded is not None
    finish(folded, [])


def test_a_late_listen_is_filed_under_the_oldest_open_date_once(world: Path) -> None:
    run(world, log(world / "a.csv", ("ann", "t1", 1)))
    close(world, date(2026, 1, 6))
    run(world, log(world / "b.csv", ("ann", "t2", 2), ("ann", "t1", 1)))
    late = listens(world).filter("late")
    assert late.select("track_id", "date").rows() == [("t2", date(2026, 1, 7))]
    assert late["started_at"][0] == START + timedelta(hours=2)
    close(world, date(2026, 1, 7))
    done = run(world, log(world / "c.csv", ("ann", "t2", 2), ("ann", "t3", 3)))
    assert (done.listens, done.duplicates) == (1, 1)
    assert plays(world) == [("ann", "t1", 1), ("ann", "t2", 2), ("ann", "t3", 3)]


def content(world: Path, to: str) -> dict[str, Any]:
    """What readers see: each manifest without the names of runs, each file's content hash."""
    warehouse = Warehouse(str(world / to))
    out = {}
    for table in ("listens", "feedback", "impressions", "tracks", "listeners", "rejects"):
        for day in warehouse.dates(table):
            m: Manifest = warehouse.need(table, day)
            out[f"{table}/{day}"] = (
                m.version,
                m.rows,
                sorted((f.shard, f.rows, f.sha256) for f in m.files),
                json.dumps(m.extra),
            )
    return out


class KilledError(Exception):
    """Stands for a machine that went away."""


@pytest.mark.parametrize("after", [0, 1, 3, 4], ids=["nothing", "a date", "dates and listeners", "all but the ledger"])
def test_killed_between_commits_and_run_again_it_ends_the_same(
    world: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    one, two = (
        log(world / "a.csv", *ROWS, broken=1),
        log(world / "b.csv", ("ann", "t1", 1), ("ann", "t9", 29), ("eve", "t1", 51)),
    )
    run(world, one, to="whole")
    shutil.copytree(world / "whole", world / "killed")
    run(world, two, to="whole")
    commits, commit = iter(range(100)), Warehouse.commit

    def dies(*args: Any) -> None:
        if next(commits) == after:
            raise KilledError
        commit(*args)

    monkeypatch.setattr(Warehouse, "commit", dies)
    with pytest.raises(Exception, match="Killed"):
        run(world, two, to="killed")
    assert len(Warehouse(str(world / "killed")).need("rejects", END).extra["batches"]) == 1
    monkeypatch.undo()
    assert run(world, two, to="killed").rows == 3
    assert content(world, "killed") == content(world, "whole")


def test_an_account_that_does_not_balance_commits_nothing(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_beam, "_by_reason", lambda *_: {})
    with pytest.raises(ValueError, match="ingest lost count of the log: 7 rows in, but 4 kept"):
        run(world, log(world / "a.csv", *ROWS, broken=1))
    assert not Warehouse(str(world / "w")).dates("listens")


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("property")


PLAYS = st.lists(
    st.tuples(st.sampled_from(["ann", "bob", "cyd", "dee"]), st.sampled_from(["a", "b"]), st.integers(0, 70)),
    min_size=1,
    max_size=25,
)


@settings(
    max_examples=4, phases=[Phase.generate], deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=PLAYS, cut=st.integers(0, 25), shards=st.sampled_from([1, 2, 8]), random=st.randoms())
def test_order_of_input_file_split_and_shards_do_not_matter(
    warehouse: Path, rows: Any, cut: int, shards: int, random: Any
) -> None:
    work = warehouse / str(len(list(warehouse.iterdir())))
    work.mkdir()
    (work / "mapping.yaml").write_text(MAPPING)
    shuffled = list(rows)
    random.shuffle(shuffled)
    one = run(work, log(work / "one" / "log.csv", *rows), to="w1", shards=1)
    log(work / "many" / "x.csv", *shuffled[:cut], broken=1)
    log(work / "many" / "y.csv", *shuffled[cut:], broken=2)
    many = run(work, str(work / "many" / "*.csv"), to="w2", shards=shards)
    assert listens(work, "w1").equals(listens(work, "w2"))
    assert plays(work, "w1") == sorted({(u, t, float(h)) for u, t, h in rows}, key=lambda r: (r[0], r[2], r[1]))
    assert one.listens == many.listens and many.rows == many.listens + many.duplicates + many.rejects == len(rows) + 3


def test_a_catalog_and_the_other_tables_beside_the_log(world: Path) -> None:
    pl.DataFrame(
        {"track_id": ["t1", "t8"], "title": ["Song", "Song - Live"], "artist_ids": [["low"], ["low"]]}
    ).write_parquet(world / "tracks.parquet")
    (world / "listeners.csv").write_text("listener_id,market,joined_on\nann,SE,2020-01-01\nzoe,FI,\n")
    feedback = pl.DataFrame(
        {"listener_id": ["ann", "ann"], "kind": ["save"] * 2, "target": ["t1"] * 2, "at": [START, START]}
    )
    feedback.write_parquet(world / "feedback.parquet")
    done = run(
        world,
        log(world / "a.csv", *ROWS),
        tracks=str(world / "tracks.parquet"),
        listeners_file=str(world / "listeners.csv"),
        feedback=str(world / "feedback.parquet"),
    )
    warehouse, first = Warehouse(str(world / "w")), date(2026, 1, 5)
    assert warehouse.read("tracks", first).select("track_id", "title").rows() == [
        ("t1", "Song"),
        ("t2", None),
        ("t3", None),
        ("t8", "Song - Live"),
    ]
    who = warehouse.read("listeners", first).sort("listener_id").select("listener_id", "market", "joined_on").rows()
    assert who == [
        ("ann", "SE", date(2020, 1, 1)),
        ("bob", None, first),
        ("cyd", None, date(2026, 1, 7)),
        ("zoe", "FI", None),
    ]
    assert warehouse.read("feedback", first).rows() == [("ann", "save", "t1", START)]
    assert done.tables["feedback"] == {"rows": 2, "listens": 1, "duplicates": 1, "rejects": 0, "reasons": {}}
    later = run(world, log(world / "b.csv", ("zoe", "t8", 60)))
    assert later.listens == 1
    newest = warehouse.read("tracks", date(2026, 1, 7))
    assert newest.filter(track_id="t8")["title"].to_list() == ["Song - Live"]


def test_events_are_compared_with_no_date_before_their_own(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Feedback of each of three days; the third is given again, and then the first with it."""
    looked: list[tuple[str, date]] = []
    of_shard = Batch.of_shard

    def seen(batch: Batch, manifest: Manifest, *args: Any, **more: Any) -> Any:
        looked.append((manifest.table, manifest.date))
        return of_shard(batch, manifest, *args, **more)

    monkeypatch.setattr(Batch, "of_shard", seen)
    found = []
    for days in ((0,), (1,), (2,), (2, 2), (2, 0)):
        at = [START + timedelta(days=n) for n in days]
        acts = pl.DataFrame({"listener_id": "ann", "kind": "save", "target": ["t1"] * len(at), "at": at})
        acts.write_parquet(world / "feedback.parquet")
        looked.clear()
        told = log(world / f"{len(found)}.csv", ("ann", f"t{len(found)}", 60))
        done = run(world, told, feedback=str(world / "feedback.parquet"))
        dates = sorted({day.day for table, day in looked if table == "feedback"})
        found.append((dates, done.tables["feedback"]["duplicates"]))
    assert found == [([], 0), ([], 0), ([], 0), ([7], 2), ([5, 6, 7], 2)]


def test_of_rows_that_contradict_each_other_the_same_one_stays_in_whatever_order_they_come(world: Path) -> None:
    catalog = [("t1", "Song", ["low"]), ("t1", "Another", ["low"]), ("t1", "A third", None), ("t2", "Else", ["high"])]
    people = ["ann,SE,UTC", "ann,FI,UTC", "ann,,UTC", "bob,NO,"]
    shown = [("ann", "home", "s", f"v{n}", f"t{n}", 1, "item", START) for n in (2, 1, 3)]
    columns = ("listener_id", "surface", "shelf_id", "version", "track_id", "position", "item_or_spare", "shown_at")
    for name, step in (("forwards", 1), ("backwards", -1)):
        folder = world / name
        folder.mkdir()
        tracks = pl.DataFrame(catalog[::step], schema=["track_id", "title", "artist_ids"], orient="row")
        tracks.write_parquet(folder / "tracks.parquet", row_group_size=1)
        pl.DataFrame(shown[::step], schema=columns, orient="row").write_parquet(folder / "impressions.parquet")
        (folder / "people.csv").write_text("\n".join(["listener_id,market,time_zone", *people[::step]]) + "\n")
        run(
            world,
            log(folder / "a.csv", *ROWS),
            to=f"w-{name}",
            tracks=str(folder / "tracks.parquet"),
            listeners_file=str(folder / "people.csv"),
            impressions=str(folder / "impressions.parquet"),
        )
    one, other = (Warehouse(str(world / f"w-{name}")) for name in ("forwards", "backwards"))
    first = date(2026, 1, 5)
    for table in ("tracks", "listeners", "impressions"):
        assert one.read(table, first).equals(other.read(table, first)), table
    assert one.read("tracks", first).filter(track_id="t1")["title"].to_list() == ["Another"]
    assert one.read("listeners", first).filter(listener_id="ann")["market"].to_list() == ["FI"]
    assert one.read("impressions", first)["track_id"].to_list() == ["t1"]
