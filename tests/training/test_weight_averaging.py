"""Averages over steps, and with the start."""

from __future__ import annotations

import torch
from torch import nn

from pagesort.training.weight_averaging import best_share, interpolated, moving_average


def model() -> nn.Module:
    torch.manual_seed(1)
    made = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    made[2].requires_grad_(False)
    return made


def test_the_average_follows_weights_and_statistics() -> None:
    followed = model()
    average = moving_average(followed, decay=0.9)
    start = followed[0].weight.detach().clone()
    with torch.no_grad():
        followed[0].weight.add_(1.0)
        followed[1].running_mean.add_(2.0)
        followed[1].num_batches_tracked.add_(7)
    average.update(followed, 1000)
    assert torch.allclose(average.module[0].weight, start + 0.1)
    assert torch.allclose(average.module[1].running_mean, torch.full((3,), 0.2))
    assert average.module[1].num_batches_tracked == 7
    assert torch.equal(average.module[2].weight, followed[2].weight)


def test_early_averages_follow_closely() -> None:
    followed = model()
    average = moving_average(followed, decay=0.9998)
    start = followed[0].weight.detach().clone()
    with torch.no_grad():
        followed[0].weight.add_(1.0)
    average.update(followed, 2)
    assert torch.allclose(average.module[0].weight, start + 9 / 10)
    average.update(followed, 1)
    assert torch.equal(average.module[0].weight, followed[0].weight)


def test_the_average_stands_apart_from_the_weights() -> None:
    followed = model()
    average = moving_average(followed, decay=0.5)
    with torch.no_grad():
        followed[0].weight.add_(1.0)
    assert not torch.equal(average.module[0].weight, followed[0].weight)
    assert not average.module.training


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
