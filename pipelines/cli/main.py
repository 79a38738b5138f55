"""The command line. Each command imports what it needs when it runs, so that `--help` answers at once."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import traceback

import click

from pipelines.cli import care, compare, experiment, live, look, make, prompted, signals
from pipelines.cli.options import Commands
from pipelines.runtime.watched_over import INTERRUPTED


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option("0.1.0", prog_name="nightshelf")
def cli() -> None:
    """A listening log into every listener's shelves, overnight.

    Options for Beam (--runner=..., --project=...) stand among a command's own; what neither knows is refused.
    """


for family in (make, live, prompted, look, compare, experiment, signals, care):
    for command in family.COMMANDS:
        cli.add_command(command)


def _standard_streams() -> None:
    """Something at the numbers of the standard streams: else the next file that is opened takes one, and warnings go into it."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Entry point: runs the command, and leaves with its exit code."""
    from pipelines.runtime.leave import exit_code, leave
    from pipelines.runtime.watched_over import watch_over

    _standard_streams()
    watch_over()  # the rest runs in a child, of whose death somebody can tell
    signal.signal(signal.SIGTERM, _interrupt)  # as orchestrators end a process: a sentence and 130, as after Ctrl-C
    try:
        _run()
    except SystemExit as done:
        leave(exit_code(done.code))
    except (
        BaseException
    ) as error:  # with NIGHTSHELF_DEBUG; libraries' threads could keep the process from ending by itself
        leave(_last_words(error))
    leave(0)


def _last_words(error: BaseException) -> int:
    """Tell of an error that came while one was told, or that is no Exception, as a compiled library's panic is none.

    Returns:
        The exit code.
    """
    from pipelines.runtime import logs
    from pipelines.runtime.foreseen import foreseen

    if os.environ.get(logs.DEBUG):
        traceback.print_exc()
        return 1
    known = foreseen(error)
    code = known.exit_code if known else 1
    text = known or f"an error that nobody foresaw: {logs.without_text(error)}; {logs.MORE}"
    logs.say("ERROR", f"nightshelf: {text}", exit_code=code)
    return code


def _run() -> None:
    """Run a command: user errors become one sentence and an exit code, never a stack trace, which might quote a row."""
    from pipelines.runtime import logs
    from pipelines.runtime.foreseen import foreseen
    from transforms.common.errors import UserError, interrupted

    logs.setup()
    try:
        cli(standalone_mode=False)
    except UserError as error:
        _fail(f"nightshelf: {error}", error.exit_code)
    except click.UsageError as error:
        if error.ctx is not None and not logs.as_json():
            click.echo(error.ctx.get_usage(), err=True)
        _fail(f"nightshelf: {_unnamed(error)}", error.exit_code)
    except click.ClickException as error:
        _fail(f"nightshelf: {error.format_message()}", error.exit_code)
    except BrokenPipeError:  # whoever reads the answer has seen enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(141)
    except (click.Abort, KeyboardInterrupt):
        _fail(INTERRUPTED, 130)
    except Exception as error:
        if interrupted(error):
            _fail(INTERRUPTED, 130)
        if os.environ.get(logs.DEBUG):
            raise
        known = foreseen(error)
        if known is not None:
            _fail(f"nightshelf: {known}", known.exit_code)
        _fail(f"nightshelf: an error that nobody foresaw: {logs.without_text(error)}; {logs.MORE}", 1)


def _unnamed(error: click.UsageError) -> str:
    """A usage error without the arguments it quotes, among which may be a listener."""
    return re.sub(r"argument(s?) \(.*\)", r"argument\1", error.format_message(), flags=re.DOTALL)


def _fail(message: str, code: int) -> None:
    from pipelines.runtime import logs
    from transforms.common.printable import printable

    with contextlib.suppress(
        OSError, ValueError
    ):  # nobody reads, or the disk that is written to is full: the code remains
        logs.say("ERROR", printable(message, lines=True), exit_code=code)
    sys.exit(code)


if __name__ == "__main__":
    main()
