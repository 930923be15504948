"""From a line of a page to the small level picture that is read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from pagesort.common.errors import PageSortError
from pagesort.reading.text_line import TextLine

Grey = npt.NDArray[np.uint8]
_Floats = npt.NDArray[np.float64]

HEIGHT = 64
NARROWEST, WIDEST = 40, 2400  # pixels of a line's picture
MARGIN, LEAST_MARGIN = 0.055, 1.0  # of the polygon's height, and in pixels; on every side
CURVED = 0.2  # of the polygon's height: what a baseline may differ from a straight one
STRIP = 16.0  # pixels of the page in which a curved line counts as straight


@dataclass(frozen=True)
class _Course:
    """How a line runs over the page: `u` along it, `v` across it, downwards, from `origin`.

    `bend_u`, `bend_v` are points of the curve that lies at v = 0 in the picture.
    """

    origin: _Floats
    along: _Floats
    bend_u: _Floats
    bend_v: _Floats

    def flat(self, points: _Floats) -> _Floats:
        """Bring (x, y) of the page to (u, v) of the levelled line."""
        moved = points - self.origin
        u, v = moved @ self.along, moved @ self._across
        return np.stack([u, v - self.bend(u)], axis=1)

    def on_page(self, u: _Floats, v: float) -> _Floats:
        """Bring points (u, v) of the levelled line to (x, y) of the page."""
        across = (v + self.bend(u))[:, None] * self._across
        return self.origin + u[:, None] * self.along + across

    def bend(self, u: _Floats) -> _Floats:
        """How far below the straight line the curve runs."""
        return np.interp(u, self.bend_u, self.bend_v)

    @property
    def _across(self) -> _Floats:
        return np.array([-self.along[1], self.along[0]])


def cut_line(page: Grey, line: TextLine, height: int = HEIGHT) -> Grey:
    """Cut a line out by its polygon and level it along its baseline.

    What lies outside of the polygon gets the grey of the line's paper. A nearly straight baseline
    is turned level as a whole, a curved one is followed.

    Args:
        page: the grey page, height x width.
        line: where the line runs on it, in pixels.
        height: of the picture, in pixels.

    Returns:
        The grey picture, `height` x 40 to 2,400.

    Raises:
        PageSortError: no part of the line lies on the page.
    """
    crop, left, top = _inside(page, line)
    paper = int(crop.getpixel((0, 0)))  # type: ignore[arg-type] # of a grey image one number
    polygon = np.asarray(line.polygon, dtype=np.float64) - (left, top)
    baseline = np.asarray(line.baseline, dtype=np.float64) - (left, top)
    level = _levelled(crop, paper, _course(baseline, polygon), polygon)
    width = min(WIDEST, max(1, round(level.width * height / level.height)))
    picture = np.asarray(level.resize((width, height), Image.Resampling.BICUBIC))
    if width < NARROWEST:
        missing = NARROWEST - width
        picture = np.pad(picture, ((0, 0), (0, missing)), constant_values=paper)
    return picture


def _inside(page: Grey, line: TextLine) -> tuple[Image.Image, int, int]:
    """The part of the page around a line, paper outside of its polygon, and its left and top.

    One pixel of paper lies around it.
    """
    high, wide = page.shape
    points = np.asarray(line.polygon, dtype=np.float64).reshape(-1, 2)
    clipped = np.clip(points, 0, (wide, high))
    if len(points) < 3 or np.ptp(clipped, axis=0).min() < 1:
        raise PageSortError("the line lies outside of the page or has no area", where=line.id)
    left, top = (int(edge) for edge in np.floor(clipped.min(axis=0)))
    right, bottom = (int(edge) for edge in np.ceil(clipped.max(axis=0)))
    part = page[top:bottom, left:right]
    outline = Image.new("1", (right - left, bottom - top))
    # Drawn on the page itself, as corners that lie far outside of it are moved to its edge.
    ImageDraw.Draw(outline).polygon([(x - left, y - top) for x, y in clipped], fill=1)
    is_inside = np.asarray(outline)
    ink_and_paper = part[is_inside] if is_inside.any() else part.ravel()
    bright = ink_and_paper[ink_and_paper >= ink_and_paper.mean()]
    paper = int(np.median(bright))
    filled = np.pad(np.where(is_inside, part, np.uint8(paper)), 1, constant_values=paper)
    return Image.fromarray(filled), left - 1, top - 1


def _course(baseline: _Floats, polygon: _Floats) -> _Course:
    """Follow a baseline, or the middle of a polygon that has none to speak of."""
    if len(baseline) < 2 or not np.ptp(baseline, axis=0).any():
        middle = polygon.mean(axis=0)
        return _Course(middle, np.array([1.0, 0.0]), np.zeros(1), np.zeros(1))
    along = _unit(baseline[-1] - baseline[0])
    course = _Course(baseline[0], along, np.zeros(1), np.zeros(1))
    flat = course.flat(baseline)
    if np.ptp(flat[:, 0]) > 0:
        slope, shift = np.polyfit(flat[:, 0], flat[:, 1], 1)
        across = np.array([-along[1], along[0]])
        origin, along = baseline[0] + shift * across, _unit(along + slope * across)
        course = _Course(origin, along, np.zeros(1), np.zeros(1))
        flat = course.flat(baseline)
    if not np.all(np.diff(flat[:, 0]) > 0):
        return course
    curve = _Course(course.origin, course.along, flat[:, 0], flat[:, 1])
    tall = float(np.ptp(curve.flat(polygon)[:, 1]))
    return curve if np.abs(flat[:, 1]).max() > CURVED * tall else course


def _unit(vector: _Floats) -> _Floats:
    length = float(np.hypot(*vector))
    return vector / length if length > 0 else np.array([1.0, 0.0])


def _levelled(crop: Image.Image, paper: int, course: _Course, polygon: _Floats) -> Image.Image:
    """Turn a line level at the page's own size, with a margin of paper."""
    size = np.array(crop.size, dtype=np.float64)
    flat = course.flat(np.clip(polygon, 0, size))
    (first, top), (last, bottom) = flat.min(axis=0), flat.max(axis=0)
    margin = max(LEAST_MARGIN, MARGIN * (bottom - top))
    first, last, top, bottom = first - margin, last + margin, top - margin, bottom + margin
    width, height = max(1, round(last - first)), max(1, round(bottom - top))
    is_straight = len(course.bend_u) < 2
    strips = 1 if is_straight else max(1, round(width / STRIP))
    edges = np.unique(np.linspace(0, width, strips + 1).round().astype(int))
    upper, lower = (course.on_page(first + edges, v) for v in (top, bottom))
    mesh = [
        (
            (int(edges[i]), 0, int(edges[i + 1]), height),
            (*upper[i], *lower[i], *lower[i + 1], *upper[i + 1]),
        )
        for i in range(len(edges) - 1)
    ]
    # What lies outside of the page's part is paper.
    return crop.transform(
        (width, height), Image.Transform.MESH, mesh, Image.Resampling.BILINEAR, fillcolor=paper
    )
