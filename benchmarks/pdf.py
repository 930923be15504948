"""Compares pdf2png with `pdftoppm -r 300 -png` on the same PDFs: names, sizes, pixels, time.

    python benchmarks/pdf.py [FOLDER_OF_PDFS] [--repeat N]

Without a folder it draws a dozen PDFs: text, scans of several resolutions, mixed and odd sizes,
turned pages. Needs poppler's pdftoppm.
"""

from __future__ import annotations

import argparse
import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from tests.helpers.pdfs import A4, Sheet, write_pdf  # noqa: E402


def draw_pdfs(folder: Path) -> None:
    """Write PDFs of the kinds that archives have."""
    write_pdf(folder / "text.pdf", [Sheet(A4, text=f"page {n}") for n in range(12)])
    scans = [Image.open(path) for path in sorted(ROOT.glob("category_samples/*/*.png"))[::4]]
    grey = [np.asarray(scan.convert("L")) for scan in scans]
    colour = [np.asarray(scan.convert("RGB")) for scan in scans]
    for dpi in (300, 150, 200):
        points = 72 / dpi
        kinds = {"grey": (grey, False), "grey jpeg": (grey, True), "colour jpeg": (colour, True)}
        for name, (pages, jpeg) in kinds.items():
            sheets = [
                Sheet((page.shape[1] * points, page.shape[0] * points), scan=page, jpeg=jpeg)
                for page in pages
            ]
            write_pdf(folder / f"{name} {dpi} dpi.pdf", sheets)
    sizes = [(612, 792), (595.2, 841.68), (841.89, 1190.55), (419.53, 595.28), (1683.78, 2383.94)]
    write_pdf(folder / "příloha mixed.pdf", [Sheet(size) for size in sizes])
    turned = [Sheet(A4, extra=f"/Rotate {angle}") for angle in (0, 90, 180, 270)]
    write_pdf(folder / "turned.pdf", turned)
    cropped = "/CropBox [100 100 400 500]"
    write_pdf(folder / "cropped.pdf", [Sheet(A4, extra=cropped)])


def timed(run: Callable[[], object], repeat: int) -> float:
    """Return the least of some run times, in seconds."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def with_pdftoppm(pdfs: list[Path], out: Path) -> None:
    """Convert as the published script does, one PDF after the other."""
    shutil.rmtree(out, ignore_errors=True)
    for path in pdfs:
        (out / path.stem).mkdir(parents=True)
        prefix = out / path.stem / path.stem
        subprocess.run(["pdftoppm", "-r", "300", "-png", path, prefix], check=True)


def with_pdf2png(folder: Path, out: Path, workers: int) -> None:
    """Convert with the toolkit, as a program of its own."""
    shutil.rmtree(out, ignore_errors=True)
    prepare = ROOT / "data_scripts" / "prepare.py"
    command = [sys.executable, prepare, "pdf2png", folder, "--out", out, "--workers", str(workers)]
    subprocess.run(command, check=True, capture_output=True)


def compare(theirs: Path, ours: Path) -> None:
    """Print names, sizes and pixel differences, a line a document."""
    their_names = {path.relative_to(theirs) for path in theirs.glob("*/*.png")}
    our_names = {path.relative_to(ours) for path in ours.glob("*/*.png")}
    print(f"names: {len(their_names)} and {len(our_names)}, same: {their_names == our_names}")
    for folder in sorted(path for path in theirs.iterdir() if path.is_dir()):
        sizes, means, worst = 0, [], 0.0
        names = sorted(name for name in their_names & our_names if name.parent.name == folder.name)
        for name in names:
            images = [Image.open(place / name).convert("RGB") for place in (theirs, ours)]
            sizes += images[0].size == images[1].size
            if images[0].size != images[1].size:
                continue
            first, second = (np.asarray(image).astype(np.int16) for image in images)
            difference = np.abs(first - second)
            means.append(float(difference.mean()))
            worst = max(worst, float((difference > 64).mean()))
        mean = math.fsum(means) / max(1, len(means))
        print(
            f"{folder.name:20} {len(names):3} pages, {sizes:3} of the same size, "
            f"mean difference {mean:.3f} of 255, {worst:.3%} of pixels differ by more than 64"
        )


def main() -> None:
    """Convert with both, print the comparison and the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--repeat", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = arguments.folder or Path(place) / "pdfs"
        if arguments.folder is None:
            draw_pdfs(folder)
        pdfs = sorted(folder.glob("*.pdf"))
        theirs, ours = Path(place) / "theirs", Path(place) / "ours"
        seconds = {"pdftoppm": timed(lambda: with_pdftoppm(pdfs, theirs), arguments.repeat)}
        for workers in (2, 1):
            name = f"pdf2png, {workers} at a time"
            seconds[name] = timed(
                lambda workers=workers: with_pdf2png(folder, ours, workers), arguments.repeat
            )
        compare(theirs, ours)
        pages = len(list(theirs.glob("*/*.png")))
        for name, taken in seconds.items():
            size = sum(
                p.stat().st_size for p in (theirs if name == "pdftoppm" else ours).rglob("*.png")
            )
            print(f"{name:22} {taken:6.1f} s, {pages / taken:5.2f} pages/s, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
