"""Page files to pixels: one loader for every kind of scan, and parallel batches."""

from __future__ import annotations

import contextlib
import itertools
import logging
import stat
import struct
import threading
import warnings
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from pagesort.errors import PageUnreadableError
from pagesort.pdf import PdfRenderers, is_pdf
from pagesort.preprocessing import Preprocessing

__all__ = ["Failure", "Page", "PageRef", "Preprocessing", "decode_batches", "load_page"]

logger = logging.getLogger(__name__)

# Our limit, which people can set, is checked before decoding; Pillow's would stop pages below it.
Image.MAX_IMAGE_PIXELS = None
# Pillow warns of odd metadata; what matters to a person becomes a page's reason instead.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)
# Long notes in a page are no attack as long as all of them together fit Pillow's other limit.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY

DEFAULT_MAX_MEGAPIXELS = 300.0
BIG_MEGAPIXELS = 50.0  # above this, pages are decoded one at a time
DRAFT_MEGAPIXELS = 100.0  # above this, a JPEG is decoded at half size, which saves three quarters
BAND_PIXELS = 1 << 22  # what takes several copies of a page is done in bands of its rows
PREFETCHED_BATCHES = 3

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
PHOTOMETRIC_TAG = 262
SUBFILE_TAG = 254
PREVIEW_BIT = 1
BITS_TAG = 258
WHOLE = 0  # the number of a page that stands for a document whose pages nobody could count


@dataclass(frozen=True)
class PageRef:
    """One page of a listing: its place (from 0), its file, and if that holds several, which one.

    `page` counts from 1; None is the whole file, and WHOLE a document that could not be opened.
    """

    index: int
    path: Path
    page: int | None = None


@dataclass(frozen=True)
class Page:
    """A page ready for the model: `pixels` is uint8 (H, W, 3)."""

    ref: PageRef
    pixels: np.ndarray


@dataclass(frozen=True)
class Failure:
    """A page that cannot be used, and why, in a few words."""

    ref: PageRef
    reason: str


def load_page(
    path: str | Path,
    max_megapixels: float = DEFAULT_MAX_MEGAPIXELS,
    before_big: Callable[[], object] | None = None,
    page: int | None = None,
) -> Image.Image:
    """Read one page file as an upright 8-bit image, mode L (grey pages stay grey) or RGB.

    Transparency is laid on white. Deep pages are scaled by their declared range (16 bits: 0..65535
    to 0..255), never clipped; 32-bit and float pages by the smallest of 1, 255, 65535 that holds
    them, else from their least to their greatest value. A JPEG above 100 megapixels is decoded at
    half size. Of several images in a file, the first; a TIFF's other pages are told of in the log.

    Args:
        path: any file; its content decides what it is, not its name.
        max_megapixels: larger pages are refused from their header, before anything is decoded.
        before_big: called before a page above 50 megapixels is decoded; it may wait, or raise
            PageUnreadableError.
        page: which page of a TIFF, from 1, as `count_tiff_pages` counts them.

    Raises:
        PageUnreadableError: with a short reason as `what`, and the path as `where`.
    """
    try:
        with _open_file(path) as file, _identify(file, path) as image:
            if page is not None:
                _turn_to(image, page)
            _check_size(image, path, max_megapixels)
            megapixels = image.width * image.height / 1e6
            if megapixels > BIG_MEGAPIXELS and before_big is not None:
                before_big()
            if megapixels > DRAFT_MEGAPIXELS:
                image.draft(None, (image.width // 2, image.height // 2))
            image.load()
            turn = _turn(image)
            upright = _to_grey_or_rgb(image)
            if image.format == "TIFF" and page is None:
                _tell_of_more_pages(path)
            return upright if turn is None else upright.transpose(turn)
    except MemoryError as error:
        raise PageUnreadableError("there is not enough memory to open it", where=path) from error
    except OSError as error:
        raise PageUnreadableError(_reason(error), where=path) from error
    except DAMAGE as error:
        logger.debug("%s: %r", path, error)
        raise PageUnreadableError("the image data is damaged", where=path) from error


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


def _open_file(path: str | Path) -> IO[bytes]:
    """Open a regular, non-empty file; a pipe is refused before it can block."""
    status = Path(path).stat()
    if stat.S_ISDIR(status.st_mode):
        raise PageUnreadableError("it is a folder, not a file", where=path)
    if not stat.S_ISREG(status.st_mode):
        raise PageUnreadableError("it is not an ordinary file", where=path)
    if status.st_size == 0:
        raise PageUnreadableError("the file is empty", where=path)
    return Path(path).open("rb")


@lru_cache(maxsize=1)
def _formats() -> list[str]:
    """The wanted formats that this Pillow was built with."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _identify(file: IO[bytes], path: str | Path) -> Image.Image:
    try:
        return Image.open(file, formats=_formats())
    except UnidentifiedImageError as error:
        file.seek(0)
        if file.read(5) == b"%PDF-":
            raise PageUnreadableError("it is a PDF, not an image", where=path) from error
        raise PageUnreadableError("it is not an image of a known kind", where=path) from error


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
        if not image.tag_v2.get(SUBFILE_TAG, 0) & PREVIEW_BIT:
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
        with _open_file(path) as file, Image.open(file, formats=["TIFF"]) as image:
            for _ in _frames(image):
                pages += 1
    except PageUnreadableError:
        return 0
    except (OSError, *DAMAGE):
        return pages + 1 if pages > 1 else pages
    return pages


def _tell_of_more_pages(path: str | Path) -> None:
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


def _to_grey_or_rgb(image: Image.Image) -> Image.Image:
    """Bring any mode of Pillow to L or RGB."""
    mode = image.mode
    if mode.startswith("I") or mode == "F":
        return _from_deep(image)
    if mode in ("LA", "La", "RGBA", "RGBa", "PA") or (
        "transparency" in image.info and mode in ("1", "L", "P", "RGB")
    ):
        return _on_white(image)
    if mode in ("L", "RGB"):
        return image
    if mode == "LAB":
        return _from_lab(image)
    return image.convert("L" if mode == "1" else "RGB")


def _on_white(image: Image.Image) -> Image.Image:
    """Lay a page with any kind of transparency on white paper."""
    grey = image.mode in ("1", "L", "LA", "La")
    page = Image.new("L" if grey else "RGB", image.size, "white")
    for box in _bands(image):
        band = image.crop(box).convert("LA" if grey else "RGBA")
        page.paste(band.convert(page.mode), box, mask=band.getchannel("A"))
    return page


def _from_lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.applyTransform(image, ImageCms.buildTransform(lab, srgb, "LAB", "RGB"))


def _from_deep(image: Image.Image) -> Image.Image:
    """Scale a page of 16 or 32 bits or of floats to mode L; what is not a number becomes white."""
    black, white = _range(image)
    tags = getattr(image, "tag_v2", {})
    white_is_zero = tags.get(PHOTOMETRIC_TAG) == 0  # Pillow inverts such pages up to 8 bits only
    transparent = image.info.get("transparency")
    grey = np.empty((image.height, image.width), dtype=np.uint8)
    for top, values in _deep_bands(image):
        scaled = np.clip((values - black) * (255.0 / (white - black)) + 0.5, 0, 255)
        band = np.where(np.isnan(scaled), 255, scaled).astype(np.uint8)
        if white_is_zero:
            band = 255 - band
        if isinstance(transparent, int):
            band[values == transparent] = 255
        grey[top : top + len(band)] = band
    return Image.fromarray(grey)


def _bands(image: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    """Boxes (left, top, right, bottom) of some rows each that cover the page from top to bottom."""
    rows = max(1, BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield 0, top, image.width, min(top + rows, image.height)


def _deep_bands(image: Image.Image) -> Iterator[tuple[int, np.ndarray]]:
    """The page's values as float32 or float64 (rows, W), some rows at a time, each with its top."""
    # 24 bits of a float32 hold 16-bit greys exactly.
    kind = np.float32 if image.mode.startswith("I;16") else np.float64
    for box in _bands(image):
        yield box[1], np.asarray(image.crop(box)).astype(kind)


def _range(image: Image.Image) -> tuple[float, float]:
    """The values that are black and white in a deep page: declared, or told from its values."""
    if image.mode.startswith("I;16"):
        bits = getattr(image, "tag_v2", {}).get(BITS_TAG, (16,))[0]
        return 0.0, 2.0**bits - 1.0
    if image.mode == "I" and image.format in ("PNG", "PPM"):  # 16-bit pages in older Pillows
        return 0.0, 65535.0
    least, greatest = np.inf, -np.inf
    for _, values in _deep_bands(image):
        finite = values[np.isfinite(values)]
        if finite.size:
            least, greatest = min(least, float(finite.min())), max(greatest, float(finite.max()))
    if least >= 0.0:
        for white in (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0):
            if greatest <= white:
                return 0.0, white
    return (least, greatest) if least < greatest else (least - 1.0, greatest)


def decode_batches(
    groups: Iterable[Sequence[PageRef]],
    preprocessing: Preprocessing,
    workers: int = 2,
    max_megapixels: float = DEFAULT_MAX_MEGAPIXELS,
) -> Iterator[list[Page | Failure]]:
    """Yield one list for each group, in order, its pages decoded by threads ahead of the consumer.

    Groups are taken in the consumer's thread, at most three ahead. Pages above 50 megapixels are
    decoded one at a time. When the consumer stops (`close()`, an exception, Ctrl-C), waiting pages
    are dropped, and only those that are being decoded are waited for.

    Args:
        groups: pages that go into one batch; may be endless.
        workers: threads; at least 1.
    """
    big_pages = _Turnstile()
    renderers = PdfRenderers()
    _formats()  # loads Pillow's readers before threads need them

    def decode(ref: PageRef) -> Page | Failure:
        return _decode(ref, preprocessing, max_megapixels, big_pages, renderers)

    pool = ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="pages")
    waiting: deque[list[Future[Page | Failure]]] = deque()
    try:
        for group in groups:
            waiting.append([pool.submit(decode, ref) for ref in group])
            if len(waiting) > PREFETCHED_BATCHES:
                yield [future.result() for future in waiting.popleft()]
        while waiting:
            yield [future.result() for future in waiting.popleft()]
    finally:
        big_pages.stop()
        renderers.close()
        pool.shutdown(wait=True, cancel_futures=True)


def _decode(
    ref: PageRef,
    preprocessing: Preprocessing,
    max_megapixels: float,
    big_pages: contextlib.AbstractContextManager,
    renderers: PdfRenderers,
) -> Page | Failure:
    """One page from file to pixels; whatever is wrong with the file becomes its Failure."""
    try:
        with contextlib.ExitStack() as held:  # until the big page has become small
            if ref.page is not None and is_pdf(ref.path):
                image = _draw_pdf_page(ref.path, ref.page, preprocessing, renderers)
            else:
                image = load_page(
                    ref.path, max_megapixels, lambda: held.enter_context(big_pages), ref.page
                )
            return Page(ref, preprocessing.apply(image))
    except PageUnreadableError as error:
        return Failure(ref, error.what)
    except MemoryError:
        return Failure(ref, "there is not enough memory to resize it")


def _draw_pdf_page(
    path: Path, page: int, preprocessing: Preprocessing, renderers: PdfRenderers
) -> Image.Image:
    if page == WHOLE:
        renderers.survey(path)
        # It could not be opened when the run began, which has no rows for its pages.
        raise PageUnreadableError("it can be opened now; start a new run to sort its pages")
    return renderers.render(path, page, *preprocessing.drawn_size)


class _Turnstile:
    """A lock for big pages whose waiters give up once the consumer has stopped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stopped = False

    def __enter__(self) -> None:
        self._lock.acquire()
        if self._stopped:
            self._lock.release()
            raise PageUnreadableError("the run was stopped")

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def stop(self) -> None:
        """Let every later entry fail at once."""
        self._stopped = True
