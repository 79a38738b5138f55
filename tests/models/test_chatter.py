"""What TensorFlow says of the machine as it is imported is not shown, and nothing else is lost."""

from __future__ import annotations

import os
import subprocess
import sys

IMPORT = "import sys, models; import tensorflow as tf; sys.stderr.write('after\\n'); assert tf.constant(1).numpy() == 1"
CHATTER = """
import os, sys
from models.chatter import without_chatter
with without_chatter():
    os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\\n")
    os.write(2, b"I0000 00:00:1795719901.939464   16005 cudart_stub.cc:31] Could not find cuda drivers\\nE0000 00:00:1.9 x")
    os.write(2, b" went on\\n\\x1b[2K 3 of 12 models")
    sys.stderr.write(" at work\\n")
    os.write(2, b"F0000 00:00:1795719901.939464 fatal\\nWARNING: disk\\nWARN")
    os.write(2, b"ING: ends")
sys.stderr.write("\\nafter\\n")
"""


def stderr_of(code: str, **environment: str) -> str:
    base = {k: v for k, v in os.environ.items() if k != "NIGHTSHELF_DEBUG"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**base, **environment})
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_an_import_is_silent_and_what_comes_after_it_is_heard() -> None:
    assert stderr_of(IMPORT) == "after\n"


def test_only_native_log_lines_are_taken_out_also_in_pieces() -> None:
    left = stderr_of(CHATTER)
    assert left == (
        "\x1b[2K 3 of 12 models at work\nF0000 00:00:1795719901.939464 fatal\nWARNING: disk\nWARNING: ends\nafter\n"
    )


def test_with_debug_all_of_it_is_told() -> None:
    assert "went on" in stderr_of(CHATTER, NIGHTSHELF_DEBUG="1")
