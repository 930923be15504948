"""Training views of a page: a random box at the size asked for, in another tone and sharpness.

Nothing is ever flipped: mirrored writing is no writing. Pages are turned by right angles for a part
of the views, as scans lie on their side or upside down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

# Text looks the same in any part of a page, so a part of it is still a page of that label.
_CLOSE_UP_LABELS = ("TEXT_HW", "TEXT_P", "TEXT_T")


@dataclass(frozen=True)
class View:
    """`pixels` uint8 (H, W, 3) and `regions` uint8 (6, h, w), cut from the same box of the page."""

    pixels: np.ndarray
    regions: np.ndarray


_TURNS = (1, 2, 3)
_TURN_SHARES = (0.36, 0.28, 0.36)


def randomly_turned(
    page: np.ndarray, regions: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Turn a page (H, W, 3) and its masks (6, h, w) by a quarter, a half or three quarters."""
    quarters = int(rng.choice(_TURNS, p=_TURN_SHARES))
    return np.ascontiguousarray(np.rot90(page, quarters)), np.rot90(regions, quarters, axes=(1, 2))


def random_view(
    page: np.ndarray,
    regions: np.ndarray,
    size: tuple[int, int],
    label: str,
    rng: np.random.Generator,
) -> View:
    """Return a random view of `page` (uint8 (H, W, 3)) of `size` (height, width) in pixels."""
    box = _random_box(label, rng)
    image = Image.fromarray(page)
    if rng.random() < 0.25:
        image = image.rotate(
            float(rng.uniform(-2.0, 2.0)), Image.Resampling.BILINEAR, fillcolor=_border(page)
        )
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.2, 1.2))))
    height, width = page.shape[:2]
    left, top, right, bottom = box
    resized = image.resize(
        (size[1], size[0]),
        Image.Resampling.BICUBIC if rng.random() < 0.7 else Image.Resampling.BOX,
        box=(left * width, top * height, right * width, bottom * height),
    )
    pixels = _random_tone(np.asarray(resized), rng)
    if rng.random() < 0.12:
        pixels, box = _on_a_scanner_bed(pixels, box, rng)
    return View(pixels, _cut_regions(regions, box, (size[0] // 16, size[1] // 16)))


def _random_box(label: str, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Left, top, right, bottom as shares of the page; each side is cut on its own."""
    close_up = label in _CLOSE_UP_LABELS and rng.random() < 0.12
    smallest = 0.5 if close_up else 0.85
    box_width, box_height = rng.uniform(smallest, 1.0, 2)
    left = rng.uniform(0.0, 1.0 - box_width)
    top = rng.uniform(0.0, 1.0 - box_height)
    return left, top, left + box_width, top + box_height


def _border(page: np.ndarray) -> tuple[int, int, int]:
    edge = np.concatenate([page[0], page[-1], page[:, 0], page[:, -1]])
    red, green, blue = np.median(edge, axis=0).astype(int)
    return int(red), int(green), int(blue)


def _random_tone(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    values = np.linspace(0.0, 1.0, 256)
    if rng.random() < 0.6:
        values = values ** float(np.exp(rng.uniform(-0.5, 0.5)))
    if rng.random() < 0.5:
        contrast, brightness = np.exp(rng.uniform(-0.4, 0.5)), rng.uniform(-0.12, 0.12)
        values = (values - 0.7) * contrast + 0.7 + brightness
    table = (np.clip(values, 0.0, 1.0) * 255).astype(np.uint8)
    pixels = table[pixels]
    if rng.random() < 0.35:
        pixels = np.repeat(pixels.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    elif rng.random() < 0.2:
        # Old paper is yellow to brown: blue suffers most.
        tint = np.sort(rng.uniform(0.75, 1.0, 3))[::-1]
        pixels = (pixels * tint).astype(np.uint8)
    if rng.random() < 0.2:
        noise = rng.normal(0.0, rng.uniform(2.0, 14.0), pixels.shape[:2]).astype(np.float32)
        pixels = np.clip(pixels + noise[..., None], 0, 255).astype(np.uint8)
    return pixels


def _on_a_scanner_bed(
    pixels: np.ndarray, box: tuple[float, float, float, float], rng: np.random.Generator
) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """Shrink the page on a black, grey or white bed; the box grows by the same share."""
    height, width = pixels.shape[:2]
    share_x, share_y = rng.uniform(0.75, 1.0, 2)
    inner_width, inner_height = max(1, int(width * share_x)), max(1, int(height * share_y))
    x = int(rng.integers(0, width - inner_width + 1))
    y = int(rng.integers(0, height - inner_height + 1))
    bed = np.full_like(pixels, int(rng.choice([0, 20, 128, 235, 255, 255])))
    small = Image.fromarray(pixels).resize((inner_width, inner_height), Image.Resampling.BICUBIC)
    bed[y : y + inner_height, x : x + inner_width] = np.asarray(small)
    left, top, right, bottom = box
    unit_x, unit_y = (right - left) / inner_width, (bottom - top) / inner_height
    grown_left, grown_top = left - x * unit_x, top - y * unit_y
    return bed, (grown_left, grown_top, grown_left + width * unit_x, grown_top + height * unit_y)


def _cut_regions(
    regions: np.ndarray, box: tuple[float, float, float, float], size: tuple[int, int]
) -> np.ndarray:
    """Cut the masks (6, h, w) to the same box by their nearest cells; outside lies nothing."""
    left, top, right, bottom = box
    rows, inside_rows = _nearest_cells(top, bottom, size[0], regions.shape[1])
    columns, inside_columns = _nearest_cells(left, right, size[1], regions.shape[2])
    cut = regions[:, rows][:, :, columns]
    return cut * (inside_rows[:, None] & inside_columns[None, :])


def _nearest_cells(
    start: float, end: float, count: int, cells: int
) -> tuple[np.ndarray, np.ndarray]:
    positions = start + (np.arange(count) + 0.5) / count * (end - start)
    return np.clip((positions * cells).astype(int), 0, cells - 1), (positions >= 0) & (
        positions < 1
    )
