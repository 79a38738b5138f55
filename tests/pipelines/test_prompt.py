"""The job `prompt` and the command `playlist` on a whole night: filed, answered, followed up, the same again, forgotten."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from rich.console import Console

from pipelines.cli.main import cli
from pipelines.cli.playlist import _rows, playlist
from pipelines.file_prompts import file_prompts
from pipelines.forget import forget
from pipelines.prompt import prompt
from pipelines.recommender.prompt_plan import prompting, tables_of
from tests.pipelines.tiny import frame
from tests.pipelines.world import NIGHT, SETTINGS, World, hashes
from transforms.common.errors import UserError
from transforms.prompts.intent import Intent
from transforms.tables.as_of import as_of
from transforms.tables.chunks import Chunk
from transforms.tables.warehouse import Warehouse

SECRET = "wistful xylophone"  # stands in a prompt's text, and may stand in no log


@pytest.fixture
def warehouse(world: World, tmp_path: Path) -> Warehouse:
    return world.copy(world.made, tmp_path / "warehouse")


def of(warehouse: Warehouse, table: str) -> dict[str, dict]:
    return {r["prompt_id"]: r for r in warehouse.read(table, NIGHT).iter_rows(named=True)}


def file_of(folder: Path, rows: list[dict]) -> str:
    path = folder / "prompts.jsonl"
    path.write_text("\n".join(json.dumps(r) for r in rows))
    return str(path)


def asked(warehouse: Warehouse, folder: Path) -> tuple[list[str], dict[str, int]]:
    """Three listeners and somebody unknown ask; one follows up; bad rows are among them."""
    people = warehouse.read_newest("listeners", NIGHT)["listener_id"].sort().to_list()[:3]
    rows = [
        {"prompt_id": "p1", "listener_id": people[0], "text": f"30 minutes of {SECRET} rock, nothing explicit"},
        {"prompt_id": "p2", "listener_id": people[1], "text": "10 pop songs from the 90s"},
        {"prompt_id": "p3", "listener_id": people[1], "text": "without pop, more jazz", "follows": "p2"},
        {"prompt_id": "p4", "text": "songs I have not heard"},
        {"prompt_id": "p5", "text": "something else", "follows": "p4"},
        {"prompt_id": "p6", "listener_id": people[2], "text": "10 pop songs", "minutes": 20},
        {"prompt_id": "p6", "listener_id": people[2], "text": "10 pop songs", "minutes": 20},
        {"prompt_id": "p7", "listener_id": people[2], "text": "  "},
        {"prompt_id": "p8", "listener_id": people[2], "text": "x" * 3000},
        {"prompt_id": "p9", "listener_id": people[2], "text": "rock", "asked_at": "2030-01-01T00:00:00Z"},
    ]
    return people, file_prompts(warehouse.url, NIGHT, file_of(folder, rows), settings=SETTINGS)


def test_a_date_of_prompts_is_answered(warehouse: Warehouse, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    people, counts = asked(warehouse, tmp_path)
    assert counts == {
        **{"rows": 10, "kept": 6, "duplicates": 1},
        **{"refused broken_line": 1, "refused too_long": 1, "refused future": 1},
    }
    prompt(warehouse.url, NIGHT, settings=SETTINGS)
    made, intents = of(warehouse, "playlists"), of(warehouse, "intents")
    assert set(made) == set(intents) == {f"p{n}" for n in range(1, 7)}
    tracks = warehouse.read_newest("tracks", NIGHT)
    explicit = set(tracks.filter(pl.col("explicit"))["track_id"])
    year = dict(tracks.select("track_id", pl.col("released_on").dt.year()).rows())
    tags = dict(tracks.select("track_id", "tags").rows())
    ids = {p: [i["track_id"] for i in r["items"]] for p, r in made.items()}
    assert explicit.isdisjoint(ids["p1"])
    assert made["p1"]["minutes"] == pytest.approx(30, rel=0.05)
    assert made["p6"]["minutes"] == pytest.approx(20, rel=0.05)  # the column beside the text
    assert all(1990 <= year[t] <= 1999 for t in ids["p2"])
    followed = Intent.model_validate_json(intents["p3"]["intent"])
    assert (followed.size, followed.years[0].first, [t.text for t in followed.without_tags]) == (10, 1990, ["pop"])
    assert all(1990 <= year[t] <= 1999 and "pop" not in tags[t] for t in ids["p3"])
    assert made["p4"]["listener_id"] == made["p5"]["listener_id"] == "prompt:p4"
    assert "not known" in made["p4"]["said"]
    assert set(ids["p4"]).isdisjoint(ids["p5"])
    assert {r["listener_id"] for r in made.values()} == {*people, "prompt:p4"}
    for found in ids.values():
        assert len(set(found)) == len(found)
    printed = capfd.readouterr()
    records = "".join(p.read_text() for p in (Path(warehouse.url) / "runs").glob("*.json"))
    assert SECRET not in printed.out + printed.err + records


def test_a_machine_is_answered_as_somebody_without_a_history(warehouse: Warehouse) -> None:
    past = as_of(warehouse.url, NIGHT)
    who = warehouse.read("library", NIGHT)["listener_id"].sort()[0]
    chunk = Chunk(0, {t: _rows(warehouse, t, found, who) for t, found in tables_of(past, SETTINGS.suspects).items()})
    prompter = prompting(past, SETTINGS, "version").prompter()
    assert chunk["suspects"].is_empty() and next(prompter.listeners(chunk, [who])).heard is not None
    machine = {"listener_id": who, "reason": "breadth", "value": 900.0, "threshold": 700.0, "plays": 900}
    called = chunk.tables | {"suspects": frame("suspects", [machine])}
    known = next(prompter.listeners(Chunk(0, called), [who]))
    assert known.heard is None and known.scores is None and known.listener_id == who
    personal = SETTINGS.suspects.model_copy(update={"personal": True})
    assert tables_of(past, personal)["suspects"] == [] != tables_of(past, SETTINGS.suspects)["suspects"]


def test_the_same_prompts_make_the_same_bytes_and_a_file_is_filed_once(warehouse: Warehouse, tmp_path: Path) -> None:
    _, counts = asked(warehouse, tmp_path)
    prompt(warehouse.url, NIGHT, settings=SETTINGS)
    before = {k: v for k, v in hashes(warehouse).items() if k.partition("@")[0] in ("prompts", "intents", "playlists")}
    assert asked(warehouse, tmp_path)[1] == counts
    for table in ("intents", "playlists"):
        warehouse.store.delete(f"{table}/date={NIGHT}/_current.json")
    prompt(warehouse.url, NIGHT, settings=SETTINGS)
    after = {k: v for k, v in hashes(warehouse).items() if k in before}
    assert [[sha for _, sha in files] for files in after.values()] == [
        [sha for _, sha in files] for files in before.values()
    ]


def test_at_once_and_in_the_job_a_prompt_gets_the_same_list(warehouse: Warehouse) -> None:
    who = warehouse.read_newest("listeners", NIGHT)["listener_id"].min()
    first = playlist(
        warehouse.url, "20 minutes of pop", settings=SETTINGS, listener=str(who), console=Console(quiet=True)
    )
    again = playlist(
        warehouse.url, "20 minutes of pop", settings=SETTINGS, listener=str(who), console=Console(quiet=True)
    )
    then = playlist(warehouse.url, "40 minutes instead", settings=SETTINGS, follows=first, console=Console(quiet=True))
    assert first == again
    at_once = of(warehouse, "playlists")
    assert set(at_once) == {first, then}
    assert at_once[then]["minutes"] == pytest.approx(40, rel=0.05)
    assert at_once[then]["listener_id"] == who
    kept = [i["track_id"] for i in at_once[first]["items"]]
    assert set(kept) <= {i["track_id"] for i in at_once[then]["items"]}  # what was not criticised is kept
    prompt(warehouse.url, NIGHT, settings=SETTINGS)
    in_job = of(warehouse, "playlists")
    assert {p: r["items"] for p, r in in_job.items()} == {p: r["items"] for p, r in at_once.items()}


def test_forget_reaches_prompts_intents_and_playlists(warehouse: Warehouse, tmp_path: Path) -> None:
    people, _ = asked(warehouse, tmp_path)
    prompt(warehouse.url, NIGHT, settings=SETTINGS)
    forget(warehouse.url, [people[0], "prompt:p4"], today=NIGHT)
    for table in ("prompts", "intents", "playlists"):
        assert set(of(warehouse, table)) == {"p2", "p3", "p6"}
    everything = b"".join(p.read_bytes() for p in Path(warehouse.url).rglob("*") if p.is_file())
    assert SECRET.encode() not in everything
    again = [{"prompt_id": "new", "listener_id": people[0], "text": "rock"}]
    counts = file_prompts(warehouse.url, NIGHT, file_of(tmp_path, again), settings=SETTINGS)
    assert (counts["kept"], counts["refused forgotten"]) == (0, 1)


def test_errors_say_what_to_do_and_never_the_prompt(warehouse: Warehouse, tmp_path: Path) -> None:
    quiet = Console(quiet=True)
    with pytest.raises(UserError, match="expected a prompt, found none"):
        playlist(warehouse.url, " ", settings=SETTINGS, console=quiet)
    with pytest.raises(UserError, match="--follows: no prompt of that id"):
        playlist(warehouse.url, SECRET, settings=SETTINGS, follows="nothing", console=quiet)
    with pytest.raises(UserError, match="--date D"):
        playlist(str(tmp_path / "empty"), SECRET, settings=SETTINGS, console=quiet)
    bad = tmp_path / "prompts.csv"
    bad.write_text("words\nrock\n")
    with pytest.raises(UserError, match="expected a column `text`"):
        file_prompts(warehouse.url, NIGHT, str(bad), settings=SETTINGS)
    who = [str(i) for i in warehouse.read_newest("listeners", NIGHT)["listener_id"].sort()[:2]]
    first = playlist(warehouse.url, "rock", settings=SETTINGS, listener=who[0], console=quiet)
    with pytest.raises(UserError, match="another's"):
        playlist(warehouse.url, "more", settings=SETTINGS, listener=who[1], follows=first, console=quiet)


def test_the_commands(warehouse: Warehouse, tmp_path: Path) -> None:
    path = tmp_path / "prompts.parquet"
    at = datetime(*NIGHT.timetuple()[:3], 12, tzinfo=UTC)
    pl.DataFrame({"text": ["ten rock songs"], "asked_at": [at]}).write_parquet(path)
    on = ["--date", str(NIGHT), "--warehouse", warehouse.url]
    done = CliRunner().invoke(cli, ["file-prompts", "--input", str(path), *on])
    assert done.exit_code == 0, done.output
    assert "rows 1" in done.output
    assert CliRunner().invoke(cli, ["prompt", *on]).exit_code == 0
    (row,) = of(warehouse, "playlists").values()
    assert len(row["items"]) == 10
    done = CliRunner().invoke(cli, ["playlist", "five pop songs", "--warehouse", warehouse.url])
    assert done.exit_code == 0, done.output
    assert "Pop (5 tracks" in done.output
