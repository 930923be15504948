"""Zip and tar archives of pages, read in place: nothing of them is unpacked to the disk.

Names in archives are never paths of this machine, sizes are bounded, and an archive in an archive
stays closed.
"""

from __future__ import annotations

import functools
import gzip
import io
import logging
import os
import re
import struct
import tarfile
import threading
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from pagesort.common.errors import PageUnreadableError
from pagesort.common.text import size_text
from utils import (
    ARCHIVE_SUFFIXES,
    SCAN_SUFFIXES,
    SYSTEM_FOLDERS,
    Formats,
    endings_of,
    natural_key,
)

logger = logging.getLogger(__name__)

LARGEST_PAGE = 512 << 20
"""Bytes of a page in an archive, all of which are in memory while it is read."""
LARGEST_DIRECTORY = 128 << 20  # bytes in which a zip archive lists a million files
MOST_FILES = 2_000_000
LARGEST_HEADER = 1 << 20  # bytes of a tar archive's note on one file
MOST_UNPACKED = 200
"""Times the size of a packed tar archive that are unpacked of it, beside what is spared."""
SPARED_BYTES = 1 << 30
KEPT_BYTES = 256 << 20  # of pages that were passed over in a packed tar archive
KEPT_OPEN = 4
_INSIDE = re.compile(r"\.(?:zip|tar|tar\.gz|tgz)/", re.IGNORECASE)
_DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, struct.error),
    *(ValueError, RuntimeError, NotImplementedError, KeyError, IndexError, OverflowError),
)
_LEADS_OUT = "its name in the archive leads out of it"


@dataclass(frozen=True)
class Member:
    """A file in an archive: its size in bytes, where it begins, and why it is not read, if so."""

    size: int
    start: int = 0
    refusal: str = ""


class _Archive(Protocol):
    """What an open archive answers; in several threads at once."""

    members: dict[str, Member]
    is_in_order: bool

    def read(self, name: str) -> bytes:
        """The bytes of a file in it."""


def is_archive(path: Path) -> bool:
    """Whether a file's name says that it is an archive."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


def within(path: str | Path) -> tuple[Path, str] | None:
    """The archive that a page's path leads into, and its name there; None for any other path."""
    text = path.as_posix() if isinstance(path, Path) else path
    for found in _INSIDE.finditer(text):
        archive = Path(text[: found.end() - 1])
        if archive.is_file():
            return archive, text[found.end() :]
    return None


def endings_in(formats: Formats) -> tuple[str, ...]:
    """The endings of pages in archives: those that are asked for, or of all scans where none is."""
    pages = tuple(each for each in endings_of(formats) if each not in ARCHIVE_SUFFIXES)
    return pages or tuple(SCAN_SUFFIXES)


def pages_in(archive: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    """Yield the paths of an archive's files with one of these endings, and of archives in it.

    In natural order; those of a packed tar archive as they lie in it, as it is read from its start.
    Hidden files, and folders that systems make, are left out.

    Raises:
        PageUnreadableError: it cannot be opened.
    """
    opened = _opened(archive)
    wanted = (*endings, *ARCHIVE_SUFFIXES)
    names = [name for name in opened.members if name.lower().endswith(wanted) and _is_visible(name)]
    if not opened.is_in_order:
        names.sort(key=lambda name: [natural_key((part, False)) for part in name.split("/")])
    if not names:
        logger.warning("the archive holds no pages: %s", archive)
    return (archive / name for name in names)


def open_member(archive: Path, name: str) -> IO[bytes]:
    """Open a file in an archive, which is held in memory as long as it is open.

    Raises:
        PageUnreadableError: it is not there, or cannot be read.
    """
    member = member_of(archive, name)
    if member.refusal:
        raise PageUnreadableError(member.refusal, where=archive / name)
    if member.size > LARGEST_PAGE:
        limit = (
            f"{size_text(member.size)}, above the limit of {size_text(LARGEST_PAGE)} in archives"
        )
        raise PageUnreadableError(f"it has {limit}; unpack it", where=archive / name)
    if not member.size:
        raise PageUnreadableError("the file is empty", where=archive / name)
    try:
        return io.BytesIO(_opened(archive).read(name))
    except MemoryError as error:
        what = "there is not enough memory to unpack it"
        raise PageUnreadableError(what, where=archive / name) from error
    except (OSError, *_DAMAGE) as error:
        logger.debug("%s in %s: %r", name, archive, error)
        what = "it is damaged in its archive"
        raise PageUnreadableError(what, where=archive / name) from error


def member_of(archive: Path, name: str) -> Member:
    """What an archive tells of a file in it; raises as `open_member` does."""
    member = _opened(archive).members.get(name)
    if member is None:
        raise PageUnreadableError("it is no longer in its archive", where=archive / name)
    return member


def check_archive(archive: Path) -> None:
    """Raise PageUnreadableError if an archive cannot be opened."""
    _opened(archive)


def _opened(archive: Path) -> _Archive:
    """An open archive; the last few stay open, as their pages are asked for one after the other."""
    try:
        status = archive.stat()
        return _kept_open(os.path.abspath(archive), status.st_mtime_ns, status.st_size)  # noqa: PTH100
    except PageUnreadableError as error:
        raise PageUnreadableError(error.what, where=archive) from error
    except OSError as error:
        reason = (error.strerror or "it is damaged").lower()
        raise PageUnreadableError(
            f"the archive cannot be read ({reason})", where=archive
        ) from error
    except MemoryError as error:
        raise PageUnreadableError("the archive needs too much memory", where=archive) from error
    except _DAMAGE as error:
        logger.debug("%s: %r", archive, error)
        raise PageUnreadableError("the archive is damaged", where=archive) from error


_opening = threading.Lock()


def _kept_open(path: str, changed: int, size: int) -> _Archive:
    with _opening:  # or several threads would list one archive
        return _open_anew(path, changed, size)


@functools.lru_cache(KEPT_OPEN)
def _open_anew(path: str, _changed: int, size: int) -> _Archive:
    if path.lower().endswith(".zip"):
        return _Zip(path, size)
    return _Tar(path) if path.lower().endswith(".tar") else _PackedTar(path, size)


class _Zip:
    """A zip archive, each of whose files is packed by itself."""

    is_in_order = False

    def __init__(self, path: str, size: int) -> None:
        _check_directory(path, size)
        self._zip = zipfile.ZipFile(path)
        self._entries: dict[str, zipfile.ZipInfo] = {}
        self.members: dict[str, Member] = {}
        for entry in self._zip.infolist():
            if entry.is_dir():
                continue
            name, refusal = _inner_name(entry.filename)
            if entry.flag_bits & 1:
                refusal = "it is encrypted in its archive; unpack it with its password"
            elif entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                refusal = refusal or "it is packed in a way that is not read; unpack it"
            self._entries[name] = entry
            self.members[name] = Member(entry.file_size, refusal=refusal)

    def read(self, name: str) -> bytes:
        entry = self._entries[name]
        with self._zip.open(entry) as file:
            return file.read(entry.file_size)  # asked for more, it would unpack more at once


def _check_directory(path: str, size: int) -> None:
    """Refuse a zip archive whose list of files would take too much memory."""
    with Path(path).open("rb") as file:
        start = max(0, size - (1 << 16) - 128)
        file.seek(start)
        tail = file.read()
        at = tail.rfind(b"PK\5\6")
        if at < 0 or len(tail) < at + 22:
            raise PageUnreadableError("it is no zip archive, or is cut short")
        (length,) = struct.unpack_from("<I", tail, at + 12)
        if length == 0xFFFFFFFF and tail[at - 20 : at - 16] == b"PK\6\7":
            (offset,) = struct.unpack_from("<Q", tail, at - 12)
            file.seek(min(offset, size))
            (length,) = struct.unpack_from("<Q", file.read(56), 40)
    if length > LARGEST_DIRECTORY:
        raise PageUnreadableError("the archive lists too many files; unpack it")


class _Tar:
    """A plain tar archive, whose files lie in it as they are."""

    is_in_order = False

    def __init__(self, path: str) -> None:
        self._file = Path(path).open("rb")  # noqa: SIM115 - closed when it is forgotten
        self._lock = threading.Lock()
        self.members = _listed(self._file)

    def read(self, name: str) -> bytes:
        member = self.members[name]
        with self._lock:
            self._file.seek(member.start)
            data = self._file.read(member.size)
        if len(data) < member.size:
            raise EOFError
        return data


class _PackedTar:
    """A tar archive packed as a whole, which can be read from its start only.

    What is passed over on the way is kept for a while: threads ask for pages nearly in order.
    """

    is_in_order = True

    def __init__(self, path: str, size: int) -> None:
        self._path = path
        self._limit = SPARED_BYTES + MOST_UNPACKED * size
        self._lock = threading.RLock()
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._kept_bytes = 0
        with gzip.open(path) as file:
            self.members = _listed(file, self._limit)
        self._order = list(self.members.items())
        self._restart()

    def _restart(self) -> None:
        self._file = gzip.open(self._path)  # noqa: SIM115 - closed when it is forgotten
        self._next = 0

    def read(self, name: str) -> bytes:
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
            if self.members[name].start < self._file.tell():
                self._file.close()
                self._restart()
            while True:
                passed, member = self._order[self._next]
                self._next += 1
                data = self._read(member) if member.size <= LARGEST_PAGE else b""
                self._keep(passed, data)
                if passed == name:
                    return data

    def _read(self, member: Member) -> bytes:
        self._file.seek(member.start)
        data = self._file.read(member.size)
        if len(data) < member.size:
            raise EOFError
        return data

    def _keep(self, name: str, data: bytes) -> None:
        if len(data) > KEPT_BYTES:
            return
        self._kept[name] = data
        self._kept_bytes += len(data)
        while self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= len(self._kept.popitem(last=False)[1])


class _Bounded(io.RawIOBase):
    """A file of which no large piece is read at once, and nothing behind a limit.

    What a tar archive notes on a file is read at once, however long it says that it is.
    """

    def __init__(self, file: IO[bytes] | gzip.GzipFile, limit: int | None) -> None:
        self._file = file
        self._limit = limit

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LARGEST_HEADER:
            raise tarfile.ReadError("a header is too large")
        self._check(self._file.tell() + size)
        return self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._check(offset)
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def _check(self, place: int) -> None:
        if self._limit is not None and place > self._limit:
            raise PageUnreadableError(
                f"the archive unpacks to more than {MOST_UNPACKED} times its size"
            )


def _listed(file: IO[bytes] | gzip.GzipFile, limit: int | None = None) -> dict[str, Member]:
    """The files of a tar archive, in their order."""
    members: dict[str, Member] = {}
    with tarfile.open(fileobj=_Bounded(file, limit), mode="r:") as archive:
        while (entry := _next(archive, members)) is not None:
            archive.members = []  # type: ignore[attr-defined]  # or all headers would stay in memory
            if entry.isdir():
                continue
            name, refusal = _inner_name(entry.name)
            if not entry.isfile() or entry.issparse():
                refusal = refusal or "it is not an ordinary file in its archive"
            members.pop(name, None)  # the last of one name counts, at its place
            members[name] = Member(entry.size, entry.offset_data, refusal)
            if len(members) > MOST_FILES:
                raise PageUnreadableError("the archive lists too many files; unpack it")
    return members


def _next(archive: tarfile.TarFile, members: Mapping[str, Member]) -> tarfile.TarInfo | None:
    """The next file of a tar archive; None at its end, or where it is cut short behind some."""
    try:
        return archive.next()
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        if not members:
            raise
        logger.warning("the archive is cut short after %d files (%s)", len(members), error)
        return None


def _inner_name(name: str) -> tuple[str, str]:
    """What a file in an archive is called here, and why it cannot be read, if its name tells so.

    A name that leads out of the archive is shown with `_` for the steps that do.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part != "."]
    outward = [part in ("", "..") or "\0" in part for part in parts]
    if os.name == "nt" and parts and ":" in parts[0]:
        outward[0] = True
    safe = ["_" if is_out else part for part, is_out in zip(parts, outward, strict=True)]
    if safe and safe[-1].lower().endswith(ARCHIVE_SUFFIXES):
        return "/".join(safe), "it is an archive in an archive; unpack it"
    return "/".join(safe) or "_", _LEADS_OUT if any(outward) else ""


def _is_visible(name: str) -> bool:
    *folders, file = name.split("/")
    is_hidden = file.startswith(".") or any(part.startswith(".") for part in folders)
    return not is_hidden and not any(part.lower() in SYSTEM_FOLDERS for part in folders)
