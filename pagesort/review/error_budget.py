"""The error budget: from which score on pages need no look, if so many may be wrong at most.

Labelled pages that the model never saw prove it. "With confidence 95 %, at most `max_error` of the
accepted pages are wrong" is the promise: whoever sorts twenty collections with it, and has new
labelled pages for each, is told too much in one of them.

A threshold that is chosen on the very pages that prove it would promise too much. So hypotheses
are put in an order that these pages' labels have no say in, and tested in it until the first one
fails (learn then test, arXiv 2110.01052; fixed-sequence testing): which thresholds are tried, and
in which order, follows from scores, and from labels of other pages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pagesort.review.bounds import DELTA, lower_tail, pages_needed, upper_bound

STEPS = 1000
"""Scores are compared as tables write them, in thousandths."""
NEVER = STEPS + 1
CANDIDATES = 30
PRIOR = 2.0
"""Errors that a category is thought to have, and to be expected to have, before any is seen."""
LEARNING_SHARE = 3
"""One in so many labelled pages teaches how far categories can be trusted, if there are enough."""
LIKENESS_CONFIDENCE = 0.9


@dataclass(frozen=True)
class Observed:
    """Labelled pages as arrays of one length.

    Attributes:
        guess: the first guess, as its place among the labels.
        score: its score, in thousandths.
        wrong: whether it is another label than the true one.
        group: pages of one group (a document) resemble each other.
    """

    guess: np.ndarray
    score: np.ndarray
    wrong: np.ndarray
    group: np.ndarray

    def __len__(self) -> int:
        return len(self.guess)

    def part(self, chosen: np.ndarray) -> Observed:
        """Those pages for which `chosen` is True."""
        return Observed(
            *(each[chosen] for each in (self.guess, self.score, self.wrong, self.group))
        )


@dataclass(frozen=True)
class Population:
    """All pages of an audited run, those of one guess and one score together.

    Attributes:
        guess, score: as of `Observed`.
        pages: how many there are.
    """

    guess: np.ndarray
    score: np.ndarray
    pages: np.ndarray


@dataclass(frozen=True)
class Evidence:
    """What a promise rests on.

    Attributes:
        learn, test: labelled pages; those of `learn` may decide what is tried on those of `test`.
        population: of an audit the whole run, of which each part was drawn, one page of every
            stretch of equal length along category and score (so that the promise needs no
            assumption). None: the pages are thought to be drawn like those to come.
        draws: of an audit, how many stretches each part has.
    """

    learn: Observed
    test: Observed
    population: Population | None = None
    draws: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Budget:
    """What can be promised.

    Attributes:
        max_error: the share of errors that is allowed among accepted pages, 0..1.
        thresholds: label -> lowest accepted score; None: none is accepted.
        tested, wrong: accepted pages of the test, and how many of them were wrong.
        bound: upper bound on the error of accepted pages, at 95 % confidence; 1 if none are.
        accepted: share of accepted pages in the run of an audit, else among the labelled pages.
        labelled: labelled pages that there were.
        needed: pages without an error that it takes at least.
        by_category: whether labelled pages told how far each category can be trusted.
    """

    max_error: float
    thresholds: dict[str, float | None]
    tested: int
    wrong: int
    bound: float
    accepted: float
    labelled: int
    needed: int
    by_category: bool

    @property
    def is_promised(self) -> bool:
        """Whether any page is accepted."""
        return any(threshold is not None for threshold in self.thresholds.values())

    def accepts(self, label: str, score: float) -> bool:
        """Whether a page of this first guess and score needs no look."""
        threshold = self.thresholds.get(label)
        return threshold is not None and score > threshold - 0.5 / STEPS


def find_budget(evidence: Evidence, labels: Sequence[str], max_error: float) -> Budget:
    """Find the lowest thresholds with which the error of accepted pages stays below `max_error`.

    Where twice the pages needed are left to prove it, the others tell how far each category can be
    trusted; else all prove one order of pages, that of their scores.

    Args:
        evidence: labelled pages that the model never saw.
        labels: the model's, in their order.
        max_error: above 0, below 1.
    """
    needed = pages_needed(max_error)
    by_category = len(evidence.test) >= 2 * needed
    trust, test, draws = np.ones(len(labels)), evidence.test, evidence.draws[1]
    if by_category:
        trust = _factors(evidence.learn, len(labels))
    else:
        test, draws = _together(evidence), sum(evidence.draws)
    prover = _Prover(test, evidence.population, draws, max_error)
    tried = list(_candidates(prover, trust, needed))
    found: np.ndarray | None = None
    if tried:
        expected = [prover.tail(each, prover.expected(each, trust)) for each in tried]
        for each in tried[int(np.argmin(expected)) :]:
            if prover.tail(each, float(prover.accepted_errors(each))) > DELTA:
                break
            found = each
    return _budget(prover, found, labels, max_error, needed, by_category, evidence)


def _budget(
    prover: _Prover,
    found: np.ndarray | None,
    labels: Sequence[str],
    max_error: float,
    needed: int,
    by_category: bool,
    evidence: Evidence,
) -> Budget:
    limits = np.full(len(labels), NEVER) if found is None else found
    thresholds = {
        label: None if limit >= NEVER else int(limit) / STEPS
        for label, limit in zip(labels, limits, strict=True)
    }
    return Budget(
        max_error=max_error,
        thresholds=thresholds,
        tested=int(prover.accepts(limits).sum()),
        wrong=prover.accepted_errors(limits),
        bound=1.0 if found is None else prover.bound(limits),
        accepted=prover.share(limits),
        labelled=len(evidence.learn) + len(evidence.test),
        needed=needed,
        by_category=by_category,
    )


def _together(evidence: Evidence) -> Observed:
    pairs = ((getattr(evidence.learn, name), getattr(evidence.test, name)) for name in _ARRAYS)
    return Observed(*(np.concatenate(pair) for pair in pairs))


_ARRAYS = ("guess", "score", "wrong", "group")


class _Prover:
    """Tests whether the pages that thresholds accept are wrong too often.

    Thresholds are an array (labels,), in thousandths; `NEVER` accepts nothing.
    """

    def __init__(
        self, test: Observed, population: Population | None, draws: int, max_error: float
    ) -> None:
        self.test = test
        self.population = population
        self.draws = draws
        self.max_error = max_error
        self._likeness = 0.0 if population is not None else likeness(test)

    def accepts(self, limits: np.ndarray) -> np.ndarray:
        return np.asarray(self.test.score >= limits[self.test.guess])

    def accepted_errors(self, limits: np.ndarray) -> int:
        return int((self.accepts(limits) & self.test.wrong).sum())

    def expected(self, limits: np.ndarray, trust: np.ndarray) -> float:
        """How many errors the scores let expect among the accepted pages."""
        return float(_risks(self.test, trust)[self.accepts(limits)].sum())

    def share(self, limits: np.ndarray) -> float:
        """The share of accepted pages, of the whole run where it is known."""
        if self.population is None:
            return float(self.accepts(limits).mean()) if len(self.test) else 0.0
        accepted = self.population.score >= limits[self.population.guess]
        return float(self.population.pages[accepted].sum() / self.population.pages.sum())

    def tail(self, limits: np.ndarray, errors: float) -> float:
        """The chance of so few errors among the accepted pages, were more of these wrong than may.

        Of an audit, every stretch gives one page, accepted and wrong with a probability whose mean
        is the share of such pages in the run.
        """
        if self.population is not None:
            return lower_tail(errors, self.draws, self.max_error * self.share(limits))
        pages, weight = self._pages(limits)
        return lower_tail(errors * weight, pages * weight, self.max_error)

    def bound(self, limits: np.ndarray) -> float:
        """The upper bound on the error of the accepted pages."""
        errors = self.accepted_errors(limits)
        if self.population is not None:
            return min(1.0, upper_bound(errors, self.draws) / self.share(limits))
        pages, weight = self._pages(limits)
        return upper_bound(errors * weight, pages * weight)

    def _pages(self, limits: np.ndarray) -> tuple[int, float]:
        """How many are accepted, and what each counts for, as pages of a document are alike."""
        accepted = self.accepts(limits)
        if not self._likeness:
            return int(accepted.sum()), 1.0
        sizes = np.unique(self.test.group[accepted], return_counts=True)[1]
        if not len(sizes):
            return 0, 1.0
        excess = float((sizes**2).sum() / sizes.sum()) - 1.0
        return int(sizes.sum()), 1.0 / (1.0 + self._likeness * excess)


def likeness(pages: Observed) -> float:
    """How much pages of one document agree in being wrong: the intraclass correlation, 0..1.

    The upper end of its interval by analysis of variance (Searle 1971), as an estimate alone would
    be too low every other time. A document of m pages is worth m / (1 + (m - 1) * likeness) pages
    (Kish 1965). Pages without an error tell nothing of it, and count as unlike.
    """
    from scipy.special import fdtri

    sizes = np.unique(pages.group, return_inverse=True, return_counts=True)
    member, counts = sizes[1], sizes[2]
    groups, total = len(counts), len(pages)
    if groups < 2 or groups == total:
        return 0.0
    wrong = pages.wrong.astype(float)
    means = np.bincount(member, wrong) / counts
    between = float((counts * (means - wrong.mean()) ** 2).sum()) / (groups - 1)
    within = float(((wrong - means[member]) ** 2).sum()) / (total - groups)
    usual = (total - float((counts**2).sum()) / total) / (groups - 1)
    between *= float(fdtri(total - groups, groups - 1, LIKENESS_CONFIDENCE))
    spread = between + (usual - 1.0) * within
    return float(np.clip((between - within) / spread, 0.0, 1.0)) if spread > 0 else 0.0


def _factors(pages: Observed, labels: int) -> np.ndarray:
    """For each label, how many times more errors there are than its scores let expect."""
    expected = np.bincount(pages.guess, 1.0 - pages.score / STEPS, labels)
    found = np.bincount(pages.guess, pages.wrong.astype(float), labels)
    return np.asarray((found + PRIOR) / (expected + PRIOR))


def _risks(pages: Observed, trust: np.ndarray) -> np.ndarray:
    """The chance that each page is wrong, as far as its category and score tell."""
    return np.minimum(1.0, trust[pages.guess] * (1.0 - pages.score / STEPS))


def _candidates(prover: _Prover, trust: np.ndarray, needed: int) -> Iterator[np.ndarray]:
    """Thresholds to try, each accepting all that the one before does, and pages enough.

    None accepts pages of a category that no page at hand was taken for, unless the run is known.
    """
    pages = prover.test
    risks = np.sort(_risks(pages, trust))
    places = np.linspace(min(needed, len(risks)), len(risks), CANDIDATES).astype(int) - 1
    unknown = np.bincount(pages.guess, minlength=len(trust)) == 0
    for risk in np.unique(risks[places]) if len(risks) else ():
        limits = np.ceil((1.0 - risk / trust) * STEPS - 1e-6).astype(int).clip(0, NEVER)
        if prover.population is None:
            limits[unknown] = NEVER
        if prover.tail(limits, 0.0) <= DELTA:
            yield limits
