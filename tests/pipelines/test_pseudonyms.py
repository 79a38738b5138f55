"""Pseudonyms: with a key, no id that came is written anywhere; one key a warehouse; and the id still finds its rows."""

from __future__ import annotations

import io
import pickle
from datetime import date
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.cli.show import show
from pipelines.forget import forget
from pipelines.ingest import ingest
from pipelines.runtime.identity import known_as
from tests.pipelines.byte_search import found
from tests.pipelines.tiny import NIGHT, put, shelves_of
from transforms.common.errors import UserError
from transforms.privacy.pseudonyms import ENVIRONMENT, KeySource, Pseudonyms
from transforms.tables.warehouse import Warehouse

END = date(2026, 1, 8)
KEY = "correct horse battery staple"
WHO = ("magdalena.k@example.org", "tom/7 & co", "listener-0")


@pytest.fixture
def key(tmp_path: Path) -> str:
    path = tmp_path / "key"
    path.write_text(KEY + "\n")
    path.chmod(0o600)
    return str(path)


def plays(folder: Path, name: str = "log.csv", hour: int = 10) -> str:
    """A log whose file is called like a listener, with lines of every kind."""
    path = folder / f"of {WHO[0]}" / name
    path.parent.mkdir(exist_ok=True)
    rows = "".join(f"{who},t{n},2026-01-05T{hour}:0{n}:00Z,1000\n" for n, who in enumerate(WHO))
    refused = f"{WHO[0]}\n,t1,{WHO[0]},1\n{WHO[1]},t1,never,1\n{WHO[2]},,2026-01-05T10:00:00Z,1\n"
    path.write_text("listener_id,track_id,started_at,ms_played\n" + rows + refused)
    return str(path)


def tables(folder: Path) -> dict[str, str]:
    at = "2026-01-05T10:00:00Z"
    texts = {
        "listeners_file": "listener_id,market\n" + "".join(f"{w},DE\n" for w in WHO) + f"{WHO[0]}\n",
        "feedback": "listener_id,kind,target,at\n" + "".join(f"{w},like,t1,{at}\n" for w in WHO),
        "impressions": "listener_id,surface,shelf_id,version,track_id,position,item_or_spare,shown_at\n"
        + "".join(f"{w},home,s,v,t1,1,item,{at}\n" for w in WHO),
    }
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text)
    return {name: str(folder / f"{name}.csv") for name in texts}


def test_no_id_that_came_is_in_any_byte(tmp_path: Path, key: str) -> None:
    warehouse = tmp_path / "w"
    done = ingest(str(warehouse), "csv", [plays(tmp_path)], end_date=END, pseudonym_key_file=key, **tables(tmp_path))
    assert (done.listens, done.rejects) == (3, 4)
    assert found(warehouse, [*WHO, KEY]) == []
    names, opened = Pseudonyms(KEY.encode()), Warehouse(str(warehouse))
    mine = {names.of(w) for w in WHO}
    for table, day in (
        ("listens", date(2026, 1, 5)),
        ("feedback", date(2026, 1, 5)),
        ("impressions", date(2026, 1, 5)),
    ):
        assert set(opened.read(table, day)["listener_id"]) == mine, table
    assert set(opened.read_newest("listeners", END)["listener_id"]) == mine
    rejects = opened.read("rejects", END)
    assert rejects["raw"].str.starts_with("hmac-sha256:").all() and rejects["file"].str.starts_with("file-").all()


def test_one_key_a_warehouse(tmp_path: Path, key: str) -> None:
    warehouse, other = str(tmp_path / "w"), tmp_path / "other"
    other.write_text("another key, quite as long")
    other.chmod(0o600)
    ingest(warehouse, "csv", [plays(tmp_path)], end_date=END, pseudonym_key_file=key)
    before = sorted(Warehouse(warehouse).store.paths(""))
    for wrong, said in ((str(other), "expected the pseudonym key of fingerprint"), (None, "and no key is given")):
        with pytest.raises(UserError, match=said):
            ingest(warehouse, "csv", [plays(tmp_path, "b.csv", 11)], end_date=END, pseudonym_key_file=wrong)
    assert sorted(Warehouse(warehouse).store.paths("")) == before
    open_ids = str(tmp_path / "open")
    ingest(open_ids, "csv", [plays(tmp_path)], end_date=END)
    with pytest.raises(UserError, match="as they came"):
        ingest(open_ids, "csv", [plays(tmp_path, "b.csv", 11)], end_date=END, pseudonym_key_file=key)
    done = ingest(warehouse, "csv", [plays(tmp_path, "b.csv", 11)], end_date=END, pseudonym_key_file=key)
    assert done.listens == 3


def test_the_key_may_stand_in_the_environment(tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, KEY)
    ingest(str(tmp_path / "w"), "csv", [plays(tmp_path)], end_date=END)
    assert known_as(str(tmp_path / "w"), ["ann"], key) == [Pseudonyms(KEY.encode()).of("ann")]


def test_a_key_must_be_long_and_never_travels(tmp_path: Path) -> None:
    (tmp_path / "short").write_text("abc\n")
    (tmp_path / "short").chmod(0o600)
    with pytest.raises(UserError, match="at least 16 bytes, found 3"):
        KeySource(str(tmp_path / "short")).load()
    with pytest.raises(UserError, match="expected a readable file"):
        KeySource(str(tmp_path / "none")).load()
    with pytest.raises(TypeError, match="does not travel"):
        pickle.dumps(Pseudonyms(KEY.encode()))
    assert KEY not in repr(Pseudonyms(KEY.encode()))


def test_with_the_key_the_id_that_came_shows_and_forgets(tmp_path: Path, key: str) -> None:
    warehouse = str(tmp_path / "w")
    ingest(warehouse, "csv", [plays(tmp_path)], end_date=END, pseudonym_key_file=key)
    opened, names = Warehouse(warehouse), Pseudonyms(KEY.encode())
    put(opened, "shelves", NIGHT, names.rows(shelves_of()))
    put(opened, "tracks", date(2025, 1, 1), opened.read_newest("tracks", END), 1)
    (mine,) = known_as(warehouse, ["listener-0"], key)
    out = io.StringIO()
    show(warehouse, mine, console=Console(file=out))
    assert "Discover" in out.getvalue()
    assert known_as(warehouse, [mine], None) == [mine], "without a key, an id is taken for what is stored"
    done = forget(warehouse, ["listener-0"], pseudonym_key_file=key)
    assert done.rows >= 3 and found(Path(warehouse), [mine]) == []
    done = ingest(warehouse, "csv", [plays(tmp_path, "b.csv", 11)], end_date=END, pseudonym_key_file=key)
    assert done.reasons["forgotten"] == 1
