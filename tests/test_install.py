"""`make install` with an interpreter that only notes what it is asked: once for one state of the pins, whoever asks when."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PYTHON = """#!/bin/sh
mkdir -p "$3/bin"
printf '#!/bin/sh\\n' > "$3/bin/python"
cat > "$3/bin/pip" <<'PIP'
#!/bin/sh
echo "pip $*" >> asked
[ -z "$BROKEN" ] || exit 9
case "$*" in
  *uv) [ -z "$WITHOUT_UV" ] || exit 1
       printf '#!/bin/sh\\necho "uv $*" >> asked\\n' > .venv/bin/uv && chmod +x .venv/bin/uv ;;
esac
PIP
chmod +x "$3/bin/pip" "$3/bin/python"
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A fresh clone, as far as installing is concerned."""
    for name in ("Makefile", "setup.py", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def make(clone: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    known = {k: v for k, v in os.environ.items() if not k.startswith("MAKE") and k != "MFLAGS"}
    return subprocess.Popen(
        ["make", "-s", "PYTHON=./python", *words],
        cwd=clone,
        env={**known, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def install(clone: Path, **environment: str) -> int:
    made = make(clone, "install", **environment)
    made.communicate()
    return made.returncode


def asked(clone: Path) -> list[str]:
    """What was installed, by what, since the last time this was asked."""
    notes = clone / "asked"
    lines = notes.read_text().splitlines() if notes.exists() else []
    notes.unlink(missing_ok=True)
    return [line.partition(" ")[0] for line in lines if "-e .[test,bench]" in line]


def edit(clone: Path, text: str, later: int) -> None:
    """Write a pin, or only its date, so many seconds after everything else."""
    path = clone / "constraints.txt"
    path.write_text(path.read_text() + text)
    now = path.stat().st_mtime + later
    os.utime(path, (now, now))


def test_a_fresh_clone_is_installed_once_and_again_only_when_a_pin_is_another(clone: Path) -> None:
    assert install(clone) == 0 and asked(clone) == ["uv"]
    assert install(clone) == 0 and asked(clone) == []
    edit(clone, "", 60)
    assert install(clone) == 0 and asked(clone) == [], "only the file's date is another"
    edit(clone, "other==1\n", 120)
    assert install(clone) == 0 and asked(clone) == ["uv"]


def test_several_at_once_install_once(clone: Path) -> None:
    together = [make(clone, "install") for _ in range(3)]
    assert [one.communicate() and one.returncode for one in together] == [0, 0, 0]
    if shutil.which("flock"):
        assert asked(clone) == ["uv"]


def test_without_the_faster_installer_pip_installs(clone: Path) -> None:
    assert install(clone, WITHOUT_UV="1") == 0 and asked(clone) == ["pip"]


def test_an_environment_that_was_cut_short_is_mended(clone: Path) -> None:
    assert install(clone, BROKEN="1") != 0
    asked(clone)
    assert install(clone) == 0 and asked(clone) == ["uv"], "what failed is not taken for done"
    (clone / ".venv" / "bin" / "pip").unlink()
    edit(clone, "", 60)
    assert install(clone) == 0 and asked(clone) == ["uv"]


@pytest.mark.skipif(shutil.which("flock") is None, reason="nothing is waited for without flock")
def test_who_waits_in_vain_is_told_why(clone: Path) -> None:
    makefile = (clone / "Makefile").read_text()
    (clone / "Makefile").write_text(makefile.replace("--timeout 3600", "--timeout 0.1"))
    assert install(clone) == 0
    edit(clone, "other==1\n", 60)
    user = subprocess.Popen(["flock", "--shared", ".venv/.in-use", "cat"], cwd=clone, stdin=subprocess.PIPE)
    try:
        while (
            subprocess.run(["flock", "--exclusive", "--nonblock", ".venv/.in-use", "true"], cwd=clone).returncode == 0
        ):
            pass  # until it holds the lock
        waited = make(clone, "install")
        said = waited.communicate()[1]
    finally:
        user.communicate()
    assert waited.returncode != 0 and "nothing was installed" in said
    assert install(clone) == 0


def test_a_cluster_without_java_is_refused_at_once_and_says_so(clone: Path) -> None:
    programs = clone / "programs"
    programs.mkdir()
    for name in ("make", "sh"):
        (programs / name).symlink_to(str(shutil.which(name)))
    made = make(clone, "flink", PATH=str(programs))
    assert "expected java on this machine" in made.communicate()[1] and made.returncode != 0
    (programs / "java").symlink_to(str(shutil.which("true")))
    for name in ("pom.xml", "jars.sha256"):
        (clone / "tests" / "flink").mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "tests" / "flink" / name, clone / "tests" / "flink" / name)
    for name in ("mkdir", "sha256sum", "touch", "cat", "chmod", "rm"):
        (programs / name).symlink_to(str(shutil.which(name)))
    made = make(clone, "flink", PATH=str(programs))
    assert "expected mvn on this machine" in made.communicate()[1] and made.returncode != 0
