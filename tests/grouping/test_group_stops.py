"""Grouping that is stopped or killed in its middle, and the same command afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.command import read_table
from tests.helpers.pages import write_page
from tests.helpers.paths import ROOT

PAGES, BATCH = 40, 2

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")


def start(folder: Path, seconds: float) -> subprocess.Popen[str]:
    """Start grouping the scans of a folder, with a model that takes so long for each batch."""
    program = [sys.executable, str(ROOT / "tests" / "helpers" / "stand_in.py"), str(seconds)]
    words = ["--group", "-d", "scans", "--batch_size", str(BATCH), "--model_path", "model"]
    return subprocess.Popen(
        [*program, *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def batches(folder: Path) -> int:
    """How many batches the model has begun."""
    log = folder / "batches.log"
    return len(log.read_text(encoding="utf-8").splitlines()) if log.exists() else 0


def stop_midway(process: subprocess.Popen[str], folder: Path, how: signal.Signals) -> str:
    """Send a signal once some batches are kept; what the process says."""
    deadline = time.monotonic() + 300
    while batches(folder) < 4:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(how)
    output, errors = process.communicate(timeout=300)
    assert output == ""
    return errors


@pytest.mark.slow
def test_the_same_command_goes_on_and_ends_as_if_nothing_was(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "config.txt").write_text("[OUTPUT]\nFOLDER_RESULTS = result\n", encoding="utf-8")
    for number in range(PAGES):
        write_page(tmp_path / "scans" / f"ř page {number}.png", seed=number, size=(24, 30))
    tables = tmp_path / "result" / "tables"

    stopped = start(tmp_path, 0.5)
    errors = stop_midway(stopped, tmp_path, signal.SIGINT)
    assert stopped.returncode == 130
    assert f"what the model has seen is kept in {tmp_path / 'result' / 'embeddings'}" in errors
    assert not list(tables.iterdir())

    (tmp_path / "batches.log").unlink()
    killed = start(tmp_path, 0.5)
    stop_midway(killed, tmp_path, signal.SIGKILL)
    assert not list(tables.glob("*.csv"))
    for left in tables.iterdir():  # as if it had been killed some minutes ago
        left.rename(left.with_name(f".20260101-1200{left.name[14:]}"))

    (tmp_path / "batches.log").unlink()
    output, errors = start(tmp_path, 0.0).communicate(timeout=300)
    assert output, errors
    groups = read_table(tmp_path / output.splitlines()[0])
    assert [row["PATH"] for row in groups] == [f"ř page {number}.png" for number in range(PAGES)]
    assert batches(tmp_path) <= PAGES // BATCH - 4, "what was seen before is not seen again"
    left = sorted(path.name.rpartition("_")[2] for path in tables.iterdir())
    made = ["GROUPS.csv", "GROUPS.json", "ITEMS.csv", "ITEMS.json", "PAGES.txt.gz"]
    assert left == made, "what the killed run left is gone"
