"""What continuous integration runs, with programs that only note how they were called."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

STEPS = (
    "-m venv .venv",
    "ruff check .",
    "ruff format --check .",
    "-r requirements.txt",
    "run.py -f",
    "-r requirements-dev.txt",
    "mypy",
    "-m pytest\n",
    "-m pytest -m slow",
)
# A program that notes its call, makes an environment of its like, and fails where it is told to.
NOTE = """#!/bin/bash
call="$(basename "$0") $*"
echo "$call" >> "$CALLS"
if [ "$*" = "-m venv .venv" ]; then
    mkdir -p .venv/bin
    for name in python ruff mypy; do cp "$0" ".venv/bin/$name"; done
fi
[ -z "$FAILING" ] || [[ "$call"$'\\n' != *"$FAILING"* ]]
"""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="continuous integration runs in a shell")


def run_ci(folder: Path, failing: str = "") -> tuple[int, str]:
    """Exit status and the calls made, of a clone whose programs do nothing."""
    (folder / "bin").mkdir()
    python = folder / "bin" / "python3"
    python.write_text(NOTE)
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    for name in (".ci/run", "README.md", "requirements-dev.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    calls = folder / "calls"
    search = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": search, "CALLS": str(calls), "FAILING": failing}
    done = subprocess.run(["bash", ".ci/run"], cwd=folder, env=environment, check=False)
    return done.returncode, calls.read_text()


def test_everything_runs_in_order(tmp_path: Path) -> None:
    status, calls = run_ci(tmp_path)
    assert status == 0
    places = [calls.find(step) for step in STEPS]
    assert -1 not in places and places == sorted(places)


@pytest.mark.parametrize("failing", STEPS)
def test_it_fails_and_ends_where_anything_fails(tmp_path: Path, failing: str) -> None:
    status, calls = run_ci(tmp_path, failing)
    assert status != 0
    assert failing in f"{calls.splitlines()[-1]}\n"
