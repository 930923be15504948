"""How long reading takes, as people start it: a page cold, and a folder; and how much memory.

    python3 benchmarks/reading_speed.py FOLDER [--page PAGE] [--pages 10] [--repeats 3]

Every figure is of `run.py --read` in a process of its own, with the bundled reader. `cold` is one
page, by default the first one of the folder; `folder` is a copy of so many pages, drawn evenly. The
clock tells something only where nothing else runs, so that the load before each run is printed too.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from speed_start import ROOT, Started, measure

PICTURES = ("jpg", "jpeg", "png", "tif", "tiff")
HEAD = "| what | pages | seconds | pages a minute | processor seconds a page | MiB | load before |"


def drawn(folder: Path, count: int) -> list[Path]:
    """So many pictures of a folder and its subfolders, evenly."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower()[1:] in PICTURES)
    if not paths:
        raise SystemExit(f"{folder}: there are no pictures")
    count = min(count, len(paths))
    return [paths[place * len(paths) // count] for place in range(count)]


def read(path: Path, results: Path) -> Started:
    """Read a page or a folder."""
    setting = f"output.folder_results={results}"
    formats = ",".join(PICTURES)
    return measure([str(ROOT / "run.py"), "--read", str(path), "-ff", formats, "--set", setting])


def row(what: str, pages: int, started: Started, load: float) -> str:
    """A row of the table."""
    minute, processor = 60 * pages / started.seconds, started.processor / pages
    return (
        f"| {what} | {pages} | {started.seconds:.1f} | {minute:.1f} | {processor:.1f} "
        f"| {started.peak_mib:,.0f} | {load:.1f} |"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of pictures of pages, in subfolders too")
    parser.add_argument("--page", type=Path, help="that is read cold")
    parser.add_argument("--pages", type=int, default=10, help="of the folder, %(default)s")
    parser.add_argument("--repeats", type=int, default=3, help="of each, %(default)s")
    given = parser.parse_args(arguments)
    pages = drawn(given.folder, given.pages)
    print(f"{HEAD}\n|---|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as temporary:
        copies, results = Path(temporary) / "pages", Path(temporary) / "results"
        copies.mkdir()
        for number, page in enumerate(pages):
            shutil.copyfile(page, copies / f"{number:04d}{page.suffix.lower()}")
        cold = (given.page or pages[0]).absolute()
        for what, path, count in (("cold", cold, 1), ("folder", copies, len(pages))):
            for _ in range(given.repeats):
                load = os.getloadavg()[0]
                print(row(what, count, read(path, results), load), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
