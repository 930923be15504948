"""Figures of groupings against scikit-learn and cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    adjusted_rand_score,
    precision_recall_fscore_support,
    v_measure_score,
)

from pagesort.grouping.metrics import agreement
from pagesort.grouping.segmentation import choose_cuts

TRUE = "aaaabbbc"


def test_the_same_groups_under_other_names_are_right() -> None:
    found = agreement(list(TRUE), list("xxxxyyyz"))
    assert (found.pq, found.exact, found.f1, found.ari, found.v_measure) == (1, 1, 1, 1, 1)
    assert (found.items, found.true_items, found.pages) == (3, 3, 8)


def test_figures_worked_out_by_hand() -> None:
    # aaaa|bbb|c against aaab|bb|b|c: overlaps 3/4 and 2/3, and c is right.
    found = agreement(list(TRUE), [1, 1, 1, 2, 3, 3, 4, 5])
    assert found.pq == pytest.approx((3 / 4 + 2 / 3 + 1) / ((3 + 5) / 2))
    assert found.exact == pytest.approx(1 / 3)
    assert (found.precision, found.recall) == (2 / 4, 2 / 2)
    assert found.f1 == pytest.approx(2 / 3)


def test_an_overlap_of_one_half_is_no_match() -> None:
    assert agreement(list("aabb"), list("aaaa")).pq == 0


def test_no_boundary_on_either_side_is_right() -> None:
    found = agreement(["a"] * 3, ["b"] * 3)
    assert (found.precision, found.recall, found.f1, found.pq) == (1, 1, 1, 1)


def test_figures_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(5)
    true, other = (np.cumsum(rng.random(300) < share) for share in (0.3, 0.4))
    found = agreement(true.tolist(), other.tolist())
    starts = [np.diff(each) > 0 for each in (true, other)]
    precision, recall, f1, _ = precision_recall_fscore_support(*starts, average="binary")
    assert found.precision == pytest.approx(precision)
    assert found.recall == pytest.approx(recall)
    assert found.f1 == pytest.approx(f1)
    assert found.ari == pytest.approx(adjusted_rand_score(true, other))
    assert found.v_measure == pytest.approx(v_measure_score(true, other))


def test_sure_boundaries_are_cut_and_no_others() -> None:
    log_odds = np.full(40, -8.0)
    log_odds[[7, 20, 21]] = 8.0
    assert np.flatnonzero(choose_cuts(log_odds)).tolist() == [0, 7, 20, 21]


def test_known_sizes_move_the_cuts() -> None:
    log_odds = np.linspace(-3.0, -1.0, 60)[np.random.default_rng(1).permutation(60)]
    few, many = (choose_cuts(log_odds, size=size).sum() for size in (20.0, 3.0))
    assert few < many
    assert choose_cuts(log_odds, items=9).sum() == 9


@pytest.mark.parametrize("pages", [0, 1, 2])
def test_very_short_piles_are_cut_too(pages: int) -> None:
    assert choose_cuts(np.zeros(pages)).tolist()[:1] == [True][:pages]
