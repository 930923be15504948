"""Training pages in another tone and sharpness; never flipped or turned: direction is meaning."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

SHARE = 0.5  # of the views that are changed at all
COLOUR = 0.5  # brightness, contrast, saturation × 1 ± this; hue ± this of a whole turn
LEAST_SHARPNESS, MOST_SHARPNESS = 0.5, 1.5
MOST_BLUR = 2.0  # radius in pixels of the page before it is shrunk to the model's size


def augmented_view(
    page: Image.Image, size: tuple[int, int], rng: np.random.Generator
) -> Image.Image:
    """Shrink a page to the model's size; half of the time in other colours and sharpness.

    Args:
        page: mode L or RGB, about twice as large as `size`, which is the resolution that sharpness
            and blur are meant for. On a scan of 3,000 pixels a blur of radius 2 leaves no trace
            once it is shrunk to 224; at 224 it wipes out all writing; at twice that it makes
            letters as soft as a lens out of focus does, and they can still be told apart.
        size: height and width of the view.

    Returns:
        The view, mode L or RGB; a page in mode L has no colours to change.
    """
    if rng.random() >= SHARE:
        return shrunk(page, size)
    sharpness = rng.uniform(LEAST_SHARPNESS, MOST_SHARPNESS)
    radius = rng.uniform(0.0, MOST_BLUR)
    page = ImageEnhance.Sharpness(page).enhance(sharpness)
    page = page.filter(ImageFilter.GaussianBlur(radius))
    return _recoloured(shrunk(page, size), rng)


def shrunk(page: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Squash a page to (height, width), as prediction does."""
    height, width = size
    return page.resize((width, height), Image.Resampling.BICUBIC)


def _recoloured(view: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Change brightness, contrast, saturation and hue, in any order, as torchvision's jitter does.

    Done on the shrunk view: these changes look at one pixel at a time, so it costs a quarter.
    """
    brightness, contrast, saturation = rng.uniform(1.0 - COLOUR, 1.0 + COLOUR, 3)
    hue = rng.uniform(-COLOUR, COLOUR)
    for change in rng.permutation(4):
        if change == 0:
            view = ImageEnhance.Brightness(view).enhance(brightness)
        elif change == 1:
            view = ImageEnhance.Contrast(view).enhance(contrast)
        elif view.mode == "L":
            continue
        elif change == 2:
            view = ImageEnhance.Color(view).enhance(saturation)
        else:
            view = _turned_hue(view, hue)
    return view


def _turned_hue(view: Image.Image, turn: float) -> Image.Image:
    """Turn the hues of an RGB view by a share of the whole circle."""
    hue, saturation, value = view.convert("HSV").split()
    shift = round(turn * 256)
    hue = hue.point([(level + shift) % 256 for level in range(256)])
    return Image.merge("HSV", (hue, saturation, value)).convert("RGB")
