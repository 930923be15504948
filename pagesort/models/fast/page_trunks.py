"""The image tower of the larger bundled model: three convolutional networks see a page.

One was trained to name what photographs show (EfficientNet-Lite0, Tan and Le, arXiv 1905.11946),
one to find lines of text and one to read them (PP-OCRv6's small models). The first two see the
whole page, the third some of the lines that the second finds. What each of their levels makes of it
is summed up by the mean and the spread of every channel: what is on a page and how its strokes look
counts, not where.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from pagesort.models.fast.letters import SIZE as LETTERS_SIZE
from pagesort.models.fast.letters import Letters, mean_and_spread
from pagesort.models.fast.towers import LiteNet, Pooled
from pagesort.models.line_networks import MULTIPLE, WIDTHS, LineNetwork, normalised

KIND = "pagesort_trunks"
"""`model_type` of the settings of such a tower."""
PICTURE_STAGES = (1, 2, 4)  # whose features are summed up beside those of the end
PICTURE_WIDTHS = (24, 40, 112, 1280)
WHOLE_SIZE = 2 * (sum(PICTURE_WIDTHS) + sum(WIDTHS))
SUMMARY_SIZE = WHOLE_SIZE + LETTERS_SIZE
SMALLER = 2  # the whole page is seen so many times smaller than its letters
LETTERS_PART = 4
"""One of so many numbers that come out tells of the letters alone."""
_FARTHEST = 5.0  # standard deviations; what lies farther out counts as this far


class Joint(nn.Module):
    """From summaries of pages (N, SUMMARY_SIZE) to what a dual encoder takes of them (N, size)."""

    centre: torch.Tensor
    scale: torch.Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(SUMMARY_SIZE))
        self.register_buffer("scale", torch.ones(SUMMARY_SIZE))
        # Each has numbers of its own, or the many of the whole page drown those of its letters.
        of_letters = size // LETTERS_PART
        self.of_whole = nn.Linear(WHOLE_SIZE, size - of_letters)
        self.of_letters = nn.Linear(LETTERS_SIZE, of_letters)

    def near(self, summaries: torch.Tensor) -> torch.Tensor:
        """Summaries in standard deviations from what is usual; so are letters that a page lacks."""
        near = ((summaries - self.centre) / self.scale).clamp(-_FARTHEST, _FARTHEST)
        return torch.cat([near[:, :WHOLE_SIZE], near[:, WHOLE_SIZE:].nan_to_num(0.0)], 1)

    def joined(self, near: torch.Tensor) -> torch.Tensor:
        """What comes out, of what `near` gives."""
        near = near.to(self.of_whole.weight.dtype)
        whole, letters = near[:, :WHOLE_SIZE], near[:, WHOLE_SIZE:]
        return functional.gelu(torch.cat([self.of_whole(whole), self.of_letters(letters)], 1))

    def forward(self, summaries: torch.Tensor) -> torch.Tensor:
        return self.joined(self.near(summaries))


TAKES_INT8 = False
"""In 8-bit integers two of the networks alone changed 15 % of the first guesses on 66 pages."""


class PageTrunks(nn.Module):
    """The networks and the layers that join them, for pages of any size from 128 pixels.

    Edges are seen twice where half the height or width is no multiple of 32.

    Args:
        size: numbers that come out a page.
    """

    def __init__(self, size: int) -> None:
        """Lay out the weights; they are filled afterwards."""
        super().__init__()
        self.pictures = LiteNet("lite0")
        self.lines = LineNetwork()
        self.letters = Letters()
        self.joint = Joint(size)

    @property
    def sensitive(self) -> tuple[nn.Module, ...]:
        """The parts to leave in float32 when the others go on in fewer bits."""
        kept = (self.lines.stem, *self.letters.sensitive, self.joint)
        return *self.pictures.sensitive, *kept

    @property
    def untaught(self) -> tuple[nn.Module, ...]:
        """The parts that only say where lines are, which no gradient reaches."""
        lines = self.lines
        return lines.entrances, lines.exits, lines.merge, lines.enlarge, lines.middles

    def summary(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Sum up pages (N, 3, H, W), RGB, -1 to 1: float32 (N, SUMMARY_SIZE).

        Where a page has no line, what its letters look like is NaN.
        """
        pages = pixel_values.to(self.joint.scale.dtype)
        whole = functional.avg_pool2d(pages, SMALLER)
        of_pictures = self.pictures.levels(whole, PICTURE_STAGES)
        high, wide = whole.shape[2:]
        colours = normalised((whole.flip(1) + 1) / 2)
        if high % MULTIPLE or wide % MULTIPLE:
            missing = (0, -wide % MULTIPLE, 0, -high % MULTIPLE)
            colours = functional.pad(colours, missing, mode="replicate")
        of_lines = self.lines.levels(colours)
        of_whole = [mean_and_spread(level) for level in (*of_pictures, *of_lines)]
        likely = self.lines.of_levels(of_lines)[:, 0, :high, :wide].float().sigmoid()
        return torch.cat([*of_whole, self.letters(pages, likely)], 1)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """See pages (N, 3, H, W), RGB, -1 to 1: float32 (N, size)."""
        summaries: torch.Tensor = self.joint(self.summary(pixel_values))
        return summaries


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
