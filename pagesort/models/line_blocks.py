"""The layers of PP-OCRv6's small models (Apache-2.0), whose published weights fit.

The reader of lines, the line finder and the image tower `page_trunks` are built of them.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours
STEM = 24
WIDTHS = (48, 96, 192, 384)  # channels at 1/4, 1/8, 1/16 and 1/32 of the page
WEIGHED = ((True, False), (True, False), (True, False, True, False), (True, False))


class Stem(nn.Module):
    """From pixels (n, colours, h, w) to features (n, outer, h / 4, w / 4)."""

    def __init__(self, colours: int, inner: int, outer: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(colours, inner, 3, 2, 1)
        self.narrow = nn.Conv2d(inner, inner // 2, 2)
        self.wide = nn.Conv2d(inner // 2, inner, 2)
        self.down = nn.Conv2d(2 * inner, inner, 3, 2, 1)
        self.out = nn.Conv2d(inner, outer, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = functional.pad(functional.relu(self.first(images)), (0, 1, 0, 1))
        branch = functional.pad(functional.relu(self.narrow(features)), (0, 1, 0, 1))
        branch = functional.relu(self.wide(branch))
        pooled = functional.max_pool2d(features, 2, 1)
        features = functional.relu(self.down(torch.cat([pooled, branch], 1)))
        return functional.relu(self.out(features))


class ChannelWeights(nn.Module):
    """Squeeze and excitation (Hu et al. 2018, arXiv 1709.01507); `slope` of its hard sigmoid."""

    def __init__(self, channels: int, slope: float = 1 / 6) -> None:
        super().__init__()
        self.slope = slope
        self.squeeze = nn.Conv2d(channels, channels // 4, 1)
        self.excite = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        mean = features.mean((2, 3), keepdim=True)
        excited = self.excite(functional.relu(self.squeeze(mean)))
        return features * (self.slope * excited + 0.5).clamp(0, 1)


class Block(nn.Module):
    """A depthwise convolution, then a residual layer over the channels."""

    def __init__(self, channels: int, is_weighed: bool) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, 1, 1, groups=channels)
        self.weights = ChannelWeights(channels) if is_weighed else nn.Identity()
        self.expand = nn.Conv2d(channels, 2 * channels, 1)
        self.project = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        features = self.weights(self.depthwise(features))
        return features + self.project(functional.gelu(self.expand(features)))


class Halving(nn.Module):
    """Twice the channels at a `stride`'s part of the height and width."""

    def __init__(self, channels: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, stride, 1, groups=channels)
        self.expand = nn.Conv2d(channels, 2 * channels, 1)
        self.project = nn.Conv2d(2 * channels, 2 * channels, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.project(functional.gelu(self.expand(self.depthwise(features))))


class LineTrunk(nn.Module):
    """The trunk of the detector of lines, from pixels (n, 3, h, w) to four levels of features."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Stem(3, STEM, WIDTHS[0])
        self.stages = nn.ModuleList(
            nn.Sequential(
                *([Halving(WIDTHS[number - 1], (2, 2))] if number else []),
                *(Block(width, weighed) for weighed in WEIGHED[number]),
            )
            for number, width in enumerate(WIDTHS)
        )

    def levels(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """Features at 1/4, 1/8, 1/16 and 1/32 of the height and width of normalised pixels."""
        # Where the stages compute in fewer bits, the stem does not.
        features = self.stem(pixels).to(next(self.stages.parameters()).dtype)
        levels = []
        for stage in self.stages:
            features = stage(features)
            levels.append(features)
        return levels
