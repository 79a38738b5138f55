"""Signals of a planted world: found useful, not shown to help, refused; and what a night and a forget do with them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from rich.console import Console

from pipelines.cli.main import cli
from pipelines.cli.show import show
from pipelines.forget import forget
from pipelines.ingest import ingest
from pipelines.recommender.signal_trial import Trial, trial
from pipelines.runtime.settings_file import to_yaml
from tests.pipelines.signal_world import AHEAD, MADE, MAPPING, Planted, planted
from tests.pipelines.world import END, NIGHT, World
from transforms.common.errors import UserError
from transforms.simulation.files import log_of
from transforms.tables.warehouse import Warehouse

LEAKS = ("hint", "review")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """Not to be changed."""
    return planted(tmp_path_factory.mktemp("signals"))


def tried(world: Planted, name: str) -> Trial:
    """A trial beside the other honest signals, without those that leak."""
    settings = MADE.signals.model_copy(update={"ignored": tuple(one for one in LEAKS if one != name)})
    return trial(world.warehouse.url, name, MADE.model_copy(update={"signals": settings}), NIGHT, AHEAD)


def test_a_planted_useful_signal_is_found_useful(world: Planted) -> None:
    found = tried(world, "wish")
    assert found.verdict == "useful" and found.leak is None and found.checked
    discoveries = found.lists[0]
    assert (
        discoveries.gain.low > 0 and discoveries.before.value > discoveries.gain.value / 2
    )  # known a week before as well
    assert 0 < found.known < 0.5 and found.ms > 0 and found.bytes > 0


def test_a_useless_one_is_not(world: Planted) -> None:
    found = tried(world, "noise")
    assert found.verdict == "not shown to help" and not found.why_refused
    assert found.lists[0].gain.low <= 0 <= found.lists[0].gain.high


def test_one_that_knows_the_future_is_refused_by_name(world: Planted) -> None:
    found = tried(world, "hint")
    assert found.verdict == "refused" and "'hint'" in found.why_refused and "knows the future" in found.why_refused
    leak = found.leak
    assert leak is not None and leak.gain.low > 0 and leak.before.value < leak.gain.value / 2


def test_one_that_was_written_after_the_night_is_refused_by_name(world: Planted, tmp_path: Path) -> None:
    found = tried(world, "review")
    assert found.verdict == "refused" and found.dated_after and found.known == 0.0
    settings = tmp_path / "settings.yaml"
    settings.write_text(to_yaml(MADE))
    said = CliRunner().invoke(
        cli,
        ["signal", "try", "review", "--warehouse", world.warehouse.url, "--config", str(settings)],
        standalone_mode=False,
    )
    assert isinstance(said.exception, UserError) and "'review' is refused" in str(said.exception)
    assert "stamped after that night" in said.output


def test_an_unknown_signal_is_named_with_the_nearest(world: Planted) -> None:
    with pytest.raises(UserError, match="'wihs'; did you mean wish"):
        tried(world, "wihs")


def test_a_night_reads_them_watches_them_and_shows_them(world: Planted) -> None:
    night = world.warehouse.need("shelves", NIGHT)
    declared = night.settings["signals"]["declared"]
    assert {"wish", "noise", "plan", "style", "shuffle"} <= set(declared)
    candidates = world.warehouse.read("candidates", NIGHT)
    for column in ("f_signal_match_style", "f_signal_match_plan", "f_signal_has_wish", "f_signal_t_noise"):
        values = candidates[column]
        assert values.null_count() < candidates.height / 2 and values.n_unique() > 1, column
    assert any("f_signal_has_wish" in name for name in night.extra["measured"]["counts"])  # drift watches it
    log = world.warehouse.need("listens", NIGHT).extra
    assert "style" in log["signals"] and "null signal_text_style" in log["measured"]
    assert any(name.startswith("moves log|signal_number_noise") for name in log["measured"])
    console = Console(record=True, width=200)
    for who in candidates["listener_id"].unique().sort()[:8]:
        show(world.warehouse.url, who, why=True, day=NIGHT, console=console)
    text = console.export_text()
    assert "signal_has_wish" in text and "signal_X: of a signal" in text


def test_a_night_does_not_see_a_value_of_the_days_after_it(world: Planted) -> None:
    from pipelines.recommender.signal_values_at import SignalAt
    from transforms.signals.declared import Signal

    rows = world.warehouse.read("candidates", NIGHT).select("listener_id", "track_id").head(2000)
    hint = Signal(column="hint", kind="number", of="pair")
    at = SignalAt(world.warehouse.url, "hint", hint, MADE.signals, MADE.library, NIGHT)
    early = at.columns(rows, NIGHT, NIGHT - timedelta(AHEAD))["f_signal_p_hint"]
    values = world.warehouse.read("signal_values", NIGHT)
    assert values.height and values["at"].max() is not None
    known = pl.concat(
        [
            world.warehouse.read("signal_values", d)
            for d in world.warehouse.dates("signal_values")
            if d <= NIGHT - timedelta(AHEAD)
        ]
    )
    last = known.filter(pl.col("signal") == "hint").sort("at").unique(["listener_id", "track_id"], keep="last")
    joined = rows.join(
        last.select("listener_id", "track_id", "number"),
        on=["listener_id", "track_id"],
        how="left",
        maintain_order="left",
    )
    assert joined["number"].cast(pl.Float32).fill_null(-1).to_list() == [-1 if x != x else x for x in early.tolist()]


def test_forget_reaches_them(world: Planted, tmp_path: Path) -> None:
    warehouse = World.copy(Path(world.warehouse.url), tmp_path / "copy")
    who = warehouse.read("listener_signals", NIGHT)["listener_id"][0]
    tables = ("listens", "signal_values", "listener_signals", "candidates")

    def held() -> dict[str, bool]:
        return {
            table: any(
                who in warehouse.read(table, d)["listener_id"].unique().to_list() for d in warehouse.dates(table)
            )
            for table in tables
        }

    assert all(held().values())
    forget(warehouse.url, [who], today=NIGHT)
    assert not any(held().values())


def test_cells_that_cannot_be_read_are_counted(world: Planted, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    bad = tmp_path / "plans.csv"
    bad.write_text(
        "listener_id,track_id,wish,at\nann,t1,0.5,\nann,t2,often,\n,t3,0.5,\nann,t4,,\nann,t5,1,2030-01-01T00:00:00Z\n"
    )
    log = {**log_of(world.log), "mapping": str(world.mapping)}
    found = ingest(str(tmp_path / "w"), "csv", **log, signals=str(bad), end_date=END, settings=MADE)
    signals = found.tables["signals"]
    assert (signals["rows"], signals["listens"], signals["rejects"]) == (3, 1, 2)
    assert signals["unread"] == {"wish": 1} and signals["reasons"] == {"broken_line": 1, "future": 1}
    assert "cells that could not be read count as unknown (wish 1)" in capsys.readouterr().out
    (row,) = Warehouse(str(tmp_path / "w")).read("signal_values", END).iter_rows(named=True)
    assert row["number"] == 0.5 and row["track_id"] == "t1" and row["at"].date() == END


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("listener_id,wihs", "expected a column 'plan' for the signal 'plan'"),
        ("listener_id,wish", "'track_id', since the signal 'wish' is of a pair"),
        ("listner_id,plan", "expected a column 'listener_id'.*did you mean listner_id"),
    ],
)
def test_a_table_without_what_the_mapping_says_is_refused(
    world: Planted, tmp_path: Path, header: str, said: str
) -> None:
    table = tmp_path / "table.csv"
    table.write_text(f"{header}\nann,1\n")
    only = tmp_path / "mapping.yaml"
    names = "wish" if "wish" in header else "plan"
    wanted = [line for line in MAPPING.strip().splitlines()[1:] if line.strip().startswith(names)]
    only.write_text((world.log / "mapping.yaml").read_text() + "\nsignals:\n" + "\n".join(wanted) + "\n")
    log = {**log_of(world.log), "mapping": str(only)}
    with pytest.raises(UserError, match=said):
        ingest(str(tmp_path / "w"), "csv", **log, signals=str(table), end_date=END, settings=MADE)
    assert not Warehouse(str(tmp_path / "w")).dates("listens")
