"""Files that hold several pages: PDFs and multi-page TIFFs, taken apart into numbered pages."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pagesort.common.errors import PageUnreadableError
from pagesort.pages import archives
from pagesort.pages.image_file import count_tiff_pages
from pagesort.pages.loader import WHOLE, PageRef, load_page
from pagesort.pages.pdf_renderers import PdfRenderers, is_pdf
from pagesort.pages.pdf_stamp import COMPRESSION
from pagesort.pages.places import facts_of
from utils import ARCHIVE_SUFFIXES, Formats

logger = logging.getLogger(__name__)

SORTED_DPI = 300.0
DOCUMENT_SUFFIXES = (".pdf", ".tif", ".tiff")
HOLDING_SUFFIXES = (*DOCUMENT_SUFFIXES, *ARCHIVE_SUFFIXES)
"""Of files that may hold several pages."""


def parts_of(path: Path, renderers: PdfRenderers) -> Sequence[int | None]:
    """Return the numbers of a file's pages, from 1; `(None,)` for a file that is one page.

    Every PDF is a document, of one page too; a TIFF is one if it has two pages or more. A PDF that
    cannot be opened gives `(WHOLE,)`, and loading that tells why.
    """
    if facts_of(path) is None:  # a pipe would be waited for; loading it tells what it is
        return (None,)
    if is_pdf(path):
        try:
            pages, _ = renderers.survey(path)
        except PageUnreadableError:
            return (WHOLE,)
        return range(1, pages + 1)
    pages = count_tiff_pages(path)
    return range(1, pages + 1) if pages > 1 else (None,)


def is_document(path: Path) -> bool:
    """Whether a file's pages are numbered, or it holds files of its own."""
    if archives.is_archive(path):
        return True
    return facts_of(path) is not None and (is_pdf(path) or count_tiff_pages(path) > 1)


def part_of(path: Path, page: int) -> int | None:
    """Return the number of a page in its file, which is `page` in a document, else None.

    Only files whose names say that they may be documents are looked into.
    """
    if path.suffix.lower() not in DOCUMENT_SUFFIXES:
        return None
    return page if is_document(path) else None


def pages_of(path: Path) -> list[PageRef]:
    """Return the pages of one file as a listing of their own.

    Raises:
        PageUnreadableError: a document or an archive that cannot be opened.
    """
    if archives.is_archive(path) and path.is_file():
        archives.check_archive(path)
        found = expand(opened([path], ()))
        return [PageRef(index, *place) for index, place in enumerate(found)]
    with PdfRenderers() as renderers:
        parts = parts_of(path, renderers)
        if WHOLE in parts:
            renderers.survey(path)
        return [PageRef(index, path, part) for index, part in enumerate(parts)]


def opened(paths: Iterable[Path], formats: Formats) -> Iterator[Path]:
    """Yield files, and in place of archives the pages in them; see `archives.pages_in`.

    An archive that cannot be opened stays itself, and loading it tells why.

    Args:
        formats: the pages that are asked for; if these are archives only, all kinds of scans.
    """
    endings = archives.endings_in(formats)
    for path in paths:
        if archives.is_archive(path) and path.is_file():
            try:
                yield from archives.pages_in(path, endings)
                continue
            except PageUnreadableError as error:
                logger.warning("%s: %s", error.what, path)
        yield path


def expand(paths: Iterable[Path], closed: Iterable[Path] = ()) -> Iterator[tuple[Path, int | None]]:
    """Yield each page of each file: its file, and its number in a document or None.

    At the end come folders that cannot be read, `closed`, like documents that cannot be opened.
    Only files whose names say that they may be documents are looked into: there can be a million.
    """
    with PdfRenderers() as renderers:
        for path in paths:
            for part in parts_within(path, renderers):
                yield path, part
    yield from ((folder, WHOLE) for folder in closed)


def parts_within(path: Path, renderers: PdfRenderers) -> Sequence[int | None]:
    """Return the numbers of a file's pages as `parts_of`, if its name says that it has several."""
    if archives.is_archive(path):  # that could not be opened
        return (WHOLE,)
    return parts_of(path, renderers) if path.suffix.lower() in DOCUMENT_SUFFIXES else (None,)


def write_page_png(
    ref: PageRef, target: Path, renderers: PdfRenderers, max_megapixels: float
) -> None:
    """Write one page of a document as PNG, a PDF's as a reader sees it at 300 dpi; `target` is new.

    Raises:
        PageUnreadableError: the page is damaged or too large.
        OSError, PageSortError: it cannot be written.
    """
    assert ref.page is not None
    if not is_pdf(ref.path):
        image = load_page(ref.path, max_megapixels, ref.page)
        image.save(target, "PNG", compress_level=COMPRESSION)
        return
    most_pixels = int(max_megapixels * 1e6)
    renderers.save(
        ref.path,
        ref.page,
        target.absolute(),
        target.with_name(f"{target.name}.tmp").absolute(),
        dpi=SORTED_DPI,
        cropbox=True,
        stamp={"page": ref.page, "dpi": SORTED_DPI},
        most_pixels=most_pixels,
        longest_side=most_pixels,
        verify=False,
    )
