"""Audits: which pages of a finished run a person looks at, to learn how right all of it is.

All pages are laid in a row, category by category and from high to low scores, and the row is cut
into stretches of equal length, of each of which one page is drawn. So every category and every
band of scores has its share, every page the same chance, and the number of errors among the drawn
pages keeps within Clopper and Pearson's bounds whatever the pages are (Hoeffding 1956). It is done
twice: one part of the pages may decide which thresholds are tried on the other.

Categories with few pages in the sample get a few more, which count for their own figures only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pagesort.review.error_budget import LEARNING_SHARE, STEPS

FEW = 5
"""A category with fewer drawn pages than this gets so many of its own."""


@dataclass(frozen=True)
class Sample:
    """The pages of an audit; all numbers are places in the table.

    Attributes:
        learn, test: the two parts; a page can be there twice.
        extra: category (its place) -> pages of it that were drawn besides.
        chance: (pages,) the probability with which each page of the run is in the sample.
    """

    learn: np.ndarray
    test: np.ndarray
    extra: dict[int, np.ndarray]
    chance: np.ndarray

    def pages(self) -> np.ndarray:
        """Every drawn page once, ascending."""
        return np.unique(np.concatenate([self.learn, self.test, *self.extra.values()]))


def draw(guess: np.ndarray, score: np.ndarray, wanted: int, rng: np.random.Generator) -> Sample:
    """Draw about so many pages of a run, at most all of them.

    Args:
        guess: (pages,) the first guess, as its place among the labels.
        score: (pages,) in thousandths.
        wanted: 1 or more.
        rng: where chance comes from.
    """
    pages = len(guess)
    everything = np.arange(pages)
    if wanted >= pages:
        return Sample(everything[:0], everything, {}, np.ones(pages))
    order = np.lexsort((everything, -score, guess))
    sizes = np.bincount(guess)
    main, small = _split(sizes, wanted)
    parts = (main // LEARNING_SHARE, main - main // LEARNING_SHARE)
    learn, test = (order[_one_of_each_stretch(pages, draws, rng)] for draws in parts)
    extra = {
        category: rng.choice(np.flatnonzero(guess == category), few, replace=False)
        for category, few in small.items()
    }
    missed = np.full(pages, np.prod([1.0 - draws / pages for draws in parts]))
    for category, few in small.items():
        missed[guess == category] *= 1.0 - few / sizes[category]
    return Sample(learn, test, extra, 1.0 - missed)


def _split(sizes: np.ndarray, wanted: int) -> tuple[int, dict[int, int]]:
    """How many pages are drawn of all, and how many more of each category that is small."""
    main = wanted
    small: dict[int, int] = {}
    for few in range(FEW, 0, -1):
        main = wanted
        for _ in range(len(sizes)):
            rare = (sizes > 0) & (sizes * main < few * sizes.sum())
            small = {int(place): int(min(few, sizes[place])) for place in np.flatnonzero(rare)}
            main = max(wanted - sum(small.values()), 1)
        if 2 * sum(small.values()) <= wanted:
            return main, small
    return wanted, {}


def _one_of_each_stretch(pages: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """A place in each of `draws` stretches of equal length."""
    places = (np.arange(draws) + rng.random(draws)) * (pages / max(draws, 1))
    return np.minimum(places.astype(int), pages - 1)


@dataclass(frozen=True)
class Figure:
    """A share with its 95 % interval, of so many looked-at pages."""

    value: float
    low: float
    high: float
    pages: int


@dataclass(frozen=True)
class AuditFigures:
    """What an audit says of the whole run.

    Attributes:
        accuracy: the share of pages whose first guess is right.
        precision: for each guessed label, the share of its pages that are right.
        confusion: (true labels, labels) estimated pages of the run; the rows are `truths`.
        truths: the labels of the model, then others that the person gave.
    """

    accuracy: Figure
    precision: dict[str, Figure]
    confusion: np.ndarray
    truths: tuple[str, ...]

    def recall(self, label: str) -> float | None:
        """The estimated share of a label's pages that were found; None if there seem to be none."""
        place = self.truths.index(label)
        row = self.confusion[place]
        found = row[place] if place < len(row) else 0.0  # a label that the model does not know
        return float(found / row.sum()) if row.sum() else None


def figures(
    guess: np.ndarray,
    sizes: np.ndarray,
    sample: Sample,
    truth: dict[int, str],
    labels: Sequence[str],
) -> AuditFigures:
    """Estimate what holds for the whole run.

    Args:
        guess: of each page that the numbers of `sample` mean.
        sizes: (labels,) pages of the run by first guess.
        truth: page of the sample -> what the person called it.
        labels: the model's.
    """
    drawn = np.concatenate([sample.learn, sample.test])
    is_right = {page: labels[guess[page]] == label for page, label in truth.items()}
    right = sum(is_right[page] for page in drawn)
    is_census = len(np.unique(drawn)) == sizes.sum()
    accuracy = _figure(right, len(drawn), is_census)
    truths = (*labels, *sorted(set(truth.values()) - set(labels)))
    confusion = np.zeros((len(truths), len(labels)))
    precision = {}
    for category, pages in enumerate(sizes):
        own = sample.extra.get(category, drawn[guess[drawn] == category])
        if not len(own):
            continue
        for page in own:
            confusion[truths.index(truth[page]), category] += pages / len(own)
        is_whole = len(np.unique(own)) == pages
        precision[labels[category]] = _figure(sum(is_right[p] for p in own), len(own), is_whole)
    return AuditFigures(accuracy, precision, confusion, truths)


def _figure(right: int, pages: int, is_known: bool) -> Figure:
    """A share with its interval, which has no width where every page was looked at."""
    from pagesort.review.bounds import interval

    value = right / pages
    low, high = (value, value) if is_known else interval(right, pages)
    return Figure(value, low, high, pages)


def thousandths(scores: Sequence[float]) -> np.ndarray:
    """Scores as they are compared."""
    return np.rint(np.asarray(scores, dtype=float) * STEPS).astype(int)
