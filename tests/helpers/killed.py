"""Jobs that are killed just before one of their changes to the disk, at the same one every time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.helpers.paths import ROOT

# A job that is given several times, in processes that are killed just before one of its changes to
# the disk, the numbers of which are given; 0: it is left to end.
_KILLED = """
import os, signal, sys
numbers, folder, job, *arguments = sys.argv[1:]
if job == "import":
    from pathlib import Path
    from pagesort.models.archive import import_model
    call = lambda: import_model(*map(Path, arguments)) and 0
elif job == "undo":
    from pathlib import Path
    from pagesort.sorting.manifests import undo
    out = Path(arguments[0])
    call = lambda: undo(out).left_alone if list(out.glob("*.csv")) else 0
elif job == "prepare_pages":
    from pagesort.labelled.folder import read_labelled_folder
    from pagesort.training.data import prepare_pages
    pages = read_labelled_folder(arguments[0], named_by="x").pages
    call = lambda: prepare_pages(pages, arguments[1], (24, 20), 300.0, 2) and 0
elif job == "train_reader":
    import run, torch
    from pagesort.reading import network
    torch.set_num_threads(1)  # a fork has no threads of its parent's
    network.STAGES = tuple(network.Stage(channels, (True,)) for channels in (8, 16, 32))
    call = lambda: run.main(arguments)
else:
    from data_scripts import prepare
    call = lambda: prepare.main([job, *arguments])
changes = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate")

def watch(event, values):
    global left
    is_change = event in changes or event == "open" and values[2] & (os.O_WRONLY | os.O_RDWR)
    if is_change and str(values[0]).startswith(folder):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

for left in map(int, numbers.split(",")):
    child = os.fork()
    if not child:
        sys.addaudithook(watch)
        os._exit(call())
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in ((0, -signal.SIGKILL) if left else (0,)):
        sys.exit(f"the job ended with {status}")
"""


def do_and_kill(changes: Sequence[int], folder: Path, job: str, *arguments: object) -> None:
    """Do a job once for every number, killed at the change of this number; at 0 it is let end.

    Args:
        changes: 1 is the first change to the disk; a job of fewer changes ends.
        folder: below which changes count.
        job: `import`, `undo`, `prepare_pages`, `train_reader` (of the small network of these tests,
            by the arguments of `run.py`) or one of data_scripts/prepare.py.
        arguments: of the job.
    """
    words = [",".join(map(str, changes)), folder, job, *arguments]
    command = [sys.executable, "-c", _KILLED, *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
