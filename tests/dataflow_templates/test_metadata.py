"""Template metadata: what is committed is what the options say, and the service's own types read it."""

from __future__ import annotations

import json
import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from google.cloud.dataflow_v1beta3.types import ContainerSpec, SDKInfo, TemplateMetadata

from dataflow_templates import metadata as made
from dataflow_templates.templates import TEMPLATES
from transforms.tables.bigquery import destination

ROOT = Path(__file__).parent.parent.parent
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# option of a command -> (template, parameter), where the two are not called alike
RENAMED = {("publish", "table"): "tables", ("features", "from"): "from_date", ("features", "to"): "date"}
LOCAL_ONLY = {  # what a command has and a template has not: previews, one person's export, taking a night back
    ("ingest", "listener"),
    ("forget", "readmit"),
    ("publish", "rollback"),
    ("publish", "table"),
}
WRONG = {
    "warehouse": ["", "s3://bucket/w", "http://host/w", "gs://B/w", "my warehouse", "gs://"],
    "config": ["", "gs://bucket-without-object", "a b.yaml", "https://host/settings.yaml"],
    "date": ["", "yesterday", "2026-1-31", "2026-13-01", "2026-00-10", "31-01-2026", "2026-01-32", "2026-01-31T00:00"],
    "format": ["", "xml", "CSV", "csv,parquet", "spotify-history"],
    "input": ["", "a, b", ",", "a,,b", "s3://bucket/*.csv"],
    "to": ["", "music.shelves", "bigquery:music", "bigquery:music.shelves.table", "bigquery: music.shelves"],
    "tables": ["", "shelves;", "shelves, candidates", "no_such_table", "shelves,"],
    "days": ["", "0", "-1", "7.5", "seven", "12345"],
    "keep_days": ["0", "a week"],
    "horizon": ["0", "7d"],
    "anonymous": ["yes", "True", "1", ""],
    "greedy": ["on"],
    "tracks": ["", "bigquery:music.catalog", "a b"],
    "published": ["music.shelves"],
    "listeners_file": ["", "ann,bob"],
}


def committed(template: str) -> dict[str, Any]:
    return dict(json.loads((made.FOLDER / f"{template}.json").read_text()))


def matches(parameter: dict[str, Any], value: str) -> bool:
    return all(re.fullmatch(pattern, value) for pattern in parameter["regexes"])


def documented() -> list[tuple[str, str, str]]:
    """(command, option, value) of every command line in the documentation that is also a template."""
    found = []
    for path in DOCS:
        text = path.read_text().replace("\\\n", " ")
        for line in re.findall(r"nightshelf ([a-z_]+ [^\n`|]*)", text):
            try:
                words = shlex.split(line.replace("[", " ").replace("]", " ").replace("...", " "), comments=True)
            except ValueError:
                continue
            for name, value in pairwise(words):
                if words[0] in TEMPLATES and name.startswith("--") and not value.startswith("--"):
                    found.append((words[0], name.removeprefix("--").replace("-", "_"), value))
    return found


def given_in_docs() -> list[tuple[str, str, str]]:
    """(template, parameter, value) of every launch of a template in the documentation, as `name=value`."""
    found = []
    for path in DOCS:
        text = path.read_text().replace("\\\n", " ")
        for template, rest in re.findall(r"dataflow_templates\.launch ([a-z_]+) ([^\n]*)", text):
            found += [(template, n, v) for n, v in re.findall(r"--(\w+)=(\S+)", rest)]
        for template, rest in re.findall(r"templates/([a-z_]+)\.json ([^\n]*)", text):
            found += [(template, n, v) for p in re.findall(r"--parameters[= ](\S+)", rest) for n, v in _pairs(p)]
    return found


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(n, v) for n, _, v in (part.partition("=") for part in text.strip("'\"").split(","))]


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_what_is_committed_is_what_the_options_say(template: str) -> None:
    text = made.dumps(made.metadata(TEMPLATES[template]))
    assert (made.FOLDER / f"{template}.json").read_text() == text, "run python -m dataflow_templates.metadata"


def test_no_other_metadata_lies_there() -> None:
    assert {p.stem for p in made.FOLDER.iterdir()} == set(TEMPLATES)


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_the_service_reads_every_word_of_it(template: str) -> None:
    read = TemplateMetadata.from_json(json.dumps(committed(template)))
    assert read.name and read.description
    assert [p.name for p in read.parameters] == [p["name"] for p in committed(template)["parameters"]]
    assert all(p.label and p.help_text and p.regexes and p.param_type for p in read.parameters)


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_a_container_spec_is_read_by_the_service_and_names_the_launchers_image(template: str) -> None:
    spec = made.container_spec(TEMPLATES[template], "europe-docker.pkg.dev/music/nightshelf:1.2")
    read = ContainerSpec.from_json(json.dumps(spec))
    assert read.image == f"europe-docker.pkg.dev/music/nightshelf/{template.replace('_', '-')}:1.2"
    assert read.sdk_info.language == SDKInfo.Language.PYTHON
    assert read.metadata.name == TEMPLATES[template].title


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_required_defaults_and_names_are_those_of_the_options(template: str) -> None:
    actions = {a.dest: a for a in made.actions(TEMPLATES[template].options)}
    parameters = {p["name"]: p for p in committed(template)["parameters"]}
    assert set(parameters) == set(actions)
    needed = [f"--{n}={_example(template, n)}" for n, p in parameters.items() if not p["isOptional"]]
    options = TEMPLATES[template].options(needed)
    for name, parameter in parameters.items():
        if parameter["isOptional"]:
            assert getattr(options, name) == parameter.get("defaultValue")
            assert "defaultValue" not in parameter or matches(parameter, parameter["defaultValue"])
    for left_out in needed:
        with pytest.raises(SystemExit):
            TEMPLATES[template].options([n for n in needed if n != left_out])


def _example(template: str, name: str) -> str:
    to = "jsonl:gs://music/shelves" if template == "export" else "bigquery:music.shelves"
    return {"date": "2026-01-31", "format": "csv", "to": to}.get(name, "file")


def test_every_example_in_the_documentation_is_accepted() -> None:
    seen = 0
    for command, option, value in documented():
        name = RENAMED.get((command, option), option)
        parameters = {p["name"]: p for p in committed(command)["parameters"]}
        if name not in parameters:
            assert (command, option) in LOCAL_ONLY, f"{command} --{option} is no parameter of its template"
            continue
        seen += 1
        assert re.fullmatch(r"D\d?", value) or matches(parameters[name], value), f"{command} --{option} {value}"
    assert seen >= 10, "the documentation's examples were not found"


def test_every_launch_in_the_documentation_is_accepted() -> None:
    seen = given_in_docs()
    for template, name, value in seen:
        parameters = {p["name"]: p for p in committed(template)["parameters"]}
        if name in ("runner", "project", "region"):
            continue
        assert name in parameters, f"{template} has no parameter {name}"
        assert matches(parameters[name], value), f"{template} {name}={value}"
    assert len(seen) >= 4, "the documentation's launches were not found"


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in WRONG.items() for v in values])
def test_a_wrong_value_is_refused(name: str, value: str) -> None:
    holders = [p for t in TEMPLATES for p in committed(t)["parameters"] if p["name"] == name]
    assert holders
    assert not any(matches(p, value) for p in holders)


@pytest.mark.parametrize("to", ["bigquery:music-prod.shelves", "bigquery:example.com:music-prod.night_shelves"])
def test_a_dataset_that_publish_takes_is_accepted(to: str) -> None:
    assert destination(to)
    (parameter,) = [p for p in committed("publish")["parameters"] if p["name"] == "to"]
    assert matches(parameter, to)


def test_a_pattern_means_the_same_to_the_service() -> None:
    """It reads RE2, which has no look-around and no back references."""
    for template in TEMPLATES:
        for parameter in committed(template)["parameters"]:
            for pattern in parameter["regexes"]:
                assert pattern.startswith("^(?:") and pattern.endswith(")$")
                assert not re.search(r"\(\?(?!:)|\\[1-9]", pattern)
