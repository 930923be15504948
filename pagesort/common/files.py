"""Files that are there whole or not at all, locks, hashes, and what a disk that refuses means."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import itertools
import json
import logging
import math
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pagesort.common.errors import PageSortError
from pagesort.common.text import shown, size_text

if TYPE_CHECKING:
    from filelock import FileLock

logger = logging.getLogger(__name__)

RESULTS_ELSEWHERE = "another folder with [OUTPUT] FOLDER_RESULTS"
MODELS_ELSEWHERE = "another folder with [SETUP] model_storage or --model_dir"
LOCK_NAME = ".pagesort.lock"
READ_BYTES = 1 << 20
MARGIN = 50_000_000
"""Bytes that are left free on a disk."""
ABANDONED_SECONDS = 3600.0
LARGEST_NUMBER = 10_000
"""Of files whose name is otherwise the same; more of them are no accident."""
LONGEST_START = 180
"""Bytes of a file's name that begin that of its unfinished form; file systems take 255 in all."""
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)
_MAKER = r"(\d+)-([0-9a-f]{8})-\d+\.partial"
_numbers = itertools.count()


def unwritable(
    error: BaseException,
    where: Path,
    what: str = "cannot be written",
    elsewhere: str = "another folder",
    remedy: str | None = None,
) -> PageSortError:
    """Say that something cannot be written, why, and what helps.

    Args:
        error: what the system or a library that writes reported.
        where: the place, unless the error names one.
        what: what cannot be done.
        elsewhere: how another place is named, as in `another folder with --out`.
        remedy: what to do instead of naming one.
    """
    reason = (
        "the disk is full" if is_full(error) else getattr(error, "strerror", None) or str(error)
    )
    if isinstance(error, FileExistsError | NotADirectoryError):
        reason = "a file is in the way of the folder"
    # Of a copy that fills the disk, the system names what was copied.
    place = None if is_full(error) else getattr(error, "filename", None)
    help_ = (
        "Free some space and give the same command again"
        if is_full(error)
        else "Check the permissions"
    )
    return PageSortError(
        f"{what} ({reason})",
        where=place if isinstance(place, str) else where,
        remedy=remedy or f"{help_}, or name {elsewhere}",
    )


def try_writing(folder: Path) -> None:
    """Make a folder and a file in it that goes away again, before hours are spent.

    Raises:
        OSError: naming the folder, as it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        error.filename = str(folder)  # not that of a file nobody knows
        raise


def numbered(name: str) -> Iterator[str]:
    """Yield a name, then `name-2` and so on to LARGEST_NUMBER, for one of them to be free."""
    yield name
    yield from (f"{name}-{number}" for number in range(2, LARGEST_NUMBER + 1))


def reserve(path: Path) -> bool:
    """Make an empty file, so that nobody else gets the name; False where it is taken.

    Raises:
        OSError: no file can be made there.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        return False
    return True


@contextlib.contextmanager
def reserved(paths: Iterable[Path], folder: Path) -> Iterator[Path]:
    """Hold the first of some paths that is free while a file is written there.

    Whatever stops the writing, Ctrl-C too, the empty file goes with it.

    Raises:
        OSError: no file can be made there.
        PageSortError: all are taken; it names the folder.
    """
    free = next(filter(reserve, paths), None)
    if free is None:
        remedy = "Move some of its files away"
        raise PageSortError("there is no free name for a file", where=folder, remedy=remedy)
    try:
        yield free
    except BaseException:
        free.unlink(missing_ok=True)
        raise


def is_full(error: BaseException) -> bool:
    """Whether a disk takes no more: of anybody, of this person, or in a file of such a size."""
    # Libraries wrap what the system says; names of files say nothing.
    said = str(getattr(error, "strerror", None) or error)
    return getattr(error, "errno", None) in _FULL or "is full" in said or "No space left" in said


@contextlib.contextmanager
def translate_unwritable(
    where: Path,
    what: str = "cannot be written",
    elsewhere: str = "another folder",
    remedy: str | None = None,
    *,
    also: tuple[type[Exception], ...] = (),
) -> Iterator[None]:
    """Turn errors of writing into a line for a person; `also` are those of a library."""
    faults: tuple[type[Exception], ...] = (OSError, *also)
    try:
        yield
    except faults as error:
        raise unwritable(error, where, what, elsewhere, remedy) from error


@contextlib.contextmanager
def translate_unreadable(
    where: Path,
    what: str = "cannot be read",
    remedy: str | None = None,
    also: tuple[type[Exception], ...] = (),
) -> Iterator[None]:
    """Turn errors of reading into a line for a person; `also` are those of a library."""
    faults: tuple[type[Exception], ...] = (OSError, *also)
    try:
        yield
    except faults as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:200]
        raise PageSortError(f"{what} ({reason})", where=where, remedy=remedy) from error


@contextlib.contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """Give a hidden name beside `path`, for a file or folder that gets a better one when complete.

    What is left under it at the end is removed, and first what processes left that were killed.
    """
    remove_abandoned(path.parent, re.escape(_start(path)))
    name = f"{_start(path)}{os.getpid()}-{_machine()}-{next(_numbers)}.partial"
    partial = path.with_name(name)
    try:
        yield partial
    finally:
        with contextlib.suppress(OSError):
            _remove(partial)


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a hidden path to write to; what is there at the end becomes `path`, on the disk.

    Raises:
        OSError: it cannot be written; then nothing half-written stays, and `path` is as it was.
    """
    with unfinished(path) as partial:
        yield partial
        flush(partial)
        partial.replace(path)
        _flush_folder(path.parent)


@contextlib.contextmanager
def whole_text(path: Path) -> Iterator[IO[str]]:
    """Open a text file for writing that becomes `path` once all of it is there; see `whole`."""
    with whole(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        yield file


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a small file at once, over whatever was there.

    Raises:
        PageSortError: it cannot be written; nothing half-written stays.
    """
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    with translate_unwritable(path), whole(path) as partial:
        partial.write_bytes(data)


def write_json(path: Path, content: object) -> None:
    """Write a small JSON file that people can read, too; see `write_whole`."""
    write_whole(path, json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n")


def write_list(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a list of what this run could not do over that of the last run; no rows, no file.

    Raises:
        PageSortError: it cannot be written.
    """
    with translate_unwritable(path):
        if not rows:
            path.unlink(missing_ok=True)
            return
        with whole_text(path) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows([shown(cell) for cell in row] for row in rows)


def flush(path: Path) -> None:
    """Bring a file, or all files of a folder, to the disk, so that a power cut tears none."""
    for each in path.rglob("*") if path.is_dir() else (path,):
        if each.is_file():
            with each.open("r+b") as file:
                os.fsync(file.fileno())


def remove_abandoned(folder: Path, start: str) -> None:
    """Remove unfinished files of a folder whose process has ended, or that are an hour old.

    `start` is a regular expression for the beginning of their names: a dot, the name that such a
    file was to have, and a dot.
    """
    pattern = re.compile(start + _MAKER)
    with contextlib.suppress(OSError):
        for left in list(folder.iterdir()):
            if found := pattern.fullmatch(left.name):
                with contextlib.suppress(OSError):  # another process removes it as well
                    if _is_abandoned(left, int(found[1]), found[2]):
                        _remove(left)


def hash_into(hasher: Any, file: IO[bytes]) -> int:
    """Feed the rest of a file to a hash; returns how many bytes that was.

    `hashlib.file_digest` came with Python 3.11 only, and takes no hash that was begun.
    """
    count = 0
    while data := file.read(READ_BYTES):
        hasher.update(data)
        count += len(data)
    return count


def file_digest(path: Path) -> str:
    """Hash a file: SHA-256 as 64 hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    sha = hashlib.sha256()
    with path.open("rb") as file:
        hash_into(sha, file)
    return sha.hexdigest()


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold a folder against a second job, until the end of the block or of the process.

    Where nothing can be written there is nothing to hold.

    Raises:
        PageSortError: another process holds it.
    """
    lock = folder / LOCK_NAME
    if not lock.exists() and not os.access(folder, os.W_OK):
        yield
        return
    with locked(lock, folder):
        yield


@contextlib.contextmanager
def locked(
    lock: Path,
    where: Path,
    busy: str = "another process is working on this folder",
    *,
    wait_s: float = 0.0,
) -> Iterator[None]:
    """Hold a lock that goes with the process, however that ends; none where the disk knows none.

    Args:
        lock: the file that is locked; its folder is made, and it is removed at the end.
        where: what is held, for messages.
        busy: what another process does that holds it.
        wait_s: how many seconds to wait for that process; `math.inf` is for ever.

    Raises:
        PageSortError: another process still holds it, or no file can be made there.
    """
    from filelock import FileLock, Timeout

    held = FileLock(lock, fallback_to_soft=False)
    with translate_unwritable(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            held.acquire(timeout=0)
        except Timeout:
            if wait_s <= 0 or not _wait(held, wait_s, busy, where):
                raise PageSortError(
                    busy,
                    where=where,
                    remedy="Wait until it has ended, then give the command again",
                ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            logger.debug("%s cannot be locked", lock)
        except NotImplementedError:
            logger.debug("%s cannot be locked", lock)
    try:
        yield
    finally:
        if sys.platform != "win32" and held.is_locked:
            # Before it is let go: whoever has it open by then looks for a new one.
            lock.unlink(missing_ok=True)
        held.release()


def _wait(held: FileLock, seconds: float, busy: str, where: Path) -> bool:
    """Wait until another process lets a lock go; whether it did."""
    from filelock import Timeout

    logger.info("%s: %s; waiting until it has ended", busy, where)
    try:
        held.acquire(timeout=-1 if math.isinf(seconds) else seconds)
    except Timeout:
        return False
    return True


def check_space(folder: Path, needed: int, *, what: str) -> None:
    """Check that a folder's disk takes so many bytes and is not full then.

    Raises:
        PageSortError: it does not.
    """
    standing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(standing).free
    if needed and needed + MARGIN > free:
        raise PageSortError(
            f"{what} needs {size_text(needed + MARGIN)} of free space, and {size_text(free)} are "
            "free",
            where=folder,
            remedy="Free some space, or name a folder on another disk",
        )


def readable_folder(folder: Path, remedy: str = "Check the path") -> Path:
    """Return a folder that can be listed; `remedy` is for one that does not exist.

    Raises:
        PageSortError: it is missing, is a file, or is closed to us.
    """
    try:
        with os.scandir(folder):
            return folder
    except FileNotFoundError:
        raise PageSortError("the folder does not exist", where=folder, remedy=remedy) from None
    except NotADirectoryError:
        raise PageSortError(
            "this is a file, not a folder", where=folder, remedy="Name the folder it lies in"
        ) from None
    except OSError as error:
        raise PageSortError(f"cannot read the folder ({error.strerror})", where=folder) from error


def _start(path: Path) -> str:
    """How the names of unfinished forms of a file or folder begin."""
    return f".{os.fsdecode(os.fsencode(path.name)[:LONGEST_START])}."


def _machine() -> str:
    """Eight digits that tell this machine from others that write to the same disk."""
    return hashlib.sha256(platform.node().encode("utf-8", "replace")).hexdigest()[:8]


def _is_abandoned(left: Path, process: int, machine: str) -> bool:
    if machine == _machine() and sys.platform != "win32":  # where 0 would end the process
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # somebody else's, which is alive
            pass
    newest = max(each.lstat().st_mtime for each in (left, *left.rglob("*")))
    return process != os.getpid() and time.time() - newest > ABANDONED_SECONDS


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    """Make renames last through a power cut, where folders can be opened."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
