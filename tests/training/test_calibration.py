"""One temperature that makes scores honest, and stays sensible with hardly any pages."""

from __future__ import annotations

import numpy as np
import pytest

from pagesort.training.calibration import fit_temperature, mean_loss


def drawn(count: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from the very probabilities that they stand for."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(count, 5))
    powers = np.exp(logits)
    chances = powers / powers.sum(axis=1, keepdims=True)
    labels = (chances.cumsum(axis=1) > rng.random((count, 1))).argmax(axis=1)
    return logits, labels


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_over_and_underconfidence_are_undone(factor: float) -> None:
    logits, labels = drawn(4000)
    assert fit_temperature(logits * factor, labels) == pytest.approx(factor, rel=0.08)


def test_it_is_the_likeliest_where_there_are_many_pages() -> None:
    logits, labels = drawn(3000)
    found = fit_temperature(logits * 2.5, labels)
    losses = [mean_loss(logits * 2.5, labels, t) for t in np.geomspace(0.1, 10, 801)]
    assert mean_loss(logits * 2.5, labels, found) <= min(losses) + 1e-5


def test_no_pages_change_nothing() -> None:
    assert fit_temperature(np.zeros((0, 4)), np.zeros(0, int)) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("pages", [1, 5, 50])
def test_pages_that_are_all_right_give_no_absurd_temperature(pages: int) -> None:
    logits = np.tile([4.0, 0.0, 0.0], (pages, 1))
    assert 0.3 < fit_temperature(logits, np.zeros(pages, int)) <= 1.0


def test_pages_that_are_all_wrong_stay_within_bounds() -> None:
    logits = np.tile([400.0, 0.0, 0.0], (50, 1))
    assert 9.9 < fit_temperature(logits, np.ones(50, int)) <= 10.0


def test_the_loss_is_that_of_torch() -> None:
    torch = pytest.importorskip("torch")
    logits, labels = drawn(50)
    theirs = torch.nn.functional.cross_entropy(torch.tensor(logits) / 1.7, torch.tensor(labels))
    assert mean_loss(logits, labels, 1.7) == pytest.approx(float(theirs))


def test_weighed_pages_count_as_if_repeated() -> None:
    rng = np.random.default_rng(8)
    logits = rng.normal(size=(40, 3)) * 4
    labels = (logits + rng.normal(size=(40, 3)) * 3).argmax(axis=1)
    counts = rng.integers(1, 4, 40)
    repeated = np.repeat(np.arange(40), counts)
    weighed = fit_temperature(logits, labels, 0.0, weights=counts.astype(float))
    assert weighed == pytest.approx(
        fit_temperature(logits[repeated], labels[repeated], 0.0), abs=1e-3
    )
    assert weighed != fit_temperature(logits, labels, 0.0)
