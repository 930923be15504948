"""The sheet a page is drawn on: a canvas in millimetres that notes what lies where."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

REGIONS: tuple[str, ...] = ("print", "type", "hand", "table", "drawing", "photo")
OVERSAMPLING = 2  # lines drawn without antialiasing get smooth when the canvas is halved
Colour = tuple[int, int, int]
BLACK: Colour = (18, 18, 20)
Box = tuple[float, float, float, float]


class Sheet:
    """White paper of `width` x `height` mm at `scale` canvas pixels per mm, in colour or grey.

    `marks` collects (region number, box in canvas pixels) of everything drawn; `toned` tells of
    drawings in tones, which a copy in black and white only would drown.
    """

    def __init__(
        self, rng: Generator, width: float, height: float, scale: float, colour: bool
    ) -> None:
        self.rng, self.width, self.height, self.scale = rng, width, height, scale
        size = (round(width * scale), round(height * scale))
        self.image = Image.new("RGB" if colour else "L", size, (255, 255, 255) if colour else 255)
        self.draw = ImageDraw.Draw(self.image)
        self.marks: list[tuple[int, Box]] = []
        self.toned = False

    def ink(self, colour: Colour) -> Colour | int:
        """The colour as this sheet's mode has it."""
        if self.image.mode == "RGB":
            return colour
        return (colour[0] * 299 + colour[1] * 587 + colour[2] * 114) // 1000

    def mark(self, region: str, x0: float, y0: float, x1: float, y1: float) -> None:
        """Note that the area (mm) holds something of `region`."""
        s = self.scale
        self.marks.append((REGIONS.index(region), (x0 * s, y0 * s, x1 * s, y1 * s)))

    def line(
        self, points: list[tuple[float, float]], width: float = 0.25, colour: Colour = BLACK
    ) -> None:
        """A polyline through points in mm, `width` mm thick."""
        s = self.scale
        flat = [c * s for point in points for c in point]
        self.draw.line(flat, fill=self.ink(colour), width=max(1, round(width * s)))

    def rule(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        width: float = 0.25,
        colour: Colour = BLACK,
        dashes: float = 0.0,
    ) -> None:
        """A straight rule, in dashes of `dashes` mm when that is not 0."""
        if not dashes:
            self.line([(x0, y0), (x1, y1)], width, colour)
            return
        length = max(abs(x1 - x0), abs(y1 - y0))
        count = max(1, int(length / dashes / 2))
        for i in range(count):
            a, b = i / count, (i + 0.5) / count
            self.line(
                [
                    (x0 + (x1 - x0) * a, y0 + (y1 - y0) * a),
                    (x0 + (x1 - x0) * b, y0 + (y1 - y0) * b),
                ],
                width,
                colour,
            )

    def frame(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        width: float = 0.25,
        colour: Colour = BLACK,
        fill: Colour | None = None,
    ) -> None:
        """A rectangle's outline, or its area when `fill` is given as well."""
        s = self.scale
        box = (x0 * s, y0 * s, max(x0, x1) * s, max(y0, y1) * s)
        self.draw.rectangle(
            box,
            outline=self.ink(colour) if width else None,
            width=max(1, round(width * s)),
            fill=None if fill is None else self.ink(fill),
        )

    def shape(
        self,
        points: np.ndarray,
        fill: Colour | None,
        outline: Colour | None = None,
        width: float = 0.25,
    ) -> None:
        """A polygon through `points` (n, 2) in mm."""
        flat = (points * self.scale).ravel().tolist()
        if fill is not None:
            self.draw.polygon(flat, fill=self.ink(fill))
        if outline is not None:
            self.draw.line(
                flat + flat[:2], fill=self.ink(outline), width=max(1, round(width * self.scale))
            )

    def stamp_mask(self, mask: Image.Image, x: float, y: float, colour: Colour) -> None:
        """Ink `colour` through an L mask (255: full ink) whose corner lies at (x, y) mm."""
        self.image.paste(self.ink(colour), (round(x * self.scale), round(y * self.scale)), mask)

    def lay(
        self, picture: Image.Image, x: float, y: float, mask: Image.Image | None = None
    ) -> None:
        """Paste a picture of canvas pixels at (x, y) mm."""
        self.image.paste(
            picture.convert(self.image.mode), (round(x * self.scale), round(y * self.scale)), mask
        )


def side_by_side(left: Sheet, right: Sheet) -> Sheet:
    """Two pages of one height and scale as an open book, dark where they meet."""
    both = Sheet(left.rng, left.width + right.width, left.height, left.scale,
                 left.image.mode == "RGB")  # fmt: skip
    both.image.paste(left.image, (0, 0))
    both.image.paste(right.image, (left.image.width, 0))
    shift = left.image.width
    both.marks = [*left.marks, *((region, (a + shift, b, c + shift, d))
                                 for region, (a, b, c, d) in right.marks)]  # fmt: skip
    deep = round(left.image.width * 0.12)
    fall = [int(150 * (1 - i / deep) ** 2) for i in range(deep)]
    shade = Image.new("L", (2 * deep, 1))
    shade.putdata([*fall[::-1], *fall])
    both.stamp_mask(shade.resize((2 * deep, both.image.height)), left.width - deep / left.scale, 0,
                    (60, 55, 50))  # fmt: skip
    return both


def smooth_noise(rng: Generator, size: tuple[int, int], cells: tuple[int, int]) -> Image.Image:
    """Soft clouds: an L image of `size` (width, height) blown up from `cells` random values."""
    seed = rng.integers(0, 256, (max(2, cells[1]), max(2, cells[0])), dtype=np.uint8)
    return Image.fromarray(seed).resize(size, Image.Resampling.BICUBIC)
