"""Exact bounds on shares: what so many errors among so many pages can still promise."""

from __future__ import annotations

import math

DELTA = 0.05
"""Every promise and every interval may fail once in twenty times."""


def lower_tail(errors: float, pages: float, rate: float) -> float:
    """The chance of so few errors if each page is wrong with the probability `rate`.

    The binomial distribution, continued to numbers that are not whole, for pages that count for
    less than one because they resemble others (Korn and Graubard 1998).

    It also bounds the chance where pages differ in their probability of being wrong and `rate` is
    the mean of these (Hoeffding 1956, theorem 4, for `errors` at least one below their mean; above,
    it is no small number anyway).
    """
    from scipy.special import betainc

    if errors >= pages:
        return 1.0
    return float(betainc(pages - errors, errors + 1.0, 1.0 - rate))


def upper_bound(errors: float, pages: float, delta: float = DELTA) -> float:
    """The largest share of errors that is not refuted: Clopper and Pearson's bound (1934)."""
    from scipy.special import betaincinv

    if errors >= pages:
        return 1.0
    return float(betaincinv(errors + 1.0, pages - errors, 1.0 - delta))


def interval(right: float, pages: float, delta: float = DELTA) -> tuple[float, float]:
    """The interval of a share, Clopper and Pearson's: it misses with the probability `delta`."""
    if pages <= 0:
        return 0.0, 1.0
    half = delta / 2
    return 1.0 - upper_bound(pages - right, pages, half), upper_bound(right, pages, half)


def pages_needed(rate: float, delta: float = DELTA) -> int:
    """How many pages without an error it takes to promise an error of at most `rate`."""
    if rate >= 1.0:
        return 1
    # A hair more, so that an exact quotient is not taken for the next number.
    return max(1, math.ceil(math.log(delta) / math.log1p(-rate) - 1e-9))
