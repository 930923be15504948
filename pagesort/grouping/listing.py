"""Which pages make a pile, and in which order they were scanned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pagesort.pages.documents import expand
from pagesort.pages.loader import PageRef
from pagesort.prediction.page_list import list_named
from utils import PassedOver, list_pages


@dataclass(frozen=True)
class PileSource:
    """Where the pages of piles lie: of `order` they are in that list's order, and one pile."""

    folder: Path
    formats: tuple[str, ...]
    inner: bool
    order: Path | None = None


def piles(source: PileSource, passed: PassedOver) -> Iterator[Iterator[PageRef]]:
    """Yield each pile's pages in scan order; with `inner` every folder is a pile of its own.

    Each pile is to be read to its end before the next one is asked for.

    Raises:
        PageSortError: the list cannot be read, or names a page outside of the folder.
        OSError: the folder cannot be read.
    """
    if source.order is not None:
        yield _refs(map(source.folder.joinpath, list_named(source.order, source.folder)))
        return
    folders = [source.folder]
    if source.inner:
        every = list_pages(source.folder, source.formats, True, passed)
        folders = list(dict.fromkeys(path.parent for path in every))
    for folder in folders:
        known = PassedOver() if source.inner else passed
        yield _refs(list_pages(folder, source.formats, False, known))


def _refs(paths: Iterable[Path]) -> Iterator[PageRef]:
    for index, (path, part) in enumerate(expand(paths)):
        yield PageRef(index, path, part)
