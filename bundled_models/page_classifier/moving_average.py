"""The moving average of the weights, as a callback of `transformers.Trainer`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from transformers import TrainerCallback


class MovingAverage(TrainerCallback):
    """Exponential moving average of a model's weights and buffers (arXiv 2212.06138).

    Args:
        model: what is trained; its frozen parameters are left alone.
        decay: share of the average that a step keeps, 0 to 1. Early steps keep less, or the start
            would stay in the average for long.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = model
        self.weights: dict[str, torch.Tensor] = {
            name: value.detach().clone() for name, value in _changing(model)
        }

    @torch.no_grad()
    def on_step_end(self, args, state, control, **kwargs) -> None:
        """Move the average a little towards the weights."""
        decay = min(self.decay, (1 + state.global_step) / (10 + state.global_step))
        averaged, current = [], []
        # Asked for anew: several processes that train together give the model other buffers.
        for name, value in _changing(self.model):
            if value.is_floating_point():
                averaged.append(self.weights[name])
                current.append(value.detach())
            else:
                self.weights[name].copy_(value)
        get_ema_multi_avg_fn(decay)(averaged, current, None)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the model work with the averaged weights for a while; nothing is copied."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        for name, value in _changing(self.model):
            value.data, self.weights[name] = self.weights[name], value.data


def _changing(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Trained parameters and saved buffers, by their name."""
    saved = model.state_dict(keep_vars=True)
    for name, value in saved.items():
        if not isinstance(value, nn.Parameter) or value.requires_grad:
            yield name, value
