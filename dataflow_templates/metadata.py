"""Template metadata from the jobs' PipelineOptions, and container specs from the metadata.

    python -m dataflow_templates.metadata                            write metadata/*.json
    python -m dataflow_templates.metadata --images PREFIX:TAG --out DIR   write DIR/<template>.json, one container spec each

A container spec is the object in a bucket that a Flex Template is launched from: the image of its launching program, and
the metadata.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dataflow_templates.options import TemplateOptions
from dataflow_templates.templates import TEMPLATES, Template
from pipelines.cli.declare import Text

FOLDER = Path(__file__).parent / "metadata"


def actions(options: type[TemplateOptions]) -> list[argparse.Action]:
    """A class's own and inherited arguments, those of the root first."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for cls in reversed(options.__mro__):
        if issubclass(cls, TemplateOptions) and "_add_argparse_args" in cls.__dict__:
            cls.__dict__["_add_argparse_args"].__func__(cls, parser)
    return parser._actions


def parameter(action: argparse.Action) -> dict[str, Any]:
    """One argument as the service describes a parameter."""
    kind = action.type
    assert isinstance(kind, Text), f"--{action.dest} has no pattern"
    found: dict[str, Any] = {
        "name": action.dest,
        "label": action.dest.replace("_", " ").capitalize(),
        "helpText": f"{action.help} Expected: {kind.says}.",
        "isOptional": not action.required,
        "regexes": [f"^(?:{kind.pattern})$"],
        "paramType": kind.kind,
    }
    if action.default is not None:
        found["defaultValue"] = str(action.default)
    if kind.kind == "ENUM":
        found["enumOptions"] = [{"value": choice, "label": choice} for choice in kind.choices]
    return found


def metadata(template: Template) -> dict[str, Any]:
    """A template's metadata."""
    return {
        "name": template.title,
        "description": template.description,
        "parameters": [parameter(action) for action in actions(template.options)],
    }


def container_spec(template: Template, images: str) -> dict[str, Any]:
    """What a template is launched from; `images` is PREFIX:TAG, and the launcher's image PREFIX/<template>:TAG."""
    return {"image": image_of(template.name, images), "sdkInfo": {"language": "PYTHON"}, "metadata": metadata(template)}


def image_of(name: str, images: str) -> str:
    """The launcher's image of a template."""
    prefix, _, tag = images.rpartition(":")
    return f"{prefix}/{name.replace('_', '-')}:{tag}"


def dumps(value: dict[str, Any]) -> str:
    """JSON as it is committed."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", help="PREFIX:TAG of the launchers' images; write container specs.")
    parser.add_argument("--out", type=Path, default=FOLDER)
    given = parser.parse_args(argv)
    given.out.mkdir(parents=True, exist_ok=True)
    for name, template in TEMPLATES.items():
        body = container_spec(template, given.images) if given.images else metadata(template)
        (given.out / f"{name}.json").write_text(dumps(body))


if __name__ == "__main__":
    main()
