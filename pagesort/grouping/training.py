"""Training a boundary model on piles whose items are known, and measuring it on those left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pagesort.grouping.boundary_features import boundary_features
from pagesort.grouping.boundary_model import SEEN_DIGITS, BoundaryModel, Weighing, standardised
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
FEWEST_GAPS = 4  # of either kind, between pages with texts, that anything is learned from
BASELINES = ("every page alone", "one group")
WITHOUT_TEXTS = "sequence, without texts"


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


def train_boundaries(piles: Sequence[LabelledPile], seed: int = SEED) -> BoundaryModel:
    """Fit a boundary model, every pile counting the same however long it is.

    It is fitted to the piles and to artificial ones, with pages left out and items in other order:
    these hold other lengths of items and other neighbours than the few piles that there are.
    """
    from sklearn.linear_model import LogisticRegression

    every = [*piles, *_artificial(piles, np.random.default_rng(seed))]
    features, starts, weights = _examples(every)
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    fitted = LogisticRegression(C=PENALTY, max_iter=1000)
    fitted.fit(standardised(features, mean, scale), starts, sample_weight=weights)
    looks = Weighing(mean, scale, fitted.coef_[0], float(fitted.intercept_[0]))
    seen = frozenset(digest[:SEEN_DIGITS] for pile in piles for digest in pile.files)
    texts = _train_texts(every, looks) if _have_texts(piles) else None
    return BoundaryModel(looks, texts, seen)


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


def left_out(piles: Sequence[LabelledPile], method: Method) -> Iterator[tuple[str, str, Agreement]]:
    """Measure every method on each pile, with a model of the others: pile, method, figures."""
    for place, labelled in enumerate(piles):
        others = [*piles[:place], *piles[place + 1 :]]
        model = train_boundaries(others)
        for name in NAMES:
            groups, _ = replace(method, model=model, name=name).group(labelled.pile)
            yield labelled.name, name, agreement(labelled.items.tolist(), groups.tolist())
        if model.texts is not None:
            blind = replace(model, texts=None)
            groups, _ = replace(method, model=blind, name="sequence").group(labelled.pile)
            yield labelled.name, WITHOUT_TEXTS, agreement(labelled.items.tolist(), groups.tolist())
        pages = len(labelled.items)
        for baseline, numbers in zip(BASELINES, (list(range(pages)), [0] * pages), strict=True):
            yield labelled.name, baseline, agreement(labelled.items.tolist(), numbers)


def _examples(piles: Sequence[LabelledPile]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gaps of all piles: features (N, F), whether an item begins (N,), and weights (N,)."""
    features = [boundary_features(each.pile)[1:] for each in piles]
    starts = [each.starts[1:] for each in piles]
    weights = [np.full(len(each), 100 / (len(each) + 1)) for each in starts]
    return np.concatenate(features), np.concatenate(starts), np.concatenate(weights)


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
    joined = {
        name: np.concatenate([getattr(piles[source].pile, name)[kept] for source, kept in parts])
        for name in ("vectors", "looks", "sizes", "scores", "texts")
        if all(getattr(pile.pile, name) is not None for pile in piles)
    }
    numbers = np.repeat(np.arange(len(parts)), [len(kept) for _, kept in parts])
    return LabelledPile("", Pile(**joined), numbers)


def _runs(labelled: LabelledPile) -> list[np.ndarray]:
    """The places of each item's pages."""
    return np.split(np.arange(len(labelled.items)), np.flatnonzero(labelled.starts)[1:])
