"""Real labelled pages for the bundled model: what is known of them, their pixels, their folds."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import numpy as np

from bundled_models.page_classifier.page_cache import STORED_SIZE, stored_pixels
from pagesort.common.errors import PageSortError, PageUnreadableError
from pagesort.common.hardware import processors
from pagesort.labelled.folder import LabelledPage, read_labelled_folder
from pagesort.pages.loader import load_page

logger = logging.getLogger(__name__)

NEVER_HELD_OUT = -1
"""The fold of pages of sources without a clear page: nothing is measured on them."""
_KNOWN_SOURCES = Path(__file__).with_name("sources.tsv")


@dataclass(frozen=True)
class RealPage:
    """A labelled page and what a table beside its folder tells of it.

    Attributes:
        source: pages of one source look alike, so that folds keep them together.
        clear: whether no second label competes.
        picture_only: whether it is cropped to a picture, with no page around.
        may_train: False where a licence forbids it for what is shipped; it may be measured on.
    """

    page: LabelledPage
    folder: str
    source: str
    clear: bool = True
    picture_only: bool = False
    may_train: bool = True


@dataclass(frozen=True)
class RealPages:
    """Real pages with their pixels, uint8 (N, H, W, 3), and label indices (N,)."""

    pages: tuple[RealPage, ...]
    pixels: np.ndarray
    labels: np.ndarray

    @classmethod
    def without_pixels(cls, pages: Sequence[RealPage], labels: Sequence[str]) -> RealPages:
        """Of pages whose pixels nobody asks for."""
        indices = np.array([labels.index(page.page.label) for page in pages], dtype=np.int64)
        return cls(tuple(pages), np.empty((len(pages), 0), dtype=np.uint8), indices)

    def __len__(self) -> int:
        return len(self.pages)

    @property
    def sources(self) -> np.ndarray:
        """The source of each page, (N,) strings."""
        return np.array([page.source for page in self.pages])

    @property
    def clear(self) -> np.ndarray:
        """Which pages are clear, (N,) bool."""
        return np.array([page.clear for page in self.pages])

    @property
    def may_train(self) -> np.ndarray:
        """Which pages may be trained on, (N,) bool."""
        return np.array([page.may_train for page in self.pages])


def list_real_pages(folders: Sequence[Path], labels: Sequence[str]) -> list[RealPage]:
    """List `FOLDER/<label>/*` of every folder, with what `FOLDER.csv` beside it tells.

    A page that no table names is a source of its own document.

    Raises:
        PageSortError: a folder holds no page of these labels.
    """
    found: list[RealPage] = []
    for folder in folders:
        facts = dict(_table_rows(folder.with_suffix(".csv")))
        listed = read_labelled_folder(folder, named_by="--real", empty_ok=True).pages
        pages = [page for page in listed if page.label in labels]
        if not pages:
            raise PageSortError(
                "no labelled pages",
                where=folder,
                remedy=f"Give a folder with subfolders named like labels: {', '.join(labels)}",
            )
        for page in pages:
            row = facts.get(f"{page.label}/{page.path.name}", {})
            found.append(_with_facts(page, folder.name, row))
    return found


def _table_rows(table: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield `<label>/<file>` and the row of every page of a table, if there is one."""
    if not table.exists():
        return
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield row.get("path") or f"{row['label']}/{row['page']}", row


def _with_facts(page: LabelledPage, folder: str, row: Mapping[str, str]) -> RealPage:
    name = row.get("source") or row.get("data set") or f"{folder}/{page.document}"
    source, may_train = _known_source(name)
    return RealPage(
        page=page,
        folder=folder,
        source=source,
        clear=row.get("sure", "1") == "1",
        picture_only=row.get("picture_only") == "1",
        may_train=may_train,
    )


def _known_source(name: str) -> tuple[str, bool]:
    """What a source counts as, and whether a model trained on it may be shipped."""
    for pattern, source, shipped in _known_sources():
        if fnmatchcase(name, pattern):
            return source, shipped
    return name, True


@cache
def _known_sources() -> tuple[tuple[str, str, bool], ...]:
    with _KNOWN_SOURCES.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return tuple((row["name"], row["source"], row["shipped"] == "yes") for row in rows)


def read_real_pages(folders: Sequence[Path], labels: Sequence[str], kept: Path) -> RealPages:
    """Read the pages of the folders; their pixels are kept in the file `kept`, mapped into memory.

    Files that cannot be read are left out and told.

    Raises:
        PageSortError: see `list_real_pages`.
    """
    pages = list_real_pages(folders, labels)
    if not kept.exists():
        _keep_pixels(pages, kept)
    pixels = np.load(kept, mmap_mode="r")
    read = np.load(_rows_file(kept))
    pages = [pages[row] for row in read]
    indices = np.array([labels.index(page.page.label) for page in pages], dtype=np.int64)
    return RealPages(tuple(pages), pixels, indices)


def _rows_file(kept: Path) -> Path:
    return kept.with_name(f"{kept.stem}-rows.npy")


def _keep_pixels(pages: Sequence[RealPage], kept: Path) -> None:
    """Decode all pages to one file; a second one names the rows that could be read."""
    with ThreadPoolExecutor(processors()) as pool:
        decoded = list(pool.map(_pixels_of, pages))
    rows = [row for row, pixels in enumerate(decoded) if pixels is not None]
    kept.parent.mkdir(parents=True, exist_ok=True)
    np.save(_rows_file(kept), np.array(rows, dtype=np.int64))
    temporary = kept.with_suffix(".tmp.npy")
    mapped = np.lib.format.open_memmap(
        temporary, mode="w+", dtype=np.uint8, shape=(len(rows), *STORED_SIZE, 3)
    )
    for place, row in enumerate(rows):
        mapped[place] = decoded[row]
    mapped.flush()
    temporary.replace(kept)


def _pixels_of(page: RealPage) -> np.ndarray | None:
    try:
        return stored_pixels(load_page(page.page.path))
    except PageUnreadableError as error:
        logger.warning("left out of the training pages: %s", error)
        return None


def folds_of(real: RealPages, count: int, seed: int) -> np.ndarray:
    """Part the pages into folds of whole sources, alike in the labels of their clear pages.

    Returns:
        The fold of each page, (N,): 0 to `count` - 1, or NEVER_HELD_OUT.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    clear = np.flatnonzero(real.clear)
    sources = real.sources
    parts = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    fold_of: dict[str, int] = {}
    split = parts.split(clear, real.labels[clear], sources[clear])
    for fold, (_, held_out) in enumerate(split):
        fold_of.update(dict.fromkeys(sources[clear[held_out]], fold))
    return np.array([fold_of.get(source, NEVER_HELD_OUT) for source in sources])
