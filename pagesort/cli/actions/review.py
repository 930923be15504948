"""Writing contact sheets."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from pagesort.cli.console import as_typed, emit
from pagesort.cli.settings import Settings
from pagesort.common.errors import PageSortError, Stopped
from pagesort.common.paths import DESCRIPTIONS
from pagesort.common.tables import table_form

logger = logging.getLogger(__name__)


def review_table(settings: Settings, table: Path) -> int:
    """Write the contact sheet of a finished run; prints its path."""
    from pagesort.review import finished_run

    if not table.is_file():
        raise PageSortError("the table is not there", where=table, remedy="Check the path")
    folder = settings.directory or finished_run.folder_of_run(table)
    write_review(settings, table, folder, finished_run.labels_of_run(table))
    return 0


def write_review(
    settings: Settings, table: Path, folder: Path, model_labels: Sequence[str]
) -> None:
    """Write the contact sheet of a result table; prints its path.

    Args:
        table: of the pages in `folder`.
        model_labels: what the model could have said; if nobody knows, what the table says.
    """
    from pagesort.review import finished_run, sheet

    pages = list(finished_run.pages_of_table(table))
    said = {label for page in pages for label in (page.guess, page.second) if label}
    name = finished_run.name_of_run(table)
    try:
        written = sheet.write_sheet(
            sheet.Sheet(
                folder=settings.results_folder / "review" / name,
                root=folder,
                labels=model_labels or usual_labels(said),
                mode="review",
                title=f"{folder.resolve().name}, {name}",
                run=finished_run.key_of_run(table),
                form=table_form(settings.csv_excel),
                max_megapixels=settings.max_megapixels,
            ),
            pages,
        )
    except Stopped as stop:
        again = as_typed(["--review", str(table)])
        raise Stopped(stop.kept, f"To go on, give {again}") from None
    if written.without_picture:
        logger.warning("%d pages have no picture", written.without_picture)
    if pages and not any(page.second for page in pages):
        logger.info("the table has no second guesses to show; a run with -tn 2 writes them")
    logger.info("open it in a browser, by a double click; nothing leaves this computer")
    emit(str(written.index))


def corrected_places(settings: Settings, folder: Path) -> dict[tuple[Path, int | None], str]:
    """What a person said of pages of a folder: file and number in a document -> label."""
    if settings.corrections is None or not folder.is_dir():  # which is told elsewhere
        return {}
    from pagesort.review.corrections import read_corrections

    pages = read_corrections(Path(settings.corrections[0]).expanduser(), folder).pages
    return {(page.path, page.part): page.label for page in pages}


def corrected_images(settings: Settings) -> tuple[list[tuple[Path, str]], int]:
    """The images of the pages that a person has looked at, with their labels.

    Returns:
        These, and how many rows of the table name no page that can be read.
    """
    if settings.corrections is None:
        return [], 0
    from pagesort.review.corrections import page_images, read_corrections

    table, *folder = (Path(word).expanduser() for word in settings.corrections)
    corrections = read_corrections(table, folder[0] if folder else None)
    drawn = settings.results_folder / "corrected_pages"
    images, failed = page_images(corrections.pages, drawn, settings.max_megapixels)
    return images, failed + corrections.left_out


def usual_labels(said: set[str]) -> list[str]:
    """The labels of a table; those of the program's own categories where it says no others."""
    from pagesort.models.descriptions import read_descriptions

    usual = sorted(read_descriptions(DESCRIPTIONS))
    return usual if said <= set(usual) else sorted(said)
