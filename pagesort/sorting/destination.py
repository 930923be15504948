"""The folder that pages are sorted into, tried out before hours are spent on scoring them."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterable
from pathlib import Path

from pagesort.common.errors import PageSortError
from pagesort.common.files import exclusive, try_writing, unwritable

REVIEW = "_review"
TEMPORARY = ".pagesort-sorting.part"
LONGEST_LABEL = 200  # bytes; file systems take 255
FORBIDDEN = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]')
# Windows keeps these names for devices, whatever follows a dot.
DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK)
_NO_WINDOWS_LINKS = 1314


def folder_name_problem(label: str) -> str | None:
    """Say why a label cannot name a folder on every system; None if it can."""
    if not label:
        return "the class is empty"
    found = FORBIDDEN.search(label)
    if found is not None:
        return f"the class {label!r} has a character that no folder's name may have"
    if label.startswith(".") or label.endswith((".", " ")):
        return f"the class {label!r} cannot name a folder, as it begins or ends with a dot or blank"
    if len(os.fsencode(label)) > LONGEST_LABEL:
        return f"the class {label[:20]!r}... is too long to name a folder"
    if DEVICES.fullmatch(label) is not None:
        return f"the class {label!r} is a device's name on Windows"
    return None


def check_labels(labels: Iterable[str], destination: Path) -> None:
    """Refuse labels that cannot name folders, and folders of them that take no pages.

    Raises:
        PageSortError: naming the first of them.
    """
    for label in (*labels, REVIEW):
        problem = folder_name_problem(label)
        if problem is not None:
            raise PageSortError(
                f"the pages cannot be sorted into folders: {problem}", where=destination
            )
        folder = destination / label
        if folder.is_dir():
            try:
                try_writing(folder)
            except OSError as error:
                raise placing_error(error, folder) from error
        elif os.path.lexists(folder):
            raise _in_the_way(folder)


def make_destination(destination: Path) -> None:
    """Make the folder if it is not there.

    Raises:
        PageSortError: it cannot be made.
    """
    try:
        destination.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise placing_error(error, destination) from error


def check_destination(destination: Path, link: str, pages: Path) -> None:
    """Make the folder, and try out that it takes files and links of the kind that is wanted.

    Args:
        destination: that folder.
        link: `copy`, `hard` or `sym`.
        pages: the folder of the pages.

    Raises:
        PageSortError: it does not, or another process is sorting there.
    """
    make_destination(destination)
    trial = destination / TEMPORARY  # a killed run's is swept by the next sorting
    link_to_it = destination / f"{TEMPORARY}.link"
    try:
        with exclusive(destination), contextlib.ExitStack() as made:
            for path in (trial, link_to_it):
                path.unlink(missing_ok=True)
                made.callback(_remove, path)
            trial.touch()
            if link == "hard":
                if pages.stat().st_dev != trial.stat().st_dev:
                    raise OSError(errno.EXDEV, "it is another disk than that of the pages")
                link_to_it.hardlink_to(trial)
            elif link == "sym":
                link_to_it.symlink_to(trial)
    except OSError as error:
        raise placing_error(error, destination, link) from error


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _in_the_way(path: Path) -> PageSortError:
    return PageSortError(
        "a file is in the way of a folder for pages",
        where=path,
        remedy="Rename or remove it, or name another folder",
    )


def placing_error(error: OSError, destination: Path, link: str = "copy") -> PageSortError:
    """Say why a page cannot be put into a folder, and what else can be done."""
    if link in ("hard", "sym") and error.errno in _NO_LINKS:
        other = "sym" if link == "hard" else "hard"
        return PageSortError(
            f"no {link} links can be made there ({(error.strerror or '').lower()})",
            where=destination,
            remedy=f"Use --link copy or --link {other}",
        )
    if isinstance(error, FileExistsError | NotADirectoryError):
        return _in_the_way(Path(error.filename or destination))
    if getattr(error, "winerror", 0) == _NO_WINDOWS_LINKS:
        return PageSortError(
            "Windows lets only administrators and developers make symbolic links",
            where=destination,
            remedy="Use --link hard or --link copy, or turn the Developer Mode on",
        )
    return unwritable(error, destination)
