"""The night as data says what its jobs do: the tables they read and make are those of the manifests."""

from __future__ import annotations

from pathlib import Path

from pipelines.cli.night_docs import page
from pipelines.evaluate import evaluate
from pipelines.nightly import NIGHT as STEPS
from pipelines.nightly import WORKFLOW
from tests.pipelines.world import NIGHT, SETTINGS, World
from transforms.tables.schema import TABLES
from transforms.tables.upkeep import states

ROOT = Path(__file__).parent.parent.parent
# what this small world has none of, so that no manifest can name it
ABSENT = {("exclusions", "exclusions"), ("train", "exclusions"), ("score", "exclusions"), ("features", "exclusions")}
ABSENT |= {("beliefs", "library"), ("beliefs", "discoveries")}  # the first discoveries are made of the log alone

ABSENT |= {(job, table) for job in ("features", "train", "score") for table in ("signal_values", "track_values")}
ABSENT |= {("train", "outcomes")}  # nothing is learned of preferences unless that is asked for
ABSENT |= {("score", "track_signals")}  # what was declared is read of their headings; the values come with the models
# nobody asks for these here, and there is no earlier whole night to try models on
UNASKED = {"ingest", "check", "publish", "export", "exclusions", "prompt", "experiments", "try_models"}


def test_each_step_reads_and_makes_what_it_says(world: World, tmp_path: Path) -> None:
    warehouse = World.copy(world.made, tmp_path / "w")
    evaluate(warehouse.url, NIGHT, settings=SETTINGS)
    makes = {table: step for step in WORKFLOW for table in step.makes}
    read: dict[str, set[str]] = {step.job: set() for step in WORKFLOW}
    made: dict[str, set[str]] = {step.job: set() for step in WORKFLOW}
    for manifest in (state.manifest for state in states(warehouse)):
        step = makes[manifest.table]
        made[step.job].add(manifest.table)
        read[step.job] |= {key.split("@")[0] for key in manifest.inputs}
    for step in WORKFLOW:
        if step.job in UNASKED:
            continue
        assert made[step.job] == set(step.makes)
        said = {table for table in step.reads if (step.job, table) not in ABSENT}
        # a first ranker replaces none, and the first shelves carry none; the read of both is of later nights
        assert read[step.job] <= set(step.reads)
        # the outcomes of a night of which nothing was shown name its draws instead of its shelves
        assert said - read[step.job] <= {"rankers", "shelves", "carried", "draws", "model_trials"}, step.job


def test_every_table_that_a_step_names_is_declared_or_a_model(world: World) -> None:
    models = {"models", "rankers"}
    for step in WORKFLOW:
        assert set(step.reads) | set(step.makes) <= set(TABLES) | models
        assert (ROOT / "pipelines" / f"{step.job}.py").exists() or step.job == "check"


def test_a_step_reads_nothing_that_only_a_later_one_makes_for_the_first_time() -> None:
    """Of its own date: what a step reads of earlier nights (their shelves, the ranker at work) is older."""
    older = {("outcomes", t) for t in ("candidates", "draws", "shelves")} | {("train_ranker", "candidates")}
    older |= {("try_models", t) for t in ("candidates", "models")}
    older |= {("prompt", t) for t in ("prompts", "intents", "playlists")}  # filed by a command of its own
    before: set[str] = set()
    for step in WORKFLOW:
        before |= set(step.makes)
        assert {t for t in step.reads if t not in before and (step.job, t) not in older} == set(), step.job
    assert all(step.start for step in STEPS)


def test_the_page_of_the_night_is_what_the_steps_say() -> None:
    assert (ROOT / "docs" / "night.md").read_text() == page(), "run `make docs`"
