"""Decoding a page no larger than it is needed, and what that takes."""

from __future__ import annotations

import math
from typing import IO

from PIL import Image

from pagesort.pages.preprocessing import Preprocessing
from pagesort.pages.raster import Box

CAN_DECODE_SMALLER = ("JPEG", "MPO", "JPEG2000")
DRAFT_MEGAPIXELS = 100.0  # above this, a JPEG is decoded at half size, which saves three quarters
JPEG2000_HEAD = 1 << 16  # bytes in which the settings of a JPEG 2000 page are looked for
BYTES_A_PIXEL = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}  # in Pillow; others 4
ROWS_TAG = 278


def decode_smaller(
    image: Image.Image, file: IO[bytes], preprocessing: Preprocessing | None, sideways: bool
) -> Box | None:
    """Let the decoder shrink a page as far as the model's input allows.

    Args:
        image: opened from `file`, but not yet decoded.
        preprocessing: None where the whole page is wanted.
        sideways: whether the upright page is as wide as the stored one is high.

    Returns:
        What `Scan.covers` says.
    """
    if image.format not in CAN_DECODE_SMALLER:
        return None
    width, height = image.size
    upright = (height, width) if sideways else (width, height)
    least = None if preprocessing is None else preprocessing.least_size(*upright)
    if least is not None and sideways:
        least = least[1], least[0]
    if image.format == "JPEG2000":
        return None if least is None else _halve(image, file, least)
    if least is not None:
        drafted = image.draft(None, least)
        return None if drafted is None else drafted[1]
    if width * height > DRAFT_MEGAPIXELS * 1e6:
        image.draft(None, (width // 2, height // 2))
    return None


def _halve(image: Image.Image, file: IO[bytes], least: tuple[int, int]) -> Box | None:
    """Let a JPEG 2000 page be decoded at half its size as often as it stays large enough."""
    width, height = image.size
    chosen = 0
    for halvings in range(1, _halvings(file) + 1):
        power = 1 << halvings
        if width < least[0] * power or height < least[1] * power:
            break
        # Pillow rounds the halves of a side where the format rounds up, and then refuses the page.
        if all((side + power // 2) // power == -(-side // power) for side in image.size):
            chosen = halvings
    if not chosen:
        return None
    # The reader of JPEG 2000 takes a number here, in place of the method of other images.
    image.reduce = chosen  # type: ignore[method-assign, assignment]
    power = 1 << chosen
    # What is left are the first pixels of blocks, which lie left of the middle and above it.
    shift = (power - 1) / (2 * power)
    return (
        shift,
        shift,
        min(width / power + shift, -(-width // power)),
        min(height / power + shift, -(-height // power)),
    )


def _halvings(file: IO[bytes]) -> int:
    """How often a JPEG 2000 page can be decoded at half size; 0 where its header is elsewhere."""
    place = file.tell()
    file.seek(0)
    head = file.read(JPEG2000_HEAD)
    file.seek(place)
    marker = head.find(b"\xff\x4f\xff\x51") + 2
    while 2 <= marker < len(head) - 9:
        if head[marker : marker + 2] == b"\xff\x52":
            return head[marker + 9]
        marker += 2 + int.from_bytes(head[marker + 2 : marker + 4], "big")
    return 0


def bytes_needed(image: Image.Image, whole_size: tuple[int, int]) -> int:
    """Estimate what decoding takes: the pixels, and what the format's decoder needs beside them.

    Args:
        image: opened, but not yet decoded.
        whole_size: width and height in the file.
    """
    from PIL.TiffImagePlugin import TiffImageFile

    pixels, whole = math.prod(image.size), math.prod(whole_size)
    bands = len(image.getbands())
    if image.format == "JPEG2000":
        # A number of 32 bits for each value, and once more while a tile is put together.
        return (pixels >> 2 * getattr(image, "_reduce", 0)) * (4 + 8 * bands)
    needed = pixels * BYTES_A_PIXEL.get(image.mode, 4)
    if image.format in ("WEBP", "AVIF"):  # the decoder's own page, and its copy for Pillow
        needed += 8 * pixels
    elif image.info.get("progressive"):  # all coefficients are kept until the last pass
        needed += 2 * bands * whole
    elif isinstance(image, TiffImageFile):
        rows = min(image.height, int(image.tag_v2.get(ROWS_TAG, image.height)))
        needed += rows * image.width * BYTES_A_PIXEL.get(image.mode, 4)
    return needed
