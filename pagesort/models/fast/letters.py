"""What the letters of a page look like: written by hand, by a machine, or printed.

All sizes are the same for every page, so that the whole can be written as an ONNX file.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from pagesort.models.line_networks import LETTER_HEIGHT, LETTER_STAGES, LetterTrunk

STAGES = LETTER_STAGES[:2]  # later ones know which letter it is
WINDOWS = 16  # of a page at most
WINDOW_WIDTH = 192  # pixels
_COLUMNS = 9  # of the page in which lines are looked for
_COLUMN_WIDTH = 5  # pixels of the map
_LEAST_LIKELY = 0.3
_LEAST_HEIGHT = 2  # pixels of the map
# A line is so many times as high as its middle part, which is what the map shows.
_LINE_HEIGHT = 2.2
_FACTS = 4
SIZE = 2 * 2 * sum(stage.channels for stage in STAGES) + _FACTS
_LEAST_VARIANCE = 1e-6


class Letters(nn.Module):
    """Sums up what the letters of pages look like.

    Where a network sees lines, up to `WINDOWS` windows of a line's height are cut out of the page,
    at about the size that a network which reads lines was trained on, and turned by a quarter where
    lines run down the page. What that network makes of them is summed up: mean and spread over the
    windows of each window's mean and spread of every channel, and `facts_of` the lines.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = LetterTrunk(STAGES)

    @property
    def sensitive(self) -> tuple[nn.Module, ...]:
        """The parts to leave in float32 when the others go on in fewer bits."""
        return (self.trunk.stem,)

    def forward(self, pages: torch.Tensor, likely: torch.Tensor) -> torch.Tensor:
        """Sum up pages, each by itself.

        Args:
            pages: (N, 3, H, W), RGB, -1 to 1.
            likely: (N, h, w), how likely a place is in the middle part of a line, 0 to 1.

        Returns:
            float32 (N, SIZE), NaN but for the last four numbers where a page has no line.
        """
        likely = likely.detach().float()
        windows = find_windows(likely)
        lines = cut(pages.float().mean(1, keepdim=True), windows.grid)
        levels = self.trunk.levels(lines.to(self.trunk.stem.first.weight.dtype))
        seen = torch.cat([mean_and_spread(level) for level in levels], 1)
        seen = seen.reshape(-1, WINDOWS, seen.shape[1])
        count = windows.count[:, None]
        is_one = torch.arange(WINDOWS, device=likely.device) < count
        share = (is_one / count.clamp(min=1, max=WINDOWS))[:, :, None]
        mean = (share * seen).sum(1)
        variance = (share * (seen - mean[:, None]).square()).sum(1)
        # Not before: what is multiplied by NaN has no gradient.
        looks = torch.cat([mean, (variance + _LEAST_VARIANCE).sqrt()], 1)
        looks = torch.where(count > 0, looks, torch.nan)
        return torch.cat([looks, windows.facts], 1)


def mean_and_spread(features: torch.Tensor) -> torch.Tensor:
    """Of every channel of (N, C, H, W), in float32: (N, 2 * C)."""
    features = features.float()
    mean = features.mean((2, 3), keepdim=True)
    variance = (features - mean).square().mean((2, 3))
    return torch.cat([mean.flatten(1), (variance + _LEAST_VARIANCE).sqrt()], 1)


@dataclass(frozen=True)
class Windows:
    """Where to look at the letters of pages.

    Attributes:
        count: (N,), how many lines were met; more than `WINDOWS` are not looked at.
        grid: float32 (N, WINDOWS, LETTER_HEIGHT, WINDOW_WIDTH, 2), the column and the row of the
            page where each pixel of each window lies, -1 to 1 from edge to edge.
        facts: float32 (N, 4), see `facts_of`.
    """

    count: torch.Tensor
    grid: torch.Tensor
    facts: torch.Tensor


def find_windows(likely: torch.Tensor) -> Windows:
    """Find windows on the lines of pages (N, h, w), whichever way these run."""
    across, down = _across(likely), _across(likely.transpose(1, 2))
    is_down = run_down(likely)
    # Columns and rows change places, and lines are read from the bottom up: that is a quarter
    # turn, where the first alone would be a mirror.
    turned = down.grid.flip(4).flip(3)
    return Windows(
        torch.where(is_down, down.count, across.count),
        torch.where(is_down[:, None, None, None, None], turned, across.grid),
        torch.where(is_down[:, None], down.facts, across.facts),
    )


def run_down(likely: torch.Tensor) -> torch.Tensor:
    """Whether the lines of pages (N, h, w) run up or down them: bool (N,).

    Who goes along a line meets fewer of its edges than who crosses it.
    """
    is_line = (likely > _LEAST_LIKELY).float()
    met_going_down = is_line.diff(dim=1).abs().sum((1, 2))
    met_going_across = is_line.diff(dim=2).abs().sum((1, 2))
    return met_going_across > met_going_down


def _across(likely: torch.Tensor) -> Windows:
    """Windows on lines that run across pages."""
    crossings = find_crossings(likely)
    grid = grid_of(choose(crossings), likely.shape[1:])
    return Windows(crossings.count, grid, facts_of(crossings, likely))


@dataclass(frozen=True)
class Crossings:
    """Where some columns of pages cross lines of text.

    Attributes:
        heights: float32 (N, M), of the middle part of the line at each of M places in pixels of the
            map, 0 where no line is; the places go row by row from top to bottom, two to a pixel.
        columns: (9,) the middles of the columns, in pixels of the map.
    """

    heights: torch.Tensor
    columns: torch.Tensor

    @property
    def count(self) -> torch.Tensor:
        """How many there are on each page, (N,)."""
        return (self.heights > 0).sum(1)


def find_crossings(likely: torch.Tensor) -> Crossings:
    """Follow columns of pages (N, h, w) down and note where they cross lines."""
    count, height, width = likely.shape
    middles = [int((number + 0.5) / _COLUMNS * width) for number in range(_COLUMNS)]
    lefts = [max(0, middle - _COLUMN_WIDTH // 2) for middle in middles]
    seen = [likely[:, :, left : left + _COLUMN_WIDTH].mean(2) for left in lefts]
    is_line = (torch.stack(seen, 2) > _LEAST_LIKELY).to(torch.int64)
    steps = functional.pad(is_line, (0, 0, 1, 1)).diff(dim=1)  # (N, h + 1, 9)
    rows = torch.arange(height + 1, device=likely.device)[None, :, None].expand_as(steps)
    ends = torch.where(steps == -1, rows, height + 1)
    bottoms = _least_behind(ends)  # the next one from each row on
    heights = torch.where(steps == 1, bottoms - rows, 0)
    is_one = heights >= _LEAST_HEIGHT
    # Twice the row of each middle; what is none goes behind the last one.
    places = torch.where(is_one, rows + bottoms, 2 * height + 1)
    empty = likely.new_zeros((count, 2 * height + 2, _COLUMNS))
    found = empty.scatter(1, places, torch.where(is_one, heights, 0).float())
    return Crossings(found[:, :-1].flatten(1), likely.new_tensor(middles))


def _least_behind(values: torch.Tensor) -> torch.Tensor:
    """The least value from each row (N, row, C) on, as `cummin`, which ONNX lacks."""
    step = 1
    while step < values.shape[1]:
        behind = torch.cat([values[:, step:], values[:, -1:].expand(-1, step, -1)], 1)
        values = torch.minimum(values, behind)
        step *= 2
    return values


def choose(crossings: Crossings) -> torch.Tensor:
    """At most `WINDOWS` crossings of each page, from top to bottom, every so many-th of them.

    Returns:
        float32 (N, WINDOWS, 3), the row, the column and the height of the middle part of a line;
        of a page that has fewer, the last ones mean nothing.
    """
    ranks = torch.arange(WINDOWS, device=crossings.heights.device)[None]
    count = crossings.count[:, None]
    evenly = (ranks * (count - 1) / (WINDOWS - 1)).round().to(torch.int64)
    wanted = torch.where(count > WINDOWS, evenly, ranks) + 1
    passed = (crossings.heights > 0).cumsum(1)
    places = (passed[:, None] < wanted[:, :, None]).sum(2).clamp(max=passed.shape[1] - 1)
    rows = torch.div(places, _COLUMNS, rounding_mode="floor") / 2
    columns = crossings.columns[places % _COLUMNS]
    return torch.stack([rows, columns, crossings.heights.gather(1, places)], 2)


def grid_of(places: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    """Where the pixels of windows around places (N, n, 3), see `choose`, lie; see `Windows`.

    Args:
        size: height and width of the map that these are of, in whose pixels letters are upright.
    """
    (high, wide), number = size, places.shape[1]
    rows, columns, heights = places.unbind(2)
    # Shares of the page, and places from -1 to 1, as `grid_sample` wants them.
    height = heights * _LINE_HEIGHT / high
    width = heights * _LINE_HEIGHT * (WINDOW_WIDTH / LETTER_HEIGHT) / wide
    # A window that would reach over the edge is moved inside; one wider than the page is centred.
    inside = (1 - width).clamp(min=0)
    middle = torch.minimum(torch.maximum(2 * columns / wide - 1, -inside), inside)
    across = middle[:, :, None] + width[:, :, None] * _steps(WINDOW_WIDTH, places)
    down = (2 * rows / high - 1)[:, :, None] + height[:, :, None] * _steps(LETTER_HEIGHT, places)
    shape = (places.shape[0], number, LETTER_HEIGHT, WINDOW_WIDTH)
    return torch.stack([across[:, :, None].expand(shape), down[:, :, :, None].expand(shape)], 4)


def cut(pages: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """Cut windows, see `Windows.grid`, out of pages (N, 1, H, W).

    Returns:
        (N * n, 1, LETTER_HEIGHT, WINDOW_WIDTH).
    """
    found = functional.grid_sample(
        pages, grid.flatten(1, 2), padding_mode="border", align_corners=False
    )
    return found.reshape(-1, 1, LETTER_HEIGHT, WINDOW_WIDTH)


def _steps(count: int, like: torch.Tensor) -> torch.Tensor:
    """The middles of so many pixels from -1 to 1."""
    return (2 * torch.arange(count, device=like.device, dtype=like.dtype) + 1) / count - 1


def facts_of(crossings: Crossings, likely: torch.Tensor) -> torch.Tensor:
    """How many crossings there are, their median height, the share of the page, how they differ.

    Returns:
        float32 (N, 4), the logarithms of one more than that; they differ by the standard deviation
        of the logarithms of their heights.
    """
    heights, count = crossings.heights, crossings.count
    ordered = heights.sort(1).values  # what is none comes first
    behind = heights.shape[1] - count
    halves = torch.stack([behind + (count - 1).clamp(min=0) // 2, behind + count // 2], 1)
    median = ordered.gather(1, halves.clamp(max=heights.shape[1] - 1)).mean(1)
    share = (likely > _LEAST_LIKELY).float().mean((1, 2))
    logs, is_one = heights.clamp(min=1).log(), (heights > 0).float()
    divisor = count.clamp(min=1)
    mean = logs.sum(1) / divisor
    variance = ((logs - mean[:, None]).square() * is_one).sum(1) / divisor
    return torch.stack([count.float(), median, share, variance.sqrt()], 1).log1p()
