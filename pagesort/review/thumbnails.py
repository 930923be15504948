"""Small pictures of pages as files, made once and found again as long as their pages stay."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from pagesort.common.errors import PageUnreadableError
from pagesort.pages.documents import part_of
from pagesort.pages.image_file import formats, opened_scan
from pagesort.pages.memory_budget import MemoryBudget
from pagesort.pages.pdf_renderers import PdfRenderers, is_pdf
from pagesort.pages.places import facts_of, is_on_disk
from pagesort.pages.preprocessing import REDUCING_GAP, Preprocessing

THUMBNAILS, PREVIEWS = "thumbnails", "previews"
SUFFIX = ".webp"
UNFINISHED = ".part"
THUMBNAIL_SIDE, PREVIEW_SIDE = 360, 1200
"""Pixels of the longer side: of a picture in the sheet, and of one that stands for its page."""
QUALITY = 60
BROWSER_FORMATS = ("PNG", "JPEG", "MPO", "GIF", "WEBP", "BMP", "AVIF")
BROWSER_PIXELS = 50_000_000
"""Larger pages would take a browser 200 MB and more to show."""
BROWSER_BYTES = 25_000_000
NAME_DIGITS = 20
FOLDER_DIGITS = 3
"""Of a picture's name, 4096 folders: a million pages are 250 in each."""


@dataclass(frozen=True)
class Picture:
    """What shows a page: addresses relative to the sheet, encoded for a browser.

    `large` is the page's own file where browsers can show it. `problem` says why there is no
    picture; then both are empty.
    """

    small: str = ""
    large: str = ""
    problem: str = ""


class PictureMaker:
    """Makes the pictures of one sheet; safe to share by threads. Use as a context manager.

    Args:
        sheet: the folder of the sheet.
        max_megapixels: larger pages get no picture.
    """

    def __init__(self, sheet: Path, max_megapixels: float) -> None:
        self.sheet = sheet
        self._resolved = sheet.resolve()  # once, as each step of a path asks the system
        self._max_megapixels = max_megapixels
        self._renderers = PdfRenderers()
        self._budget = MemoryBudget()
        self._made: set[Path] = set()
        self._others = [other for other in sheet.parent.glob("*") if other != sheet]
        # A few hundred bytes of a decoder's settings, the same for all pages.
        self._sizes = {
            side: Preprocessing(shortest_edge=side, reducing_gap=REDUCING_GAP)
            for side in (THUMBNAIL_SIDE, PREVIEW_SIDE)
        }

    def __enter__(self) -> PictureMaker:
        """Remove what a killed run has left half-written."""
        formats()  # loads Pillow's readers before threads need them
        for kind in (THUMBNAILS, PREVIEWS):
            for left in (self.sheet / kind).glob(f"*/*{UNFINISHED}"):
                left.unlink(missing_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        """End all processes that draw."""
        self.close()

    def close(self) -> None:
        """Let every page that is being read fail soon."""
        self._budget.stop()
        self._renderers.close()

    def picture(self, name: str, source: Path, page: int) -> Picture:
        """Find or make the picture of a page.

        Args:
            name: what stands for the page wherever its folder lies, such as its path in there.
            source: its file.
            page: its number, which tells the pages of a document apart.

        Raises:
            OSError: the picture cannot be written.
        """
        try:
            status = source.stat()
        except OSError as error:
            return Picture(problem=f"the file cannot be read ({(error.strerror or '').lower()})")
        facts = f"{name}\0{page}\0{status.st_size}\0{status.st_mtime_ns}"
        digest = hashlib.sha256(facts.encode("utf-8", "surrogatepass")).hexdigest()[:NAME_DIGITS]
        small, preview = (
            self.sheet / kind / digest[:FOLDER_DIGITS] / (digest + SUFFIX)
            for kind in (THUMBNAILS, PREVIEWS)
        )
        self._is_there(preview)  # first, as it is also made first
        if not self._is_there(small):
            try:
                self._draw(source, page, small, preview)
            except PageUnreadableError as error:
                return Picture(problem=error.what)
            except MemoryError:
                return Picture(problem="there is not enough memory to show it")
        large = self._address(preview) if preview.exists() else address(source, self._resolved)
        return Picture(self._address(small), large)

    def _address(self, picture: Path) -> str:
        return picture.relative_to(self.sheet).as_posix()

    def _is_there(self, picture: Path) -> bool:
        """Whether a picture is there, or can be had from another sheet."""
        with contextlib.suppress(OSError):
            if picture.stat().st_size:  # after a power cut a file may be empty
                return True
        for other in self._others:
            known = other / picture.relative_to(self.sheet)
            if known.is_file():
                self._make_folder(picture)
                with _written(picture) as partial, contextlib.suppress(OSError):
                    shutil.copyfile(known, partial)
                return picture.exists()
        return False

    def _draw(self, source: Path, page: int, small: Path, preview: Path) -> None:
        part, is_shown = part_of(source, page), False
        if part is not None and is_pdf(source):
            image = self._renderers.render(source, part, PREVIEW_SIDE // 2, PREVIEW_SIDE // 2)
        else:
            image, is_shown = self._decoded(source, part)
        if not is_shown:
            image = _shrunk(image, PREVIEW_SIDE)
            self._save(image, preview)
        self._save(_shrunk(image, THUMBNAIL_SIDE), small)

    def _decoded(self, source: Path, part: int | None) -> tuple[Image.Image, bool]:
        """A page in 8 bits, perhaps smaller than it is, and whether browsers can show its file."""
        size = self._sizes[PREVIEW_SIDE if _is_large(source) else THUMBNAIL_SIDE]
        hold = self._budget.hold
        with opened_scan(source, self._max_megapixels, hold, size, part) as scan:
            is_shown = (
                part is None
                and is_on_disk(source)
                and scan.image.format in BROWSER_FORMATS
                and scan.image.width * scan.image.height <= BROWSER_PIXELS
                and not _is_large(source)
            )
            return scan.upright(), is_shown

    def _save(self, image: Image.Image, path: Path) -> None:
        self._make_folder(path)
        with _written(path) as partial:
            image.save(partial, "WEBP", quality=QUALITY)

    def _make_folder(self, picture: Path) -> None:
        if picture.parent not in self._made:
            picture.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(picture.parent)


@contextlib.contextmanager
def _written(path: Path) -> Iterator[Path]:
    """Give a name to write to; what is there at the end becomes `path`."""
    partial = path.with_name(f"{path.stem}-{threading.get_ident()}{UNFINISHED}")
    try:
        yield partial
        if partial.exists():
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _is_large(source: Path) -> bool:
    facts = facts_of(source)
    return facts is not None and facts.size > BROWSER_BYTES


def _shrunk(image: Image.Image, side: int) -> Image.Image:
    """A page of mode L or RGB whose sides are no longer than `side` pixels."""
    longest = max(image.size)
    if longest <= side:
        return image
    width, height = (max(1, round(length * side / longest)) for length in image.size)
    factor = max(1, min(image.width // (2 * width), image.height // (2 * height)))
    if factor > 1:
        # Unbound, as the pages of Pillow's JPEG 2000 reader have a number of that name.
        image = Image.Image.reduce(image, factor)
    return image.resize((width, height), Image.Resampling.BICUBIC)


def address(path: Path, sheet: Path) -> str:
    """Where a browser that shows a sheet finds a file: relative, unless it is on another disk.

    Args:
        sheet: the folder of the sheet, resolved.
    """
    absolute = os.path.abspath(path)  # noqa: PTH100 - links stay
    try:
        relative = os.path.relpath(absolute, sheet)
    except ValueError:  # another drive of Windows
        return Path(absolute).as_uri()
    return quote(os.fsencode(relative.replace(os.sep, "/")))
