"""Options for Beam among what a command was given: what neither the command nor Beam knows is refused, and nothing begun.

    nightshelf run --date 2026-01-31 --runner=DataflowRunner       # Beam's: handed on
    nightshelf run --date 2026-01-31 --gredy                       # nobody's: did you mean --greedy?
    nightshelf run --date 2026-01-31 ... -- --checkpointing_interval=60000      # a job server's own: handed on unread

Beam itself drops what it does not know. It is imported only if there is something that the command does not know, as that
takes seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

import click

HANDED_ON = {"ignore_unknown_options": True, "allow_extra_args": True}


class BeamCommand(click.Command):
    """A command whose unknown options are Beam's, or a mistake. What follows `--` goes to Beam unread."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["context_settings"] = {**(kwargs.get("context_settings") or {}), **HANDED_ON}
        super().__init__(*args, **kwargs)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command's own options; `ctx.args` is then what goes to Beam.

        Raises:
            UsageError: a word that is neither the command's nor Beam's; only the name of an option is quoted.
        """
        end = args.index("--") if "--" in args else len(args)
        unread = args[end + 1 :]
        super().parse_args(ctx, args[:end])
        if ctx.args:
            wrong = mistake(ctx.args, own_options(self, ctx))
            if wrong:
                raise click.UsageError(wrong, ctx)
        ctx.args = [*ctx.args, *unread]
        return ctx.args


def own_options(command: click.Command, ctx: click.Context) -> list[str]:
    """The names of a command's own options."""
    options = (p for p in command.get_params(ctx) if isinstance(p, click.Option))
    return [name for option in options for name in (*option.opts, *option.secondary_opts)]


def mistake(words: Sequence[str], own: Sequence[str] = (), quoted: bool = True) -> str | None:
    """What is wrong with words that a command does not know, None if all of them are Beam's.

    Args:
        words: what the command's parser left.
        own: names of the command's options, which a mistaken one may have meant.
        quoted: whether the option's name may be told; it may not where a listener's id can stand in its place.
    """
    parser = _beam_parser()
    try:
        unknown = parser.parse_known_args(list(words))[1]
    except _Refused as refused:
        return f"Beam refuses an option: {refused}"
    if not unknown:
        return None
    option = next((word.partition("=")[0] for word in unknown if word.startswith("-")), None)
    if option is None:
        return "found a word that belongs to no option; give values as --name=value (`--help` lists the options)"
    asked = option.replace("_", "-")
    near = get_close_matches(asked, [*own, *(o for o in parser.options() if o not in own)], n=1)
    meant = (
        f"did you mean {near[0]}?"
        if near
        else "`--help` lists the command's own, and `--` stands before a job server's"
    )
    found = f"no such option {option}" if quoted else "found an option that is none"
    return f"{found}, neither here nor in Beam; {meant}"


class _Refused(Exception):
    """What Beam's parser says of an option."""


def _beam_parser() -> Any:
    from apache_beam.options import pipeline_options as beams

    class Parser(beams._BeamArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise _Refused(message)

        def options(self) -> list[str]:
            return [name for action in self._actions for name in action.option_strings]

    parser = Parser(allow_abbrev=False, add_help=False, argument_default=argparse.SUPPRESS)
    # as Beam collects them (PipelineOptions.get_all_options): by name, since a module may have been imported twice
    for group in {str(group): group for group in beams.PipelineOptions.__subclasses__()}.values():
        group._add_argparse_args(parser)
    return parser
