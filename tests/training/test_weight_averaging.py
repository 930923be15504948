"""Averages over steps, and with the start."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from pagesort.training.weight_averaging import MovingAverage, best_share, interpolated


def model() -> nn.Module:
    torch.manual_seed(1)
    made = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    made[2].requires_grad_(False)
    return made


def step(average: MovingAverage, number: int) -> None:
    average.on_step_end(None, SimpleNamespace(global_step=number), None)


def test_the_average_follows_weights_and_statistics() -> None:
    followed = model()
    average = MovingAverage(followed, decay=0.9)
    start = followed[0].weight.detach().clone()
    with torch.no_grad():
        followed[0].weight.add_(1.0)
        followed[1].running_mean.add_(2.0)
        followed[1].num_batches_tracked.add_(7)
    step(average, 1000)
    assert torch.allclose(average.weights["0.weight"], start + 0.1)
    assert torch.allclose(average.weights["1.running_mean"], torch.full((3,), 0.2))
    assert average.weights["1.num_batches_tracked"] == 7
    assert "2.weight" not in average.weights


def test_the_average_follows_statistics_that_were_replaced() -> None:
    """As training in several processes does before its first step."""
    followed = model()
    average = MovingAverage(followed, decay=0.9)
    followed[1].running_mean = followed[1].running_mean.clone()
    followed[1].running_mean.add_(2.0)
    step(average, 1000)
    assert torch.allclose(average.weights["1.running_mean"], torch.full((3,), 0.2))
    with average.in_place():
        assert torch.allclose(followed[1].running_mean, torch.full((3,), 0.2))
    assert torch.allclose(followed[1].running_mean, torch.full((3,), 2.0))


def test_early_averages_follow_closely() -> None:
    followed = model()
    average = MovingAverage(followed, decay=0.9998)
    start = followed[0].weight.detach().clone()
    with torch.no_grad():
        followed[0].weight.add_(1.0)
    step(average, 1)
    assert torch.allclose(average.weights["0.weight"], start + 9 / 11)


def test_the_model_works_with_the_average_for_a_while_only() -> None:
    followed = model()
    average = MovingAverage(followed, decay=0.5)
    parameter = followed[0].weight
    with torch.no_grad():
        parameter.add_(1.0)
    trained, averaged = parameter.detach().clone(), average.weights["0.weight"].clone()
    with pytest.raises(ZeroDivisionError), average.in_place():
        assert torch.equal(followed[0].weight, averaged)
        raise ZeroDivisionError
    assert followed[0].weight is parameter
    assert torch.equal(parameter, trained)
    assert torch.equal(average.weights["0.weight"], averaged)


def test_the_average_is_restored_to_the_bit(tmp_path: Path) -> None:
    followed = model()
    average = MovingAverage(followed, decay=0.7)
    with torch.no_grad():
        followed[0].weight.mul_(1.37)
    step(average, 50)
    average.save(tmp_path)
    other = MovingAverage(model(), decay=0.7)
    other.load(tmp_path)
    assert all(torch.equal(other.weights[name], average.weights[name]) for name in average.weights)


def test_weights_are_mixed_by_their_share() -> None:
    start = {"w": torch.zeros(2), "n": torch.tensor(3)}
    trained = {"w": torch.ones(2), "n": torch.tensor(9)}
    mixed = interpolated(start, trained, 0.3)
    assert torch.allclose(mixed["w"], torch.full((2,), 0.3))
    assert mixed["n"] == 9
    assert torch.equal(interpolated(start, trained, 1.0)["w"], trained["w"])
    assert torch.equal(interpolated(start, trained, 0.0)["w"], start["w"])


def test_the_best_share_is_the_greatest_of_the_best() -> None:
    assert best_share(lambda share: (round(1 - abs(share - 0.6), 3),)) == 0.6
    assert best_share(lambda share: (0.5,)) == 1.0
    assert best_share(lambda share: (share <= 0.8, 0.0)) == 0.8
