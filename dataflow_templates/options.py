"""A template's options as Beam parses them, made of the one declaration in `pipelines.cli.jobs`.

A class is parsed beside Beam's own, so `--project`, `--region` and the rest stay Beam's. All derive from
`TemplateOptions`, which declares nothing: Beam puts every direct subclass of PipelineOptions into one parser, where two
templates' `--warehouse` would collide.
"""

from __future__ import annotations

import argparse

from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.cli.declare import Command


class TemplateOptions(PipelineOptions):
    """The root of all templates' options; declares none."""


def options_of(command: Command) -> type[TemplateOptions]:
    """The options of a template: strings, each with a pattern that the service checks at a launch."""

    def _add_argparse_args(cls: type[TemplateOptions], parser: argparse.ArgumentParser) -> None:
        for option in command.of("template"):
            parser.add_argument(
                f"--{option.parameter}",
                type=option.text,
                required=option.required,
                default=option.default,
                help=option.help,
            )

    name = "".join(word.title() for word in command.name.split("_")) + "Options"
    return type(
        name,
        (TemplateOptions,),
        {
            "__doc__": command.says,
            "__module__": __name__,
            "_add_argparse_args": classmethod(_add_argparse_args),
        },
    )
