"""Networks that see lines of text, of the shapes of PP-OCRv6's small models (Apache-2.0).

The published weights fit. One finds lines (`LineNetwork`), one sees the letters of a line
(`LetterTrunk`). The line finder, the reader of lines and the image tower `page_trunks` have them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

_MEAN, _SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours
STEM = 24
WIDTHS = (48, 96, 192, 384)  # channels at 1/4, 1/8, 1/16 and 1/32 of the page
WEIGHED = ((True, False), (True, False), (True, False, True, False), (True, False))
PYRAMID = 96
MULTIPLE = 32  # that height and width of what the network sees are multiples of
SLOPE = 0.2  # of the hard sigmoids of the pyramid


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


def normalised(colours: torch.Tensor) -> torch.Tensor:
    """What the finder of lines takes, (n, 3, h, w), of BGR or of grey (n, 1, h, w), 0 to 1."""
    mean, spread = (colours.new_tensor(each).view(1, 3, 1, 1) for each in (_MEAN, _SPREAD))
    return (colours - mean) / spread


@dataclass(frozen=True)
class Stage:
    """Blocks of one width, at one resolution; those that weigh channels are marked."""

    channels: int
    weighed: tuple[bool, ...]


LETTER_STAGES = (
    Stage(96, (True, False, False)),
    Stage(192, (True, False, True, False, True, False)),
    Stage(384, (True, False)),
)
LETTER_STEM = 48  # channels of the first layers
LETTER_HEIGHT = 48  # pixels of a line as the network sees it


class LetterTrunk(nn.Module):
    """The trunk of the recogniser: grey lines (n, 1, 48, w), -1 black to 1 white.

    Args:
        stages: `LETTER_STAGES`, or the first of them.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        super().__init__()
        self.stem = Stem(1, LETTER_STEM, stages[0].channels)
        layers: list[nn.Module] = []
        for stage in stages:
            if layers:
                layers.append(Halving(stage.channels // 2, (2, 1)))
            layers += [Block(stage.channels, is_weighed) for is_weighed in stage.weighed]
        self.blocks = nn.Sequential(*layers)

    def levels(self, lines: torch.Tensor) -> list[torch.Tensor]:
        """What each stage makes of lines: 1/4 of the width, 1/4, 1/8 and 1/16 of the height."""
        # Where the blocks compute in fewer bits, the stem does not.
        features = self.stem(lines).to(next(self.blocks.parameters()).dtype)
        levels = []
        for block in self.blocks:
            if isinstance(block, Halving):
                levels.append(features)
            features = block(features)
        return [*levels, features]


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

    `levels` and `of_levels` do the same in two steps, from what `normalised` gives.

    They tell whether a pixel is in the middle part of a line of text; between lines nothing is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.entrances = nn.ModuleList(Entrance(width) for width in WIDTHS)
        self.exits = nn.ModuleList(Exit() for _ in WIDTHS)
        self.merge = nn.Conv2d(PYRAMID, PYRAMID // 4, 3, 1, 1)
        self.enlarge = nn.ConvTranspose2d(PYRAMID // 4, PYRAMID // 4, 2, 2)
        self.middles = nn.ConvTranspose2d(PYRAMID // 4, 1, 2, 2)

    def forward(self, greys: torch.Tensor) -> torch.Tensor:
        return self.of_levels(self.levels(normalised(greys.float() / 255)))

    def of_levels(self, levels: Sequence[torch.Tensor]) -> torch.Tensor:
        """Logits (n, 1, h, w) of what the trunk makes of pages."""
        inside = [entrance(level) for entrance, level in zip(self.entrances, levels, strict=True)]
        for upper in (2, 1, 0):
            inside[upper] = inside[upper] + _grown(inside[upper + 1], 2)
        outside = [exit_(level) for exit_, level in zip(self.exits, inside, strict=True)]
        grown = [_grown(level, 2**number) for number, level in enumerate(outside)]
        merged = functional.relu(self.merge(torch.cat(grown[::-1], 1)))
        return self.middles(functional.relu(self.enlarge(merged)))


def _grown(features: torch.Tensor, factor: int) -> torch.Tensor:
    return functional.interpolate(features, scale_factor=float(factor)) if factor > 1 else features
