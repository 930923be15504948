"""What the jobs that change folders share: one at a time in a folder, and lists of what is left."""

from __future__ import annotations

import contextlib
import csv
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pagesort.common.errors import PageSortError

LOCK_NAME = ".pagesort.lock"  # on Windows only, and gone with the process that made it
AHEAD = 4  # tasks given out for each thread

Task = TypeVar("Task")
Result = TypeVar("Result")


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


def in_order(
    tasks: Iterable[Task],
    do: Callable[[Task], Result],
    threads: int,
    give_up: Callable[[], object] | None = None,
) -> Iterator[tuple[Task, Result]]:
    """Yield each task with its result, in order, while threads work some tasks ahead.

    Tasks are taken as they are needed. When the consumer stops early, waiting tasks are dropped,
    and `give_up` is called, which may bring those at work to an early end.
    """
    pool = ThreadPoolExecutor(max_workers=max(1, threads), thread_name_prefix="jobs")
    waiting: deque[tuple[Task, Future[Result]]] = deque()
    try:
        for task in tasks:
            waiting.append((task, pool.submit(do, task)))
            if len(waiting) > AHEAD * threads:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    except BaseException:
        if give_up is not None:
            give_up()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


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


def counted(pages: int) -> str:
    """Return a number of pages in words that agree."""
    return f"{pages} page{'' if pages == 1 else 's'}"


def shown(cell: object) -> str:
    """Return a cell as text that any reader of UTF-8 takes."""
    return str(cell).encode("utf-8", "backslashreplace").decode("utf-8")


def unwritable(error: OSError, where: Path) -> PageSortError:
    """Tell that something cannot be written, and why."""
    reason = (error.strerror or str(error)).lower()
    place = error.filename if isinstance(error.filename, str) else where
    full = "space" in reason or "quota" in reason
    return PageSortError(
        "the disk is full" if full else f"cannot write ({reason})",
        where=place,
        remedy="Free some space and give the same command again; what is written is kept"
        if full
        else "Check the permissions, or name another folder with --out",
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
