"""Jobs that are killed just before one of their changes to the disk, at the same one every time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from tests.helpers.paths import ROOT

CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate")
# Which start nothing and compute nothing, so that a fork of the tests' process can do them.
FORKED = ("prepare_pages", "sort", "undo")


def do_and_kill(changes: Sequence[int], folder: Path, job: str, *arguments: object) -> None:
    """Do a job once for every number, killed at the change of this number; at 0 it is let end.

    Args:
        changes: 1 is the first change to the disk; a job of fewer changes ends.
        folder: below which changes count.
        job: `import`, `undo`, `prepare_pages`, `train_reader` (of the small network of these tests,
            by the arguments of `run.py`) or one of data_scripts/prepare.py; `sort` is for images.
        arguments: of the job.
    """
    words = [str(argument) for argument in arguments]
    if job in FORKED:
        _do_and_kill(changes, str(folder), job, words)
        return
    command = [sys.executable, "-m", "tests.helpers.killed", ",".join(map(str, changes))]
    command += [str(folder), job, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _do_and_kill(changes: Sequence[int], folder: str, job: str, arguments: Sequence[str]) -> None:
    """Do the job in forks of this process."""
    _get_ready(job)
    for left in changes:
        child = os.fork()
        if not child:
            _watch(left, folder)
            try:
                os._exit(_do(job, arguments))
            except BaseException:  # noqa: BLE001 - a child that ends is not to run the tests
                traceback.print_exc()
                os._exit(70)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in ((0, -signal.SIGKILL) if left else (0,)), f"the job ended with {status}"


def _watch(left: int, folder: str) -> None:
    """Kill this process just before it changes something in a folder so many times."""

    def count(event: str, values: tuple) -> None:
        nonlocal left
        is_change = event in CHANGES or (event == "open" and values[2] & (os.O_WRONLY | os.O_RDWR))
        if is_change and str(values[0]).startswith(folder):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def _get_ready(job: str) -> None:
    """Load what all forks need, and make it so small that a test can wait for it."""
    if job == "train_reader":
        import torch

        from pagesort.models.line_networks import Stage
        from pagesort.reading import network

        torch.set_num_threads(1)  # a fork has no threads of its parent's
        network.STAGES = tuple(Stage(channels, (True,)) for channels in (8, 16, 32))


def _do(job: str, arguments: Sequence[str]) -> int:
    """Do a job; its exit status."""
    if job == "import":
        from pagesort.models.archive import import_model

        import_model(*map(Path, arguments))
        return 0
    if job == "undo":
        from pagesort.sorting.manifests import undo

        out = Path(arguments[0])
        return undo(out).left_alone if list(out.glob("*.csv")) else 0
    if job == "prepare_pages":
        from pagesort.labelled.folder import read_labelled_folder
        from pagesort.training.data import prepare_pages

        pages = read_labelled_folder(arguments[0], named_by="x").pages
        prepare_pages(pages, arguments[1], (24, 20), 300.0, 2)
        return 0
    if job == "train_reader":
        import run

        return run.main(arguments)
    from data_scripts import prepare

    return prepare.main([job, *arguments])


if __name__ == "__main__":
    numbers, place, name, *words = sys.argv[1:]
    _do_and_kill([int(number) for number in numbers.split(",")], place, name, words)
