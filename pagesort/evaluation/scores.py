"""Labelled pages to scores: which pages count for a model, and what it gives them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

import numpy as np

from pagesort.common.errors import PageSortError
from pagesort.common.progress import Progress
from pagesort.common.text import named
from pagesort.labelled.folder import LabelledPage, page_digests
from pagesort.labelled.trained_names import TrainedNames
from pagesort.models.protocols import WholeClassifier
from pagesort.pages.loader import Failure, PageLoader, PageRef, Preprocessing
from pagesort.prediction import scoring
from utils import page_name

logger = logging.getLogger(__name__)

_SET_DIGITS = 12


@dataclass(frozen=True)
class Selection:
    """The pages that count, ordered as their table, and what was left out of the figures.

    Attributes:
        true: (pages,) the model's label of each page, as its index.
        unknown: labels that the model does not know -> their pages.
        without_pages: labels of the model that no page has.
        familiar: (pages,) whether the model was trained on other pages of a page's document or
            source; all False where it does not tell its documents.
        seen: pages that the model was trained on.
        all_seen: whether these are all pages, so that they are scored after all.
    """

    folder: Path
    pages: tuple[LabelledPage, ...]
    true: np.ndarray
    familiar: np.ndarray
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
    trained_names: TrainedNames,
) -> Selection:
    """Choose the pages whose label the model knows and which it was not trained on; tell the rest.

    Args:
        pages: those to choose from.
        folder: where they lie.
        folder_labels: the folder's labels, those without pages included.
        labels: the model's.
        trained: digests of the pages that it was trained on.
        trained_names: their documents and sources.

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
        familiar=np.array([bool(fresh) and trained_names.know(page) for page in kept], bool),
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
    # A page that cannot be read is told once it cannot be decoded.
    digests = page_digests(known) if trained else [None] * len(known)
    fresh = [page for page, digest in zip(known, digests, strict=True) if digest not in trained]
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


def page_set(pages: Sequence[LabelledPage]) -> str:
    """Tell sets of pages of one folder apart: a digest of their names."""
    names = "\n".join(sorted(page.name for page in pages))
    return hashlib.sha256(names.encode("utf-8", "surrogatepass")).hexdigest()[:_SET_DIGITS]


def score_pages(
    classifiers: Sequence[WholeClassifier],
    selection: Selection,
    batch_size: int,
    max_megapixels: float,
) -> ScoredPages:
    """Score the pages with classifiers that share their towers, which see each page once.

    Raises:
        PageSortError: no page can be read, or there is not enough memory.
    """
    scored: list[scoring.ScoredPage] = []
    failures: list[Failure] = []
    log = scoring.FailureLog()
    model = _Variants(classifiers)
    refs = [PageRef(place, page.path) for place, page in enumerate(selection.pages)]
    loader = PageLoader(model.preprocessing, max_megapixels)
    with loader, Progress(len(refs), 0) as progress:
        for result in scoring.score_pages(model, loader, refs, batch_size):
            if isinstance(result, Failure):
                failures.append(result)
                log.add([result])
            else:
                scored.append(result)
            progress.advance(1, selection.pages[result.ref.index].name)
    if not scored:
        raise PageSortError(
            f"none of the {len(refs)} labelled pages can be read",
            where=selection.folder,
            remedy=f"The first: {failures[0].reason}",
        )
    return ScoredPages(
        places=np.array([page.ref.index for page in scored]),
        scores=tuple(np.stack([page.scores for page in scored], axis=1)),
        failures=tuple((failure.ref.index, failure.reason) for failure in failures),
    )


class _Variants:
    """Classifiers that share their towers, as one model that gives (variants, labels) a page."""

    def __init__(self, classifiers: Sequence[WholeClassifier]) -> None:
        self.classifiers = classifiers

    @property
    def preprocessing(self) -> Preprocessing:
        return self.classifiers[0].preprocessing

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        embeddings = self.classifiers[0].embed_images(pixels)
        scores = [np.asarray(each.scores(embeddings)) for each in self.classifiers]
        return np.stack(scores, axis=1)

    def batches_at_once(self, batch_size: int) -> int:
        return self.classifiers[0].batches_at_once(batch_size)

    def stop(self) -> None:
        self.classifiers[0].stop()
