"""A process that the machine ends, starves or shuts out says so in one sentence with what to do, and has lost nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipelines.cli import main as program
from pipelines.cli.upkeep import repair
from pipelines.runtime import watched_over
from tests.pipelines.byte_search import found
from tests.pipelines.test_forget import tiny
from tests.pipelines.test_ingest import END, log, run, world
from tests.pipelines.test_kill import assert_equal, assert_readable
from tests.pipelines.tiny import LISTENERS, NIGHT
from tests.pipelines.world import hashes
from transforms.common.errors import UserError
from transforms.tables.turns import locked
from transforms.tables.warehouse import Warehouse

__all__ = ["tiny", "world"]

ROOT = Path(__file__).parents[2]
ENDS = "import os, sys, time; from pipelines.runtime.watched_over import watch_over; watch_over(); "
NOBODY = 65534


def ending(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A command that ends as `code` does, watched over."""
    return subprocess.run([sys.executable, "-c", ENDS + code, *words], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("code", "exit_code", "said"),
    [
        (
            "os.kill(os.getpid(), 9)",
            137,
            "signal 9.*as it does when memory is used up.*more `shards`.*same command again",
        ),
        ("os.abort()", 134, "a library ended the process .signal 6..*more `shards`.*keep the log"),
        ("os.kill(os.getpid(), 11)", 139, "a library ended the process .signal 11."),
        ("os.kill(os.getpid(), 14)", 142, "ended from outside .signal 14..*same command again"),
        ("os._exit(1)", 1, "a library ended the process .exit code 1..*more `shards`.*same command again"),
        ("os._exit(3)", 3, None),
        ("from pipelines.runtime.leave import leave; leave(1)", 1, None),
        ("pass", 0, None),
    ],
)
def test_a_death_by_signal_is_explained_and_an_exit_code_is_handed_on(
    code: str, exit_code: int, said: str | None
) -> None:
    import re

    done = ending(code)
    assert done.returncode == exit_code
    lines = done.stderr.splitlines()
    assert lines == [] if said is None else re.search(f"^nightshelf: .*{said}", lines[-1])


def test_where_lines_are_json_so_is_this_one() -> None:
    last = json.loads(ending("os.kill(os.getpid(), 9)", "--log-format", "json").stderr.splitlines()[-1])
    assert last["severity"] == "ERROR" and last["exit_code"] == 137


def started(code: str) -> tuple[subprocess.Popen[str], int]:
    """A watched command that printed its process id, and that id."""
    command = ENDS + "import signal; " + code + "; print(os.getpid(), flush=True); time.sleep(120)"
    process = subprocess.Popen([sys.executable, "-c", command], cwd=ROOT, stdout=-1, stderr=-1, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_signals_reach_the_command() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        process, child = started(f"signal.signal({int(number)}, lambda *_: os._exit(77))")
        assert child != process.pid
        process.send_signal(number)
        process.communicate(timeout=60)
        assert process.returncode == 77


def test_a_command_that_is_told_to_end_does_so_within_seconds(tmp_path: Path) -> None:
    """A step at work for two minutes, and SIGTERM from outside."""
    code = """
import sys, time, click
from pipelines.cli import main as program

def step(n):
    print("reached", flush=True)
    for _ in range(24):
        time.sleep(5)

def job():
    import apache_beam as beam
    from pipelines.runtime.jobs import launch
    from transforms.tables.warehouse import Warehouse
    launch("train", Warehouse("w"), lambda root: root | beam.Create([1]) | "Fit" >> beam.Map(step))

program.cli.add_command(click.Command("job", callback=job))
sys.argv = ["nightshelf", "job"]
program.main()
"""
    at_work = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=at_work, stdout=-1, stderr=-1, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "reached\n"
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1] == program.INTERRUPTED


IN_A_DESTRUCTOR = """
class Late:
    def __del__(self):
        print(os.getpid(), flush=True)
        time.sleep(60)  # Python ignores what is raised in here

def noted(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGTERM, noted)
Late()
time.sleep(120)
"""
IN_A_LONG_STEP = """
signal.signal(signal.SIGTERM, lambda *_: print("too late"))
print(os.getpid(), flush=True)
while True:
    with_no_look_at_signals = sum(range(10_000_000_000))
"""


@pytest.mark.parametrize("code", [IN_A_DESTRUCTOR, IN_A_LONG_STEP])
def test_a_command_that_was_told_to_end_and_cannot_is_ended(code: str) -> None:
    command = [sys.executable, "-c", ENDS + "import signal\n" + code]
    process = subprocess.Popen(command, cwd=ROOT, stdout=-1, stderr=-1, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    process.terminate()
    _, said = process.communicate(timeout=100)
    assert process.returncode == 130
    assert said.splitlines()[-1] == program.INTERRUPTED


def test_whoever_kills_the_process_that_was_started_kills_the_command() -> None:
    process, child = started("pass")
    process.kill()
    process.communicate()
    for _ in range(600):
        try:
            state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state in "ZX":
            return
        time.sleep(0.1)
    pytest.fail("the command lives on without whom it was started as")


def test_a_process_with_threads_is_not_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched_over.os, "listdir", lambda _: ["1", "2"])
    monkeypatch.setattr(watched_over.os, "fork", lambda: pytest.fail("a child would have one of the threads only"))
    watched_over.watch_over()


@pytest.mark.parametrize(("kind", "kilobytes"), [("v", 300_000), ("v", 900_000), ("v", 1_400_000), ("d", 200_000)])
def test_under_a_limit_of_memory_one_sentence_says_what_to_lower(world: Path, kind: str, kilobytes: int) -> None:
    path = log(world / "a.csv", *((f"u{n}", f"t{n % 9}", n / 10) for n in range(300)))
    words = ["ingest", "--format", "csv", "--input", path, "--mapping", str(world / "mapping.yaml")]
    (world / "settings.yaml").write_text("shards: 2\n")
    words += ["--end-date", str(END), "--warehouse", str(world / "w"), "--config", str(world / "settings.yaml")]
    line = [
        "bash",
        "-c",
        f'ulimit -{kind} {kilobytes}; exec "$@"',
        "bash",
        sys.executable,
        "-m",
        "pipelines.cli.main",
        *words,
    ]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    said = [s for s in done.stderr.splitlines() if s.startswith("nightshelf: ")]
    assert done.returncode in (1, 2, 134, 137, 139), done.stderr[-2000:]
    assert len(said) == 1 and "memory" in said[0] and "more `shards`" in said[0] and "same command again" in said[0]
    if (world / "w").exists():
        assert_readable(Warehouse(str(world / "w")))
    run(world, path)
    run(world, path, to="undisturbed")
    assert_equal(Warehouse(str(world / "w")), Warehouse(str(world / "undisturbed")))


def ended(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """The program in this process: its exit code and its last line on stderr."""
    monkeypatch.setattr(sys, "argv", ["nightshelf", *words])
    capsys.readouterr()
    with pytest.raises(SystemExit) as done:
        program._run()
        sys.exit(0)
    return int(done.value.code or 0), (capsys.readouterr().err.splitlines() or [""])[-1]


@contextmanager
def refusing(monkeypatch: pytest.MonkeyPatch, root: Path, code: int) -> Iterator[None]:
    """Whatever comes to its name below a folder is refused with an error of the system."""
    with monkeypatch.context() as patched:
        rename = os.replace

        def replace(source: str, target: str, **more: int) -> None:
            if Path(target).is_relative_to(root):
                raise OSError(code, os.strerror(code), str(target))
            rename(source, target, **more)

        patched.setattr(os, "replace", replace)
        yield


FULL_COMMANDS = {
    "rollback": ["rollback", "shelves", "--date", str(NIGHT), "--unpin"],
    "forget": ["forget", LISTENERS[3]],
    "readmit": ["forget", "--readmit", LISTENERS[2]],
    "report": ["report", "--date", str(NIGHT)],
    "evaluate": ["evaluate", "--date", str(NIGHT), "--days", "7"],
    "features": ["features", "--from", str(NIGHT), "--to", str(NIGHT)],
    "ingest": ["ingest", "--format", "csv"],
}


@pytest.mark.parametrize("command", FULL_COMMANDS)
def test_a_full_disk_is_said_by_every_command_and_with_room_it_goes_on(
    command: str, tiny: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import errno

    words = [*FULL_COMMANDS[command], "--warehouse", tiny.url]
    if command == "ingest":
        (tmp_path / "mapping.yaml").write_text(
            "columns: {listener_id: u, track_id: t, started_at: at, ms_played: ms}\n"
        )
        words += ["--input", log(tmp_path / "a.csv", ("zoe", "t1", 1)), "--mapping", str(tmp_path / "mapping.yaml")]
        words += ["--end-date", str(END)]
    if command == "readmit":
        ended(monkeypatch, capsys, "forget", LISTENERS[2], "--warehouse", tiny.url)
    if command == "rollback":
        manifest, token = tiny.current_with_token("shelves", NIGHT)
        assert manifest is not None
        tiny.commit(manifest.model_copy(update={"pinned": True}), token)
    before = hashes(tiny)
    with refusing(monkeypatch, Path(tiny.url), errno.ENOSPC):
        code, said = ended(monkeypatch, capsys, *words)
    assert code == 2 and "No space left on device" in said and "make room, then run the same command again" in said
    assert hashes(tiny) == before
    assert_readable(tiny)
    code, said = ended(monkeypatch, capsys, *words)
    assert code == 0, said
    if command == "forget":
        assert found(Path(tiny.url), [LISTENERS[3]]) == []


@contextmanager
def somebody_else() -> Iterator[None]:
    """As a user without rights; who has none already stays who they are."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user may enter."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def test_another_users_lock_file_is_used_if_it_can_be_read_and_named_if_not(shared: Path) -> None:
    lock = shared / ".commit.lock"
    lock.write_text("")
    lock.chmod(0o444)
    with somebody_else():
        handle = locked(lock, wait=False)
    assert handle is not None
    os.close(handle)
    lock.chmod(0)
    with (
        somebody_else(),
        pytest.raises(UserError, match=r"^\.commit\.lock .* belongs to somebody else.*mend the rights"),
    ):
        locked(lock, wait=False)


def test_a_file_that_may_not_be_read_is_named_by_repair_and_is_not_called_damaged(
    shared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.pipelines.tiny import build

    warehouse = build(shared)
    entry = warehouse.need("shelves", NIGHT).files[0]
    path = Path(warehouse.url) / entry.path
    assert ended(monkeypatch, capsys, "repair", "--warehouse", warehouse.url)[0] == 0  # what it loads is loaded
    path.chmod(0)
    with somebody_else():
        code, said = ended(monkeypatch, capsys, "repair", "--warehouse", warehouse.url)
    assert code == 2 and said.startswith(f"nightshelf: {entry.path} cannot be ") and "mend the rights" in said
    with somebody_else(), pytest.raises(UserError, match=rf"^{entry.path} cannot be opened .*mend the rights"):
        warehouse.read("shelves", NIGHT)
    path.chmod(0o644)
    assert warehouse.read("shelves", NIGHT).height == len(LISTENERS)
    assert list(repair(warehouse.url)) == ["nothing is damaged"]


@contextmanager
def read_only(monkeypatch: pytest.MonkeyPatch, root: Path) -> Iterator[None]:
    """As on a mount that may only be read: nothing below a folder is made, opened for writing, renamed or deleted."""
    import builtins
    import errno

    def frozen(real: Callable[..., object], writes: Callable[..., bool]) -> Callable[..., object]:
        def call(path: object, *args: object, **more: object) -> object:
            if isinstance(path, str | os.PathLike) and Path(path).is_relative_to(root) and writes(*args, **more):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), os.fspath(path))
            return real(path, *args, **more)

        return call

    with monkeypatch.context() as patched:
        always = lambda *_, **__: True  # noqa: E731
        for name in ("replace", "unlink", "rmdir", "utime", "rename"):
            patched.setattr(os, name, frozen(getattr(os, name), always))
        patched.setattr(os, "open", frozen(os.open, lambda flags, *_, **__: bool(flags & (os.O_WRONLY | os.O_RDWR))))
        patched.setattr(
            builtins, "open", frozen(builtins.open, lambda mode="r", *_, **__: mode[0] in "wax" or "+" in mode)
        )
        access = os.access
        patched.setattr(os, "access", lambda p, how, **m: not how & os.W_OK and access(p, how, **m))
        yield


def test_a_mount_that_may_only_be_read_stops_nobody_who_has_nothing_to_do(
    world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = log(world / "a.csv", ("ann", "t1", 1), ("bob", "t2", 2))
    run(world, path)
    at = ["--warehouse", str(world / "w")]
    ingest = ["ingest", "--format", "csv", "--mapping", str(world / "mapping.yaml"), "--end-date", str(END), *at]
    fold = ["features", "--from", "2026-01-05", "--to", "2026-01-05", *at]
    assert ended(monkeypatch, capsys, *fold)[0] == 0
    with read_only(monkeypatch, world / "w"):
        for words in ([*ingest, "--input", path], fold, ["status", *at], ["clean", *at], ["repair", *at]):
            code, said = ended(monkeypatch, capsys, *words)
            assert code == 0, (words[0], said)
        code, said = ended(monkeypatch, capsys, *ingest, "--input", log(world / "b.csv", ("cyd", "t1", 3)))
        assert code == 2 and "cannot" in said and ("mend its rights" in said or "mend the rights" in said), said
