"""An interrupt is an interrupt wherever it arrives: 130 and one sentence, not a step that failed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import apache_beam as beam
import click
import pytest

from pipelines.cli.main import _run, cli
from pipelines.runtime.jobs import launch
from transforms.common.errors import UserError
from transforms.tables.warehouse import Warehouse


def wrapped(_: int) -> int:
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt as error:  # as a library does whose import was interrupted
        raise RuntimeError("the import failed") from error


def meanwhile(_: int) -> int:
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        raise OSError("a file was left half read")  # noqa: B904


def outright(_: int) -> int:
    raise KeyboardInterrupt


def failed(_: int) -> int:
    raise RuntimeError("the import failed")


def job(folder: Path, step: Callable[[int], int]) -> None:
    def define(root: beam.Pipeline) -> None:
        _ = root | beam.Create([1]) | "Fit" >> beam.Map(step)

    launch("train", Warehouse(str(folder)), define)


@pytest.mark.parametrize("step", [wrapped, meanwhile, outright])
def test_a_job_whose_step_was_interrupted_is_interrupted(
    step: Callable[[int], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        job(tmp_path, step)
    monkeypatch.setitem(cli.commands, "job", click.Command("job", callback=lambda: job(tmp_path, step)))
    monkeypatch.setattr(sys, "argv", ["nightshelf", "job"])
    with pytest.raises(SystemExit) as ended:
        _run()
    assert ended.value.code == 130
    assert capsys.readouterr().err.splitlines()[-1].startswith("nightshelf: interrupted; the same command")


def test_a_job_that_failed_by_itself_is_not_called_interrupted(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="job train failed in step 'Fit'"):
        job(tmp_path, failed)


def test_an_interrupt_outside_of_every_job_is_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def command() -> None:
        wrapped(0)

    monkeypatch.setitem(cli.commands, "job", click.Command("job", callback=command))
    monkeypatch.setattr(sys, "argv", ["nightshelf", "job"])
    with pytest.raises(SystemExit) as ended:
        _run()
    assert ended.value.code == 130
