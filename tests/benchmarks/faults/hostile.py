"""What somebody means harm by: names that move a terminal or are markup, open keys, edited models, an emulator elsewhere."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.benchmarks.faults.case import FIRST, LAST, Case, Fault
from tests.benchmarks.faults.cut_anywhere import given, left, of_commands
from tests.benchmarks.faults.damage import flipped
from tests.pipelines import world
from tests.pipelines.byte_search import found
from transforms.tables.warehouse import Warehouse

KEY = "5e" * 32
NAMES = {
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "a terminal's escapes": "\x1b]0;owned\x07\x1b[2J\x9b1m\u202e",
    "a formula of a spreadsheet": "=HYPERLINK(A1)",
    "markup of the terminal's library": "[red]x[/red][link=x]",
}
YAML = {
    "an object of Python": "shards: !!python/object/apply:os.system ['true']\n",
    "a million aliases": "a: &a [1,1]\nb: &b [*a,*a]\nshards: *b\n",
    "an unknown setting": "shrads: 2\n",
}


def printed(case: Case) -> str:
    """Everything that commands of a case have written."""
    return "".join(p.read_text(errors="replace") for name in ("out", "err") for p in case.folder.glob(f"told-*/{name}"))


def named(name: str, case: Case) -> str:
    """A listener, tracks and titles of such a name, through every command that shows them."""
    rows = [f'"{name}{n % 3}","{name}t{n}",{FIRST}T10:{n:02}:00Z,200000' for n in range(12)]
    (case.folder / "odd.csv").write_text("\n".join(["u,t,at,ms", *rows]) + "\n")
    titles = [f'"{name}t{n}","{name}","{name}"' for n in range(12)]
    (case.folder / "tracks.csv").write_text("\n".join(["track_id,title,artist_ids", *titles]) + "\n")
    at = ["--warehouse", str(case.url)]
    case.done([*case.words("ingest", case.folder / "odd.csv"), "--tracks", str(case.folder / "tracks.csv")])
    case.done(["features", "--from", str(FIRST), "--to", str(FIRST), *at])
    for words in (["status"], ["listeners", "--sample", "3"], ["show", f"{name}1", "--date", str(FIRST)], ["repair"]):
        case.run([*words, *at])
        assert case.codes[-1] in (0, 2), f"{words[0]}: {case.codes[-1]}"
    text = printed(case)
    orders = {c for c in text if unicodedata.category(c) in ("Cc", "Cf") and c not in "\n\r\t"}
    assert not orders, sorted(map(repr, orders))
    assert Warehouse(str(case.url)).need("listens", FIRST).rows == 12
    return "every name printed as text"


def open_key(mode: int, case: Case) -> str:
    """A key file that others can read; then it is closed."""
    key = case.folder / "key"
    key.write_text(KEY)
    key.chmod(mode)
    words = [*case.words("ingest"), "--pseudonym-key-file", str(key)]
    said = case.run(words)
    assert case.codes[-1] == 2 and "chmod 600" in said, f"{case.codes[-1]}: {said}"
    assert not case.url.exists() or not Warehouse(str(case.url)).dates("listens")
    key.chmod(0o600)
    case.done(words)
    return said


def secret(inside: bool, case: Case) -> str:
    """The key is in no list of processes, no record, no message."""
    key = case.folder / "key"
    key.write_text(KEY)
    key.chmod(0o600)
    words = [*case.words("ingest"), *([] if inside else ["--pseudonym-key-file", str(key)])]
    listed: list[str] = []

    def meanwhile() -> str:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                listed.append(path.read_text(errors="replace"))
            except OSError:
                continue
        return ""

    env = {"NIGHTSHELF_PSEUDONYM_KEY": KEY} if inside else {}
    case.held(words, "listens/*.parquet", meanwhile, env=env)
    assert case.codes[-1] == 0
    assert listed and not any(KEY in line for line in listed), "in the list of processes"
    assert KEY not in printed(case) and found(case.url, [KEY]) == [], "written or printed"
    return "in no list, message or file"


def emulated(variable: str, words: list[str], case: Case) -> str:
    """The variable of an emulator names another machine."""
    case.start("features")
    before = {p: p.stat().st_mtime_ns for p in case.url.rglob("*") if p.is_file()}
    said = case.run([str(case.url) if w == "W" else w for w in words], within={variable: "http://evil.example:80"})
    assert case.codes[-1] == 2 and "set to another machine" in said, f"{case.codes[-1]}: {said}"
    assert before == {p: p.stat().st_mtime_ns for p in case.url.rglob("*") if p.is_file()}
    case.equal("features")
    return said


def settings(text: str, case: Case) -> str:
    """A settings file that wants more than to be read."""
    case.start("ingest")
    path = case.folder / "settings.yaml"
    path.write_text(text)
    said = case.run([*case.words("features"), "--config", str(path)])
    assert case.codes[-1] == 2 and "nightshelf:" in said, f"{case.codes[-1]}: {said}"
    case.done("features")
    case.equal("features")
    return said


def edited_model(case: Case) -> str:
    """A file of a model is edited; then it is brought back."""
    (subject,) = of_commands(("score",))
    subject.start(case)
    manifest = Warehouse(str(case.url)).need("models", world.NIGHT)
    path = case.url / max(manifest.files, key=lambda f: f.bytes).path
    data = path.read_bytes()
    flipped(path)
    case.run(given(subject, case, subject.words))
    said = printed(case).strip().splitlines()[-1]
    assert case.codes[-1] != 0 and "is not what was committed" in said, said
    assert "shelves" not in {p.name for p in case.url.glob("shelves/date=*/_current.json")}
    path.write_bytes(data)
    case.done(given(subject, case, subject.words))
    whole = left(subject, Path(str(case.log.parent / "night")))
    assert [key for key in whole if key.startswith("shelves@") and left(subject, case.url)[key] != whole[key]] == []
    return said[-250:]


def faults() -> Iterator[Fault]:
    """Names, keys, variables, settings, models."""
    for what, name in NAMES.items():
        yield Fault(f"ids and titles that are {what}", "security", "ingest, status, show", partial(named, name))
    for mode in (0o644, 0o666):
        yield Fault(f"a key file of mode {mode:o}", "security", "ingest", partial(open_key, mode))
    for inside, where in ((False, "file"), (True, "environment")):
        yield Fault(f"a key in the {where} is looked for everywhere", "security", "ingest", partial(secret, inside))
    there = ["--warehouse", "W"]
    publish = [
        "publish",
        "--date",
        str(LAST),
        "--table",
        "library",
        "--to",
        "bigquery:music-prod.shelves",
        "--accept-gates",
    ]
    for variable, command, words in (
        ("STORAGE_EMULATOR_HOST", "status", ["status", "--warehouse", "gs://nights/warehouse"]),
        ("BIGQUERY_EMULATOR_HOST", "publish", [*publish, *there]),
    ):
        yield Fault(f"{variable} names another machine", "security", command, partial(emulated, variable, words))
    for what, text in YAML.items():
        yield Fault(f"settings with {what}", "security", "features", partial(settings, text))
    yield Fault("a model's file is edited", "security", "run", edited_model)
