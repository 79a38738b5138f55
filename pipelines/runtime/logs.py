"""Log lines: text for people, or one JSON object a line for a service, and never a person in either.

    {"time": "2026-01-31T02:14:07.120Z", "severity": "INFO", "message": "score 2026-01-30: done", "stage": "score 2026-01-30",
     "state": "done", "rows": 180000, "seconds": 41.2, "run": ["5f1c-1"]}

`time`, `severity` and `message` are the names that Cloud Logging reads. What libraries log goes the same way. An error's
own text may quote a row, so of an error nobody foresaw only its kind and where it arose are told; NIGHTSHELF_DEBUG=1 tells
all of it, for a warehouse whose listeners are nobody.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sys
import threading
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO

from transforms.common.errors import UserError

FORMATS = ("text", "json")
ENVIRONMENT = "NIGHTSHELF_LOG_FORMAT"
DEBUG = "NIGHTSHELF_DEBUG"
MORE = f"set {DEBUG}=1 to see all of it, with whatever of the data its text quotes"
_STEP = re.compile(r"\[while running ('[^']*')")
_SEVERITY = {"WARN": "WARNING", "FATAL": "CRITICAL", "NOTSET": "DEFAULT"}


def as_json() -> bool:
    """Whether lines are JSON."""
    return os.environ.get(ENVIRONMENT, "text") == "json"


def choose(fmt: str) -> None:
    """Choose the format for this process and those it starts."""
    os.environ[ENVIRONMENT] = fmt


def setup() -> None:
    """Route what libraries log; called once, where the program starts."""
    root = logging.getLogger()
    if not any(isinstance(h, _Stderr) for h in root.handlers):
        root.addHandler(_Stderr())
    if as_json():
        logging.captureWarnings(True)
        _wrap_native()


def _wrap_native() -> None:
    """Make JSON of what compiled libraries write to stderr by themselves, past Python's logging."""
    if sys.stderr is not sys.__stderr__:
        return
    kept = os.fdopen(os.dup(2), "w", buffering=1)
    read, write = os.pipe()
    os.dup2(write, 2)
    os.close(write)
    sys.stderr = kept

    def pass_on() -> None:
        with os.fdopen(read, errors="replace") as lines:
            for text in (found.rstrip("\n") for found in lines):
                if text:
                    print(text if text.startswith('{"time": ') else line("DEFAULT", text), file=kept, flush=True)

    threading.Thread(target=pass_on, name="native log lines", daemon=True).start()


def line(severity: str, message: str, **fields: Any) -> str:
    """One JSON line; fields that are None are left out."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = {"time": now, "severity": severity, "message": message}
    return json.dumps(body | {k: v for k, v in fields.items() if v is not None}, ensure_ascii=False)


def say(severity: str, message: str, out: TextIO | None = None, **fields: Any) -> None:
    """Write a line to stderr: JSON with its fields, or the message alone."""
    with contextlib.suppress(OSError, ValueError):  # a log that cannot be written to ends no work
        print(line(severity, message, **fields) if as_json() else message, file=out or sys.stderr, flush=True)


def without_text(error: BaseException) -> str:
    """An unforeseen error without its text: kinds, the step, and where each arose.

    >>> try:
    ...     raise KeyError("ann")
    ... except KeyError as found:
    ...     "ann" in without_text(found), without_text(found).split(" ")[0]
    (False, 'KeyError')
    """
    parts: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(parts) < 5:
        frames = traceback.extract_tb(seen.__traceback__)[-3:]
        at = ", ".join(f"{_short(f.filename)}:{f.lineno} in {f.name}" for f in reversed(frames))
        parts.append(f"{type(seen).__name__} at {at}" if at else type(seen).__name__)
        seen = seen.__cause__ or seen.__context__
    step = _STEP.search(str(error))
    return (f"in step {step[1]}: " if step else "") + "; from ".join(parts)


def quiet() -> None:
    """Keep Beam's own loggers, in this process, from quoting an error's text: it logs every error that a step raises."""
    make = logging.getLogRecordFactory()
    if getattr(make, "quiet", False) or os.environ.get(DEBUG):
        return

    def scrubbed(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        if record.name.startswith("apache_beam") and (record.levelno >= logging.ERROR or record.exc_info):
            error = record.exc_info[1] if record.exc_info else None
            error = record.msg if isinstance(record.msg, BaseException) else error
            text = _safe(error) if error is not None else _first(record.getMessage())
            record.msg, record.args, record.exc_info, record.exc_text = text, (), None, None
        return record

    scrubbed.quiet = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(scrubbed)


def _safe(error: BaseException) -> str:
    """A user's error as it is, any other without its text."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, UserError):
            return str(seen)
        seen = seen.__cause__ or seen.__context__
    return without_text(error)


def _first(message: str) -> str:
    """What stands before the text of an error."""
    return message.partition("\n")[0].partition("Original traceback")[0].partition(": ")[0].strip()


def _short(filename: str) -> str:
    return "/".join(filename.replace("\\", "/").split("/")[-2:])


class _Stderr(logging.StreamHandler):
    """To whatever stderr is at the moment."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(_Formatter())

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


class _Formatter(logging.Formatter):
    """A record as a line; a traceback in it is cut to its kinds and places, and so is a message that holds one."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if os.environ.get(DEBUG):
            message += "\n" + self.formatException(record.exc_info) if record.exc_info else ""
        elif record.exc_info and record.exc_info[1] is not None:
            message = f"{_first(message)} ({_safe(record.exc_info[1])})"
        elif "Traceback" in message:
            message = _first(message)
        severity = _SEVERITY.get(record.levelname, record.levelname)
        if as_json():
            return line(severity, message, logger=record.name)
        return f"{severity} {record.name}: {message}"
