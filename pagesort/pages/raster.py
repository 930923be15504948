"""A decoded page of any mode, handed out upright in 8 bits, a few rows at a time.

Converting or turning a whole page at once would hold it twice and take it through the processor's
caches twice; a band of some rows is converted, shrunk and forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
from PIL import Image

BAND_PIXELS = 1 << 19  # a band and what is made of it stay in the processor's caches
PHOTOMETRIC_TAG = 262
BITS_TAG = 258
LEVELS_OF_16_BITS = 1 << 16
WHITE_OF_12_BITS = 4095.0
"""Scanners of 12 bits write them as they are into pages of 16, which then look nearly black."""
KEEP_12_BITS = ("PNG", "TIFF")  # formats that do not tell so; in others the range is declared

Box = tuple[float, float, float, float]
Convert = Callable[[Image.Image], Image.Image]
_Extrema = tuple[tuple[int, int], ...]  # least and greatest value of each band


@dataclass(frozen=True)
class Scan:
    """A page as it is stored, and how to turn it upright.

    `covers` is the part of the stored image that the page fills: left, top, right, bottom, None
    for all of it. Decoded at half size, 301 rows become 151, of which the page fills 150.5.
    `is_cut` tells that Pillow has cut its colours from 16 bits to the upper 8. `whole_size` is the
    width and height of the file's image where it was decoded smaller, None where it was not.
    """

    image: Image.Image
    turn: Image.Transpose | None = None
    covers: Box | None = None
    is_cut: bool = False
    whole_size: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright page."""
        return self._upright(self.image.size)

    @property
    def page_size(self) -> tuple[int, int]:
        """Width and height of the upright page as its file holds it, however it was decoded."""
        return self._upright(self.whole_size or self.image.size)

    def _upright(self, size: tuple[int, int]) -> tuple[int, int]:
        width, height = size
        return (height, width) if self.turn in SIDEWAYS else (width, height)

    @property
    def box(self) -> Box:
        """What the page fills of the upright image: left, top, right, bottom."""
        width, height = self.size
        if self.covers is None:
            return 0, 0, width, height
        left, top, right, bottom = self.covers
        if self.turn in SIDEWAYS:
            left, top, right, bottom = top, left, bottom, right
        if self.turn in FROM_RIGHT:
            left, right = width - right, width - left
        if self.turn in FROM_BOTTOM:
            top, bottom = height - bottom, height - top
        return left, top, right, bottom

    @property
    def extent(self) -> tuple[float, float]:
        """Width and height of what the page fills."""
        left, top, right, bottom = self.box
        return right - left, bottom - top

    @property
    def mode(self) -> str:
        """L or RGB: what the bands are."""
        return self._conversion[0]

    @property
    def is_ready(self) -> bool:
        """Whether the stored page is the upright one in 8 bits."""
        return self.turn is None and self._conversion[1] is None

    @cached_property
    def _conversion(self) -> tuple[str, Convert | None]:
        if self.is_cut and max(high for _, high in cast("_Extrema", self.image.getextrema())) < 16:
            return "RGB", _from_upper_4_bits
        return _conversion(self.image)

    def bands(self, multiple: int = 1) -> Iterator[tuple[int, Image.Image]]:
        """Yield the upright page from top to bottom: the first row of each band, and the band.

        Args:
            multiple: every band but the last has a multiple of so many rows.
        """
        _, convert = self._conversion
        width, height = self.size
        rows = multiple * max(1, BAND_PIXELS // (width * multiple))
        for top in range(0, height, rows):
            band = self.image.crop(self._stored_box(top, min(top + rows, height)))
            if convert is not None:
                band = convert(band)
            yield top, band if self.turn is None else band.transpose(self.turn)

    def upright(self) -> Image.Image:
        """The whole page."""
        if self._conversion[1] is None:
            return self.image if self.turn is None else self.image.transpose(self.turn)
        page = Image.new(self.mode, self.size)
        for top, band in self.bands():
            page.paste(band, (0, top))
        return page

    def _stored_box(self, top: int, bottom: int) -> tuple[int, int, int, int]:
        """Where rows of the upright page lie in the stored one: left, top, right, bottom."""
        width, height = self.image.size
        if self.turn in FROM_BOTTOM:
            length = width if self.turn in SIDEWAYS else height
            top, bottom = length - bottom, length - top
        return (top, 0, bottom, height) if self.turn in SIDEWAYS else (0, top, width, bottom)


_TURN = Image.Transpose
SIDEWAYS = (_TURN.TRANSPOSE, _TURN.TRANSVERSE, _TURN.ROTATE_90, _TURN.ROTATE_270)
FROM_RIGHT = (_TURN.FLIP_LEFT_RIGHT, _TURN.ROTATE_180, _TURN.ROTATE_270, _TURN.TRANSVERSE)
FROM_BOTTOM = (_TURN.FLIP_TOP_BOTTOM, _TURN.ROTATE_180, _TURN.ROTATE_90, _TURN.TRANSVERSE)


def _conversion(image: Image.Image) -> tuple[str, Convert | None]:
    """The mode, L or RGB, of any page of Pillow, and what brings a part of it there, if needed."""
    mode = image.mode
    if mode.startswith("I") or mode == "F":
        return "L", _from_16_bits(image) if mode.startswith("I;16") else _from_32_bits(image)
    if mode in ("LA", "La", "RGBA", "RGBa", "PA") or (
        "transparency" in image.info and mode in ("1", "L", "P", "RGB")
    ):
        return _on_white("L" if mode in ("1", "L", "LA", "La") else "RGB")
    if mode in ("L", "RGB"):
        return mode, None
    if mode == "LAB":
        return "RGB", _from_lab()
    # Grey is shrunk in one channel: the three of its RGB form would come out alike.
    wanted = "L" if mode == "1" or (mode == "P" and _has_grey_palette(image)) else "RGB"
    return wanted, lambda part: part.convert(wanted)


def _has_grey_palette(image: Image.Image) -> bool:
    colours = image.getpalette("RGB") or []
    return colours[0::3] == colours[1::3] == colours[2::3]


def _on_white(mode: str) -> tuple[str, Convert]:
    """Lay a page with any kind of transparency on white paper."""

    def convert(part: Image.Image) -> Image.Image:
        part = part.convert(f"{mode}A")
        alpha = part.getchannel("A")
        opaque = part.convert(mode)
        if alpha.getextrema()[0] == 255:
            return opaque
        paper = Image.new(mode, part.size, "white")
        paper.paste(opaque, mask=alpha)
        return paper

    return mode, convert


def _from_lab() -> Convert:
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
    # What it answers is None only where it works in place.
    return lambda part: cast("Image.Image", ImageCms.applyTransform(part, transform))


def _from_16_bits(image: Image.Image) -> Convert:
    """Scale by the declared range, with a table of what becomes of every level."""
    bits = getattr(image, "tag_v2", {}).get(BITS_TAG, (16,))[0]
    white = 2.0**bits - 1.0 if bits != 16 else _white_of_16_bits(image)
    # 24 bits of a float32 hold 16-bit greys exactly.
    levels = np.arange(LEVELS_OF_16_BITS, dtype=np.float32)
    table = _scaled(levels, 0.0, white, image)

    def convert(part: Image.Image) -> Image.Image:
        return Image.fromarray(table[np.asarray(part)])

    return convert


def _white_of_16_bits(image: Image.Image) -> float:
    """What is white in a grey page of 16 bits: less where only 12 of them are used."""
    if image.format in KEEP_12_BITS and _extremes(image)[1] <= WHITE_OF_12_BITS:
        return WHITE_OF_12_BITS
    return LEVELS_OF_16_BITS - 1.0


def _from_upper_4_bits(part: Image.Image) -> Image.Image:
    """Colours of 12 bits of which only the upper four are left."""
    return part.point([min(255, 17 * level) for level in range(256)] * 3)


def _from_32_bits(image: Image.Image) -> Convert:
    """Scale integers or floats by the range that holds them; what is no number becomes white."""
    black, white = _range(image)

    def convert(part: Image.Image) -> Image.Image:
        return Image.fromarray(_scaled(_values(part), black, white, image))

    return convert


def _scaled(values: np.ndarray, black: float, white: float, image: Image.Image) -> np.ndarray:
    """Values to greys, uint8, as the page's tags say."""
    scaled = np.clip((values - black) * (255.0 / (white - black)) + 0.5, 0, 255)
    grey = np.where(np.isnan(scaled), 255, scaled).astype(np.uint8)
    # Pillow inverts such pages up to 8 bits only.
    if getattr(image, "tag_v2", {}).get(PHOTOMETRIC_TAG) == 0:
        grey = 255 - grey
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return grey


def _values(part: Image.Image) -> np.ndarray:
    return np.asarray(part).astype(np.float64)


def _range(image: Image.Image) -> tuple[float, float]:
    """The values that are black and white in a page of 32 bits: declared, or told from them."""
    if image.mode == "I" and image.format in ("PNG", "PPM"):  # 16-bit pages in older Pillows
        return 0.0, _white_of_16_bits(image)
    least, greatest = _extremes(image)
    if least >= 0.0:
        for white in (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0):
            if greatest <= white:
                return 0.0, white
    return (least, greatest) if least < greatest else (least - 1.0, greatest)


def _extremes(image: Image.Image) -> tuple[float, float]:
    """The least and the greatest number in a page of more than 8 bits; Pillow knows some only."""
    least, greatest = np.inf, -np.inf
    rows = max(1, BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        values = np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))
        finite = values[np.isfinite(values)]
        if finite.size:
            least, greatest = min(least, float(finite.min())), max(greatest, float(finite.max()))
    return least, greatest
