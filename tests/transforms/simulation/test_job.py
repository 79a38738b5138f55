"""Job `simulate`: whoever computes it, the world is the same; a wrong setting names itself."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from pipelines.simulate import simulate
from transforms.common.errors import UserError
from transforms.simulation.catalog_build import build_catalog
from transforms.simulation.files import block_files
from transforms.simulation.settings import SimulationSettings


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_same_seed_same_bytes_with_any_workers(tmp_path: Path) -> None:
    end = date(2025, 6, 30)
    one = simulate(60, 300, 7, str(tmp_path / "one"), 2, end_date=end, beam_args=["--runner=FnApiRunner"])
    two = ["--runner=FnApiRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    simulate(60, 300, 7, str(tmp_path / "two"), 2, end_date=end, beam_args=two)
    files = _bytes(tmp_path / "one")
    assert files == _bytes(tmp_path / "two")
    assert {n for n in files if n.startswith("listens/")} == {f"listens/part-0000{k}-of-00003.csv" for k in range(3)}
    for name in ("mapping.yaml", "tracks.parquet", "listeners.parquet", "feedback.parquet", "impressions.parquet"):
        assert name in files
    assert pl.read_parquet(files["listeners.parquet"]).height == 60
    assert one.counts["clean"] > 0


def test_the_job_writes_what_its_blocks_are_in_any_order(tmp_path: Path) -> None:
    simulate(60, 300, 7, str(tmp_path), 2, beam_args=["--runner=FnApiRunner"])
    settings = SimulationSettings(listeners=60, tracks=300, days=7, seed=2)
    catalog = build_catalog(settings)
    files = _bytes(tmp_path)
    assert settings.blocks == 3
    for number in (2, 0, 1):
        made = block_files(settings, catalog, number, "csv")
        logs = {name: content for name, content in made.items() if not name.startswith("parts/")}
        assert len(logs) == 2
        assert logs.items() <= files.items()


def test_a_smaller_world_leaves_nothing_of_a_larger_one(tmp_path: Path) -> None:
    simulate(60, 100, 3, str(tmp_path), 2)
    simulate(10, 100, 3, str(tmp_path), 2, format="parquet")
    assert {p.name for p in (tmp_path / "listens").iterdir()} == {"part-00000-of-00001.parquet"}
    assert not (tmp_path / "parts").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"format": "xml"}, "--format must be one of csv, parquet"),
        ({"listeners": 0}, "--listeners"),
        ({"beam_args": ["--runner=FnApiRunner", "--direct_running_mode=multi_threading"]}, "loses records"),
    ],
)
def test_a_wrong_setting_names_itself(tmp_path: Path, wrong: dict, message: str) -> None:
    sizes = {"listeners": 1, "tracks": 20, "days": 1, "out": str(tmp_path)} | wrong
    with pytest.raises(UserError, match=message):
        simulate(**sizes)
