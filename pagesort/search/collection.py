"""The pages that are searched: those of a folder, or all whose embeddings are kept."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pagesort.common.errors import PageSortError
from pagesort.common.files import (
    RESULTS_ELSEWHERE,
    locked,
    translate_unreadable,
    translate_unwritable,
)
from pagesort.common.progress import Progress
from pagesort.embeddings.embed import embed_pages
from pagesort.embeddings.page import STORED, EmbeddedPage
from pagesort.embeddings.store import EmbeddingStore
from pagesort.models.protocols import Embedder
from pagesort.pages.documents import expand, opened
from pagesort.pages.loader import Failure, PageRef
from pagesort.prediction.scoring import FailureLog
from utils import list_pages

logger = logging.getLogger(__name__)

HEADER_BYTES = 64


@dataclass(frozen=True)
class Folder:
    """Pages of a folder: `formats` are extensions, `inner` takes subfolders in."""

    path: Path
    formats: tuple[str, ...]
    inner: bool

    def refs(self) -> list[PageRef]:
        """All pages, those of documents one by one.

        Raises:
            PageSortError: there are none, or the folder cannot be read.
        """
        with translate_unreadable(self.path, "cannot read the folder", "Check -d"):
            files = list_pages(self.path, self.formats, self.inner)
            found = list(expand(opened(files, self.formats)))
        if not found:
            raise PageSortError(
                f"no pages with the extension {', '.join(self.formats)}",
                where=self.path,
                remedy="Name another folder, other extensions with -ff, or add --inner",
            )
        return [PageRef(index, path, part) for index, (path, part) in enumerate(found)]


@dataclass(frozen=True)
class Collection:
    """Embeddings to be searched, and whose they are.

    Attributes:
        rows: float16 (N, D) of length 1, on the disk.
        places: from a row's number to the page, one that is there if its file has copies.
        failed: how many pages could not be read.
    """

    rows: np.ndarray
    places: Callable[[int], PageRef]
    failed: int = 0


def embedded(
    model: Embedder,
    store: EmbeddingStore,
    refs: Sequence[PageRef],
    batch_size: int,
    max_megapixels: float,
) -> Generator[EmbeddedPage | Failure]:
    """Embed pages and tell how far it is; those that cannot be read are named in the log."""
    log = FailureLog()
    with Progress(len(refs), 0) as progress:
        for result in embed_pages(
            model, refs, store, batch_size=batch_size, max_megapixels=max_megapixels
        ):
            log.add([result] if isinstance(result, Failure) else [])
            progress.advance(1, str(result.ref))
            yield result


@contextlib.contextmanager
def collected(results: Iterator[EmbeddedPage | Failure], folder: Path) -> Iterator[Collection]:
    """Collect embedded pages in a nameless file of a folder, so that memory stays free.

    Raises:
        PageSortError: no page could be read, or the disk is full.
    """
    refs: list[PageRef] = []
    failed = 0
    with (
        translate_unwritable(folder, "the embeddings cannot be kept", RESULTS_ELSEWHERE),
        tempfile.TemporaryFile(dir=folder) as file,
    ):
        for result in results:
            if isinstance(result, Failure):
                failed += 1
                continue
            refs.append(result.ref)
            file.write(result.vector.astype(STORED).tobytes())
        file.flush()
        if not refs:
            raise PageSortError("none of the pages could be read", remedy="Check the files")
        rows = np.memmap(file, STORED, "r").reshape(len(refs), -1)
        yield Collection(rows, refs.__getitem__, failed)


def all_kept(store: EmbeddingStore) -> Collection:
    """Return everything that a store keeps.

    SQLite hands out a million rows in many seconds. So they are copied, once, into one matrix
    beside it, to which those are added that came since. It may be deleted at any time.

    Raises:
        PageSortError: nothing is kept yet, or the matrix cannot be written.
    """
    vectors = store.path.with_name(f"{store.path.stem}_{store.look.replace(' ', '_')}.vectors")
    numbers_path = vectors.with_suffix(".numbers")
    with translate_unwritable(vectors, "the matrix of embeddings cannot be written"):
        with locked(vectors.with_suffix(".lock"), vectors, wait_s=600.0):
            numbers = _update(store, vectors, numbers_path)
        if not len(numbers):
            raise PageSortError(
                "no embeddings are kept yet for this model",
                where=store.path.parent,
                remedy="Add -d FOLDER to search the pages of a folder",
            )
        values = np.memmap(vectors, STORED, "r", offset=HEADER_BYTES)
    rows = values.reshape(len(numbers), -1)
    return Collection(rows, lambda index: _place(store, int(numbers[index])))


def _update(store: EmbeddingStore, vectors: Path, numbers_path: Path) -> np.ndarray:
    """Bring the matrix up to date; returns the number in the store of each of its rows."""
    header = store.token.encode().ljust(HEADER_BYTES, b"\0")
    numbers = _known(vectors, numbers_path, header)
    if numbers is None:
        numbers = np.empty(0, np.int64)
        numbers_path.unlink(missing_ok=True)
        vectors.write_bytes(header)
    added = [numbers]
    for more, rows in store.rows_after(int(numbers[-1]) if len(numbers) else 0):
        # Vectors first: should this be cut short, the two do not agree and are made anew.
        with vectors.open("ab") as file:
            file.write(rows.tobytes())
        with numbers_path.open("ab") as file:
            file.write(more.tobytes())
        added.append(more)
    return np.concatenate(added)


def _known(vectors: Path, numbers_path: Path, header: bytes) -> np.ndarray | None:
    """The numbers of the rows of a matrix that is of this store and whole; None if it is not."""
    try:
        with vectors.open("rb") as file:
            if file.read(HEADER_BYTES) != header:
                return None
        numbers = np.fromfile(numbers_path, np.int64)
        size = vectors.stat().st_size - HEADER_BYTES
    except OSError:
        return None
    is_whole = len(numbers) and size % (len(numbers) * STORED.itemsize) == 0
    return numbers if is_whole and bool((np.diff(numbers) > 0).all()) else None


def _place(store: EmbeddingStore, number: int) -> PageRef:
    """The page of a number: of several copies, one that is still there."""
    places = store.places(number)
    there = (place for place in places if os.path.lexists(place.path))
    return next(there, places[0] if places else PageRef(0, Path("unknown")))
