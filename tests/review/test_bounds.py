"""Bounds agree with scipy's, and their intervals hold what they say."""

from __future__ import annotations

import pytest
from scipy import stats

from pagesort.review.bounds import interval, lower_tail, pages_needed, upper_bound


@pytest.mark.parametrize(("wrong", "pages"), [(0, 299), (3, 100), (20, 40), (0, 1), (7, 7)])
def test_bounds_are_clopper_and_pearsons(wrong: int, pages: int) -> None:
    exact = stats.binomtest(wrong, pages).proportion_ci(0.95, "exact")
    assert interval(wrong, pages) == pytest.approx((exact.low, exact.high), abs=1e-9)
    assert lower_tail(wrong, pages, 0.05) == pytest.approx(stats.binom.cdf(wrong, pages, 0.05))
    one_sided = stats.binomtest(wrong, pages, alternative="less").proportion_ci(0.95, "exact")
    assert upper_bound(wrong, pages) == pytest.approx(one_sided.high, abs=1e-9)


@pytest.mark.parametrize(("rate", "pages"), [(0.01, 299), (0.02, 149), (0.05, 59), (0.1, 29)])
def test_so_many_pages_without_an_error_are_just_enough(rate: float, pages: int) -> None:
    assert pages_needed(rate) == pages
    assert lower_tail(0, pages, rate) <= 0.05 < lower_tail(0, pages - 1, rate)


def test_nothing_is_known_of_no_pages() -> None:
    assert interval(0, 0) == (0.0, 1.0)
    assert upper_bound(0, 0) == 1.0
