"""`forget`: a listener out of every byte of a warehouse, everybody else's rows as they were, and nobody back."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipelines import forget as job
from pipelines.cli.report import report
from pipelines.cli.show import show
from pipelines.cli.status import status_lines
from pipelines.cli.upkeep import clean, rollback
from pipelines.forget import forget, readmit
from pipelines.ingest import ingest
from pipelines.nightly import night
from tests.pipelines.byte_search import found
from tests.pipelines.test_kill import killed
from tests.pipelines.tiny import LISTENERS, frame, put
from tests.pipelines.tiny import NIGHT as TINY_NIGHT
from tests.pipelines.tiny import build as build_tiny
from tests.pipelines.world import END, NIGHT, SETTINGS, World, manifests
from transforms.common.errors import UserError
from transforms.privacy.forget import holders, prints, redact, swap
from transforms.privacy.forgotten import add, forgotten
from transforms.tables.chunks import shard_of
from transforms.tables.manifest import Manifest
from transforms.tables.runs import RUN_MANIFEST, Written, finish, plan
from transforms.tables.schema import TABLES
from transforms.tables.upkeep import RetentionSettings, check_table, states
from transforms.tables.warehouse import Warehouse
from transforms.tables.writing import write_frame

TODAY = date(2026, 2, 1)


@pytest.fixture
def tiny(tmp_path: Path) -> Warehouse:
    return build_tiny(tmp_path)


def rows_of(warehouse: Warehouse, without: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """Every row of every manifest, current or of a run, by file it is named in; without some listeners' rows.

    A refused line of theirs is there, without what was kept of it.
    """
    out, theirs, nothing = {}, prints(without), {"raw": None, "listener_print": None}
    for path in warehouse.store.paths(""):
        if path.endswith(("_current.json", RUN_MANIFEST)):
            manifest = Manifest.from_json(warehouse.store.read(path))
            if manifest.table not in TABLES:
                continue
            rows = [r for f in warehouse.read_files(manifest.files) for r in f.iter_rows(named=True)]
            rows = [{**r, **nothing} if r.get("listener_print") in theirs else r for r in rows]
            out[path] = sorted(repr(r) for r in rows if r.get("listener_id") not in without)
    return out


def files_of(warehouse: Warehouse) -> dict[str, set[str]]:
    return {key: {f.path for f in m.files} for key, m in manifests(warehouse).items()}


def test_a_listener_is_in_no_byte_and_everybody_else_is_as_before(world: World, tmp_path: Path) -> None:
    warehouse = World.copy(world.made, tmp_path / "w")
    report(warehouse.url, NIGHT)
    heard = warehouse.read("shelves", NIGHT).filter(pl.col("status") == "personal")["listener_id"].unique().sort()
    who = (heard[0], heard[7])
    assert found(Path(warehouse.url), who), "the search itself finds them before"
    before, was = rows_of(warehouse, without=who), manifests(warehouse)
    done = forget(warehouse.url, list(who), today=TODAY)
    assert found(Path(warehouse.url), who) == []
    assert rows_of(warehouse) == before
    assert done.listeners == 2 and done.rows > 100 and "2 listeners" in str(done)
    assert not any(w in str(done) for w in who)
    now = manifests(warehouse)
    assert {k: (m.version, m.run_id) for k, m in now.items()} == {k: (m.version, m.run_id) for k, m in was.items()}
    for key, manifest in now.items():
        assert check_table(warehouse, manifest) == [], key
    touched = {k for k, m in now.items() if m.redactions}
    assert {f"shelves@{NIGHT}", f"library@{NIGHT}", f"candidates@{NIGHT}"} <= touched
    assert not [k for k in touched if k.startswith(("tracks@", "models@", "co_listens@", "track_stats@"))]
    note = now[f"shelves@{NIGHT}"].redactions[0]
    assert (note.on, note.listeners) == (TODAY, 2) and note.rows == was[f"shelves@{NIGHT}"].rows - now[
        f"shelves@{NIGHT}"
    ].rows

    # nothing is out of date, and the night is made already
    assert [s.manifest.table for s in states(warehouse) if s.moved] == []
    night(warehouse.url, NIGHT, SETTINGS)
    assert files_of(warehouse) == {k: {f.path for f in m.files} for k, m in now.items()}
    print("\n".join(status_lines(warehouse)))
    report(warehouse.url, NIGHT)
    assert found(Path(warehouse.url), who) == []

    # the log brought in again, as another file: nobody comes back
    again = tmp_path / "again"
    again.mkdir()
    for path in (world.log / "listens").glob("*.csv"):
        (again / path.name).write_text(path.read_text() + "\n")
    mapping = str(world.log / "mapping.yaml")
    later = ingest(warehouse.url, "csv", [f"{again}/*.csv"], mapping=mapping, end_date=END, settings=SETTINGS)
    assert later.reasons["forgotten"] > 10
    assert later.rows == later.listens + later.duplicates + later.rejects
    assert found(Path(warehouse.url), who) == []


def test_only_the_shards_that_hold_them_are_rewritten(tiny: Warehouse) -> None:
    who = LISTENERS[3]
    (shard,) = shard_of(pl.Series([who]), 4).tolist()
    before = {k: {f.path: f.shard for f in m.files} for k, m in manifests(tiny).items()}
    forget(tiny.url, [who], today=TODAY)
    after = {k: {f.path: f.shard for f in m.files} for k, m in manifests(tiny).items()}
    for key, files in before.items():
        changed = set(files.items()) ^ set(after[key].items())
        assert {s for _, s in changed} == (set() if key.startswith("tracks@") else {shard}), key


def second_run(warehouse: Warehouse, table: str, day: date, rows: pl.DataFrame) -> None:
    run = plan(warehouse, table, day, shards=4, inputs={}, settings={"second": True}, step_version="test")
    assert run is not None
    shards = pl.Series(shard_of(rows["listener_id"], 4))
    entries = [write_frame(run, s, rows.filter(shards == s)) for s in sorted(shards.unique())]
    finish(run, [Written(table, day.isoformat(), e) for e in entries])


def test_old_and_pinned_runs_can_be_gone_back_to_and_hold_nobody(tiny: Warehouse) -> None:
    who = LISTENERS[5]
    shelves = tiny.read("shelves", TINY_NIGHT)
    second_run(tiny, "shelves", TINY_NIGHT, shelves.with_columns(title=pl.lit("Second")))
    rollback(tiny.url, "shelves", TINY_NIGHT)
    forget(tiny.url, [who], today=TODAY)
    current = tiny.need("shelves", TINY_NIGHT)
    assert current.pinned and current.redactions and check_table(tiny, current) == []
    assert found(Path(tiny.url), [who]) == []
    second = next(p for p in tiny.store.paths("shelves") if p.endswith(RUN_MANIFEST) and current.run_id not in p)
    manifest = Manifest.from_json(tiny.store.read(second))
    assert manifest.rows == len(LISTENERS) - 1 and check_table(tiny, manifest) == []
    rollback(tiny.url, "shelves", TINY_NIGHT, unpin=True)
    # what a finished run may still be committed over is spared, until another one is current
    assert not list(clean(tiny.url, RetentionSettings(previous_runs=0)))
    second_run(tiny, "shelves", TINY_NIGHT, tiny.read("shelves", TINY_NIGHT).with_columns(title=pl.lit("Third")))
    gone = list(clean(tiny.url, RetentionSettings(previous_runs=0)))
    assert gone and tiny.read("shelves", TINY_NIGHT).height == len(LISTENERS) - 1


def test_what_abandoned_runs_previews_and_killed_writes_left_goes(tiny: Warehouse) -> None:
    who = LISTENERS[2]
    run = plan(tiny, "shelves", TINY_NIGHT, shards=4, inputs={}, settings={"x": 1}, step_version="test")
    assert run is not None
    mine = tiny.read("shelves", TINY_NIGHT).filter(listener_id=who)
    (shard,) = shard_of(mine["listener_id"], 4).tolist()
    assert write_frame(run, shard, mine) is not None
    root = Path(tiny.url)
    (root / run.folder / ".writing-1.tmp").write_bytes(b"PAR1 " + who.encode())
    (root / "imports" / "p.d.t").mkdir(parents=True)
    mine.select("listener_id").write_parquet(root / "imports" / "p.d.t" / "part-0.parquet")
    mine.select("listener_id").write_parquet(root / "somewhere.parquet")
    shutil.move(root / "somewhere.parquet", root / "checkpoints.parquet")
    (root / "examples").mkdir()
    shutil.move(root / "checkpoints.parquet", root / "examples" / "part.parquet")
    forget(tiny.url, [who], today=TODAY)
    assert found(root, [who]) == []


def test_refused_lines_ledgers_records_and_blends_name_nobody(tiny: Warehouse, tmp_path: Path) -> None:
    who = "marie curie/1867"
    log = tmp_path / f"plays of {who.replace('/', '-')}" / "log.csv"
    log.parent.mkdir()
    log.write_text(
        "listener_id,track_id,started_at,ms_played\n"
        f'"{who}",t1,2026-01-05T10:00:00Z,1000\n'
        f',t1,"2026-01-05T10:00:00Z for {who}",1000\n'
        "bob,t1,2026-01-05T10:00:00Z,1000\n"
    )
    sessions = tmp_path / "sessions.txt"
    sessions.write_text(f"{who}\nbob,t1\n")
    ingest(tiny.url, "csv", [str(log)], end_date=date(2026, 1, 8))
    ingest(tiny.url, "sessions", [str(sessions)], end_date=date(2026, 1, 9))
    at = datetime(2026, 1, 5, tzinfo=UTC)
    joined = [{"listener_id": one, "blend_id": "two", "at": at} for one in (who, "bob")]
    put(tiny, "blends", TINY_NIGHT, frame("blends", joined))
    tiny.store.write("runs/x-1.json", b'{"note": "for marie curie/1867 only"}')
    refused = {d: tiny.read("rejects", d).height for d in tiny.dates("rejects")}
    assert len(found(Path(tiny.url), [who])) > 5
    forget(tiny.url, [who], today=TODAY)
    assert found(Path(tiny.url), [who]) == []
    assert {d: tiny.read("rejects", d).height for d in tiny.dates("rejects")} == refused
    assert tiny.read("blends", TINY_NIGHT).select("blend_id", "listener_id").rows() == [("two", "bob")]
    assert tiny.store.read("runs/x-1.json").find(b"(forgotten) only") > 0


def test_a_forgotten_listener_is_refused_until_readmitted(tmp_path: Path) -> None:
    def log(name: str, hour: int) -> str:
        path = tmp_path / name
        rows = "".join(f"{who},t{hour},2026-01-05T{hour}:00:00Z,60000\n" for who in ("ann", "bob"))
        path.write_text("listener_id,track_id,started_at,ms_played\n" + rows)
        return str(path)

    likes = tmp_path / "feedback.csv"
    likes.write_text("listener_id,kind,target,at\nann,like,t1,2026-01-05T10:00:00Z\nbob,like,t1,2026-01-05T10:00:00Z\n")
    warehouse = str(tmp_path / "w")
    ingest(warehouse, "csv", [log("a.csv", 10)], end_date=END)
    forget(warehouse, ["ann"], today=TODAY)
    done = ingest(warehouse, "csv", [log("b.csv", 11)], feedback=str(likes), end_date=END)
    assert (done.rows, done.listens, done.reasons) == (2, 1, {"forgotten": 1})
    assert done.tables["feedback"]["rejects"] == 1
    opened = Warehouse(warehouse)
    rejects = opened.read("rejects", END)
    assert rejects.filter(reason="forgotten")["raw"].to_list() == [None, None]
    assert found(Path(warehouse), ["listener ann"]) == [] and set(
        opened.read("listens", date(2026, 1, 5))["listener_id"]
    ) == {"bob"}
    assert readmit(warehouse, ["ann", "bob"]) == 1
    assert ingest(warehouse, "csv", [log("c.csv", 12)], end_date=END).listens == 2


def stops() -> Iterator[tuple[str, int]]:
    yield "shelves/*.parquet", 1
    yield f"listens/date={TINY_NIGHT}/run=*/_manifest.json", 1
    yield f"shelves/date={TINY_NIGHT}/_current.json", 1


def test_killed_anywhere_every_manifest_is_whole_and_the_same_command_finishes(tiny: Warehouse, tmp_path: Path) -> None:
    who = LISTENERS[4]
    whole = Warehouse(str(tmp_path / "whole"))
    shutil.copytree(tiny.url, whole.url)
    forget(whole.url, [who], today=TODAY)
    for pattern, n in stops():
        killed("forget", tiny, pattern, n, log=Path(who))
        for key, manifest in manifests(tiny).items():
            assert check_table(tiny, manifest) == [], (pattern, key)
        assert tiny.read("shelves", TINY_NIGHT).height >= len(LISTENERS) - 1
    forget(tiny.url, [who], today=TODAY)
    assert found(Path(tiny.url), [who]) == []
    assert rows_of(tiny) == rows_of(whole)
    assert {k: m.version for k, m in manifests(tiny).items()} == {k: m.version for k, m in manifests(whole).items()}


def test_between_swap_and_deletion_a_second_run_finds_the_old_files(tiny: Warehouse) -> None:
    who = LISTENERS[4]
    gone = add(tiny, [who])
    done = [r for t in tiny.store.folders("") for p in holders(tiny, t, prints([who])) if (r := redact(tiny, p, gone))]
    old = {r.path: (Path(tiny.url) / r.path).read_bytes() for r in done}
    swap(tiny, done, TODAY)
    for path, data in old.items():  # as if the process had died before it deleted any
        (Path(tiny.url) / path).write_bytes(data)
    notes = {k: m.redactions for k, m in manifests(tiny).items()}
    forget(tiny.url, [who], today=TODAY + timedelta(1))
    assert found(Path(tiny.url), [who]) == []
    assert {k: m.redactions for k, m in manifests(tiny).items()} == notes, "nothing was taken out a second time"


def test_a_reader_is_never_blocked(tiny: Warehouse) -> None:
    """One that holds the manifest of before, and finds a file of it gone, reads what stands there now."""
    code = (
        "import sys\nfrom datetime import date\nfrom transforms.tables.warehouse import Warehouse\n"
        "warehouse, day = Warehouse(sys.argv[1]), date.fromisoformat(sys.argv[2])\nprint('ready', flush=True)\n"
        "sizes = set()\nwhile warehouse.store.read_with_token('stop')[0] is None:\n"
        "    sizes.add(warehouse.read('shelves', day).height)\nprint(*sizes)\n"
    )
    reader = subprocess.Popen(
        [sys.executable, "-c", code, tiny.url, str(TINY_NIGHT)], stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None and reader.stdout.readline() == "ready\n"
    for one in (LISTENERS[1], LISTENERS[6], LISTENERS[8]):
        forget(tiny.url, [one], today=TODAY)
    tiny.store.write("stop", b"")
    sizes = {int(line) for line in reader.stdout.read().split()}
    assert reader.wait() == 0 and sizes and sizes <= {12, 11, 10, 9}


def test_without_a_name_everybody_on_the_list_is_looked_for_again(tiny: Warehouse, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="found neither"):
        forget(tiny.url, [])
    backup = tmp_path / "backup"
    shutil.copytree(Path(tiny.url) / "shelves", backup)
    forget(tiny.url, LISTENERS[:2], today=TODAY)
    shutil.rmtree(Path(tiny.url) / "shelves")
    shutil.copytree(backup, Path(tiny.url) / "shelves")
    done = forget(tiny.url, today=TODAY)
    assert done.listeners == 0 and done.rows == 2
    assert found(Path(tiny.url), LISTENERS[:1]) == []


def test_options_for_beam_are_no_listeners(tiny: Warehouse, capsys: pytest.CaptureFixture[str]) -> None:
    from pipelines.cli.main import cli

    words = ["forget", LISTENERS[2], "--runner=FnApiRunner", "--warehouse", tiny.url]
    cli(words, standalone_mode=False)
    assert "forgot 1 listener:" in capsys.readouterr().out
    assert len(forgotten(tiny).hashes) == 1
    with pytest.raises(UserError, match="nobody was forgotten") as said:
        cli(["forget", LISTENERS[3], "--dry-run", "--warehouse", tiny.url], standalone_mode=False)
    assert LISTENERS[3] not in str(said.value)
    with pytest.raises(UserError, match="multi_threading loses records"):
        cli([*words, "--direct_running_mode=multi_threading"], standalone_mode=False)
    assert len(forgotten(tiny).hashes) == 1


def test_no_id_is_in_the_graph(tiny: Warehouse) -> None:
    import apache_beam as beam

    who = LISTENERS[7]
    add(tiny, [who])
    root = beam.Pipeline()
    job.define(root, tiny.url, prints([who]), TODAY)
    assert who.encode() not in root.to_runner_api().SerializeToString()


def test_show_says_that_there_is_nothing_and_not_of_whom(tiny: Warehouse) -> None:
    forget(tiny.url, [LISTENERS[0]], today=TODAY)
    with pytest.raises(UserError) as later:
        show(tiny.url, LISTENERS[0])
    assert LISTENERS[0] not in str(later.value)
