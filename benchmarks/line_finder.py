"""What a line finder finds of lines that are known: precision, recall, time, and what is read.

A found line counts if its polygon and that of a true line overlap in at least half of what the two
cover together (intersection over union), each with one line at most. Pages whose true lines are
incomplete tell nothing of precision. Intervals are over pages, by resampling them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pagesort.reading.both_ways import read_found_lines
from pagesort.reading.error_rates import Errors, errors_of
from pagesort.reading.line_finder import LineFinder
from pagesort.reading.line_images import cut_line
from pagesort.reading.reader import Reader
from pagesort.reading.text_line import Points, TextLine

LEAST = 0.5  # intersection over union
SAMPLES = 2000
Finder = Callable[[np.ndarray], Sequence[TextLine]]


@dataclass(frozen=True)
class PageFigures:
    """What was found of one page: lines that are there, found ones, and those of both."""

    dataset: str
    page: str
    true: int
    found: int
    both: int
    is_complete: bool
    seconds: float


def overlaps(first: Sequence[Points], second: Sequence[Points]) -> np.ndarray:
    """Intersection over union of two lists of polygons, (first, second)."""
    result = np.zeros((len(first), len(second)))
    boxes = [[_box(points) for points in polygons] for polygons in (first, second)]
    for i, a in enumerate(boxes[0]):
        for j, b in enumerate(boxes[1]):
            left, top, right, bottom = np.concatenate(
                [np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])]
            )
            if left < right and top < bottom:
                whole = np.concatenate([np.minimum(a[:2], b[:2]), np.maximum(a[2:], b[2:])])
                one, other = _mask(first[i], whole), _mask(second[j], whole)
                result[i, j] = (one & other).sum() / max(1, (one | other).sum())
    return result


def _box(points: Points) -> np.ndarray:
    corners = np.asarray(points)
    return np.concatenate([corners.min(0), corners.max(0)])


def _mask(points: Points, box: np.ndarray) -> np.ndarray:
    left, top, right, bottom = box
    image = Image.new("1", (int(right - left) + 2, int(bottom - top) + 2))
    ImageDraw.Draw(image).polygon([(x - left, y - top) for x, y in points], fill=1)
    return np.asarray(image)


def matches(true: Sequence[Points], found: Sequence[Points]) -> list[tuple[int, int]]:
    """Pairs of a true and a found line that are the same, each in one pair at most."""
    ratios = overlaps(true, found)
    pairs = []
    for place in np.argsort(-ratios, axis=None):
        i, j = np.unravel_index(place, ratios.shape)
        if ratios[i, j] < LEAST:
            break
        if all(i != a and j != b for a, b in pairs):
            pairs.append((int(i), int(j)))
    return pairs


def measure(path: Path, find: Finder) -> PageFigures:
    """Find the lines of a page and compare them with those in its JSON."""
    said, page, known = opened(path)
    start = time.perf_counter()
    lines = find(page)
    seconds = time.perf_counter() - start
    true = [line.polygon for line in known]
    both = len(matches(true, [line.polygon for line in lines]))
    is_complete = not said["segmentation"].startswith("partial")
    return PageFigures(
        path.parent.name, path.stem, len(true), len(lines), both, is_complete, seconds
    )


def shares(pages: Sequence[PageFigures]) -> tuple[float, float]:
    """Precision, of complete pages, and recall, of all."""
    complete = [page for page in pages if page.is_complete]
    found = sum(page.found for page in complete)
    precision = sum(page.both for page in complete) / found if found else float("nan")
    return precision, sum(page.both for page in pages) / max(1, sum(page.true for page in pages))


def errors_on_page(path: Path, reader: Reader, find: Finder) -> tuple[Errors, Errors]:
    """Errors of a page's text on its true lines, and on found ones.

    A true line that is not found counts as read empty, and a found one that is none as put in.
    """
    said, page, true = opened(path)
    texts = [line.text or "" for line in true]
    found = list(find(page))
    at_true = sum(map(errors_of, texts, read_all(reader, page, true)), Errors())
    readings = read_all(reader, page, found)
    pairs = matches([line.polygon for line in true], [line.polygon for line in found])
    read = {i: readings[j] for i, j in pairs}
    at_found = sum((errors_of(text, read.get(i, "")) for i, text in enumerate(texts)), Errors())
    if not said["segmentation"].startswith("partial"):
        extra = set(range(len(found))) - {j for _, j in pairs}
        added = sum(len(readings[j]) for j in extra)
        words = sum(len(readings[j].split()) for j in extra)
        at_found += Errors(0, added, 0, words)
    return at_true, at_found


def read_all(reader: Reader, page: np.ndarray, lines: Sequence[TextLine]) -> list[str]:
    """What a reader makes of the lines of a page."""
    pictures = [cut_line(page, line) for line in lines]
    return [reading.text for reading in reader.read(pictures)] if pictures else []


def opened(path: Path) -> tuple[dict[str, Any], np.ndarray, list[TextLine]]:
    """A page's JSON, its greys, and its true lines."""
    said = json.loads(path.read_text(encoding="utf-8"))
    with Image.open(path.parent / said["image"]) as image:
        page = np.asarray(image.convert("L"))
    true = [
        TextLine(
            line["id"],
            tuple(map(tuple, line["baseline"])),
            tuple(map(tuple, line["polygon"])),
            line.get("text"),
        )
        for line in said["lines"]
    ]
    return said, page, true


def by_new_hands(paths: Sequence[Path], reader: Reader) -> list[Path]:
    """The pages by hands that a reader was not trained on."""
    if reader.facts is None:
        raise SystemExit("nothing is known of the hands that this reader was trained on")
    known = set(reader.facts.hands)
    pages = []
    for path in paths:
        said = json.loads(path.read_text(encoding="utf-8"))
        if f"{said['dataset']}/{said['document_or_hand']}" not in known:
            pages.append(path)
    if not pages:
        raise SystemExit("the reader was trained on the hands of all pages")
    return pages


def line_of(name: str, pages: Sequence[PageFigures]) -> str:
    """A line of the report: both shares with 95 % intervals."""
    random = np.random.default_rng(420)
    drawn = [
        shares([pages[i] for i in random.integers(len(pages), size=len(pages))])
        for _ in range(SAMPLES)
    ]
    low, high = np.nanpercentile(drawn, (2.5, 97.5), axis=0)
    said = [
        f"{value:.3f} ({a:.3f}-{b:.3f})"
        for value, a, b in zip(shares(pages), low, high, strict=True)
    ]
    seconds = sorted(page.seconds for page in pages)
    return (
        f"{name}: {len(pages)} pages, {sum(page.true for page in pages)} lines, precision {said[0]}"
        f", recall {said[1]}, {seconds[len(seconds) // 2]:.1f} s a page"
    )


def report_reading(paths: Sequence[Path], reader: Reader, find: Finder) -> None:
    """Print the CER of a reader on true and on found lines, by data sets."""
    both: dict[str, tuple[Errors, Errors]] = {}
    for path in paths:
        found = errors_on_page(path, reader, find)
        for name in (path.parent.name, "all"):
            before = both.get(name, (Errors(), Errors()))
            both[name] = (before[0] + found[0], before[1] + found[1])
    for name, errors in sorted(both.items(), key=lambda each: each[0] == "all"):
        shares = [each.character_errors / max(1, each.characters) for each in errors]
        print(f"{name}: CER {shares[0]:.1%} on true lines, {shares[1]:.1%} on found ones")


def report_turned(paths: Sequence[Path], reader: Reader, find: Finder) -> None:
    """Print the CER of whole pages in reading order, as they are and turned by quarters."""
    errors = [Errors()] * 4
    for path in paths:
        _, page, true = opened(path)
        truth = " ".join(line.text or "" for line in true)
        for quarters in range(4):
            turned = np.ascontiguousarray(np.rot90(page, quarters))
            read = read_found_lines(reader, turned, find(turned), path.stem)
            text = " ".join(reading.text for _, reading in read)
            errors[quarters] += errors_of(truth, text)
    for quarters, each in enumerate(errors):
        print(f"turned by {90 * quarters} degrees: CER {each.cer:.1%} of {len(paths)} pages")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure a finder on the pages of a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", type=Path, help="folder with <dataset>/<page>.json and images")
    parser.add_argument("--only", default="", help="data sets, by commas")
    parser.add_argument("--reader", type=Path, help="read the lines, and count wrong characters")
    parser.add_argument(
        "--turned", action="store_true", help="with --reader: pages in any position"
    )
    parser.add_argument(
        "--new_hands", action="store_true", help="with --reader: pages by hands it has never seen"
    )
    parser.add_argument("--table", type=Path, help="where to write a CSV with a row a page")
    given = parser.parse_args(arguments)
    if (given.new_hands or given.turned) and given.reader is None:
        parser.error("--new_hands and --turned need --reader")
    only = set(filter(None, given.only.split(",")))
    paths = [
        path
        for path in sorted(given.pages.glob("*/*.json"))
        if not only or path.parent.name in only
    ]
    find = LineFinder.open().find
    if given.reader is not None:
        report = report_turned if given.turned else report_reading
        reader = Reader.open(given.reader)
        report(by_new_hands(paths, reader) if given.new_hands else paths, reader, find)
        return 0
    figures = [measure(path, find) for path in paths]
    for dataset in sorted({page.dataset for page in figures}):
        print(line_of(dataset, [page for page in figures if page.dataset == dataset]), flush=True)
    print(line_of("all", figures))
    if given.table is not None:
        rows = ["dataset,page,true,found,both,complete,seconds"]
        rows += [
            f"{p.dataset},{p.page},{p.true},{p.found},{p.both},{int(p.is_complete)},{p.seconds:.2f}"
            for p in figures
        ]
        given.table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
