"""The process that draws PDF pages: a crash or an endless page in PDFium ends it, and no run.

Requests come over stdin and answers go over stdout, each a line of JSON; where an answer names a
number of `bytes`, so many follow it. The process ends with its stdin, so none outlives its parent.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import queue
import sys
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pypdfium2
import pypdfium2.raw as pdfium
from PIL import Image

from pagesort.common.errors import PageUnreadableError
from pagesort.pages.pdf_stamp import COMPRESSION, read_stamp, stamp_note
from pagesort.pages.places import FileFacts, digest_of, facts_of, open_page_file

POINTS_PER_INCH = 72
PAGES_TO_REOPEN = 16  # an open document keeps the data of all pages it has shown in memory
EVERYTHING = 1e6  # points; no page is larger, so that a crop box of this size crops nothing
BAND_ROWS = 1024
SHRINKING = 1e-6
PLAIN_FILTERS = {"FlateDecode", "LZWDecode", "RunLengthDecode", "ASCII85Decode", "ASCIIHexDecode"}
# What a page may be damaged by, in PDFium, in Pillow and here.
FAULTS = (RuntimeError, ValueError, OSError, ArithmeticError, LookupError, SyntaxError, TypeError)
OPENING_FAULTS = {
    pdfium.FPDF_ERR_PASSWORD: "it is encrypted and needs a password",
    pdfium.FPDF_ERR_SECURITY: "it is encrypted in a way that cannot be read",
}
HEAD_BYTES = 1024  # in which a PDF says that it is one


class Refused(Exception):  # noqa: N818 - an answer, not a fault of the program
    """What was asked for cannot be done, and why, in words for a person."""


class Documents:
    """Opens PDFs and keeps the last one open, as its pages are asked for one after the other."""

    def __init__(self) -> None:
        self._key: tuple[str, FileFacts | None] | None = None
        self._document: pypdfium2.PdfDocument | None = None
        self._file: IO[bytes] | None = None
        self._pages_served = 0

    def open(self, path: str) -> pypdfium2.PdfDocument:
        """Return the document of a file; raises Refused, or OSError if it is gone."""
        key = (path, facts_of(path))
        if key == self._key and self._document is not None:
            return self._document
        self.close()
        # Opened here, as PDFium cannot open a name that is not UTF-8, nor what lies in an archive;
        # kept for the next page.
        try:
            file = open_page_file(path)
        except PageUnreadableError as error:
            raise Refused(error.what) from error
        try:
            document = pypdfium2.PdfDocument(file)
        except pypdfium2.PdfiumError as error:
            reason = _opening_fault(file)
            file.close()
            raise Refused(reason) from error
        self._key, self._document, self._file = key, document, file
        document.init_forms()
        return document

    def close(self) -> None:
        """Let the document go."""
        if self._document is not None:
            self._document.close()
        if self._file is not None:
            self._file.close()
        self._key = self._document = self._file = None
        self._pages_served = 0

    def page(self, path: str, number: int, cropbox: bool) -> pypdfium2.PdfPage:
        """Return page `number` (from 1), of the size of its media box, or its crop box.

        Pages returned before are closed now and then.
        """
        if self._pages_served >= PAGES_TO_REOPEN:
            self.close()
        self._pages_served += 1
        try:
            page = self.open(path)[number - 1]
        except pypdfium2.PdfiumError as error:
            raise Refused("the page is damaged") from error
        # Of a box beside the page nothing is left, and viewers show the whole page.
        if not cropbox or not all(page.get_size()):
            page.set_cropbox(-EVERYTHING, -EVERYTHING, EVERYTHING, EVERYTHING)
        return page


def _opening_fault(file: IO[bytes]) -> str:
    """Say why PDFium cannot open a file."""
    file.seek(0)
    if b"%PDF-" not in file.read(HEAD_BYTES):
        return "it is not a PDF"
    # PDFium leaves the fault of an earlier file standing where it has none for this one, as for a
    # document without pages; so it gets one that is known.
    for content in (io.BytesIO(b"no PDF"), file):
        with contextlib.suppress(pypdfium2.PdfiumError):
            pypdfium2.PdfDocument(content).close()
    return OPENING_FAULTS.get(pdfium.FPDF_GetLastError(), "it is damaged, or has no pages")


def draw(
    page: pypdfium2.PdfPage, canvas: tuple[int, int], scale: tuple[float, float]
) -> Image.Image:
    """Draw a page from the top left on white of `canvas` (width, height) pixels: mode L or RGB.

    `scale` is pixels a point, across and down. A page without colours comes out as mode L.
    """
    width, height = canvas
    bitmap = pypdfium2.PdfBitmap.new_native(width, height, pdfium.FPDFBitmap_BGR, True)
    bitmap.fill_rect((255, 255, 255, 255), 0, 0, width, height)
    flags = pdfium.FPDF_ANNOT | pdfium.FPDF_REVERSE_BYTE_ORDER
    # A thousandth of a pixel smaller, so that a scan of just this size is not stretched over one
    # pixel more than it has, but is copied.
    across, down = (each * (1.0 - SHRINKING) for each in scale)
    margins = width * SHRINKING / 2, height * SHRINKING / 2
    matrix = pdfium.FS_MATRIX(across, 0.0, 0.0, down, *margins)
    area = pdfium.FS_RECTF(0.0, 0.0, width, height)
    pdfium.FPDF_RenderPageBitmapWithMatrix(bitmap, page, matrix, area, flags)
    if page.formenv is not None:
        drawn = [round(each * side) for each, side in zip(scale, page.get_size(), strict=True)]
        pdfium.FPDF_FFLDraw(page.formenv, bitmap, page, 0, 0, *drawn, 0, flags)
    pixels = bitmap.to_numpy()
    if _is_blank(pixels) and _has_lost_picture(page):
        raise Refused("the picture on the page is damaged")
    grey = all(
        (band[..., 0] == band[..., 1]).all() and (band[..., 1] == band[..., 2]).all()
        for band in _bands(pixels)
    )
    return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if grey else pixels))


def _bands(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """Some rows at a time: a page of one colour is told early, and no large copies are made."""
    for top in range(0, len(pixels), BAND_ROWS):
        yield pixels[top : top + BAND_ROWS]


def _is_blank(pixels: np.ndarray) -> bool:
    return all((band == pixels[0, 0]).all() for band in _bands(pixels))


def _has_lost_picture(page: pypdfium2.PdfPage) -> bool:
    """Whether a picture on the page cannot be decoded, which PDFium passes over in silence."""
    return any(
        _is_lost(picture, page) for picture in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE])
    )


def _is_lost(picture: pypdfium2.PdfObject, page: pypdfium2.PdfPage) -> bool:
    bitmap = pdfium.FPDFImageObj_GetBitmap(picture)
    if not bitmap:
        return True
    pdfium.FPDFBitmap_Destroy(bitmap)
    facts = pdfium.FPDF_IMAGEOBJ_METADATA()
    pdfium.FPDFImageObj_GetImageMetadata(picture, page, facts)
    if not set(picture.get_filters()) <= PLAIN_FILTERS:
        return False
    # PDFium takes rubbish for pixels, of which there are then too few.
    expected = facts.width * facts.bits_per_pixel // 8 * facts.height
    return pdfium.FPDFImageObj_GetImageDataDecoded(picture, None, 0) < expected // 2


def size_in_pixels(points: float, dpi: float) -> float:
    """Return one side of a page in pixels, to the last bit as pdftoppm computes it.

    PDFium keeps sizes in 32 bits. Taken back to the decimals that the file holds and summed digit
    by digit, as that program reads numbers, all of 150 sizes of whole pixels came out alike; with
    plain rounding, 18 of them differed by a pixel.
    """
    whole, _, decimals = f"{points:.4f}".rstrip("0").rstrip(".").partition(".")
    value, place = float(whole), 0.1
    for digit in decimals:
        value += place * int(digit)
        place *= 0.1
    return value * dpi / POINTS_PER_INCH


class Worker:
    """Answers requests, each a method named by its `do`; arguments are the request's others."""

    def __init__(self) -> None:
        self.documents = Documents()

    def survey(self, path: str, digest: bool) -> dict[str, Any]:
        """Count a document's pages; with `digest`, hash the file too."""
        pages = len(self.documents.open(path))
        if pages < 1:
            raise Refused("it has no pages")
        return {"pages": pages, "digest": _digest(path) if digest else ""}

    def render(self, path: str, page: int, width: int, height: int) -> Image.Image:
        """Draw what a reader sees of a page, at least `width` x `height` pixels, its shape kept.

        A side that would come out longer than eight times what is wanted is squeezed to that.
        """
        sheet = self.documents.page(path, page, cropbox=True)
        across, down = sheet.get_size()
        scale = max(width / across, height / down)
        canvas = min(round(across * scale), 8 * width), min(round(down * scale), 8 * height)
        return draw(sheet, canvas, (canvas[0] / across, canvas[1] / down))

    def save(
        self,
        path: str,
        page: int,
        target: str,
        temporary: str,
        *,
        dpi: float,
        cropbox: bool,
        stamp: dict[str, Any],
        most_pixels: int,
        longest_side: int,
        big_pixels: int,
        verify: bool,
    ) -> dict[str, Any]:
        """Write a page as PNG, unless it is there already.

        The answer's `state` is `written`, `there` (by an earlier run), `foreign` (a picture of the
        same size that is not known to be of this page), or `big`: nothing was done, as the page has
        more than `big_pixels`. With `verify`, the file is read back and compared.
        """
        sheet = self.documents.page(path, page, cropbox)
        exact = [size_in_pixels(side, dpi) for side in sheet.get_size()]
        canvas = max(1, math.ceil(exact[0])), max(1, math.ceil(exact[1]))
        _check_size(canvas, most_pixels, longest_side)
        if Path(target).exists():
            return {"state": _state_of_present(Path(target), canvas, stamp, verify)}
        if canvas[0] * canvas[1] > big_pixels:
            return {"state": "big"}
        scale = dpi / POINTS_PER_INCH
        image = draw(sheet, canvas, (scale, scale))
        sheet.close()
        marked = stamp | {"pixels": _checksum(image)}
        _write_png(image, Path(temporary), dpi, marked)
        if verify and not _is_sound(Path(temporary), marked):
            raise Refused("what was written reads back differently; is the disk failing?")
        Path(temporary).replace(target)
        return {"state": "written"}


def _check_size(canvas: tuple[int, int], most_pixels: int, longest_side: int) -> None:
    width, height = canvas
    limit = ""
    if max(canvas) > longest_side:
        limit = f"a side above the limit of {longest_side} pixels (--max_side)"
    elif width * height > most_pixels:
        limit = f"above the limit of {most_pixels / 1e6:g} megapixels (--max_megapixels)"
    if limit:
        raise Refused(f"the page is too large: {width} x {height} pixels, {limit}, or lower --dpi")


def _write_png(image: Image.Image, path: Path, dpi: float, stamp: dict[str, Any]) -> None:
    with path.open("xb") as file:
        image.save(
            file, "PNG", dpi=(dpi, dpi), pnginfo=stamp_note(stamp), compress_level=COMPRESSION
        )
        file.flush()
        os.fsync(file.fileno())


def _state_of_present(
    target: Path, size: tuple[int, int], stamp: dict[str, Any], verify: bool
) -> str:
    """Tell what a file under a page's final name is; raises Refused if it is in the way."""
    try:
        with Image.open(target, formats=["PNG"]) as image:
            found_size, found = image.size, read_stamp(image)
    except FAULTS as error:
        raise Refused(f"{target.name} is there already and is no picture of this page") from error
    if found is None and found_size == size:
        return "foreign"
    if found is None or any(found.get(key) != value for key, value in stamp.items()):
        raise Refused(
            f"{target.name} is there already and shows another page, or this one at another size"
        )
    if verify and not _is_sound(target, found):
        raise Refused(f"{target.name} is there already and is damaged")
    return "there"


def _is_sound(path: Path, stamp: dict[str, Any]) -> bool:
    """Whether a written page decodes to the pixels that its stamp promises."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            return _checksum(image) == stamp.get("pixels")
    except FAULTS:
        return False


def _checksum(image: Image.Image) -> int:
    """CRC-32 of mode, size and pixels."""
    value = zlib.crc32(f"{image.mode} {image.size}".encode())
    for top in range(0, image.height, BAND_ROWS):
        box = (0, top, image.width, min(top + BAND_ROWS, image.height))
        value = zlib.crc32(image.crop(box).tobytes(), value)
    return value


def _digest(path: str) -> str:
    return digest_of(path).hex()[:32]


def answer(worker: Worker, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Carry out one request: the answer, and the bytes that follow it."""
    name = request.pop("do")
    try:
        result = getattr(worker, name)(**request)
    except Refused as refusal:
        return {"refused": str(refusal)}, b""
    except MemoryError:
        return {"refused": "there is not enough memory to draw it"}, b""
    except OSError as error:
        place = error.filename if isinstance(error.filename, str) else ""
        return {"errno": error.errno, "strerror": error.strerror, "filename": place}, b""
    except FAULTS:
        return {"refused": "the page is damaged"}, b""
    if isinstance(result, Image.Image):
        data = result.tobytes()
        return {"mode": result.mode, "size": result.size, "bytes": len(data)}, data
    return result, b""


def main() -> None:
    """Answer requests until stdin ends."""
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    incoming, outgoing = sys.stdin.buffer, sys.stdout.buffer
    # Nothing that a library prints may get between the answers.
    sys.stdout = sys.stderr
    Image.MAX_IMAGE_PIXELS = None

    def listen() -> None:
        for line in incoming:
            requests.put(line)
        os._exit(0)  # the parent is gone, so that nobody waits for the page being drawn

    threading.Thread(target=listen, daemon=True).start()
    worker = Worker()
    while True:
        result, data = answer(worker, json.loads(requests.get()))
        outgoing.write(json.dumps(result).encode() + b"\n" + data)
        outgoing.flush()
