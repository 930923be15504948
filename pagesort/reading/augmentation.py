"""Lines in another slant, size, thickness and tone, as other hands and scans would have them."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from pagesort.reading.network import HEIGHT

SIZE = (0.88, 1.25)  # rows of the line that fill the picture, as a share of them
SHEAR = 0.35  # columns to the side a row
SLOPE = 2.5  # rows, from the middle to an end of the line
SHIFT = 3.0  # rows
MARGIN = 4.0  # columns
BENT = (2.6, 1.8)  # columns and rows by which parts of the line are bent, one standard deviation
KNOT = 48  # columns between two places that are bent by themselves
LONGEST_SLOPE = 400  # columns of a line that slopes as far as it may
CONTRAST = (0.55, 1.15)
TONE = (-0.25, 0.1)  # of the greys from -1 to 1, as the noise
NOISE = 0.12
MOST_GAPS, WIDEST_GAP = 3, 10  # places where the ink is gone, and columns of one


def varied(picture: np.ndarray, width: int, stream: np.random.Generator) -> torch.Tensor:
    """Bring the picture of a line to the network's size, in another form and tone.

    Args:
        picture: grey, uint8 (H, W).
        width: wanted, in columns.
        stream: decides how.

    Returns:
        float32 (1, 48, width), -1 for black and 1 for white.
    """
    greys = torch.from_numpy(picture.astype(np.float32))[None, None] / 127.5 - 1.0
    bent = F.grid_sample(
        greys, _grid(width, stream), "bilinear", padding_mode="border", align_corners=True
    )
    return toned(bent, stream)[0]


def _grid(width: int, stream: np.random.Generator) -> torch.Tensor:
    """Where each pixel comes from: float32 (1, 48, width, 2), x and y from -1 to 1."""
    y = torch.linspace(-1, 1, HEIGHT)[:, None].expand(HEIGHT, width)
    x = torch.linspace(-1, 1, width)[None].expand(HEIGHT, width)
    column, row = 2 / width, 2 / HEIGHT
    slope = stream.uniform(-SLOPE, SLOPE) * row * min(1.0, width / LONGEST_SLOPE)
    shift = stream.uniform(-SHIFT, SHIFT) * row
    shear = stream.uniform(-SHEAR, SHEAR) * column / row
    from_x = x * stream.uniform(0.985, 1.02) + stream.uniform(-MARGIN, MARGIN) * column + shear * y
    from_y = y * stream.uniform(*SIZE) + shift + slope * x
    knots = stream.standard_normal((1, 2, 4, max(3, width // KNOT))).astype(np.float32)
    bends = F.interpolate(
        torch.from_numpy(knots), (HEIGHT, width), mode="bicubic", align_corners=True
    )[0]
    strength = stream.uniform() ** 2
    from_x = from_x + bends[0] * column * BENT[0] * strength
    from_y = from_y + bends[1] * row * BENT[1] * strength
    return torch.stack([from_x, from_y], -1)[None]


def toned(greys: torch.Tensor, stream: np.random.Generator) -> torch.Tensor:
    """Blur, thicken or thin the strokes, change the tone, add noise, rub some ink out."""
    if stream.uniform() < 0.25:
        blurred = F.avg_pool2d(greys, 3, 1, 1, count_include_pad=False)
        greys = torch.lerp(greys, blurred, stream.uniform(0.3, 1.0))
    strokes = stream.uniform()
    if strokes < 0.12:
        greys = torch.lerp(greys, F.max_pool2d(greys, 3, 1, 1), stream.uniform(0.2, 0.8))
    elif strokes < 0.3:
        greys = torch.lerp(greys, -F.max_pool2d(-greys, 3, 1, 1), stream.uniform(0.2, 0.8))
    white = greys.max()
    greys = (greys - white) * stream.uniform(*CONTRAST) + white + stream.uniform(*TONE)
    if stream.uniform() < 0.5:
        noise = stream.standard_normal(tuple(greys.shape)).astype(np.float32)
        greys = greys + torch.from_numpy(noise) * stream.uniform(0, NOISE)
    if stream.uniform() < 0.3:
        paper = greys.median()
        for _ in range(int(stream.integers(1, MOST_GAPS + 1))):
            wide = int(stream.integers(2, WIDEST_GAP + 1))
            left = int(stream.integers(max(1, greys.shape[-1] - wide)))
            greys[..., left : left + wide] = paper
    return greys.clamp(-1, 1)
