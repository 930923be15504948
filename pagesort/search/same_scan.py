"""Whether two pictures show the very same sheet, and not only the same kind of sheet.

Embeddings of two pages of one register are as near to each other as those of one page scanned
twice. So both are laid over each other, shifted and turned as they fit best, and compared square by
square: handwriting that differs shows in some squares, however alike the printed form is.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

WIDTH, HEIGHT = 192, 256  # pixels; the shape of pages is left aside
TILE = 32  # whose shifts are measured
SQUARE = 16  # that is compared
BORDER = 8  # which turning leaves empty
QUANTILE = 0.1
"""Of the inked squares, how well those agree that agree least: 0.8 and more for at least 95 % of
200 pages that were scanned again, and for none of 694 pairs of neighbouring pages of registers,
catalogues and reports (0.76 at most)."""
ROUNDS = 2
LARGEST_TURN, LARGEST_SHIFT = 0.1, 20.0  # of an alignment that can be meant: 6 degrees, pixels


def agreement(first: Image.Image, second: Image.Image) -> float:
    """Tell how well two small pictures agree where they agree least: 1 is the same, 0 not at all.

    Args:
        first, second: mode L, WIDTH x HEIGHT.
    """
    for _ in range(ROUNDS):
        affine = _alignment(first, second)
        if affine is None:
            break
        method = Image.Transform.AFFINE
        second = second.transform((WIDTH, HEIGHT), method, affine, Image.Resampling.BICUBIC)
    one, two = (_ink(page, 6)[BORDER:-BORDER, BORDER:-BORDER] for page in (first, second))
    squares = _tiles(one, SQUARE)
    strength = _norms(squares)
    best = np.full(len(squares), -1.0)
    for shift in np.ndindex(3, 3):  # what is left of a pixel's misfit
        others = _tiles(np.roll(two, (shift[0] - 1, shift[1] - 1), (0, 1)), SQUARE)
        norms = _norms(others)
        cosines = (squares * others).sum((1, 2)) / (strength * norms + 1e-3)
        best = np.maximum(best, cosines)
    inked = np.argsort(-np.maximum(strength, _norms(_tiles(two, SQUARE))), kind="stable")
    return float(np.quantile(best[inked[: len(inked) // 2]], QUANTILE))


def _alignment(first: Image.Image, second: Image.Image) -> tuple[float, ...] | None:
    """The affine map from places of the first to those of the second that fits best, if any does.

    Each tile's shift is the peak of its correlation; a straight map is laid through all shifts, and
    again with less weight for those that lie off it (iteratively reweighted least squares).
    """
    window = np.outer(*[np.hanning(TILE + 2)[1:-1]] * 2)
    one, two = (_tiles(_ink(page, 8), TILE) * window for page in (first, second))
    size = (TILE, TILE)
    peaks = np.fft.irfft2(np.conj(np.fft.rfft2(one)) * np.fft.rfft2(two), s=size)
    place = peaks.reshape(len(peaks), -1).argmax(1)
    shifts = np.stack([place % TILE, place // TILE], axis=1)
    shifts = (shifts + TILE // 2) % TILE - TILE // 2
    product = _norms(one) * _norms(two)
    weight = np.maximum(peaks.max((1, 2)), 0) / (product + 1e-3) * np.sqrt(product)
    weight *= (np.abs(shifts) < TILE // 2 - 2).all(axis=1)
    rows, columns = np.mgrid[0 : HEIGHT // TILE, 0 : WIDTH // TILE]
    centres = np.stack([columns.ravel(), rows.ravel()], axis=1) * TILE + TILE / 2
    known = np.concatenate([centres, np.ones((len(centres), 1))], axis=1)
    trust = weight
    for _ in range(4):
        root = np.sqrt(trust)[:, None]
        found, *_ = np.linalg.lstsq(known * root, shifts * root, rcond=None)
        misfit = np.hypot(*(known @ found - shifts).T)
        trust = weight / (1 + (misfit / 1.5) ** 2)
    if np.abs(found[:2]).max() > LARGEST_TURN or np.abs(found[2]).max() > LARGEST_SHIFT:
        return None
    (xx, xy), (yx, yy), (dx, dy) = found
    return 1 + xx, yx, dx, xy, 1 + yy, dy


def _ink(page: Image.Image, radius: int) -> np.ndarray:
    """What stands out from its surroundings, float32 (H, W), whatever the light was."""
    around = page.filter(ImageFilter.BoxBlur(radius))
    return np.asarray(page, np.float32) - np.asarray(around, np.float32)


def _tiles(page: np.ndarray, side: int) -> np.ndarray:
    """Cut (H, W) into squares, (N, side, side)."""
    rows, columns = page.shape[0] // side, page.shape[1] // side
    cut = page[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return cut.swapaxes(1, 2).reshape(-1, side, side)


def _norms(tiles: np.ndarray) -> np.ndarray:
    return np.sqrt((tiles * tiles).sum((1, 2)))
