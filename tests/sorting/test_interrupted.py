"""Jobs that are stopped or killed at any moment, and taken up again."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pagesort.models.archive import export_model, import_model
from pagesort.pages.loader import PageRef
from pagesort.sorting.placer import SortedPage, sort_pages
from tests.helpers.paths import ROOT
from tests.helpers.pdfs import Sheet, write_pdf

PAGES = 40
SORT = """
import sys
from pathlib import Path
from pagesort.pages.documents import write_page_png
from pagesort.pages.loader import PageRef
from pagesort.pages.pdf_renderers import PdfRenderers
from pagesort.sorting.placer import SortedPage, sort_pages
pdf, out, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
pages = [SortedPage(PageRef(n, pdf, n + 1), f"C{n % 2}") for n in range(count)]
print("ready", flush=True)
with PdfRenderers() as renderers:
    sort_pages(pages, out, draw=lambda ref, to: write_page_png(ref, to, renderers, 20.0))
"""
IMPORT = """
import sys
from pathlib import Path
from pagesort.models.archive import import_model
print("ready", flush=True)
import_model(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a program, up to where its work begins."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def interrupt(process: subprocess.Popen[str], seconds: float, number: signal.Signals) -> None:
    """Stop or kill a process after a while, if it is not done by then."""
    time.sleep(seconds)
    process.send_signal(number)
    process.communicate()


def sort_interrupted(tmp_path: Path, times: int) -> None:
    """Sort a PDF's pages, stopped and killed so often, then to the end."""
    grey = [np.full((160, 120), 20 + 5 * n, np.uint8) for n in range(PAGES)]
    write_pdf(tmp_path / "d.pdf", [Sheet((120.0, 160.0), scan=each) for each in grey])
    out, chance = tmp_path / "out", random.Random(5)
    for number in range(times):
        process = start(SORT, tmp_path / "d.pdf", out, PAGES)
        stop = signal.SIGINT if number % 2 else signal.SIGKILL
        interrupt(process, chance.uniform(0.0, 0.8), stop)
    assert start(SORT, tmp_path / "d.pdf", out, PAGES).communicate() and out.is_dir()
    found = {path.relative_to(out).as_posix() for path in out.glob("C*/*")}
    assert found == {f"C{n % 2}/d-{n + 1}.png" for n in range(PAGES)}
    assert list(out.rglob(".pagesort-sorting*")) == []


def test_a_sorting_of_pdf_pages_that_was_stopped_goes_on(tmp_path: Path) -> None:
    sort_interrupted(tmp_path, 2)


@pytest.mark.slow
def test_a_sorting_of_pdf_pages_stopped_at_any_moment_goes_on(tmp_path: Path) -> None:
    sort_interrupted(tmp_path, 12)


@pytest.mark.slow
def test_an_import_killed_at_any_moment_leaves_nothing(
    tiny_model_folder: Path, tmp_path: Path
) -> None:
    archive = export_model(tiny_model_folder, tmp_path / "model.zip")
    models, chance = tmp_path / "models", random.Random(6)
    for _ in range(6):
        interrupt(start(IMPORT, archive, models), chance.uniform(0.0, 0.1), signal.SIGKILL)
    folder = import_model(archive, models).folder
    assert [path.name for path in models.iterdir()] == [folder.name]


def test_half_drawn_pages_of_a_killed_sorting_are_removed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in (".pagesort-sorting.part", ".pagesort-sorting.part.tmp"):
        (out / name).write_bytes(b"half")
    page = tmp_path / "a-1.png"
    page.write_bytes(b"a page")
    sort_pages([SortedPage(PageRef(0, page), "A")], out)
    assert (out / "A" / "a-1.png").exists() and list(out.glob(".pagesort-sorting*")) == []
