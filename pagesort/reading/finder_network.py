"""The network that sees where lines run.

The shape is that of PP-OCRv6's small text detector (Apache-2.0), whose published weights it has. It
was trained to mark the middle part of every line (Liao et al. 2020, arXiv 1911.08947), so that
close lines stay apart.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from pagesort.models.line_blocks import MEAN, SPREAD, WIDTHS, ChannelWeights, LineTrunk

PYRAMID = 96
MULTIPLE = 32  # that height and width of what the network sees are multiples of
SLOPE = 0.2  # of the hard sigmoids of the pyramid


class Entrance(nn.Module):
    """Features of one resolution on their way into the pyramid; a residual weighing of channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels, PYRAMID, 1, bias=False)
        self.weights = ChannelWeights(PYRAMID, SLOPE)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        features = self.project(features)
        return features + self.weights(features)


class Exit(nn.Module):
    """Features of one resolution on their way out of the pyramid."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(PYRAMID, PYRAMID, 7, 1, 3, groups=PYRAMID)
        self.project = nn.Conv2d(PYRAMID, PYRAMID // 4, 1, bias=False)
        self.weights = ChannelWeights(PYRAMID // 4, SLOPE)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        features = self.project(self.depthwise(features))
        return features + self.weights(features)


class LineNetwork(LineTrunk):
    """From greys (n, 1, h, w), 0 to 255, h and w multiples of 32, to logits (n, 1, h, w).

    They tell whether a pixel is in the middle part of a line of text; between lines nothing is.
    """

    mean: torch.Tensor
    spread: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.entrances = nn.ModuleList(Entrance(width) for width in WIDTHS)
        self.exits = nn.ModuleList(Exit() for _ in WIDTHS)
        self.merge = nn.Conv2d(PYRAMID, PYRAMID // 4, 3, 1, 1)
        self.enlarge = nn.ConvTranspose2d(PYRAMID // 4, PYRAMID // 4, 2, 2)
        self.middles = nn.ConvTranspose2d(PYRAMID // 4, 1, 2, 2)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("spread", torch.tensor(SPREAD).view(1, 3, 1, 1), persistent=False)

    def forward(self, greys: torch.Tensor) -> torch.Tensor:
        levels = self.levels((greys.float() / 255 - self.mean) / self.spread)
        inside = [entrance(level) for entrance, level in zip(self.entrances, levels, strict=True)]
        for upper in (2, 1, 0):
            inside[upper] = inside[upper] + _grown(inside[upper + 1], 2)
        outside = [exit_(level) for exit_, level in zip(self.exits, inside, strict=True)]
        grown = [_grown(level, 2**number) for number, level in enumerate(outside)]
        merged = functional.relu(self.merge(torch.cat(grown[::-1], 1)))
        return self.middles(functional.relu(self.enlarge(merged)))


def _grown(features: torch.Tensor, factor: int) -> torch.Tensor:
    return functional.interpolate(features, scale_factor=float(factor)) if factor > 1 else features
