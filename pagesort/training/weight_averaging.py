"""Averages of weights: over the steps of a training, and with the model it started from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from transformers import TrainerCallback

AVERAGE_FILE = "average.safetensors"
# Shares of the trained weights that are tried, the whole of them first.
SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)

Weights = dict[str, torch.Tensor]


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
        self.weights: Weights = {name: value.detach().clone() for name, value in _changing(model)}

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

    def save(self, folder: Path) -> None:
        """Write the average beside the checkpoint that it belongs to."""
        from safetensors.torch import save_file

        contiguous = {name: value.contiguous() for name, value in self.weights.items()}
        save_file(contiguous, folder / AVERAGE_FILE)

    def load(self, folder: Path) -> None:
        """Read the average of a checkpoint."""
        from safetensors.torch import load_file

        for name, value in load_file(folder / AVERAGE_FILE).items():
            self.weights[name].copy_(value)

    def _exchange(self) -> None:
        for name, value in _changing(self.model):
            value.data, self.weights[name] = self.weights[name], value.data


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


def _changing(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Trained parameters and saved buffers, by their name."""
    saved = model.state_dict(keep_vars=True)
    for name, value in saved.items():
        if not isinstance(value, nn.Parameter) or value.requires_grad:
            yield name, value
