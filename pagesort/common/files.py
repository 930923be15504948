"""What the jobs that change folders share: one at a time in a folder, and lists of what is left."""

from __future__ import annotations

import contextlib
import csv
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from pagesort.common.errors import PageSortError
from pagesort.common.text import shown

LOCK_NAME = ".pagesort.lock"  # on Windows only, and gone with the process that made it


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold a folder against a second job; the lock ends with the process, however that ends.

    Where the file system knows no locks (some network drives), there is none.

    Raises:
        PageSortError: another process holds it.
    """
    with contextlib.ExitStack() as held:
        try:
            descriptor = _lock(folder)
        except (BlockingIOError, FileExistsError, PermissionError) as error:
            if isinstance(error, PermissionError) and sys.platform != "win32":
                raise unwritable(error, folder) from error
            raise PageSortError(
                "another process is working on this folder",
                where=folder,
                remedy="Wait until it has ended, then give the command again",
            ) from error
        except OSError:
            descriptor = None
        if descriptor is not None:
            held.callback(os.close, descriptor)
        yield


def _lock(folder: Path) -> int:
    if sys.platform == "win32":
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_TEMPORARY
        return os.open(folder / LOCK_NAME, flags)
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def write_list(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a list of what this run could not do over that of the last run; no rows, no file.

    Raises:
        PageSortError: it cannot be written.
    """
    try:
        if not rows:
            path.unlink(missing_ok=True)
            return
        temporary = path.with_name(f".{path.name}.tmp")
        with temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows([shown(cell) for cell in row] for row in rows)
        temporary.replace(path)
    except OSError as error:
        raise unwritable(error, path) from error


def unwritable(error: OSError, where: Path) -> PageSortError:
    """Tell that something cannot be written, and why."""
    reason = (error.strerror or str(error)).lower()
    full = "space" in reason or "quota" in reason
    # Of a copy that fills the disk, the system names what was copied.
    place = error.filename if isinstance(error.filename, str) and not full else where
    return PageSortError(
        "the disk is full" if full else f"cannot write ({reason})",
        where=place,
        remedy="Free some space and give the same command again; what is written is kept"
        if full
        else "Check the permissions, or name another folder",
    )


def readable_folder(folder: Path) -> Path:
    """Return a folder that can be listed.

    Raises:
        PageSortError: it is missing, is a file, or is closed to us.
    """
    try:
        with os.scandir(folder):
            return folder
    except FileNotFoundError:
        raise PageSortError(
            "the folder does not exist", where=folder, remedy="Check the path"
        ) from None
    except NotADirectoryError:
        raise PageSortError(
            "this is a file, not a folder", where=folder, remedy="Name the folder it lies in"
        ) from None
    except OSError as error:
        raise PageSortError(f"cannot read the folder ({error.strerror})", where=folder) from error
