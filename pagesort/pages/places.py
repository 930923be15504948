"""Where a page lies: a file, one in an archive, or at another place; opened and asked for alike."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pagesort.common.addresses import is_remote
from pagesort.common.errors import PageUnreadableError
from pagesort.common.files import hash_into
from pagesort.pages import archives, remote


@dataclass(frozen=True)
class FileFacts:
    """Size in bytes, and when it changed, in nanoseconds since 1970."""

    size: int
    changed_ns: int


def is_on_disk(path: str | Path) -> bool:
    """Whether a path leads to a file of its own, which can be linked, and handed to programs."""
    return not is_remote(path) and archives.within(path) is None


def open_page_file(path: str | Path) -> IO[bytes]:
    """Open a regular, non-empty file for reading and seeking; a pipe is refused, not waited for.

    Raises:
        OSError, PageUnreadableError: it cannot be read.
        PageSortError: a package is missing that reads such places.
    """
    if is_remote(path):
        return _fetched(Path(path))
    inside = archives.within(path)
    if inside is not None:
        return archives.open_member(*inside)
    path = Path(path)
    if archives.is_archive(path) and path.is_file():
        archives.check_archive(path)
        raise PageUnreadableError("it is an archive; name it with -f, or add -ff zip,tar to -d")
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise PageUnreadableError(_why_folder(path), where=path)
    if not stat.S_ISREG(status.st_mode):
        raise PageUnreadableError("it is not an ordinary file", where=path)
    if status.st_size == 0:
        raise PageUnreadableError("the file is empty", where=path)
    return path.open("rb")


def facts_of(path: str | Path) -> FileFacts | None:
    """Size and time of change of a regular file, those of its archive; None: it cannot be read."""
    if is_remote(path):
        found = None if archives.is_archive(Path(path)) else remote.facts(Path(path))
        return None if found is None else FileFacts(*found)
    try:
        inside = archives.within(path)
        status = Path(inside[0] if inside else path).stat()
        size = archives.member_of(*inside).size if inside else status.st_size
    except (OSError, PageUnreadableError):
        return None
    return FileFacts(size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def exists(path: str | Path) -> bool:
    """Whether there is anything at a path, were it a link that leads nowhere."""
    return os.path.lexists(path) or facts_of(path) is not None


def digest_of(path: str | Path) -> bytes:
    """SHA-256 of a file.

    Raises:
        OSError, PageUnreadableError: it cannot be read.
    """
    sha = hashlib.sha256()
    with open_page_file(path) as file:
        hash_into(sha, file)
    return sha.digest()


def _fetched(path: Path) -> IO[bytes]:
    if archives.is_archive(path):
        raise PageUnreadableError("archives are read on this machine only; copy it here")
    data = remote.fetch(path)
    if not data:
        raise PageUnreadableError("the file is empty", where=path)
    return io.BytesIO(data)


def _why_folder(path: Path) -> str:
    """Why a folder stands where a page is wanted: a listing names those that it cannot read."""
    try:
        os.scandir(path).close()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return f"the folder cannot be read, nor the pages in it ({reason})"
    return "it is a folder; start a new run to sort the pages in it"
