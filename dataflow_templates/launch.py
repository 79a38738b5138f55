"""The launching program of every template: strings in, a graph out.

    python -m dataflow_templates.launch train --warehouse=gs://music/warehouse --date=2026-01-31 --runner=...

The service starts it in the launcher's image without the first word, which the image then gives (NIGHTSHELF_TEMPLATE), and with
`--template_location`: then the graph is written there and the program ends, and the service starts the job. Without that
option it runs the job to its end, on the local runner unless another is named.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

from transforms.common.errors import UserError

TEMPLATE = "NIGHTSHELF_TEMPLATE"
IMAGE = "NIGHTSHELF_IMAGE"


def launch(template: str, argv: Sequence[str]) -> None:
    """Parse a template's options out of `argv` and start its job; all of `argv` goes on to Beam.

    Raises:
        UserError: no such template, or what the job refuses.
        SystemExit: an option that is missing or does not match its pattern; argparse has said which.
    """
    import apache_beam as beam

    from dataflow_templates.templates import TEMPLATES
    from pipelines.runtime.jobs import described_only, watched
    from pipelines.runtime.jobs import launch as run_graph
    from transforms.tables.warehouse import Warehouse

    if template not in TEMPLATES:
        raise UserError(f"expected one of the templates {', '.join(TEMPLATES)}, found {template!r}")
    found = TEMPLATES[template]
    options: Any = found.options(list(argv))
    beam_args = [*argv, *defaults(template, argv)]
    if _value(argv, "runner") == "DataflowRunner" and not options.warehouse.startswith("gs://"):
        raise UserError(
            f"--warehouse: expected gs://bucket/prefix, found {options.warehouse!r}; Dataflow's workers cannot reach a folder"
        )
    with watched() as records:
        said = found.run(options, beam_args)
    if records:
        return
    print(f"{template}: {said or 'nothing to do, everything is current'}")
    if described_only(beam_args):  # the service expects a graph whatever there is to do

        def define(root: beam.Pipeline) -> None:
            _ = root | "Nothing to do" >> beam.Create([template], reshuffle=False)

        run_graph("nothing", Warehouse(options.warehouse), define, beam_args)


def defaults(template: str, argv: Sequence[str]) -> list[str]:
    """Beam options that a template's jobs get unless `argv` says otherwise: job name, labels, image, worker processes."""
    from dataflow_templates.templates import TEMPLATES

    night = _value(argv, "date") or _value(argv, "end_date")
    args = [f"--labels=nightshelf={template}", *([f"--labels=night={night}"] if night else [])]
    named = f"nightshelf-{template.replace('_', '-')}"
    given = {"job_name": "-".join([named, *([night.replace("-", "")] if night else [])])}
    image = os.environ.get(IMAGE)
    if image:
        given |= {"sdk_container_image": image, "sdk_location": "container"}
    args += [f"--{name}={value}" for name, value in given.items() if _value(argv, name) is None]
    if TEMPLATES[template].one_process:
        args.append("--experiments=no_use_multiple_sdk_containers")
    return args


def _value(argv: Sequence[str], name: str) -> str | None:
    """The last value of an option, as `--name=value` or `--name value`."""
    found = None
    for n, arg in enumerate(argv):
        if arg.startswith(f"--{name}="):
            found = arg.partition("=")[2]
        elif arg == f"--{name}" and n + 1 < len(argv):
            found = argv[n + 1]
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit code. A user's error is one sentence in the launcher's log, never a stack trace."""
    args = list(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.INFO)
    template = os.environ.get(TEMPLATE) or (args.pop(0) if args and not args[0].startswith("-") else "")
    try:
        launch(template, args)
    except UserError as error:
        print(f"nightshelf: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    # by its import name, so that nothing a worker unpickles is looked up in __main__
    from dataflow_templates.launch import main as program

    sys.exit(program())
