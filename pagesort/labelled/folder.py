"""Labelled pages: a folder with one subfolder a label, read, checked and told apart from others."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from pagesort.common.errors import PageSortError, PageUnreadableError
from pagesort.common.files import file_digest, translate_unreadable, write_whole
from pagesort.common.progress import Progress
from pagesort.common.text import MOST_NAMED, named
from pagesort.labelled.corrected_pages import join_corrected
from pagesort.labelled.page import LabelledPage, document_of
from pagesort.labelled.sources import read_sources
from pagesort.pages.loader import (
    DEFAULT_MAX_MEGAPIXELS,
    Failure,
    PageLoader,
    PageRef,
    Preprocessing,
)
from utils import IMAGE_SUFFIXES, collect_images, is_page_folder

__all__ = [
    "TRAINED_PAGES_FILE",
    "LabelledFolder",
    "LabelledPage",
    "checked_folder",
    "page_digest",
    "page_digests",
    "page_pixels",
    "read_labelled_folder",
    "read_trained_pages",
    "write_trained_pages",
]

logger = logging.getLogger(__name__)

TRAINED_PAGES_FILE = "trained_pages.txt"
DIGEST_DIGITS = 16
DIGEST = re.compile(r"[0-9a-f]{16}")
SAMPLE_BYTES = 1 << 14
HASHING_WORKERS = 4
GROUP_PAGES = 8
NEAREST = 0  # a PIL.Image.Resampling value: where only the decoding counts


@dataclass(frozen=True)
class LabelledFolder:
    """A folder's labels (its subfolders' names, sorted) and pages (label by label, by name).

    `left_out` holds the pages that a check found unreadable, each with the reason.
    """

    folder: Path
    labels: tuple[str, ...]
    pages: tuple[LabelledPage, ...]
    left_out: tuple[tuple[LabelledPage, str], ...] = ()


def read_labelled_folder(
    folder: str | Path,
    *,
    named_by: str,
    max_categ: int | None = None,
    empty_ok: bool = False,
    safe: bool = False,
    max_megapixels: float = DEFAULT_MAX_MEGAPIXELS,
    corrected: Sequence[tuple[Path, str]] = (),
) -> LabelledFolder:
    """List a folder whose subfolders are labels, in alphabetical order.

    Args:
        named_by: the flag or setting that named the folder, for messages.
        max_categ: at most so many pages a label, at even steps of the alphabetical order.
        empty_ok: whether a label without pages is told by a warning instead of an error.
        safe: decode every page that is kept, and leave out those that cannot be read.
        max_megapixels: larger pages count as unreadable.
        corrected: images and the labels that a person gave them; see `join_corrected`.
            They come on top of `max_categ`.

    Raises:
        PageSortError: the folder is missing, is a file, or holds no labels with pages; a label is
            empty; `max_categ` is no count; or `sources.csv` cannot be read.
    """
    folder = Path(folder)
    if max_categ is not None and max_categ < 1:
        raise PageSortError(f"max_categ is {max_categ}", remedy="Use a number from 1 on")
    remedy = f"Let {named_by} name a folder with one subfolder of pages for each label"
    try:
        paths, _, labels = collect_images(folder, ordered=True)
    except OSError as error:
        raise _not_listed(folder, error, remedy) from error
    if not paths:
        raise _no_pages(folder, labels, remedy)
    sources = read_sources(folder)
    data = checked_folder(
        folder,
        labels,
        [_labelled_page(Path(path), sources) for path in paths],
        max_categ=max_categ,
        empty_ok=empty_ok,
        safe=safe,
        max_megapixels=max_megapixels,
        corrected=corrected,
    )
    _log_strays(folder, data.labels)
    return data


def checked_folder(
    folder: Path,
    labels: Sequence[str],
    pages: Sequence[LabelledPage],
    *,
    max_categ: int | None = None,
    always: frozenset[str] = frozenset(),
    empty_ok: bool = False,
    safe: bool = False,
    max_megapixels: float = DEFAULT_MAX_MEGAPIXELS,
    corrected: Sequence[tuple[Path, str]] = (),
) -> LabelledFolder:
    """Check pages that were listed, and leave out what shall not count.

    Args:
        pages: of each label in order.
        always: names of pages that `max_categ` does not leave out, and does not count.

    Raises:
        PageSortError: a label is empty and that is not allowed.
    """
    by_label: dict[str, list[LabelledPage]] = {label: [] for label in labels}
    for page in pages:
        if page.name not in always:
            by_label[page.label].append(page)
    capped = {page for members in by_label.values() for page in _capped(members, max_categ)}
    kept = [page for page in pages if page in capped or page.name in always]
    kept = join_corrected(kept, corrected)
    labels = sorted({*labels, *(page.label for page in kept)})
    _log_contradictions(kept)
    left_out: tuple[tuple[LabelledPage, str], ...] = ()
    if safe:
        kept, left_out = _readable(kept, max_megapixels)
    _check_empty(folder, labels, kept, empty_ok, checked=safe)
    return LabelledFolder(folder, tuple(labels), tuple(kept), left_out)


def _labelled_page(path: Path, sources: Mapping[str, str]) -> LabelledPage:
    label, name = path.parent.name, f"{path.parent.name}/{path.name}"
    return LabelledPage(path, label, document_of(path), name, sources.get(name, ""))


def _not_listed(folder: Path, error: OSError, remedy: str) -> PageSortError:
    if isinstance(error, FileNotFoundError):
        what = "the folder of labelled pages is not there"
    elif isinstance(error, NotADirectoryError):
        what = "a folder of labelled pages is needed, and this is a file"
    else:
        what = f"the labelled pages cannot be listed ({(error.strerror or str(error)).lower()})"
    where = error.filename if isinstance(error.filename, str) else folder
    return PageSortError(what, where=where, remedy=remedy)


def _no_pages(folder: Path, labels: Sequence[str], remedy: str) -> PageSortError:
    """Tell why a folder holds no labelled page: images without labels, or labels a level deeper."""
    if not labels:
        images = sum(1 for _ in _images(folder))
        what = "there are no subfolders, and a label is the name of a subfolder"
        if images:
            what = f"{images} images lie directly in the folder, so nobody knows their labels"
        return PageSortError(what, where=folder, remedy=remedy)
    nested = [label for label in labels if _holds_labels(folder / label)]
    if nested:
        return PageSortError(
            f"the subfolders hold no pages, but folders of pages ({named(nested)})",
            where=folder,
            remedy=f"Name one of them instead, as in {folder / nested[-1]}",
        )
    return PageSortError(
        f"no subfolder holds a page ({named(labels)})", where=folder, remedy=remedy
    )


def _images(folder: Path) -> Iterator[str]:
    """Names of the visible image files that lie directly in a folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 - called a million times
            if suffix in IMAGE_SUFFIXES and not entry.name.startswith(".") and not entry.is_dir():
                yield entry.name


def _holds_labels(folder: Path) -> bool:
    """Whether some visible subfolder of a folder holds images."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not is_page_folder(entry.name) or not entry.is_dir():
                continue
            if next(_images(Path(entry.path)), None) is not None:
                return True
    return False


def _log_strays(folder: Path, labels: Sequence[str]) -> None:
    """Warn of images that belong to no label: beside the labels' folders, or below them."""
    beside = sum(1 for _ in _images(folder))
    if beside:
        logger.warning("%d images lie beside the labels' folders and are left out", beside)
    deeper = [label for label in labels if _holds_labels(folder / label)]
    if deeper:
        logger.warning("only pages directly in a label's folder count: %s", named(deeper))


def cap_pages(pages: Sequence[LabelledPage], most: int) -> tuple[LabelledPage, ...]:
    """Keep at most so many pages of each label, at even steps, in their order."""
    by_label: dict[str, list[LabelledPage]] = {}
    for page in pages:
        by_label.setdefault(page.label, []).append(page)
    kept = {page for members in by_label.values() for page in _capped(members, most)}
    return tuple(page for page in pages if page in kept)


def _capped(members: list[LabelledPage], most: int | None) -> list[LabelledPage]:
    """At most so many pages, at even steps, so that they still cover the whole label."""
    if most is None or len(members) <= most:
        return members
    # In whole numbers, so that no rounding can pick a page twice.
    return [members[(2 * pick + 1) * len(members) // (2 * most)] for pick in range(most)]


def _check_empty(
    folder: Path,
    labels: Sequence[str],
    pages: Sequence[LabelledPage],
    empty_ok: bool,
    checked: bool,
) -> None:
    filled = {page.label for page in pages}
    empty = [label for label in labels if label not in filled]
    if not filled or (empty and not empty_ok):
        raise PageSortError(
            f"there is no page of {named(empty)}" + (" that can be read" if checked else ""),
            where=folder,
            remedy="Put pages into each label's folder, or remove the empty ones",
        )
    if empty:
        logger.warning("labels without a page: %s", named(empty))


def _readable(
    pages: Sequence[LabelledPage], max_megapixels: float
) -> tuple[list[LabelledPage], tuple[tuple[LabelledPage, str], ...]]:
    """Decode every page; those that can be read, and the others with the reason."""
    kept: list[LabelledPage] = []
    left_out: list[tuple[LabelledPage, str]] = []
    tiny = Preprocessing(resize=(1, 1), resample=NEAREST)
    decoded = page_pixels(pages, PageLoader(tiny, max_megapixels))
    with Progress(len(pages), 0) as progress, contextlib.closing(decoded):
        for page, pixels in decoded:
            if isinstance(pixels, str):
                left_out.append((page, pixels))
            else:
                kept.append(page)
            progress.advance(1, page.name)
    log_left_out(left_out)
    return kept, tuple(left_out)


def log_left_out(left_out: Sequence[tuple[LabelledPage, str]]) -> None:
    """Warn of pages that cannot be used: the first twenty by name, then how many there are."""
    for page, reason in left_out[:MOST_NAMED]:
        logger.warning("left out: %s (%s)", page.path, reason)
    if len(left_out) > MOST_NAMED:
        logger.warning("%d pages are left out in all", len(left_out))


def page_pixels(
    pages: Iterable[LabelledPage], loader: PageLoader
) -> Generator[tuple[LabelledPage, np.ndarray | str]]:
    """Yield each page, in order, with its pixels as prediction prepares them, or why it has none.

    Pixels are uint8 (H, W, 3). A few pages are decoded ahead; closing the iterator stops that. The
    loader is closed in the end.
    """
    remaining = iter(pages)
    waiting: dict[int, LabelledPage] = {}

    def groups() -> Iterator[list[PageRef]]:
        number = 0
        while group := list(islice(remaining, GROUP_PAGES)):
            refs = [PageRef(number + place, page.path) for place, page in enumerate(group)]
            waiting.update(zip(range(number, number + len(group)), group, strict=True))
            number += len(group)
            yield refs

    with loader, contextlib.closing(loader.batches(groups())) as batches:
        for batch in batches:
            for result in batch:
                page = waiting.pop(result.ref.index)
                yield page, result.reason if isinstance(result, Failure) else result.pixels


def _log_contradictions(pages: Sequence[LabelledPage]) -> None:
    """Warn of files that lie in several labels' folders.

    Only files of one size are read, and first a little of each: to read a hundred thousand scans
    as a whole would take an hour.
    """
    groups = [list(pages)]
    for key in (_written_size, _sample, _digest_or_nothing):
        groups = [group for each in groups for group in _of_several_labels(each, key)]
    for group in groups[:MOST_NAMED]:
        logger.warning(
            "the same page lies under several labels, which spoils figures: %s",
            named([page.name for page in group]),
        )
    if len(groups) > MOST_NAMED:
        logger.warning("%d pages lie under several labels in all", len(groups))


def _of_several_labels(
    pages: Sequence[LabelledPage], key: Callable[[Path], Any]
) -> Iterator[list[LabelledPage]]:
    """Groups of pages whose files have one key, which is not None, and more than one label."""
    groups: defaultdict[Any, list[LabelledPage]] = defaultdict(list)
    for page in pages:
        groups[key(page.path)].append(page)
    for value, group in groups.items():
        if value is not None and len({page.label for page in group}) > 1:
            yield group


def file_size(path: Path) -> int | None:
    """A file's size in bytes; None if it cannot be told."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def _written_size(path: Path) -> int | None:
    return file_size(path) or None  # empty files are alike, and no page


def _sample(path: Path) -> bytes | None:
    """The digest of a file's first and last bytes; None for what is no ordinary file."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            start = file.read(SAMPLE_BYTES)
            file.seek(-min(SAMPLE_BYTES, path.stat().st_size), os.SEEK_END)
            return hashlib.sha256(start + file.read(SAMPLE_BYTES)).digest()
    except OSError:
        return None


def page_digest(path: str | Path) -> str:
    """The first 16 hex digits of the SHA-256 of a file's bytes, whatever the file is called.

    Raises:
        PageUnreadableError: the file is gone, is no ordinary file, or cannot be read.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():  # a pipe would block
            raise PageUnreadableError("it is not an ordinary file", where=path)
        return file_digest(path)[:DIGEST_DIGITS]
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PageUnreadableError(f"the file cannot be read ({reason})", where=path) from error


def _digest_or_nothing(path: Path) -> str | None:
    try:
        return page_digest(path)
    except PageUnreadableError:
        return None


def page_digests(pages: Iterable[LabelledPage], workers: int = HASHING_WORKERS) -> list[str | None]:
    """The digest of each page; None for one that cannot be read."""
    with ThreadPoolExecutor(workers, thread_name_prefix="digests") as pool:
        return list(pool.map(_digest_or_nothing, [page.path for page in pages]))


def write_trained_pages(
    folder: str | Path,
    pages: Iterable[LabelledPage],
    inherited: Iterable[str] = (),
    workers: int = HASHING_WORKERS,
) -> Path:
    """Write the digests of a model's training and validation pages into its folder.

    So that an evaluation can leave these pages out wherever they lie and whatever they are called.
    Pages that are no longer readable are passed over: nobody can evaluate them either.

    Args:
        folder: the model's.
        pages: those that it was trained on.
        inherited: digests of the pages that its start was trained on.
        workers: threads that hash.

    Raises:
        PageSortError: the file cannot be written.
    """
    path = Path(folder) / TRAINED_PAGES_FILE
    digests = sorted({*inherited, *filter(None, page_digests(pages, workers))})
    write_whole(path, "".join(f"{digest}\n" for digest in digests))
    return path


def read_trained_pages(folder: str | Path) -> frozenset[str]:
    """The digests of the pages a model was trained on; empty where its folder tells none.

    Raises:
        PageSortError: the file is damaged or cannot be read.
    """
    path = Path(folder) / TRAINED_PAGES_FILE
    remedy = "Fetch or train the model again"
    what = "the list of trained pages cannot be read"
    with translate_unreadable(path, what, remedy, (ValueError,)):
        try:
            lines = path.read_text(encoding="ascii").split()
        except FileNotFoundError:
            return frozenset()
    wrong = next((line for line in lines if not DIGEST.fullmatch(line)), None)
    if wrong is not None:
        raise PageSortError(f"{wrong[:40]!r} is no digest of a page", where=path, remedy=remedy)
    return frozenset(lines)
