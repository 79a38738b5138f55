"""The schedule's values for shell scripts: `night/schedule.yaml` with its names filled in from the environment.

python -m dataflow_templates.schedule            the body that starts the workflow, as JSON
python -m dataflow_templates.schedule name       one other field
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from transforms.common import safe_yaml
from transforms.common.errors import UserError

FILE = Path(__file__).parent / "night" / "schedule.yaml"


def schedule(names: Mapping[str, str]) -> dict[str, Any]:
    """The schedule, filled in.

    Raises:
        UserError: a name it needs is not there.
    """

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(part) for key, part in value.items()}
        return Template(value).substitute(names) if isinstance(value, str) else value

    try:
        return dict(filled(safe_yaml.read(FILE.read_text(), FILE.name)))
    except KeyError as error:
        raise UserError(
            f"{FILE.name} names {error.args[0]}, which is not in the environment; set it, or edit the file"
        ) from error


def body(argument: Mapping[str, Any]) -> dict[str, str]:
    """What is sent to start an execution: its argument is a string that holds JSON."""
    return {"argument": json.dumps(argument, sort_keys=True)}


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        found = schedule(os.environ)
    except UserError as error:
        print(f"nightshelf: {error}", file=sys.stderr)
        return error.exit_code
    print(found[args[0]] if args else json.dumps(body(found["argument"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
