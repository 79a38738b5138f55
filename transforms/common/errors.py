"""Errors a user can act on: one sentence that says what was expected, what was found and what to do."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend. The command line prints it and exits with `exit_code`; it holds no personal id."""

    exit_code = 2


class GateFailed(UserError):
    """A check before publishing failed; yesterday's tables stay current."""

    exit_code = 3


class LostRace(UserError):
    """Another run committed the same table and date first; it is named in the message."""

    exit_code = 4


class Moved(LostRace):
    """What a job was planned on moved while it was at work; nothing was committed, and planned anew it may be done."""


class LostCount(UserError, ValueError):
    """Rows went missing or came from nowhere: a fault of the program, and nothing was committed."""

    exit_code = 1


class JobFailed(UserError):
    """A job met an error that nobody foresaw; told without its text, which may quote a row."""

    exit_code = 1


def interrupted(error: BaseException) -> bool:
    """Whether somebody's interrupt is behind an error: a step, or an import in it, wraps it like any other."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, KeyboardInterrupt):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
