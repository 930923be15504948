"""Training a boundary model on piles whose items are known, and measuring it on those left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pagesort.grouping.boundary_features import boundary_features
from pagesort.grouping.boundary_model import SEEN_DIGITS, BoundaryModel, Weighing, standardised
from pagesort.grouping.cover_features import cover_features
from pagesort.grouping.methods import NAMES, Method
from pagesort.grouping.metrics import Agreement, agreement
from pagesort.grouping.pile import Pile
from pagesort.grouping.segmentation import probability
from pagesort.grouping.text_features import text_features

MADE_PER_PILE = 8  # artificial piles
FEWEST, MOST = 8, 150  # pages of an artificial pile
SEED = 420
PENALTY = 0.0004  # inverse strength of the regression's penalty
TEXT_PENALTY = 0.0004  # likewise of what texts add
COVERED = 0.6  # share of piles that covers are put into
FEWEST_COVERED = 0.2  # share of such a pile's items that get one, at the least
FEWEST_GAPS = 4  # of either kind, between pages with texts, that anything is learned from
BASELINES = ("every page alone", "one group")
WITHOUT_TEXTS = "sequence, without texts"
WITHOUT_COVERS = "sequence, without covers"


@dataclass(frozen=True)
class LabelledPile:
    """A pile with the number of each page's item, int (N,), which grows from page to page.

    `files` are the SHA-256 of its files, in hexadecimal digits.
    """

    name: str
    pile: Pile
    items: np.ndarray
    files: tuple[str, ...] = ()

    @property
    def starts(self) -> np.ndarray:
        """Whether an item begins at each page: bool (N,)."""
        return np.append(True, self.items[1:] != self.items[:-1])


def train_boundaries(
    piles: Sequence[LabelledPile], covers: Pile | None = None, seed: int = SEED
) -> BoundaryModel:
    """Fit a boundary model, every pile counting the same however long it is.

    It is fitted to the piles and to artificial ones, with pages left out and items in other order:
    these hold other lengths of items and other neighbours than the few piles that there are.

    Args:
        piles: what it learns from, one or more.
        covers: what it learns of covers from, as seen by the same model; None for a model that
            knows no covers.
        seed: what is drawn depends on it.
    """
    every = [*piles, *_artificial(piles, np.random.default_rng(seed))]
    looks = _fitted(
        [(boundary_features(each.pile)[1:], each.starts[1:]) for each in every],
    )
    seen = frozenset(digest[:SEEN_DIGITS] for pile in piles for digest in pile.files)
    texts = _train_texts(every, looks) if _have_texts(piles) else None
    found = None if covers is None else _train_covers(every, covers, seed)
    return BoundaryModel(looks, texts, found, seen)


def _fitted(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> Weighing:
    """Fit a regression to features, (N, F), and answers, bool (N,), of piles that count alike."""
    from sklearn.linear_model import LogisticRegression

    features, answers = (np.concatenate(column) for column in zip(*parts, strict=True))
    weights = np.concatenate([np.full(len(each), 100 / (len(each) + 1)) for _, each in parts])
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    fitted = LogisticRegression(C=PENALTY, max_iter=1000)
    fitted.fit(standardised(features, mean, scale), answers, sample_weight=weights)
    return Weighing(mean, scale, fitted.coef_[0], float(fitted.intercept_[0]))


def _train_covers(piles: Sequence[LabelledPile], covers: Pile, seed: int) -> Weighing:
    """Fit what tells covers from pages: from the piles, and from most of them with covers."""
    rng = np.random.default_rng([seed, 1])
    parts = [(cover_features(each.pile), np.zeros(len(each.pile), bool)) for each in piles]
    for each in piles:
        if rng.random() < COVERED:
            # A pile's covers may be of one kind, or of a few, or all unlike.
            some = rng.permutation(len(covers))[: int(rng.choice([1, 3, len(covers)]))]
            share = rng.uniform(FEWEST_COVERED, 1.0)
            pile, is_cover = put_covers(each, covers, some, share, rng)
            parts.append((cover_features(pile.pile), is_cover))
    return _fitted(parts)


def put_covers(
    labelled: LabelledPile,
    covers: Pile,
    some: np.ndarray,
    share: float,
    rng: np.random.Generator,
) -> tuple[LabelledPile, np.ndarray]:
    """Put covers before items; texts are left aside.

    Args:
        labelled: the pile as it is.
        covers: that there are to choose from.
        some: the places of those that are chosen, any number of times.
        share: how many of the items get one.
        rng: what is drawn depends on it.

    Returns:
        The pile with covers, each the first page of its item, and whether each page is one.
    """
    parts, is_cover = [], []
    for run in _runs(labelled):
        if rng.random() < share:
            parts.append((covers, rng.choice(some, 1)))
            is_cover.append([True])
        parts.append((labelled.pile, run))
        is_cover.append([False] * len(run))
    flags = np.concatenate(is_cover)
    items = np.empty(len(flags), int)
    items[~flags] = labelled.items
    items[flags] = items[np.flatnonzero(flags) + 1]
    return LabelledPile(labelled.name, _joined(parts), items), flags


def _joined(parts: Sequence[tuple[Pile, np.ndarray]], texts: bool = False) -> Pile:
    """Some pages of several piles, one after the other."""
    names = ("vectors", "looks", "sizes", "scores", *(("texts",) if texts else ()))
    return Pile(
        **{
            name: np.concatenate([getattr(pile, name)[places] for pile, places in parts])
            for name in names
        }
    )


def _have_texts(piles: Sequence[LabelledPile]) -> bool:
    """Whether texts lie beside enough pages, at beginnings of items and elsewhere."""
    found = np.zeros(2, int)
    for each in piles:
        if each.pile.texts is not None:
            _, known = text_features(each.pile.texts)
            found += np.bincount(each.starts[known].astype(int), minlength=2)
    return bool(found.min() >= FEWEST_GAPS)


def _train_texts(piles: Sequence[LabelledPile], looks: Weighing) -> Weighing:
    """Fit what texts add to the log odds that looks give.

    So a model answers the same about pages without texts, whether it was trained with some or not.
    """
    from scipy.optimize import minimize

    parts: list[list[np.ndarray]] = []
    for each in piles:
        if each.pile.texts is not None:
            found, known = text_features(each.pile.texts)
            given = looks.log_odds_of(boundary_features(each.pile))
            weights = np.full(len(known), 100 / len(known))
            parts.append([part[known] for part in (found, each.starts, given, weights)])
    features, starts, given, weights = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    usual = standardised(features, mean, scale)
    signs = np.where(starts, 1.0, -1.0)

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        margins = signs * (given + usual @ values[1:] + values[0])
        slopes = -weights * signs * probability(-margins) * TEXT_PENALTY
        total = TEXT_PENALTY * (weights * np.logaddexp(0, -margins)).sum()
        total += (values[1:] ** 2).sum() / 2
        return float(total), np.append(slopes.sum(), usual.T @ slopes + values[1:])

    fitted = minimize(loss, np.zeros(usual.shape[1] + 1), jac=True, method="L-BFGS-B").x
    return Weighing(mean, scale, fitted[1:], float(fitted[0]))


def left_out(
    piles: Sequence[LabelledPile], method: Method, covers: Pile | None = None
) -> Iterator[tuple[str, str, Agreement]]:
    """Measure every method on each pile, with a model of the others: pile, method, figures."""
    for place, labelled in enumerate(piles):
        others = [*piles[:place], *piles[place + 1 :]]
        model = train_boundaries(others, covers)
        for name in NAMES:
            groups, _ = replace(method, model=model, name=name).group(labelled.pile)
            yield labelled.name, name, agreement(labelled.items.tolist(), groups.tolist())
        for without, blind in _less(model):
            groups, _ = replace(method, model=blind, name="sequence").group(labelled.pile)
            yield labelled.name, without, agreement(labelled.items.tolist(), groups.tolist())
        pages = len(labelled.items)
        for baseline, numbers in zip(BASELINES, (list(range(pages)), [0] * pages), strict=True):
            yield labelled.name, baseline, agreement(labelled.items.tolist(), numbers)


def _less(model: BoundaryModel) -> Iterator[tuple[str, BoundaryModel]]:
    """The model without a part of what it knows, and what `sequence` is called with that."""
    if model.texts is not None:
        yield WITHOUT_TEXTS, replace(model, texts=None)
    if model.covers is not None:
        yield WITHOUT_COVERS, replace(model, covers=None)


def _artificial(piles: Sequence[LabelledPile], rng: np.random.Generator) -> Iterator[LabelledPile]:
    """Draw piles out of the items of one or of several piles."""
    runs = [_runs(each) for each in piles]
    made = 0
    for _ in range(20 * MADE_PER_PILE * len(piles)):
        several = int(rng.integers(2, 5)) if rng.random() < 0.25 else 1
        sources = rng.permutation(len(piles))[:several]
        items = [(source, run) for source in sources for run in runs[source]]
        if rng.random() < 0.7:
            items = [items[place] for place in rng.permutation(len(items))]
        pile = _drawn(piles, items, rng)
        if len(pile.items) >= FEWEST:
            yield pile
            made += 1
        if made == MADE_PER_PILE * len(piles):
            return


def _drawn(
    piles: Sequence[LabelledPile],
    items: Sequence[tuple[int, np.ndarray]],
    rng: np.random.Generator,
) -> LabelledPile:
    """A pile of items that keep their first page, and in some piles lose others."""
    way, share = int(rng.integers(3)), rng.uniform(0.2, 1.0)
    parts: list[tuple[int, np.ndarray]] = []
    pages = 0
    for source, run in items:
        kept = run
        if way == 1:
            kept = run[: int(rng.geometric(share))]
        elif way == 2:
            others = min(len(run) - 1, int(rng.geometric(share)))
            kept = np.sort(np.append(run[:1], rng.permutation(run[1:])[:others]))
        parts.append((source, kept))
        pages += len(kept)
        if pages > MOST:
            break
    texts = all(each.pile.texts is not None for each in piles)
    joined = _joined([(piles[source].pile, kept) for source, kept in parts], texts)
    numbers = np.repeat(np.arange(len(parts)), [len(kept) for _, kept in parts])
    return LabelledPile("", joined, numbers)


def _runs(labelled: LabelledPile) -> list[np.ndarray]:
    """The places of each item's pages."""
    return np.split(np.arange(len(labelled.items)), np.flatnonzero(labelled.starts)[1:])
