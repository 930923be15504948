"""What a person said of pages: the CSV of a contact sheet, and the pages that it names."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pagesort.common.errors import PageSortError, PageUnreadableError
from pagesort.common.files import translate_unwritable, whole
from pagesort.common.text import MOST_NAMED, counted
from pagesort.pages.documents import part_of, write_page_png
from pagesort.pages.loader import PageRef
from pagesort.pages.pdf_renderers import PdfRenderers
from pagesort.sorting.named_pages import page_file
from pagesort.sorting.table_rows import Problem, Row, read_table

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Correction:
    """A page and the label that a person gave it: `part` is its number in a document, else None."""

    path: Path
    part: int | None
    label: str


@dataclass(frozen=True)
class Corrections:
    """The corrections of a table, and how many of its rows name no page that is there."""

    pages: tuple[Correction, ...]
    left_out: int


def read_corrections(table: Path, folder: Path | None = None) -> Corrections:
    """Read what a person said, and find the pages.

    A page is looked for by PATH in the folder that its row tells as FOLDER, and never out of it.
    What cannot be found is logged.

    Args:
        table: a CSV with FILE, PAGE, CLASS, PATH and perhaps FOLDER; other columns are passed over.
        folder: where the pages are if FOLDER is not there, or not any more. Rows whose FOLDER is
            there and is another one are passed over.

    Raises:
        PageSortError: the table cannot be read, names no page that is there, or calls one page by
            two labels.
    """
    rows, problems = read_table(table)
    found: dict[tuple[Path, int | None], Row] = {}
    elsewhere = 0
    for row in rows:
        root = _root(row, folder, table)
        if root is None:
            elsewhere += 1
            continue
        # Links in the folder stay, as in the listing of a run.
        path = page_file(root.resolve(), row.path) if row.path else None
        if path is None:
            problems.append(row.problem("page not found"))
            continue
        page = path, part_of(path, row.page)
        other = found.setdefault(page, row)
        if other.label != row.label:
            raise PageSortError(
                f"one page has two categories: {other.label} (line {other.line}) and {row.label} "
                f"(line {row.line})",
                where=table,
                remedy="Leave one of the two lines",
            )
    _log(table, problems, elsewhere)
    if not found:
        raise PageSortError(
            "the table names no page that is there",
            where=table,
            remedy="Check its columns FOLDER and PATH, or name the folder of the pages after it",
        )
    pages = tuple(Correction(path, part, row.label) for (path, part), row in found.items())
    return Corrections(pages, len(problems))


def _root(row: Row, folder: Path | None, table: Path) -> Path | None:
    """The folder that a row's PATH starts from; None if that is another one than `folder`."""
    own = Path(row.folder) if row.folder else None
    if folder is None:
        if own is None:
            raise PageSortError(
                "the table has no column FOLDER, so nobody knows where its pages are",
                where=table,
                remedy="Name the folder of the pages after the table",
            )
        return own
    if own is not None and own.is_dir() and own.resolve() != folder.resolve():
        return None
    return folder


def _log(table: Path, problems: Sequence[Problem], elsewhere: int) -> None:
    for line, file, page, _, problem in problems[:MOST_NAMED]:
        logger.warning("%s, line %s (%s, page %s): %s", table.name, line, file, page, problem)
    if len(problems) > MOST_NAMED:
        logger.warning("and %d more", len(problems) - MOST_NAMED)
    if elsewhere:
        logger.info("%s of other folders passed over", counted(elsewhere))


def page_images(
    corrections: Sequence[Correction], drawn: Path, max_megapixels: float
) -> tuple[list[tuple[Path, str]], int]:
    """The image file of each page, with its label; pages of documents are drawn as PNG.

    Args:
        drawn: the folder for those; what is there already is used again.

    Returns:
        Files and labels, and how many pages could not be drawn.

    Raises:
        PageSortError: a page cannot be written.
    """
    images: list[tuple[Path, str]] = []
    failed = 0
    with PdfRenderers() as renderers:
        for page in corrections:
            if page.part is None:
                images.append((page.path, page.label))
                continue
            ref = PageRef(0, page.path, page.part)
            try:
                images.append((_drawn(ref, drawn, renderers, max_megapixels), page.label))
            except PageUnreadableError as error:
                failed += 1
                logger.warning("left out: %s (%s)", ref, error.what)
    return images, failed


def _drawn(ref: PageRef, folder: Path, renderers: PdfRenderers, max_megapixels: float) -> Path:
    """The PNG of a page of a document, in a folder of its document as this is now."""
    status = ref.path.stat()
    facts = f"{ref.path}\0{status.st_size}\0{status.st_mtime_ns}"
    digest = hashlib.sha256(facts.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    image = folder / digest / f"{ref.path.stem}-{ref.page}.png"
    if not image.exists():
        with translate_unwritable(image):
            image.parent.mkdir(parents=True, exist_ok=True)
            with whole(image) as partial:
                write_page_png(ref, partial, renderers, max_megapixels)
    return image
