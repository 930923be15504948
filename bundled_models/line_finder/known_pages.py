"""Pages whose lines are known, with the maps that the network has to draw of them."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from pagesort.reading.finder import shrunk
from pagesort.reading.finder_network import MULTIPLE, STRIDE, UNIT
from pagesort.reading.text_line import Points, TextLine

Floats = npt.NDArray[np.float32]

BAND, BAR = 3, 3  # how thick baselines and their ends are drawn, in answers of the network
UPPER_END, LOWER_END = 0.6, 0.3  # of a line's reach, that a bar at its end has
BESIDE = 0.15  # weight of what is outside of all lines where a page's lines are incomplete


@dataclass(frozen=True)
class KnownPage:
    """A page with its lines: `image` is grey, and `is_complete` tells that no line is missing.

    `reaches` tells of each line how far it reaches above and below its baseline, None for lines
    that are not level.
    """

    name: str
    dataset: str
    image: Image.Image
    lines: tuple[TextLine, ...]
    reaches: tuple[tuple[float, float] | None, ...]
    is_complete: bool


@dataclass(frozen=True)
class Wanted:
    """Maps (h / 2, w / 2) of what is to be found on a page.

    `heights` are the logarithms for ABOVE and BELOW, counted where `baselines` is 1; `weights` is
    how much each answer counts.
    """

    baselines: Floats
    ends: Floats
    heights: Floats
    weights: Floats


def read_pages(folder: Path) -> list[KnownPage]:
    """Read the pages of `folder/<dataset>/<page>.json` and their images."""
    pages = []
    for path in sorted(folder.glob("*/*.json")):
        said = json.loads(path.read_text(encoding="utf-8"))
        lines = tuple(
            TextLine(
                line["id"],
                tuple(map(tuple, line["baseline"])),
                tuple(map(tuple, line["polygon"])),
                line.get("text"),
                line.get("region", ""),
            )
            for line in said["lines"]
        )
        with Image.open(path.parent / said["image"]) as image:
            grey = image.convert("L")
        reaches = tuple(
            reach(np.asarray(each.baseline), np.asarray(each.polygon)) for each in lines
        )
        is_complete = not str(said["segmentation"]).startswith("partial")
        pages.append(KnownPage(path.stem, path.parent.name, grey, lines, reaches, is_complete))
    return pages


def seen_and_wanted(page: KnownPage, longer_side: int) -> tuple[npt.NDArray[np.uint8], Wanted]:
    """A page as the network sees it, and its maps; both filled up to multiples of 32 pixels."""
    greys = shrunk(np.asarray(page.image), longer_side)
    high, wide = greys.shape
    scale = np.array([wide / page.image.width, high / page.image.height])
    greys = np.pad(greys, ((0, -high % MULTIPLE), (0, -wide % MULTIPLE)), mode="edge")
    size = (greys.shape[1] // STRIDE, greys.shape[0] // STRIDE)
    images = [Image.new("F", size) for _ in range(4)]
    baselines, ends, above, below = map(ImageDraw.Draw, images)
    weights = Image.new("F", size, 1.0 if page.is_complete else BESIDE)
    weigh = ImageDraw.Draw(weights)
    for line, reaches in zip(page.lines, page.reaches, strict=True):
        outline = _corners(line.polygon, scale)
        if reaches is None:
            weigh.polygon(outline, fill=0.0)
            continue
        if not page.is_complete:
            weigh.polygon(outline, fill=1.0)
        heights = [float(scale[1]) * each for each in reaches]
        run = _corners(line.baseline, scale)
        baselines.line(run, fill=1.0, width=BAND, joint="curve")
        for drawing, value in zip((above, below), heights, strict=True):
            drawing.line(run, fill=math.log(value / UNIT), width=BAND, joint="curve")
        for (x, y), outwards in ((run[0], -1), (run[-1], 1)):
            x += outwards * BAR / 2
            upper, lower = y - UPPER_END * heights[0] / STRIDE, y + LOWER_END * heights[1] / STRIDE
            ends.line([(x, upper), (x, lower)], fill=1.0, width=BAR)
    maps = [np.asarray(image, dtype=np.float32) for image in (*images, weights)]
    return greys, Wanted(maps[0], maps[1], np.stack(maps[2:4]), maps[4])


def _corners(points: Points, scale: npt.NDArray[np.float64]) -> list[tuple[float, float]]:
    return [(x * scale[0] / STRIDE, y * scale[1] / STRIDE) for x, y in points]


def reach(
    baseline: npt.NDArray[np.float64], polygon: npt.NDArray[np.float64]
) -> tuple[float, float] | None:
    """How far a polygon reaches above and below a baseline; None for one that is not level."""
    along = baseline[-1] - baseline[0]
    if len(polygon) < 3 or abs(along[1]) > 0.5 * abs(along[0]) or along[0] <= 0:
        return None
    places = np.linspace(baseline[0, 0], baseline[-1, 0], 26)[1::2]
    levels = np.interp(places, baseline[:, 0], baseline[:, 1])
    starts, stops = polygon, np.roll(polygon, -1, axis=0)
    uppers, lowers = [], []
    for x, level in zip(places, levels, strict=True):
        crosses = (starts[:, 0] <= x) != (stops[:, 0] <= x)
        if not crosses.any():
            continue
        p, q = starts[crosses], stops[crosses]
        y = p[:, 1] + (x - p[:, 0]) / (q[:, 0] - p[:, 0]) * (q[:, 1] - p[:, 1])
        uppers.append(level - y.min())
        lowers.append(y.max() - level)
    if not uppers:
        return None
    return max(1.0, float(np.mean(uppers))), max(1.0, float(np.mean(lowers)))
