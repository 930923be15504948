"""The pages of a run as its journal holds them: paths, numbers in documents, FILE and PAGE."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from pagesort.common.addresses import is_remote
from pagesort.pages import remote
from pagesort.pages.documents import HOLDING_SUFFIXES, opened, parts_within
from pagesort.pages.loader import WHOLE
from pagesort.pages.pdf_renderers import PdfRenderers
from pagesort.prediction.page_list import list_named
from pagesort.prediction.shards import Shard
from utils import ARCHIVE_SUFFIXES, PassedOver, list_names, page_name

LISTED_AT_ONCE = 10_000

# A page's path, or of a document's page the path and its number (WHOLE: it cannot be opened).
Listed = str | tuple[str, int | None]
Stored = tuple[bytes, int | None]


def list_folder(
    folder: Path,
    formats: tuple[str, ...],
    inner: bool,
    passed: PassedOver,
    shard: Shard | None = None,
    named: Path | None = None,
) -> Iterator[tuple[str, int | None]]:
    """Yield the pages of a folder, or of one part of it: their paths there and their numbers.

    With a list, those that are `named` there, whatever their extension.

    Paths have `/`; numbers are those of pages in documents, all of which are in one part. Folders
    that cannot be read come last, as documents that cannot be opened.

    Args:
        passed: what is passed over is added to it.
    """

    def is_ours(name: str) -> bool:
        return shard is None or shard.holds(name)

    def may_hold_ours(name: str) -> bool:  # the pages in an archive are in parts of their own
        return is_ours(name) or name.lower().endswith(ARCHIVE_SUFFIXES)

    below = _below(folder)
    if named:
        names = list_named(named, folder, may_hold_ours)
    elif is_remote(folder):
        every = map(below, remote.list_pages(folder, formats, inner, passed))
        names = filter(may_hold_ours, every)
    else:
        names = filter(may_hold_ours, list_names(folder, formats, inner, passed))
    with PdfRenderers() as renderers:
        for name in names:
            # Of millions of pages, no path is made that nobody asks for.
            if not name.lower().endswith(HOLDING_SUFFIXES):
                yield name, None
                continue
            for path in opened([folder / name], () if named else formats):
                if is_ours(inside := below(path)):
                    yield from ((inside, part) for part in parts_within(path, renderers))
    # Closed folders are known once all files are listed.
    yield from ((name, WHOLE) for name in filter(is_ours, map(below, passed.closed)))


def _below(folder: Path) -> Callable[[Path], str]:
    """What gives the path of a file below a folder that it was found in, with `/`."""
    start = 0 if folder == Path() else len(folder.as_posix().rstrip("/")) + 1
    return lambda path: path.as_posix()[start:]


def split(listed: Listed) -> tuple[str, int | None]:
    """A listed page as its path and its number in a document."""
    return (listed, None) if isinstance(listed, str) else listed


def hashes(pages: Iterable[Stored]) -> np.ndarray:
    """Eight bytes a page: two of a million pages share them once in twenty million runs."""
    return np.fromiter(map(hash, pages), np.int64)


def compared(listing: Iterable[Listed], known: np.ndarray) -> tuple[list[Stored], int]:
    """The pages of a listing that are not among those of `known`, and how many it has lost.

    Args:
        known: their `hashes`.
    """
    known = np.sort(known)
    new: list[Stored] = []
    lost = len(known)
    pages = map(split, listing)
    while chunk := [(os.fsencode(path), part) for path, part in islice(pages, LISTED_AT_ONCE)]:
        found = hashes(chunk)
        places = np.searchsorted(known, found)
        is_new = np.take(known, places, mode="clip") != found if len(known) else found == found
        lost -= int((~is_new).sum())
        new += [page for page, wanted in zip(chunk, is_new, strict=True) if wanted]
    return new, lost


def names_of(path: str, part: int | None) -> tuple[str, str]:
    """FILE and PAGE: by its own name, or in a document that document's name and its number."""
    if part is None:
        file, page = page_name(path)
        return file, str(page)
    file = Path(path).stem.encode("utf-8", "backslashreplace").decode("utf-8")
    return file, "" if part == WHOLE else str(part)


def what_holds(path: bytes, closed: Container[bytes]) -> bytes:
    """Which of some documents and folders holds a page; its own path where none does."""
    place = path
    while place not in closed and b"/" in place:
        place = place.rpartition(b"/")[0]
    return place if place in closed else path
