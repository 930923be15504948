"""Folders with exactly one PNG: that PNG into `onepagers/`, the job `move_single`."""

from __future__ import annotations

import contextlib
import logging
import re
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from pagesort.common.files import exclusive, readable_folder, unwritable
from pagesort.pages.pdf_stamp import read_stamp
from pagesort.sorting.pdf_to_png import ONE_PAGERS
from utils import is_page_folder

logger = logging.getLogger(__name__)


@dataclass
class MoveReport:
    """Pages moved, as (from, to), and folders left alone with the reason."""

    moved: list[tuple[Path, Path]] = field(default_factory=list)
    problems: list[tuple[Path, str]] = field(default_factory=list)


def move_single_pages(folder: Path, dry_run: bool = False) -> MoveReport:
    """Move the page of every subfolder that holds one PNG, and remove the folder if it is empty.

    The first page of a longer PDF whose conversion was stopped stays, and nothing is overwritten.

    Raises:
        PageSortError: the folder cannot be read or written, or another job is at work in it.
    """
    report = MoveReport()
    readable_folder(folder)
    with exclusive(folder):
        try:
            for subfolder in sorted(each for each in folder.iterdir() if each.is_dir()):
                if subfolder.name != ONE_PAGERS and is_page_folder(subfolder.name):
                    _move(subfolder, folder / ONE_PAGERS, dry_run, report)
        except OSError as error:
            raise unwritable(error, folder) from error
    for place, reason in report.problems:
        logger.warning("%s: %s", place, reason)
    return report


def _move(subfolder: Path, destination: Path, dry_run: bool, report: MoveReport) -> None:
    try:
        pages = [
            each
            for each in subfolder.iterdir()
            if each.suffix.lower() == ".png" and not each.name.startswith(".") and each.is_file()
        ]
    except PermissionError:
        report.problems.append((subfolder, "the folder cannot be read"))
        return
    if len(pages) != 1:
        if not pages and not dry_run and _has_moved(subfolder, destination):
            with contextlib.suppress(OSError):  # something else lies in it
                subfolder.rmdir()
        return
    page = pages[0]
    target = destination / page.name
    pages_of_document = _pages_of_document(page)
    if pages_of_document > 1:
        reason = f"left alone, as it is one of {pages_of_document} pages; run pdf2png again"
        report.problems.append((page, reason))
    elif target.exists() or target.is_symlink():
        report.problems.append((page, f"left alone, as {target} is there already"))
    else:
        if not dry_run:
            destination.mkdir(exist_ok=True)
            page.rename(target)
            with contextlib.suppress(OSError):
                subfolder.rmdir()
        report.moved.append((page, target))


def _has_moved(subfolder: Path, destination: Path) -> bool:
    """Whether a run that was killed has moved a folder's page, and not removed the folder yet."""
    name = re.compile(re.escape(subfolder.name) + r"-\d+\.png", re.IGNORECASE)
    return destination.is_dir() and any(name.fullmatch(each.name) for each in destination.iterdir())


def _pages_of_document(page: Path) -> int:
    """How many pages the PDF of a page has, by what `pdf2png` noted; 1 where nothing is noted."""
    try:
        with Image.open(page, formats=["PNG"]) as image:
            pages = (read_stamp(image) or {}).get("pages", 1)
    except (OSError, SyntaxError, ValueError):
        return 1
    return pages if isinstance(pages, int) else 1
