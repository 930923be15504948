"""An error budget as lines for a person."""

from __future__ import annotations

from collections.abc import Iterator

from pagesort.common.text import counted
from pagesort.review.error_budget import Budget


def percent(share: float, digits: int = 1) -> str:
    """A share in percent, without needless zeros."""
    return f"{100 * share:.{digits}f}".rstrip("0").rstrip(".") + " %"


def budget_lines(budget: Budget, words: str, source: str) -> Iterator[str]:
    """Say what is promised, by what, and from which score on each category is accepted.

    Args:
        words: what the labelled pages are.
        source: where they were read.
    """
    wanted = percent(budget.max_error, 3)
    yield f"error budget of {wanted}, by {words} ({source})"
    if not budget.is_promised:
        yield _refusal(budget, wanted)
        return
    yield (
        f"with confidence 95 % at most {wanted} of the accepted pages are wrong: of "
        f"{budget.tested} tested, {budget.wrong} were, which bounds it at {percent(budget.bound)}"
    )
    how = "by category" if budget.by_category else "one score for all"
    yield f"lowest accepted score ({how}; {percent(budget.accepted)} of these pages):"
    width = max(map(len, budget.thresholds))
    for label, threshold in budget.thresholds.items():
        score = "all to review" if threshold is None else f"{threshold:.3f}"
        yield f"  {label:<{width}}  {score}"


def _refusal(budget: Budget, wanted: str) -> str:
    if budget.labelled < budget.needed:
        return (
            f"{counted(budget.labelled)} are too few to promise {wanted}, so that all are to "
            f"review: it takes at least {budget.needed} labelled pages among the accepted ones, "
            "without an error"
        )
    return (
        f"the labelled pages do not prove any threshold that keeps {wanted}, so that all are to "
        f"review: it takes at least {budget.needed} accepted ones without an error, or a larger "
        "--max_error"
    )
