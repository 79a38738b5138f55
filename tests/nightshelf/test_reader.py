"""The reader gives what the warehouse holds, opens one file for it, and never sees previews or runs that are not current."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest
from pyarrow import fs

from nightshelf.reader import NotFound, open_night, shard_of
from transforms.tables.chunks import shard_of as shards_of
from transforms.tables.chunks import split
from transforms.tables.runs import Written, finish, keep, plan
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse
from transforms.tables.writing import write_frame

NIGHT = dt.date(2026, 1, 31)
IDS = [f"listener-{n:03}" for n in range(500)]
AT = dt.datetime(2026, 2, 1, tzinfo=dt.UTC)


def rows(title: str) -> pl.DataFrame:
    """Two rows a listener; shelf `b` stands first on the surface."""
    n = len(IDS)
    item = {"position": 1, "track_id": "t1", "artist_ids": ["q"], "score": 0.5}
    given = {
        "run_date": NIGHT,
        "version": "v",
        "listener_id": [i for i in IDS for _ in range(2)],
        "surface": "home",
        "shelf_id": ["a", "b"] * n,
        "title": title,
        "home_position": [2, 1] * n,
        "status": "personal",
        "data_cutoff": AT,
        "refresh_date": NIGHT,
        "valid_from": AT,
        "valid_until": AT,
        "model_version": "blend",
        "items": [[item]] * (2 * n),
        "spares": [[]] * (2 * n),
    }
    schema = TABLES["shelves"].polars
    known = pl.DataFrame(given, schema={name: schema[name] for name in given}, strict=False)
    return known.with_columns(pl.lit(None, kind).alias(name) for name, kind in schema.items() if name not in given)


def run_of(url: Path, title: str, day: dt.date = NIGHT, commit: bool = True, shards: int = 4) -> None:
    """A run of table `shelves`: committed, or only kept, as a preview is."""
    warehouse = Warehouse(str(url))
    settings = {"title": title}
    run = plan(warehouse, "shelves", day, shards=shards, inputs={}, settings=settings, step_version="1")
    assert run is not None
    files = [Written("shelves", day.isoformat(), write_frame(run, s, part)) for s, part in split(rows(title), shards)]
    (finish if commit else keep)(run, files)


def test_a_listener_is_read_by_key_in_the_order_of_the_surface(tmp_path: Path) -> None:
    run_of(tmp_path, "new")
    night = open_night(str(tmp_path))
    found = night.shelves("listener-007")
    assert night.date == NIGHT and [s["shelf_id"] for s in found] == ["b", "a"]
    assert found[0]["items"][0]["track_id"] == "t1" and found[0]["spares"] == []
    assert night.shelves("listener-007", ["shelf_id"]) == [{"shelf_id": "b"}, {"shelf_id": "a"}]
    assert night.shelves("nobody") == []


def test_every_listener_is_found_and_one_file_is_opened_for_each(tmp_path: Path) -> None:
    run_of(tmp_path, "new")
    for listener in IDS[::7]:
        night = open_night(str(tmp_path))
        assert {s["listener_id"] for s in night.shelves(listener)} == {listener}
        assert len(night._files) == 1


def test_shards_are_those_of_the_warehouse() -> None:
    numbers = shards_of(pl.Series(IDS), 16).tolist()
    assert [shard_of(i, 16) for i in IDS] == numbers


def test_the_newest_committed_night_is_read_and_never_a_preview_nor_an_old_run(tmp_path: Path) -> None:
    run_of(tmp_path, "old", NIGHT - dt.timedelta(1))
    run_of(tmp_path, "first")
    run_of(tmp_path, "second")
    run_of(tmp_path, "preview", commit=False)
    run_of(tmp_path, "tomorrow's preview", NIGHT + dt.timedelta(1), commit=False)
    assert {s["title"] for s in open_night(str(tmp_path)).shelves("listener-001")} == {"second"}
    before = open_night(str(tmp_path), NIGHT - dt.timedelta(1))
    assert {s["title"] for s in before.shelves("listener-001")} == {"old"}


def test_a_reader_that_stays_open_follows_when_its_run_was_replaced_and_cleaned(tmp_path: Path) -> None:
    run_of(tmp_path, "first")
    night = open_night(str(tmp_path))
    gone = {Path(f["path"]).parent for f in night.manifest["files"]}
    run_of(tmp_path, "second")
    for folder in gone:
        shutil.rmtree(tmp_path / folder)
    assert {s["title"] for s in night.shelves("listener-001")} == {"second"}


def test_what_is_not_there_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nightshelf run --date"):
        open_night(str(tmp_path))
    run_of(tmp_path, "new")
    with pytest.raises(NotFound, match="2026-01-30"):
        open_night(str(tmp_path), NIGHT - dt.timedelta(1))


def test_a_file_system_of_ones_own_is_read_through(tmp_path: Path) -> None:
    run_of(tmp_path / "house", "new")
    through = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    assert open_night("house", filesystem=through).shelves("listener-002")


def test_duckdb_reads_the_same_rows_by_the_same_key(tmp_path: Path) -> None:
    run_of(tmp_path, "new")
    night, who = open_night(str(tmp_path)), "listener-123"
    shard = shard_of(who, night.manifest["shards"])
    paths = [str(tmp_path / f["path"]) for f in night.manifest["files"] if f["shard"] == shard]
    asked = "select shelf_id, items[1].track_id from read_parquet(?) where listener_id = ? order by home_position"
    assert duckdb.execute(asked, [paths, who]).fetchall() == [("b", "t1"), ("a", "t1")]


def test_the_reader_imports_pyarrow_and_nothing_of_the_program() -> None:
    code = (
        "import sys\nimport nightshelf.reader\n"
        "heavy = {'polars', 'apache_beam', 'tensorflow', 'pydantic', 'pandas', 'transforms', 'pipelines'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def defaults_of(url: Path, day: dt.date = NIGHT) -> None:
    """Table `market_defaults`: two shelves for Sweden and for everywhere, with explicit tracks and without."""
    warehouse = Warehouse(str(url))
    run = plan(warehouse, "market_defaults", day, shards=1, inputs={}, settings={}, step_version="1")
    assert run is not None
    shelves = rows("popular").head(8)
    shelves = shelves.select(name for name in TABLES["market_defaults"].polars if name in shelves.columns)
    made = shelves.with_columns(
        market=pl.Series(["SE"] * 4 + [""] * 4),
        explicit_ok=pl.Series([False, False, True, True] * 2),
        title=pl.Series([f"{m} {ok}" for m in ("SE", "") for ok in (False, True) for _ in range(2)]),
    )
    finish(run, [Written("market_defaults", day.isoformat(), write_frame(run, 0, made))])


@pytest.mark.parametrize(
    ("market", "may", "title"),
    [("SE", False, "SE False"), ("SE", True, "SE True"), ("XX", False, " False"), (None, True, " True")],
)
def test_who_joined_after_the_night_gets_what_is_kept_for_their_market(
    tmp_path: Path, market: str | None, may: bool, title: str
) -> None:
    run_of(tmp_path, "new")
    with pytest.raises(NotFound, match="make the night again"):
        open_night(str(tmp_path)).defaults(market)
    defaults_of(tmp_path)
    night = open_night(str(tmp_path))
    assert night.shelves("joined yesterday") == []
    found = night.defaults(market, may)
    assert {s["title"] for s in found} == {title} and [s["shelf_id"] for s in found] == ["b", "a"]
    assert found[0]["items"][0]["track_id"] == "t1"


class Watched(fs.FileSystemHandler):
    """The local file system, noting what is opened and listed."""

    def __init__(self) -> None:
        self.local, self.opened, self.listed = fs.LocalFileSystem(), list[str](), list[str]()

    def __getattr__(self, name: str):  # type: ignore[no-untyped-def]
        raise AssertionError(f"a reader has no use for {name}")

    def get_type_name(self) -> str:
        return "watched"

    def normalize_path(self, path: str) -> str:
        return self.local.normalize_path(path)

    def get_file_info(self, paths: list[str]):  # type: ignore[no-untyped-def]
        return self.local.get_file_info(paths)

    def get_file_info_selector(self, selector: fs.FileSelector):  # type: ignore[no-untyped-def]
        self.listed.append(selector.base_dir)
        return self.local.get_file_info(selector)

    def open_input_file(self, path: str):  # type: ignore[no-untyped-def]
        self.opened.append(path)
        return self.local.open_input_file(path)

    def open_input_stream(self, path: str):  # type: ignore[no-untyped-def]
        self.opened.append(path)
        return self.local.open_input_stream(path)


for _name in fs.FileSystemHandler.__abstractmethods__ - set(vars(Watched)):
    setattr(Watched, _name, lambda self, *args, _name=_name: pytest.fail(f"a reader called {_name}"))
Watched.__abstractmethods__ = frozenset()


def test_one_file_beside_the_manifest_is_opened_and_nothing_of_previews_or_old_runs(tmp_path: Path) -> None:
    run_of(tmp_path, "old", NIGHT - dt.timedelta(1))
    run_of(tmp_path, "first")
    run_of(tmp_path, "second")
    run_of(tmp_path, "preview", commit=False)
    run_of(tmp_path, "tomorrow's preview", NIGHT + dt.timedelta(1), commit=False)
    seen = Watched()
    night = open_night(str(tmp_path), filesystem=fs.PyFileSystem(seen))
    assert {s["title"] for s in night.shelves("listener-042")} == {"second"}
    assert seen.listed == [f"{tmp_path}/shelves"]
    manifests = [p for p in seen.opened if p.endswith("_current.json")]
    data = [p for p in seen.opened if p not in manifests]
    tomorrow, tonight = (f"{tmp_path}/shelves/date={NIGHT + dt.timedelta(n)}/_current.json" for n in (1, 0))
    assert manifests == [tomorrow, tonight], "a date without a manifest is passed over"
    assert len(data) == 1 and f"/run={night.manifest['run_id']}/" in data[0]
    assert f"shard-{shard_of('listener-042', 4):05d}-of" in data[0]
    for listener in IDS[:20]:
        night.shelves(listener)
    assert len(seen.opened) - len(manifests) <= 4, "a file stays open"
