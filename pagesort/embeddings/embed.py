"""Pages to embeddings: those that are kept are looked up, and only the others are seen."""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from PIL import Image

from pagesort.embeddings.page import STORED, EmbeddedPage, unit_rows
from pagesort.embeddings.store import LOOKED_UP_AT_ONCE, Content, EmbeddingStore
from pagesort.models.protocols import Embedder
from pagesort.pages.loader import DEFAULT_MAX_MEGAPIXELS, Failure, Page, PageLoader, PageRef
from pagesort.prediction.scoring import NO_SCORE, rows_of, see_batches


@dataclass(frozen=True)
class Describer:
    """Computes something else of each page in the same pass, which is kept beside its embedding.

    `compute` gets the page as it is shrunk for the model, mode L or RGB, in several threads, and
    gives float32 values (F,). `version`, a few letters, names what it computes: pages kept without
    that are seen again.
    """

    version: str
    compute: Callable[[Image.Image], np.ndarray]


def embed_pages(
    model: Embedder,
    refs: Iterable[PageRef],
    store: EmbeddingStore,
    *,
    batch_size: int = 16,
    max_megapixels: float = DEFAULT_MAX_MEGAPIXELS,
    describer: Describer | None = None,
) -> Generator[EmbeddedPage | Failure]:
    """Yield every page with its embedding, or why it has none, in order.

    Pages are taken as they are needed, some hundred ahead, so that there may be any number. What is
    computed is kept batch by batch: when the consumer stops, the next run goes on from there.

    Args:
        model: the one that the store was opened for.
        refs: pages of files and documents.
        store: an open store.
        batch_size: pages that go through the model together.
        max_megapixels: larger pages are refused.
        describer: what else is wanted of every page.

    Raises:
        PageSortError: there is too little memory, or the embeddings cannot be kept.
    """
    version = describer.version if describer is not None else None
    compute = describer.compute if describer is not None else None
    order: deque[EmbeddedPage | None] = deque()  # None is a page that is being seen
    contents: deque[Content | None] = deque()  # what those will be kept by

    def groups() -> Iterator[list[PageRef]]:
        """Look pages up, and give those that have to be seen; none at times, to go on."""
        pages = iter(refs)
        while chunk := list(islice(pages, LOOKED_UP_AT_ONCE)):
            missing = []
            for ref, (content, kept) in zip(chunk, store.look_up(chunk, version), strict=True):
                order.append(kept)
                if kept is None:
                    missing.append(ref)
                    contents.append(content)
            for start in range(0, max(1, len(missing)), batch_size):
                yield missing[start : start + batch_size]

    def see(batch: Sequence[Page | Failure]) -> list[EmbeddedPage | Failure]:
        return _embed_batch(model, batch)

    with PageLoader(model.preprocessing, max_megapixels, describe=compute) as loader:
        batches = see_batches(model, loader, groups(), batch_size, see)
        with contextlib.closing(batches):
            for batch in batches:
                store.keep([(contents.popleft(), result) for result in batch], version)
                yield from _in_order(order, deque(batch))


def _in_order(
    order: deque[EmbeddedPage | None], seen: deque[EmbeddedPage | Failure]
) -> Iterator[EmbeddedPage | Failure]:
    """Take pages from the front of the order, as far as it is known what became of them."""
    while order and (order[0] is not None or seen):
        yield order.popleft() or seen.popleft()


def _embed_batch(model: Embedder, batch: Sequence[Page | Failure]) -> list[EmbeddedPage | Failure]:
    """Embed the pages of one batch that could be read.

    Black pages fill up what the model sees at a time: the same shape gives the same bits.
    """
    pages = [item for item in batch if isinstance(item, Page)]
    if not pages:
        return [item for item in batch if isinstance(item, Failure)]
    slots = math.ceil(len(pages) / model.pages_at_once) * model.pages_at_once

    def compute(pixels: np.ndarray) -> np.ndarray:
        return np.asarray(model.embed_images(pixels), dtype=STORED)

    rows = iter(unit_rows(rows_of(compute, pages, range(len(pages)), slots)))
    return [item if isinstance(item, Failure) else _embedded(item, next(rows)) for item in batch]


def _embedded(page: Page, vector: np.ndarray) -> EmbeddedPage | Failure:
    """A page with its embedding, which a model with damaged weights does not give."""
    if not np.isfinite(vector).all():
        return Failure(page.ref, NO_SCORE)
    features = None if page.features is None else np.asarray(page.features, np.float32)
    return EmbeddedPage(page.ref, vector, page.size, page.note, features)
