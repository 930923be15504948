"""One image file: its kind, size, pages and turn, and its pixels as far as they are wanted."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import logging
import math
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from PIL import Image, ImageFile, PngImagePlugin, UnidentifiedImageError

from pagesort.common.errors import PageUnreadableError
from pagesort.pages import file_kinds
from pagesort.pages.places import open_page_file
from pagesort.pages.preprocessing import Preprocessing
from pagesort.pages.raster import SIDEWAYS, Box, Scan

if TYPE_CHECKING:
    from PIL.TiffImagePlugin import TiffImageFile

logger = logging.getLogger(__name__)

# Our limit, which people can set, is checked before decoding; Pillow's would stop pages below it.
Image.MAX_IMAGE_PIXELS = None
# Pillow warns of odd metadata; what matters to a person becomes a page's reason instead.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)
# Long notes in a page are no attack as long as all of them together fit Pillow's other limit.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY


def _silence_libtiff() -> None:
    """Keep the C library's own messages off the screen; what they mean reaches us as an error.

    Pillow has no setting for it. Where libtiff is built into Pillow with its names hidden, as on
    Windows, it goes on speaking.
    """
    library = ctypes.CDLL(Image.core.__file__)
    for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
        set_handler = getattr(library, name, None)
        if set_handler is not None:
            set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            set_handler(None)


_silence_libtiff()

# Pillow holds a page in blocks. Of its usual 16 MiB the C library keeps those that are given back,
# for each thread; blocks above 32 MiB always return to the system.
Image.core.set_block_size(64 << 20)

DEFAULT_MAX_MEGAPIXELS = 300.0

# Kinds of file that hold scans. Pillow knows more, one of which runs Ghostscript on what it finds.
FORMATS = (
    *("PNG", "JPEG", "TIFF", "MPO", "JPEG2000", "BMP", "DIB"),
    *("GIF", "WEBP", "AVIF", "PPM", "TGA", "PCX", "SGI"),
)

# What Pillow's readers raise on damaged data, besides OSError.
DAMAGE = (
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    EOFError,
    RuntimeError,
    AssertionError,
    struct.error,
    zlib.error,
)

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ORIENTATION_TAG = 0x0112
SUBFILE_TAG = 254
PREVIEW_BIT = 1

CAN_DECODE_SMALLER = ("JPEG", "MPO", "JPEG2000")
DRAFT_MEGAPIXELS = 100.0  # above this, a JPEG is decoded at half size, which saves three quarters
JPEG2000_HEAD = 1 << 16  # bytes in which the settings of a JPEG 2000 page are looked for
BYTES_A_PIXEL = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}  # in Pillow; others 4
ROWS_TAG = 278

# What decoding a page may take at once, given the bytes in which its pixels are to be held.
Hold = Callable[[int], AbstractContextManager[None]]


def check_page(path: str | Path, max_megapixels: float = DEFAULT_MAX_MEGAPIXELS) -> None:
    """Refuse, from its first bytes, a file that is no page; raises as `opened_scan` does."""
    with _translated(path), open_page_file(path) as file, _identify(file, path) as image:
        _check_size(image, path, max_megapixels)


@contextlib.contextmanager
def _translated(path: str | Path) -> Iterator[None]:
    """Turn what Pillow and the system raise into a reason for a person."""
    try:
        yield
    except PageUnreadableError as error:
        raise PageUnreadableError(error.what, where=path) from error
    except MemoryError as error:
        raise PageUnreadableError("there is not enough memory to open it", where=path) from error
    except OSError as error:
        raise PageUnreadableError(_reason(error), where=path) from error
    except DAMAGE as error:
        logger.debug("%s: %r", path, error)
        raise PageUnreadableError("the image data is damaged", where=path) from error


@contextlib.contextmanager
def opened_scan(
    path: str | Path,
    max_megapixels: float,
    hold: Hold,
    preprocessing: Preprocessing | None = None,
    page: int | None = None,
) -> Iterator[Scan]:
    """Decode a page, smaller where `preprocessing` has no use for all of it.

    Args:
        path: any file; its content decides what it is, not its name.
        max_megapixels: larger pages are refused from their header, before anything is decoded.
        hold: entered with the bytes that a page takes, before it is decoded; it may wait, or raise
            PageUnreadableError.
        preprocessing: None where the whole page is wanted.
        page: which page of a TIFF, from 1, as `count_tiff_pages` counts them.

    Raises:
        PageUnreadableError: with a short reason as `what`, and the path as `where`.
    """
    with _translated(path), open_page_file(path) as file, _identify(file, path) as image:
        if page is not None:
            _turn_to(image, page)
        _check_size(image, path, max_megapixels)
        whole_size = image.size
        # Not asked of other formats: a PNG may have such metadata at its end, after the pixels.
        sideways = image.format in CAN_DECODE_SMALLER and _turn(image) in SIDEWAYS
        covers = _decode_smaller(image, file, preprocessing, sideways)
        is_cut = image.mode == "RGB" and any("16" in str(tile.args) for tile in image.tile)
        with hold(_bytes_needed(image, whole_size)):
            image.load()
            turn = _turn(image)
            if image.format == "TIFF" and page is None:
                _log_of_more_pages(path)
            yield Scan(image, turn, covers, is_cut, whole_size)


def _decode_smaller(
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


def _bytes_needed(image: Image.Image, whole_size: tuple[int, int]) -> int:
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


def _reason(error: OSError) -> str:
    """Tell a person what an OSError of the system or of Pillow means for this file."""
    if isinstance(error, FileNotFoundError):
        return "the file is no longer there"
    if isinstance(error, PermissionError):
        return "there is no permission to read the file"
    if error.errno is not None and error.strerror:
        return f"the file cannot be read ({error.strerror.lower()})"
    if "truncated" in str(error).lower():
        return "the file is cut short"
    return "the image data is damaged"


@lru_cache(maxsize=1)
def formats() -> list[str]:
    """The wanted formats that this Pillow was built with."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _identify(file: IO[bytes], path: str | Path) -> ImageFile.ImageFile:
    try:
        return Image.open(file, formats=formats())
    except UnidentifiedImageError as error:
        file.seek(0)
        kind = file_kinds.describe(file)
        reason = f"it is {kind}, not an image" if kind else "it is not an image of a known kind"
        if kind is not None and kind.endswith("image"):
            reason = f"it is {kind}, a kind that cannot be read"
        raise PageUnreadableError(reason, where=path) from error


def _check_size(image: Image.Image, path: str | Path, max_megapixels: float) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise PageUnreadableError("the image has no pixels", where=path)
    megapixels = width * height / 1e6
    if megapixels > max_megapixels:
        raise PageUnreadableError(
            f"it has {width} x {height} pixels, {megapixels:.4g} megapixels, "
            f"above the limit of {max_megapixels:g} (--max_megapixels)",
            where=path,
        )


def _frames(image: Image.Image) -> Iterator[int]:
    """Turn a TIFF to one page after the other; previews, which scanners may add, are no pages.

    Raises:
        OSError, or one of DAMAGE: what follows the last page is damaged.
    """
    for place in itertools.count():
        try:
            image.seek(place)
        except EOFError:
            return
        if not cast("TiffImageFile", image).tag_v2.get(SUBFILE_TAG, 0) & PREVIEW_BIT:
            yield place


def _turn_to(image: Image.Image, page: int) -> None:
    """Turn a TIFF to one of its pages, from 1."""
    if image.format != "TIFF":
        raise PageUnreadableError("it is no longer a document of several pages")
    for number, _ in enumerate(_frames(image), 1):
        if number == page:
            return
    raise PageUnreadableError("the document no longer has this page")


def count_tiff_pages(path: str | Path) -> int:
    """Return how many pages a TIFF has; 0 for any other file, and for one that cannot be opened.

    Damage after two pages or more counts as one more, whose loading tells of it. After a single
    page it is passed over: some scanners let rubbish follow.
    """
    pages = 0
    try:
        # Opened afresh, so that an image in use is not turned to another page.
        with open_page_file(path) as file, Image.open(file, formats=["TIFF"]) as image:
            for _ in _frames(image):
                pages += 1
    except PageUnreadableError:
        return 0
    except (OSError, *DAMAGE):
        return pages + 1 if pages > 1 else pages
    return pages


def _log_of_more_pages(path: str | Path) -> None:
    """Warn of a TIFF of several pages where only its first is wanted."""
    pages = count_tiff_pages(path)
    if pages > 1:
        _warn_of_more_pages(str(path), pages)


@lru_cache(maxsize=4096)  # so that a file that is read again is told of once
def _warn_of_more_pages(path: str, pages: int) -> None:
    logger.warning("only the first of %d pages is looked at: %s", pages, path)


def _turn(image: Image.Image) -> Image.Transpose | None:
    """How to turn a page upright, by its EXIF orientation; unreadable metadata turns nothing."""
    try:
        orientation = image.getexif().get(ORIENTATION_TAG)
    except (OSError, *DAMAGE) as error:
        logger.debug("orientation unreadable: %r", error)
        return None
    return TURNS.get(orientation) if isinstance(orientation, int) else None
