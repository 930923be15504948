"""Folds: labelled pages dealt out so that each is tested once, by pages of other documents."""

from __future__ import annotations

import warnings
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from pagesort.common.errors import PageSortError
from pagesort.labelled.folder import LabelledFolder
from pagesort.labelled.page import LabelledPage
from pagesort.labelled.split_files import PageSplit, fingerprint_of
from pagesort.labelled.splits import new_parts


def make_folds(
    data: LabelledFolder, count: int, *, seed: int, test_size: float
) -> tuple[PageSplit, ...]:
    """Deal whole documents out, so that every fold has about its share of each label.

    The part `test` of each split is one fold. Of the other pages, a share of `test_size` of each
    label validates as far as there are documents, and the rest trains.

    Args:
        count: of folds, from 2 on.
        seed: the same seed and pages give the same folds.

    Raises:
        PageSortError: there are too few documents.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    pages = sorted(data.pages, key=lambda page: page.name)
    documents = [page.document for page in pages]
    too_few = PageSortError(
        f"{len(set(documents))} documents are too few for {count} folds",
        where=data.folder,
        remedy="Use a smaller number with --folds, or add pages of other documents",
    )
    if len(set(documents)) < count:
        raise too_few
    ways = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    number = np.zeros(len(pages), int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of labels with fewer pages than folds
        try:
            for fold, (_, held) in enumerate(ways.split(documents, _labels(pages), documents)):
                number[held] = fold
        except ValueError as error:  # no label has as many pages as there are folds
            raise too_few from error
    if len(set(number.tolist())) < count:
        raise too_few
    whole = fingerprint_of(pages, {"folds": count, "seed": seed, "test_size": test_size})
    folds = []
    for fold in range(count):
        held = tuple(page for page, own in zip(pages, number, strict=True) if own == fold)
        rest = [page for page, own in zip(pages, number, strict=True) if own != fold]
        split = _without_test(data, rest, whole, seed, test_size)
        folds.append(
            replace(
                split,
                test=held,
                fingerprint=f"{fold:04x}{whole[4:]}",
                path=Path(f"fold {fold + 1} of {count}"),
            )
        )
    return tuple(folds)


def all_pages(data: LabelledFolder, *, seed: int, test_size: float) -> PageSplit:
    """Return a split without a test part, whose pages all train but for those that validate."""
    pages = sorted(data.pages, key=lambda page: page.name)
    whole = fingerprint_of(pages, {"all": True, "seed": seed, "test_size": test_size})
    return _without_test(data, pages, whole, seed, test_size)


def lonely_labels(data: LabelledFolder) -> list[str]:
    """Labels of one document: whoever scores its pages has not learnt from any of the label."""
    documents: defaultdict[str, set[str]] = defaultdict(set)
    for page in data.pages:
        documents[page.label].add(page.document)
    return sorted(label for label, own in documents.items() if len(own) == 1)


def _labels(pages: list[LabelledPage]) -> list[str]:
    return [page.label for page in pages]


def _without_test(
    data: LabelledFolder, pages: list[LabelledPage], fingerprint: str, seed: int, test_size: float
) -> PageSplit:
    parts = new_parts(pages, seed, test_size, "document")
    return PageSplit(
        train=tuple(page for page in pages if parts[page.name] != "validation"),
        validation=tuple(page for page in pages if parts[page.name] == "validation"),
        test=(),
        labels=data.labels,
        fingerprint=fingerprint,
        path=Path("all pages"),
        folder=data.folder,
        by="document",
    )
