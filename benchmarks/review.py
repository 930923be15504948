"""What a contact sheet of many pages costs: seconds to write, size on disk, memory of the browser.

    python benchmarks/review.py [--pages N] [--pictures FOLDER]

Pages are simulated and share a few pictures, as those cost the same for every page; how many
pictures are made in a second is measured on the PNGs of a folder. The browser (a Chromium without
a window; needs playwright) opens the sheet, goes to its end, filters, orders, looks for a document
and saves the whole table. Its memory is that of the process that shows the sheet (RSS), beside
what its scripts hold. On a machine that others use, only the seconds of processors mean something.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from pagesort.review import sheet as sheets  # noqa: E402
from pagesort.review.sheet import Sheet, SheetPage, write_sheet  # noqa: E402
from pagesort.review.thumbnails import Picture, PictureMaker  # noqa: E402
from tests.helpers.browser import BROWSERS  # noqa: E402

LABELS = [path.name for path in sorted((ROOT / "category_samples").iterdir()) if path.is_dir()]
SAMPLES = sorted((ROOT / "category_samples").glob("*/*.png"))
DOCUMENT_PAGES = 40
MEGABYTE = 1e6


def simulated(pages: int) -> Iterator[SheetPage]:
    """Pages of documents of forty, with scores as models give them."""
    draw = random.Random(7)
    for number in range(pages):
        document, page = divmod(number, DOCUMENT_PAGES)
        name = f"CTX{document:09d}"
        guess, second = draw.sample(LABELS, 2)
        score = draw.betavariate(5, 1)
        path = f"shelf {document // 100}/{name}/{name}-{page + 1}.png"
        yield SheetPage(name, str(page + 1), path, guess, score, second, (1 - score) / 2)


class SharedPictures(PictureMaker):
    """Makes the pictures of a few pages, and gives every page one of them."""

    def picture(self, name: str, source: Path, page: int) -> Picture:
        """The picture of a sample page."""
        sample = SAMPLES[page % len(SAMPLES)]
        return super().picture(sample.name, sample, 1)


def size_of(folder: Path) -> float:
    """What the files of a folder take, in MB."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / MEGABYTE


def write(pages: int, folder: Path) -> Path:
    """Write the sheet of simulated pages; prints what that took."""
    sheet = Sheet(folder / "sheet", folder, LABELS, "review", "many pages", "benchmark")
    start, worked = time.perf_counter(), time.process_time()
    with (
        mock.patch.object(sheets, "PictureMaker", SharedPictures),
        mock.patch.object(sheets, "page_file", lambda root, path: root / path),
    ):
        index = write_sheet(sheet, simulated(pages)).index
    seconds, worked = time.perf_counter() - start, time.process_time() - worked
    took = f"written in {seconds:.1f} s, {worked:.1f} s of processors"
    print(f"{pages} pages: {took}, {size_of(sheet.folder):.1f} MB", flush=True)
    return index


def measure_pictures(folder: Path) -> None:
    """Print how many pictures are made in a second, and what one takes."""
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.png"))]
    pages = [SheetPage(name, "1", name, LABELS[0], 0.5) for name in names]
    with tempfile.TemporaryDirectory() as place:
        sheet = Sheet(Path(place) / "sheet", folder, LABELS, "review", "", "pictures")
        for round_ in ("first", "again"):
            start = time.perf_counter()
            write_sheet(sheet, pages)
            rate = len(pages) / (time.perf_counter() - start)
            print(f"pictures of {len(pages)} scans, {round_}: {rate:.1f} pages/s", flush=True)
        size = 1000 * size_of(sheet.folder / "thumbnails") / max(1, len(pages))
        print(f"one takes {size:.1f} kB")


def renderer_memory() -> float:
    """RSS of the largest process that shows pages, in MB."""
    largest = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            command = (status.parent / "cmdline").read_bytes()
            if b"--type=renderer" not in command:
                continue
            fields = dict(
                line.split(":", 1) for line in status.read_text().splitlines() if ":" in line
            )
        except OSError:
            continue  # it has just ended
        largest = max(largest, int(fields["VmRSS"].split()[0]))
    return largest * 1024 / MEGABYTE


def browse(index: Path) -> None:
    """Do in a browser what a person does; prints the time and the memory of each step."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, BROWSERS)))
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900}, accept_downloads=True)
        metrics = page.context.new_cdp_session(page)
        metrics.send("Performance.enable")

        def step(name: str, do: Callable[[], Any]) -> None:
            start = time.perf_counter()
            do()
            page.wait_for_timeout(50)
            page.locator(".card img").first.wait_for()
            seconds = time.perf_counter() - start - 0.05
            page.wait_for_timeout(1500)  # pictures come in
            told = metrics.send("Performance.getMetrics")["metrics"]
            heap = next(each["value"] for each in told if each["name"] == "JSHeapUsedSize")
            memory = f"scripts {heap / MEGABYTE:.0f} MB, process {renderer_memory():.0f} MB"
            print(f"{name}: {seconds:.2f} s, {memory}", flush=True)

        def saved() -> None:
            with page.expect_download() as started:
                page.click("#export-all")
            started.value.path()

        step("open", lambda: page.goto(index.as_uri()))
        step("a key", lambda: (page.locator(".card").first.focus(), page.keyboard.press("2")))
        step("the last page", lambda: page.keyboard.press("End"))
        step("enlarge", lambda: page.keyboard.press("Enter"))
        step("close", lambda: page.keyboard.press("Escape"))
        step("unsure first", lambda: page.select_option("#order", "score"))
        step("scores up to 50 %", lambda: page.fill("#score-to", "50"))
        step("a document", lambda: page.fill("#document", "00042"))
        step("show everything", lambda: page.click("#show-all"))
        for _ in range(30):
            page.locator("[data-step='1']").first.click()
        step("thirty leaves on", lambda: None)
        step("save the whole table", saved)
        browser.close()


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=200_000, help="default: 200000")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="measure pictures of PNGs")
    arguments = parser.parse_args()
    if arguments.pictures is not None:
        measure_pictures(arguments.pictures)
    with tempfile.TemporaryDirectory() as place:
        browse(write(arguments.pages, Path(place)))


if __name__ == "__main__":
    main()
