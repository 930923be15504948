"""Reading pages: one, those of a folder or a document, or those of some kinds after sorting."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pagesort.cli.console import UNREADABLE_PAGES_STATUS, emit
from pagesort.cli.settings import Settings
from pagesort.common.errors import PageSortError, UsageError
from pagesort.common.importing import importing

if TYPE_CHECKING:
    from pagesort.prediction.listing import Listed
    from pagesort.reading.read_run import LineReader, ReadOutcome

logger = logging.getLogger(__name__)


def read_path(settings: Settings, source: Path) -> int:
    """Read a page, the pages of a folder, or those of a document.

    Prints the text of a file of one page; else the folder of the texts, and the tables.
    """
    from pagesort.pages.documents import pages_of
    from pagesort.pages.image_file import check_page

    if not source.exists():
        raise PageSortError("there is nothing to read", where=source, remedy="Check the path")
    if source.is_dir():
        return _print_outcome(_read(settings, source, _folder_pages(settings, source)))
    pages: list[Listed] = [(source.name, ref.page) for ref in pages_of(source)]
    if pages == [(source.name, None)]:
        check_page(source, settings.max_megapixels)
    outcome = _read(settings, source.parent, pages)
    if outcome.failures is not None and not outcome.read:
        raise PageSortError(
            "it cannot be read", where=source, remedy=f"The reason is in {outcome.failures}"
        )
    if len(pages) > 1:
        return _print_outcome(outcome)
    for text in _texts(outcome):
        emit(text)
    for path in (*outcome.files, outcome.table):
        logger.info("written: %s", path)
    return 0


def read_sorted(settings: Settings, folder: Path, table: Path, labels: Sequence[str]) -> int:
    """Read those pages of a finished table whose first guess is one of the labels of [READ].

    Args:
        labels: that the model has; empty where several models voted.
    """
    unknown = sorted(set(settings.read_labels) - set(labels)) if labels else []
    if unknown:
        logger.warning("[READ] labels: the model has no category %s", ", ".join(unknown))
    pages = list(_chosen(folder, table, settings.read_labels))
    if not pages:
        logger.info("no page is %s, so that nothing is read", " or ".join(settings.read_labels))
        return 0
    return _print_outcome(_read(settings, folder, pages, resume=False))


def _chosen(folder: Path, table: Path, labels: Sequence[str]) -> Iterator[tuple[str, int | None]]:
    """Yield the pages of a table that have one of some labels, as a journal holds them."""
    from pagesort.common.tables import read_rows
    from pagesort.pages.documents import part_of

    root = folder.resolve()
    for row in read_rows(table):
        if (row.get("CLASS-1") or row.get("VOTE")) in labels:
            path = root / row["PATH"]
            number = int(row["PAGE"]) if row["PAGE"].isdecimal() else 0
            yield path.relative_to(root).as_posix(), part_of(path, number)


def _folder_pages(settings: Settings, folder: Path) -> Iterator[tuple[str, int | None]]:
    """Yield the pages of a folder.

    Raises:
        PageSortError: it has none, or is closed to us.
    """
    from pagesort.common.files import readable_folder
    from pagesort.prediction.listing import list_folder
    from pagesort.prediction.request import no_pages
    from utils import PassedOver, has_pages

    readable_folder(folder)
    if not settings.resume and not has_pages(folder, settings.file_format, settings.inner):
        raise no_pages(folder, settings.file_format, settings.inner)
    return list_folder(folder, settings.file_format, settings.inner, PassedOver())


def _read(
    settings: Settings,
    folder: Path,
    listing: Iterator[tuple[str, int | None]] | Sequence[Listed],
    resume: bool | None = None,
) -> ReadOutcome:
    from pagesort.common.tables import table_form
    from pagesort.prediction.request import check_writable
    from pagesort.reading.line_finder import LineFinder
    from pagesort.reading.read_run import PAGE, ReadRequest, digest_of_reader, read_pages

    texts, tables = (settings.results_folder / name for name in ("texts", "tables"))
    for target in (texts, tables):
        check_writable(target)
    reader = _open_reader(settings)
    wanted = "line" if settings.data_format == PAGE else settings.data_format
    if wanted not in reader.formats:
        raise UsageError(
            f"this reader reads {', '.join(reader.formats)}, and no {wanted}",
            where=settings.reader_path,
            remedy="Name another one with --reader_path",
        )
    request = ReadRequest(
        folder=folder,
        listing=listing,
        texts=texts,
        tables=tables,
        kinds=settings.read_formats,
        data_format=settings.data_format,
        resume=settings.resume if resume is None else resume,
        max_megapixels=settings.max_megapixels,
        absolute_paths=settings.absolute_paths,
        form=table_form(settings.csv_excel),
        reader_digest=f"{digest_of_reader(settings.reader_path)} {settings.language_model}",
    )
    return read_pages(reader, LineFinder.open().find, request)


def _open_reader(settings: Settings) -> LineReader:
    # Threads that wait for each other keep their processors busy, unless told before they start,
    # and would take most of a computer that does something else, too.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with importing():
        from classifier import choose_device
        from pagesort.reading.reader import Reader

    device = choose_device(settings.device)
    return Reader.open(settings.reader_path, device, language_model=settings.language_model)


def _texts(outcome: ReadOutcome) -> Iterator[str]:
    """The texts of the lines of a run, from its table."""
    from pagesort.common.tables import read_rows

    for row in read_rows(outcome.table):
        yield row["TEXT"]


def _print_outcome(outcome: ReadOutcome) -> int:
    """Print where texts and tables are; returns the exit status."""
    for path in filter(None, (outcome.folder, outcome.table, outcome.failures)):
        emit(str(path))
    return UNREADABLE_PAGES_STATUS if outcome.failed else 0
