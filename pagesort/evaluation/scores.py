"""Labelled pages to scores: which pages count for a model, and what it gives them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from unicodedata import normalize

import numpy as np

from pagesort.common.errors import PageSortError, PageUnreadableError
from pagesort.common.hardware import decoding_threads
from pagesort.common.progress import Progress
from pagesort.common.text import MOST_NAMED, named
from pagesort.labelled.folder import LabelledPage, page_digest, page_pixels
from pagesort.pages.preprocessing import Preprocessing
from pagesort.prediction.folder_run import Model
from pagesort.prediction.journal import NO_SCORE
from utils import page_name

logger = logging.getLogger(__name__)


class Classifier(Model, Protocol):
    """What an evaluation needs of a model."""

    @property
    def metadata(self) -> Any:
        """A `metadata.ModelMetadata`: base, revision, descriptions, averaging, temperature."""

    @property
    def prompts(self) -> Mapping[str, Sequence[str]]:
        """Label -> the texts that stand for it."""

    def embed_images(self, pixels: np.ndarray) -> Any:
        """Embed uint8 (N, H, W, 3): (N, D)."""

    def scores(self, embeddings: Any) -> np.ndarray:
        """Score embeddings (N, D): probabilities (N, labels)."""


@dataclass(frozen=True)
class Selection:
    """The pages that count, ordered as their table, and what was left out of the figures.

    Attributes:
        true: (pages,) the model's label of each page, as its index.
        unknown: labels that the model does not know -> their pages.
        without_pages: labels of the model that no page has.
        seen: pages that the model was trained on.
        all_seen: whether these are all pages, so that they are scored after all.
    """

    folder: Path
    pages: tuple[LabelledPage, ...]
    true: np.ndarray
    unknown: dict[str, int]
    without_pages: tuple[str, ...]
    seen: int
    all_seen: bool


@dataclass(frozen=True)
class ScoredPages:
    """What became of a selection's pages, each named by its place in it.

    Attributes:
        places: (scored,) the pages that have scores, ascending.
        scores: for each classifier (scored, labels), probabilities.
        failures: place and reason of the others, ascending.
    """

    places: np.ndarray
    scores: tuple[np.ndarray, ...]
    failures: tuple[tuple[int, str], ...]


def select_pages(
    pages: Sequence[LabelledPage],
    folder: Path,
    folder_labels: Sequence[str],
    labels: Sequence[str],
    trained: frozenset[str],
) -> Selection:
    """Choose the pages whose label the model knows and which it was not trained on; tell the rest.

    Args:
        pages: those to choose from.
        folder: where they lie.
        folder_labels: the folder's labels, those without pages included.
        labels: the model's.
        trained: digests of the pages that it was trained on.

    Raises:
        PageSortError: there is no page, or the model knows no label of any.
    """
    if not pages:
        raise PageSortError(
            "there is no page to evaluate",
            where=folder,
            remedy="Name another folder with --eval_folder or [EVAL] FOLDER_PAGES",
        )
    indices = {normalize("NFC", label): index for index, label in enumerate(labels)}
    known, unknown = _known_pages(pages, folder, folder_labels, labels)
    fresh = _fresh_pages(known, trained)
    kept = fresh or known
    kept = sorted(kept, key=lambda page: (*page_name(page.path), page.name))
    true = np.array([indices[normalize("NFC", page.label)] for page in kept])
    present = set(true.tolist())
    without = tuple(label for index, label in enumerate(labels) if index not in present)
    if without:
        logger.warning("labels of the model that no page has: %s", named(without))
    return Selection(
        folder=folder,
        pages=tuple(kept),
        true=true,
        unknown=unknown,
        without_pages=without,
        seen=len(known) - len(fresh),
        all_seen=not fresh,
    )


def _known_pages(
    pages: Sequence[LabelledPage],
    folder: Path,
    folder_labels: Sequence[str],
    labels: Sequence[str],
) -> tuple[list[LabelledPage], dict[str, int]]:
    """Return the pages whose label the model knows, and how many each unknown label has."""
    # A label may come decomposed from the file system of a Mac and composed from elsewhere.
    indices = {normalize("NFC", label) for label in labels}
    unknown = {label: 0 for label in folder_labels if normalize("NFC", label) not in indices}
    known = []
    for page in pages:
        if normalize("NFC", page.label) in indices:
            known.append(page)
        else:
            unknown[page.label] = unknown.get(page.label, 0) + 1
    if not known:
        raise PageSortError(
            f"no page has a label that the model knows; the folder's are {named(sorted(unknown))}",
            where=folder,
            remedy=f"The model's are {named(labels)}; --zero_shot takes any",
        )
    if unknown:
        names = named([f"{label} ({count} pages)" for label, count in unknown.items()])
        logger.warning("left out, as the model does not know these labels: %s", names)
    return known, unknown


def _fresh_pages(known: Sequence[LabelledPage], trained: frozenset[str]) -> list[LabelledPage]:
    """Return the pages that the model was not trained on."""
    fresh = [page for page in known if not _is_trained(page, trained)]
    seen = len(known) - len(fresh)
    if not fresh:
        logger.warning(
            "the model was trained on every one of these %d pages: the figures tell how well it "
            "remembers them, not how well it sorts other pages",
            seen,
        )
    elif seen:
        logger.warning("left out, as the model was trained on them: %d pages", seen)
    return fresh


def _is_trained(page: LabelledPage, trained: frozenset[str]) -> bool:
    if not trained:
        return False
    try:
        return page_digest(page.path) in trained
    except PageUnreadableError:
        return False  # it is told once it cannot be decoded


def score_pages(
    classifiers: Sequence[Classifier],
    selection: Selection,
    batch_size: int,
    max_megapixels: float,
) -> ScoredPages:
    """Score the pages with classifiers that share their towers, which see each page once.

    Raises:
        PageSortError: no page can be read, or there is not enough memory.
    """
    places: list[int] = []
    scores: list[list[np.ndarray]] = [[] for _ in classifiers]
    failures: dict[int, str] = {}
    batches = _batches(classifiers[0].preprocessing, selection, batch_size, max_megapixels)
    with contextlib.closing(batches), Progress(len(selection.pages), 0) as progress:
        for batch, unreadable in batches:
            failures |= unreadable
            if batch:
                rows = _score(classifiers, np.stack(list(batch.values())))
                # A model whose weights are damaged gives no numbers.
                sound = np.all([np.isfinite(each).all(axis=1) for each in rows], axis=0)
                numbers = np.array(list(batch))
                failures |= dict.fromkeys(numbers[~sound].tolist(), NO_SCORE)
                places += numbers[sound].tolist()
                for kept, each in zip(scores, rows, strict=True):
                    kept.append(each[sound])
            last = max((*batch, *unreadable))
            progress.advance(len(batch) + len(unreadable), selection.pages[last].name)
    _log_failures(selection, failures)
    if not places:
        raise PageSortError(
            f"none of the {len(selection.pages)} labelled pages can be read",
            where=selection.folder,
            remedy=f"The first: {next(iter(failures.values()))}",
        )
    return ScoredPages(
        places=np.array(places),
        scores=tuple(np.concatenate(each) for each in scores),
        failures=tuple(sorted(failures.items())),
    )


def _batches(
    preprocessing: Preprocessing, selection: Selection, batch_size: int, max_megapixels: float
) -> Iterator[tuple[dict[int, np.ndarray], dict[int, str]]]:
    """Yield pixels and reasons of the next pages, by place; each full batch has equal size."""
    batch: dict[int, np.ndarray] = {}
    unreadable: dict[int, str] = {}
    decoded = page_pixels(selection.pages, preprocessing, max_megapixels, decoding_threads())
    with contextlib.closing(decoded):
        for place, (_, pixels) in enumerate(decoded):
            if isinstance(pixels, str):
                unreadable[place] = pixels
            else:
                batch[place] = pixels
            if len(batch) == batch_size:
                yield batch, unreadable
                batch, unreadable = {}, {}
    if batch or unreadable:
        yield batch, unreadable


def _score(classifiers: Sequence[Classifier], pixels: np.ndarray) -> list[np.ndarray]:
    """Embed pages once and score them with every classifier."""
    try:
        embeddings = classifiers[0].embed_images(pixels)
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, MemoryError) or "alloc" in str(error) or "memory" in str(error):
            raise PageSortError(
                f"there is not enough memory for {len(pixels)} pages at once",
                remedy="Start again with a smaller --batch_size",
            ) from error
        raise
    return [np.asarray(classifier.scores(embeddings)) for classifier in classifiers]


def _log_failures(selection: Selection, failures: Mapping[int, str]) -> None:
    """Name the pages without scores, the first of them only: a table has them all."""
    for place in sorted(failures)[:MOST_NAMED]:
        logger.warning("cannot read %s: %s", selection.pages[place].path, failures[place])
    if len(failures) > MOST_NAMED:
        logger.warning("further pages that cannot be read are only listed in a table")
