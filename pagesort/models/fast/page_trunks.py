"""The image tower of the larger bundled model: two convolutional trunks see a page at once.

One was trained to name what photographs show (EfficientNet-Lite0, Tan and Le, arXiv 1905.11946),
one to find lines of text (PP-OCRv6's small detector). What each of their levels makes of a page is
summed up by the mean and the spread of every channel over the page: what is on it and how its
strokes look counts, not where.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from pagesort.models.fast.towers import LiteNet, Pooled
from pagesort.models.line_blocks import MEAN, SPREAD, WIDTHS, LineTrunk

KIND = "pagesort_trunks"
"""`model_type` of the settings of such a tower."""
PICTURE_STAGES = (1, 2, 4)  # whose features are summed up beside those of the end
PICTURE_WIDTHS = (24, 40, 112, 1280)
SUMMARY_SIZE = 2 * (sum(PICTURE_WIDTHS) + sum(WIDTHS))
_LEAST_VARIANCE = 1e-6
_FARTHEST = 5.0  # standard deviations; what lies farther out counts as this far


class Joint(nn.Module):
    """From summaries of pages (N, SUMMARY_SIZE) to what a dual encoder takes of them (N, size)."""

    centre: torch.Tensor
    scale: torch.Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(SUMMARY_SIZE))
        self.register_buffer("scale", torch.ones(SUMMARY_SIZE))
        self.join = nn.Linear(SUMMARY_SIZE, size)

    def near(self, summaries: torch.Tensor) -> torch.Tensor:
        """Summaries in standard deviations from what is usual."""
        return ((summaries - self.centre) / self.scale).clamp(-_FARTHEST, _FARTHEST)

    def joined(self, near: torch.Tensor) -> torch.Tensor:
        """What comes out, of what `near` gives."""
        return functional.gelu(self.join(near))

    def forward(self, summaries: torch.Tensor) -> torch.Tensor:
        return self.joined(self.near(summaries))


TAKES_INT8 = False
"""In 8-bit integers the larger bundled model changed its first guess on 15 % of 66 drawn pages."""


class PageTrunks(nn.Module):
    """Both trunks and the layers that join them, for pages of any size from 64 pixels.

    Args:
        size: numbers that come out a page.
    """

    def __init__(self, size: int) -> None:
        """Lay out the weights; they are filled afterwards."""
        super().__init__()
        self.pictures = LiteNet("lite0")
        self.lines = LineTrunk()
        self.joint = Joint(size)

    @property
    def sensitive(self) -> tuple[nn.Module, ...]:
        """The parts to leave in float32 when the others go on in fewer bits."""
        return *self.pictures.sensitive, self.lines.stem, self.joint

    def summary(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Sum up pages (N, 3, H, W), RGB, -1 to 1: float32 (N, SUMMARY_SIZE)."""
        pages = pixel_values.to(self.joint.join.weight.dtype)
        of_pictures = self.pictures.levels(pages, PICTURE_STAGES)
        mean, spread = (pages.new_tensor(each).view(1, 3, 1, 1) for each in (MEAN, SPREAD))
        of_lines = self.lines.levels(((pages.flip(1) + 1) / 2 - mean) / spread)
        return torch.cat([_mean_and_spread(level) for level in (*of_pictures, *of_lines)], 1)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """See pages (N, 3, H, W), RGB, -1 to 1: float32 (N, size)."""
        summaries: torch.Tensor = self.joint(self.summary(pixel_values))
        return summaries


def _mean_and_spread(features: torch.Tensor) -> torch.Tensor:
    """Of every channel of (N, C, H, W), in float32: (N, 2 * C)."""
    features = features.float()
    mean = features.mean((2, 3), keepdim=True)
    variance = (features - mean).square().mean((2, 3))
    return torch.cat([mean.flatten(1), (variance + _LEAST_VARIANCE).sqrt()], 1)


class TrunksTower(nn.Module):
    """`PageTrunks` where a dual encoder has its image tower, to predict with.

    Args:
        size: numbers that come out a page.
    """

    def __init__(self, size: int) -> None:
        """Lay out the weights; they are filled afterwards."""
        super().__init__()
        self.trunks = PageTrunks(size)
        self.features = size

    @property
    def sensitive(self) -> tuple[nn.Module, ...]:
        """The parts to leave in float32 when the others go on in fewer bits."""
        return self.trunks.sensitive

    @property
    def takes_int8(self) -> bool:
        """Whether its answers stay the same in 8-bit integers."""
        return TAKES_INT8

    def fold_norms(self) -> None:
        """See `LiteNet.fold_norms`."""
        self.trunks.pictures.fold_norms()

    def forward(self, pixel_values: torch.Tensor) -> Pooled:
        """See normalised pages, (N, 3, H, W)."""
        return Pooled(self.trunks(pixel_values))
