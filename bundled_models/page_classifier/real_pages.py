"""Real labelled pages for the bundled model, and the folds in which it is measured on them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bundled_models.page_classifier.page_cache import REGION_SIZE, Shard, stored_pixels
from bundled_models.synthetic_pages import page as synth
from pagesort.common.errors import PageSortError, PageUnreadableError
from pagesort.labelled.folder import LabelledPage, read_labelled_folder
from pagesort.pages.loader import load_page

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RealPages:
    """Pages of one or several folders.

    Attributes:
        shard: their pixels and labels; nobody knows what lies where on them.
        sources: (N,) from which of the folders each comes.
        pages: what each is.
    """

    shard: Shard
    sources: np.ndarray
    pages: tuple[LabelledPage, ...]

    def __len__(self) -> int:
        return len(self.pages)

    def chosen(self, rows: np.ndarray) -> RealPages:
        """Return the pages of these rows alone."""
        shard = Shard(
            self.shard.pages[rows],
            self.shard.regions[rows],
            self.shard.labels[rows],
            has_regions=False,
        )
        return RealPages(shard, self.sources[rows], tuple(self.pages[row] for row in rows))


def read_real_pages(folders: Sequence[Path], labels: Sequence[str]) -> RealPages:
    """Read `FOLDER/<label>/*` of every folder; files that cannot be read are left out and told.

    Raises:
        PageSortError: a folder holds no page of these labels.
    """
    pixels: list[np.ndarray] = []
    kept: list[LabelledPage] = []
    sources: list[int] = []
    for source, folder in enumerate(folders):
        before = len(kept)
        for page in read_labelled_folder(folder, named_by="--real", empty_ok=True).pages:
            if page.label not in labels:
                continue
            try:
                pixels.append(stored_pixels(load_page(page.path)))
            except PageUnreadableError as error:
                logger.warning("left out of the training pages: %s", error)
                continue
            kept.append(page)
            sources.append(source)
        if len(kept) == before:
            raise PageSortError(
                "no labelled pages",
                where=folder,
                remedy=f"Give a folder with subfolders named like labels: {', '.join(labels)}",
            )
    regions = np.zeros((len(kept), len(synth.REGIONS), *REGION_SIZE), dtype=np.uint8)
    indices = np.array([labels.index(page.label) for page in kept], dtype=np.int64)
    shard = Shard(np.stack(pixels), regions, indices, has_regions=False)
    return RealPages(shard, np.array(sources), tuple(kept))


def folds_of(real: RealPages, count: int, seed: int) -> np.ndarray:
    """Part the pages of each folder into folds of whole documents, alike in labels.

    A document is what `utils.page_name` calls FILE; where a data set names its pages by its own
    name, that is the whole data set.

    Returns:
        The fold of each page, (N,), 0 to `count` - 1.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    folds = np.zeros(len(real), dtype=np.int64)
    documents = np.array([page.document for page in real.pages])
    for source in np.unique(real.sources):
        rows = np.flatnonzero(real.sources == source)
        parts = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        split = parts.split(rows, real.shard.labels[rows], documents[rows])
        for fold, (_, held_out) in enumerate(split):
            folds[rows[held_out]] = fold
    return folds
