"""Options for Beam among a command's own: Beam's are handed on, mistakes are refused before anything is begun."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from pipelines.cli.beam_options import BeamCommand
from pipelines.cli.main import cli

FLINK = ["--job_endpoint=host:8099", "--environment_type=DOCKER", "--parallelism=16", "--environment_cache_millis=9"]
DATAFLOW = ["--project=p", "--region", "europe-west4", "--temp_location=gs://b/t", "--sdk_container_image=i"]
RUN = ["run", "--date", "2026-01-24", "--warehouse", "w"]


def refused(words: list[str]) -> str:
    done = CliRunner().invoke(cli, words, standalone_mode=False)
    assert isinstance(done.exception, click.UsageError) and done.exception.exit_code == 2, done.exception
    return done.exception.format_message()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Nothing may be begun: no command here leaves a file."""
    monkeypatch.chdir(tmp_path)
    yield
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*RUN, "--gredy"], "no such option --gredy, neither here nor in Beam; did you mean --greedy?"),
        ([*RUN, "--lisseners", "x"], "did you mean --listeners?"),
        ([*RUN, "--listeners-file", "one.txt"], "did you mean --listeners?"),
        ([*RUN, "--fit_date=2026-01-17"], "did you mean --fit-date?"),
        ([*RUN, "--runnr=FlinkRunner"], "did you mean --runner?"),
        ([*RUN, "--checkpointing_interval=6"], "no such option --checkpointing_interval, neither here"),
        ([*RUN, "--parallelism=many"], "Beam refuses an option"),
        (["evaluate", "--date", "2026-01-24", "--day=7"], "did you mean --days?"),
        (["simulate", "--out", "w", "--plays", "3"], "no such option --plays"),
        (["features", "--from", "2026-01-24", "--to", "2026-01-24", "--waerhouse=w"], "did you mean --warehouse?"),
        (["ingest", "--format", "csv", "--input", "x", "--trakcs=t"], "did you mean --tracks?"),
    ],
)
def test_an_option_that_neither_knows_is_refused_with_the_nearest(words: list[str], said: str) -> None:
    assert said in refused(words)


@pytest.mark.parametrize("words", [[*RUN, "ann"], [*RUN, "--runner=FnApiRunner", "ann"], [*RUN, "--anne=ann"]])
def test_a_word_that_belongs_to_no_option_is_refused_and_not_repeated(words: list[str]) -> None:
    assert "ann" not in refused(words).replace("--anne", "")


def test_what_a_misspelt_option_would_have_forgotten_nobody_is_forgotten() -> None:
    said = refused(["forget", "ann", "--listners-file=bob", "--warehouse", "w"])
    assert "nobody was forgotten" in said and "did you mean --listeners-file?" in said
    assert "ann" not in said and "bob" not in said and "--listners-file" not in said


@pytest.mark.parametrize(
    ("words", "beams"),
    [
        ([], []),
        (["--greedy"], []),
        (["--runner=FlinkRunner", "--greedy", *FLINK], ["--runner=FlinkRunner", *FLINK]),
        (["--runner", "DataflowRunner", *DATAFLOW], ["--runner", "DataflowRunner", *DATAFLOW]),
        (
            ["--runner=PortableRunner", "--", "--unknown=1", "--greedy"],
            ["--runner=PortableRunner", "--unknown=1", "--greedy"],
        ),
    ],
)
def test_what_beam_knows_is_handed_on_and_so_is_everything_after_a_lone_dash_pair(
    words: list[str], beams: list[str]
) -> None:
    @click.command(cls=BeamCommand)
    @click.option("--greedy", is_flag=True)
    @click.pass_context
    def command(ctx: click.Context, greedy: bool) -> list[str]:
        return ctx.args

    assert command.main(words, standalone_mode=False) == beams
