"""A page's lines of text: where they run, and what they say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

Points = tuple[tuple[float, float], ...]
"""Corners as (x, y) in pixels of the page, y downwards."""


@dataclass(frozen=True)
class TextLine:
    """One line of text.

    `baseline` runs below the letters in the direction of reading; `polygon` goes around them.
    `text` is None for a line that nobody has read yet. `region` names what it belongs to on the
    page, such as a column, and is empty where that is not known.
    """

    id: str
    baseline: Points
    polygon: Points
    text: str | None = None
    region: str = ""

    @property
    def is_upright(self) -> bool:
        """Whether it runs up or down the page rather than across it."""
        (left, top), (right, bottom) = self.baseline[0], self.baseline[-1]
        return abs(bottom - top) > abs(right - left)

    def reversed(self) -> TextLine:
        """The same line in the other direction: its baseline lies as far from the other edge."""
        x, y = (
            2 * (sum(edge) / len(edge) - sum(base) / len(base))
            for edge, base in zip(
                zip(*self.polygon, strict=True), zip(*self.baseline, strict=True), strict=True
            )
        )
        moved = tuple((round(a + x, 1), round(b + y, 1)) for a, b in self.baseline[::-1])
        return replace(self, baseline=moved)

    def scaled(self, across: float, down: float) -> TextLine:
        """The same line on a page that is so many times as wide and as high."""
        return replace(
            self,
            baseline=_scaled(self.baseline, across, down),
            polygon=_scaled(self.polygon, across, down),
        )


@dataclass(frozen=True)
class PageText:
    """The lines of a page in the order in which they are read.

    `path` is the file that tells of them, `width` and `height` are the page's in pixels, or 0 where
    the file does not say, which stands for the image's. `image` is the name of the image as a
    layout file has it: anything, and no path to be opened.
    """

    path: Path
    width: int
    height: int
    lines: tuple[TextLine, ...]
    image: str = ""

    def fitted(self, width: int, height: int) -> PageText:
        """The same lines on a smaller or larger image of the page."""
        across, down = width / (self.width or width), height / (self.height or height)
        lines = tuple(line.scaled(across, down) for line in self.lines)
        return replace(self, width=width, height=height, lines=lines)


def _scaled(points: Iterable[tuple[float, float]], across: float, down: float) -> Points:
    return tuple((x * across, y * down) for x, y in points)
