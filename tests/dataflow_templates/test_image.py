"""The image and the scripts that build and deploy it, as far as they can be judged where no image can be built."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dataflow_templates import launch
from dataflow_templates.metadata import image_of
from dataflow_templates.templates import TEMPLATES

ROOT = Path(__file__).parent.parent.parent
IMAGE = ROOT / "dataflow_templates" / "image"
SCRIPTS = sorted(IMAGE.glob("*.sh"))
NAMES = {
    "PROJECT": "music",
    "REGION": "europe-west1",
    "BUCKET": "music-nights",
    "REPOSITORY": "europe-docker.pkg.dev/music/nightshelf",
    "TAG": "1",
    "SERVICE_ACCOUNT": "nights@music.iam.gserviceaccount.com",
    "WAREHOUSE": "gs://music-nights/warehouse",
    "DATASET": "shelves",
    "LOG": "gs://music-log/date={date}/*.parquet",
}


def dockerfile() -> str:
    return (IMAGE / "Dockerfile").read_text()


def bases(image: Path = IMAGE) -> dict[str, tuple[str, str]]:
    """Tag and digest (or `-`) of what images are made of, by the name of the argument."""
    lines = [line.split() for line in (image / "bases.txt").read_text().splitlines()]
    return {argument: (tag, digest) for argument, tag, digest in lines}


def pinned(package: str) -> str:
    found = re.search(rf"^{package}==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert found
    return found.group(1)


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A folder with `docker` and `gcloud` that only write down what they are asked, and the copy of what they are sent."""
    said = tmp_path / "said"
    for name in ("docker", "gcloud"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(
            "#!/bin/sh\n"
            f'echo "{name} $*" >> {said}\n'
            f'case "$*" in *imagetools*) cat {tmp_path}/digest 2> /dev/null || exit 1 ;; esac\n'
            f'for word in "$@"; do case "$word" in */templates/*.json|*/body.json) cp "$word" {tmp_path} ;; esac; done\n'
            '[ "$3" != describe ]\n'  # nothing is deployed yet
        )
        program.chmod(0o755)
    return tmp_path


def copied(commands: Path) -> Path:
    """Scripts that may write beside themselves, in a copy of their folder."""
    folder = commands / "copy" / "dataflow_templates"
    if not folder.exists():
        shutil.copytree(IMAGE.parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder / "image"


def run(script: str, commands: Path, *args: str, without: str = "") -> tuple[int, list[str], str]:
    names = {k: v for k, v in NAMES.items() if k != without}
    environment = {
        "PATH": f"{commands}/bin:/usr/bin:/bin",
        "PYTHON": sys.executable,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "HOME": os.environ.get("HOME", "/"),
        **names,
    }
    at = copied(commands) if script == "build.sh" else IMAGE
    done = subprocess.run([at / script, *args], env=environment, cwd=commands, capture_output=True, text=True)
    said = commands / "said"
    return done.returncode, said.read_text().splitlines() if said.exists() else [], done.stderr


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_a_script_is_clean_and_stops_at_the_first_error(script: Path) -> None:
    checker = Path(sys.executable).parent / "shellcheck"
    done = subprocess.run([checker, script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "set -euo pipefail" in script.read_text()
    assert os.access(script, os.X_OK)


def test_the_image_has_the_versions_that_the_tests_ran_with() -> None:
    text = dockerfile()
    assert bases()["BEAM_BASE"][0] == f"apache/beam_python3.11_sdk:{pinned('apache-beam')}"
    assert bases()["PYTHON_BASE"][0].startswith("python:3.11.")
    assert "pip install -c constraints.txt ." in text and "pip check" in text
    assert ":latest" not in text


def test_the_image_fixes_what_equal_bytes_depend_on() -> None:
    text = dockerfile()
    for setting in ("TF_USE_LEGACY_KERAS=1", "TF_ENABLE_ONEDNN_OPTS=0"):
        assert setting in text.split("AS launcher")[0].split("AS worker")[1], "workers and launchers both"


def test_the_image_starts_the_launching_program_with_the_names_that_it_reads() -> None:
    last = dockerfile().split("AS launcher")[1]
    assert f"{launch.TEMPLATE}=" in last and f"{launch.IMAGE}=" in last
    path = re.search(r"FLEX_TEMPLATE_PYTHON_PY_FILE=/template/(\S+)", last)
    assert path and (ROOT / path.group(1)).is_file()
    assert 'ENTRYPOINT ["/opt/google/dataflow/python_template_launcher"]' in last
    assert 'ENTRYPOINT ["/opt/apache/beam/boot"]' in dockerfile().split("AS launcher")[0]


def test_every_folder_of_the_program_is_in_the_image_and_sent_to_its_builder() -> None:
    sent = (IMAGE / "Dockerfile.dockerignore").read_text().split()
    for folder in ("pipelines", "transforms", "models", "dataflow_templates"):
        assert f"COPY {folder} {folder}\n" in dockerfile()
        assert f"!{folder}" in sent


def test_the_command_runs_without_rights_and_what_it_runs_is_not_its_own() -> None:
    stage = dockerfile().split("AS command")[1].split("FROM ")[0]
    assert "USER 10001\n" in stage and 'ENTRYPOINT ["nightshelf"]' in stage and "COPY" not in stage
    worker = dockerfile().split("AS worker")[1].split("FROM ")[0]
    assert "useradd --uid 10001" in worker and "chown" not in worker


def test_every_image_is_made_of_what_a_digest_names(commands: Path) -> None:
    text = dockerfile()
    given = set(re.findall(r"^ARG (\w+_BASE)$", text, re.MULTILINE))
    froms = [line.split()[1] for line in text.splitlines() if line.startswith("FROM ")]
    assert {one for one in froms if one != "worker"} == {f"${{{name}}}" for name in given} and given == bases().keys()
    (commands / "digest").write_text(f"sha256:{'ab' * 32}\n")
    code, said, errors = run("build.sh", commands)
    assert code == 0, errors
    written = bases(copied(commands))
    for name, (tag, digest) in bases().items():
        assert written[name] == (tag, digest if digest != "-" else f"sha256:{'ab' * 32}")
        for build in [line for line in said if line.startswith("docker build ")]:
            assert f"--build-arg {name}={tag}@{written[name][1]} " in build
    (commands / "digest").unlink()  # nobody is asked a second time
    assert run("build.sh", commands)[0] == 0


@pytest.mark.parametrize("answer", [None, "latest", "sha256:123"])
def test_without_a_digest_nothing_is_built(answer: str | None, commands: Path) -> None:
    if answer is not None:
        (commands / "digest").write_text(answer)
    code, said, errors = run("build.sh", commands)
    assert code != 0 and not [line for line in said if line.startswith("docker build ")]
    assert answer is None or f"expected a digest of apache/beam_python3.11_sdk:{pinned('apache-beam')}" in errors
    assert bases(copied(commands)) == bases()


def test_build_makes_the_workers_image_first_and_a_launcher_a_template(commands: Path) -> None:
    (commands / "digest").write_text(f"sha256:{'ab' * 32}\n")
    code, said, errors = run("build.sh", commands)
    assert code == 0, errors
    builds = [line for line in said if line.startswith("docker build ")]
    assert "--target worker" in builds[0] and "--target command" in builds[1]
    assert len(builds) == 2 + len(TEMPLATES)
    for name in TEMPLATES:
        image = image_of(name, f"{NAMES['REPOSITORY']}:{NAMES['TAG']}")
        (build,) = [b for b in builds if f"TEMPLATE={name} " in b]
        assert f"--tag {image} " in build and f"WORKER={NAMES['REPOSITORY']}/worker:1" in build
        assert f"docker push {image}" in said


def test_deploy_sends_container_specs_the_workflow_and_its_schedule(commands: Path) -> None:
    code, said, errors = run("deploy.sh", commands)
    assert code == 0, errors
    assert [line.split()[1] for line in said] == ["storage", "workflows", "scheduler", "scheduler"]
    for name in TEMPLATES:
        assert json.loads((commands / f"{name}.json").read_text())["image"] == image_of(
            name, f"{NAMES['REPOSITORY']}:1"
        )
    assert "jobs create http nightshelf-night" in said[-1] and "/workflows/nightshelf-night/executions" in said[-1]
    argument = json.loads(json.loads((commands / "body.json").read_text())["argument"])
    assert argument["warehouse"] == NAMES["WAREHOUSE"]


def test_a_part_can_be_deployed_alone(commands: Path) -> None:
    code, said, errors = run("deploy.sh", commands, "workflow")
    assert code == 0, errors
    assert len(said) == 1 and said[0].startswith("gcloud workflows deploy nightshelf-night")


@pytest.mark.parametrize(
    ("script", "without"), [("build.sh", "TAG"), ("build.sh", "REPOSITORY"), ("deploy.sh", "BUCKET")]
)
def test_a_name_that_is_not_set_is_said_and_nothing_is_done(script: str, without: str, commands: Path) -> None:
    code, said, errors = run(script, commands, without=without)
    assert code != 0 and without in errors and not said


def test_a_schedule_without_one_of_its_names_is_not_made(commands: Path) -> None:
    code, said, errors = run("deploy.sh", commands, "schedule", without="WAREHOUSE")
    assert code != 0 and "WAREHOUSE" in errors
    assert not any("scheduler jobs create" in line for line in said)
