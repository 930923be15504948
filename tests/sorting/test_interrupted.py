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
from tests.helpers.killed import do_and_kill
from tests.helpers.paths import ROOT
from tests.helpers.pdfs import Sheet, write_pdf

PAGES = 20
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


@pytest.mark.slow
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


def kill_at_random(folder: Path, seed: int, changes: int, job: str, *arguments: object) -> None:
    """Kill a job at one of its first changes, several times, then let the same command end."""
    chance = random.Random(seed)
    do_and_kill([*(chance.randint(1, changes) for _ in range(4)), 0], folder, job, *arguments)


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too, by its name; folders stand there as `name/`."""
    return {
        path.relative_to(folder).as_posix() + "/" * path.is_dir(): (
            b"" if path.is_dir() else path.read_bytes()
        )
        for path in folder.rglob("*")
    }


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_single_pages_whose_moving_was_killed_are_moved(tmp_path: Path, seed: int) -> None:
    for number in range(4):
        (tmp_path / f"d{number}").mkdir()
        (tmp_path / f"d{number}" / f"d{number}-1.png").write_bytes(b"page %d" % number)
    kill_at_random(tmp_path, seed, 10, "move_single", tmp_path)
    pages = {f"onepagers/d{number}-1.png": b"page %d" % number for number in range(4)}
    assert content(tmp_path) == {"onepagers/": b"", **pages}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_pdfs_whose_conversion_was_killed_are_converted(tmp_path: Path, seed: int) -> None:
    sheet = [Sheet((120.0, 160.0), scan=np.full((160, 120), 90 + n, np.uint8)) for n in range(3)]
    write_pdf(tmp_path / "d.pdf", sheet)
    kill_at_random(tmp_path, seed, 8, "pdf2png", tmp_path, "--remove", "--workers", 1)
    assert content(tmp_path).keys() == {"d/", *(f"d/d-{number}.png" for number in (1, 2, 3))}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["--move", "--link=hard", "--link=copy"])
def test_a_sorting_and_its_undo_that_were_killed_lose_nothing(tmp_path: Path, how: str) -> None:
    pages, out = tmp_path / "pages", tmp_path / "out"
    pages.mkdir()
    for number in range(1, 5):
        (pages / f"d-{number}.png").write_bytes(b"page %d" % number)
    rows = "".join(f"d,{number},C{number % 2}\n" for number in range(1, 5))
    (tmp_path / "table.csv").write_text(f"FILE,PAGE,CLASS\n{rows}", encoding="utf-8")
    before = content(pages)
    kill_at_random(tmp_path, 7, 14, "sort", tmp_path / "table.csv", pages, "--out", out, how)
    placed = {name: data for name, data in content(out).items() if name.endswith(".png")}
    assert placed == {f"C{n % 2}/d-{n}.png": b"page %d" % n for n in range(1, 5)}
    while list(out.glob("*.csv")):
        kill_at_random(tmp_path, 8, 12, "undo", out)
    assert (content(pages), content(out)) == (before, {})


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_an_import_over_another_model_that_was_killed_keeps_both(
    tiny_model_folder: Path, tmp_path: Path, seed: int
) -> None:
    archive = export_model(tiny_model_folder, tmp_path / "model.zip")
    models = tmp_path / "models"
    other = models / tiny_model_folder.name
    other.mkdir(parents=True)
    (other / "config.json").write_text("{}")
    kill_at_random(tmp_path, seed, 16, "import", archive, models)
    kept, new = sorted(models.iterdir(), key=lambda path: path.name == other.name)
    assert (new, list(content(kept))) == (other, ["config.json"])
    assert content(new) == content(tiny_model_folder)
