"""Averages of weights: over the steps of a training, and with the model it started from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from timm.utils import ModelEmaV3

# Shares of the trained weights that are tried, the whole of them first.
SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)

Weights = dict[str, torch.Tensor]


def moving_average(learner: nn.Module, decay: float) -> ModelEmaV3:
    """Return an exponential moving average of a learner's weights and buffers (arXiv 2212.06138).

    Its `module` is a copy of the learner that has the averaged weights.

    Args:
        decay: share of the average that a step keeps. Step `n` keeps (n - 1) / (n + 8) of it at
            most, or the start would stay in the average for long.
    """
    from timm.utils import ModelEmaV3

    return ModelEmaV3(learner, decay, use_warmup=True, warmup_gamma=9.0, warmup_power=1.0)


def interpolated(start: Mapping[str, torch.Tensor], trained: Weights, share: float) -> Weights:
    """Mix two sets of weights (WiSE-FT, arXiv 2109.01903).

    Args:
        start: the starting weights, by name.
        trained: those after training; whole numbers among them are kept.
        share: of the trained weights, 0 to 1.
    """
    if share == 1.0:
        return dict(trained)
    return {
        name: torch.lerp(start[name].to(value), value, share)
        if value.is_floating_point()
        else value
        for name, value in trained.items()
    }


def best_share(score: Callable[[float], tuple[float, ...]]) -> float:
    """Return the share of the trained weights that scores highest; of equal ones the greatest."""
    return max(SHARES, key=score)
