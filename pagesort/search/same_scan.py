"""Whether two pictures show the very same sheet, and not only the same kind of sheet.

Embeddings of two pages of one register are as near to each other as those of one page scanned
twice. So both are laid over each other, shifted and turned as they fit best, and compared square by
square: handwriting that differs shows in some squares, however alike the printed form is. Squares
of which only one of the two shows the whole, as the other is cut closer, do not count.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageFilter

WIDTH, HEIGHT = 192, 256  # pixels; the shape of pages is left aside
TILE = 32  # whose shifts are measured
SQUARE = 16  # that is compared
BORDER = 8  # which turning leaves empty
QUANTILE = 0.1
"""Of the inked squares, how well those agree that agree least: 0.7 and more for 36 of 38 copies of
pages that were shrunk, cut closer, turned a little or by quarters, and for none of 801 pairs of
neighbouring pages of registers, catalogues, letters and reports (0.57 at most)."""
ROUNDS = 2
LEAST_SHARED = 0.5  # of the squares, those that both pages show
LARGEST_TURN, LARGEST_SHIFT = 0.16, 34.0  # of an alignment that can be meant: 9 degrees, pixels
QUARTER_TURNS = tuple(Image.Transpose[f"ROTATE_{angle}"] for angle in (90, 180, 270))
COARSE = 8  # pixels that count as one when it is asked which side is up
NEAR = (-2, -1, 0, 1, 2)  # such pixels that pages may be shifted by
CLEARER = 0.2  # how much more alike two pages have to be the other way up, -1 to 1


def agreement(first: Image.Image, second: Image.Image) -> float:
    """Tell how well two small pictures agree where they agree least: 1 is the same, 0 not at all.

    Args:
        first, second: mode L, WIDTH x HEIGHT.
    """
    return max(_agreement(first, page) for page in _ways_up(first, second))


def _agreement(first: Image.Image, second: Image.Image) -> float:
    """The same of pages of which the same side is up."""
    inside = Image.new("L", (WIDTH, HEIGHT), 255)  # what of the first is on the second, too
    paper = int(np.median(np.asarray(second)))
    for _ in range(ROUNDS):
        affine = _alignment(first, second)
        if affine is None:
            break
        size, method, best_kind = (WIDTH, HEIGHT), Image.Transform.AFFINE, Image.Resampling.BICUBIC
        second = second.transform(size, method, affine, best_kind, fillcolor=paper)
        inside = inside.transform(size, method, affine)
    one, two = (_ink(page, 6)[BORDER:-BORDER, BORDER:-BORDER] for page in (first, second))
    known = np.asarray(inside)[BORDER:-BORDER, BORDER:-BORDER]
    both = _tiles(known, SQUARE).min((1, 2)) > 0
    if both.mean() < LEAST_SHARED:
        return 0.0
    squares = _tiles(one, SQUARE)
    strength = _norms(squares)
    best = np.full(len(squares), -1.0)
    for shift in np.ndindex(3, 3):  # what is left of a pixel's misfit
        others = _tiles(np.roll(two, (shift[0] - 1, shift[1] - 1), (0, 1)), SQUARE)
        norms = _norms(others)
        cosines = (squares * others).sum((1, 2)) / (strength * norms + 1e-3)
        best = np.maximum(best, cosines)
    ink = np.maximum(strength, _norms(_tiles(two, SQUARE)))[both]
    inked = np.argsort(-ink, kind="stable")
    return float(np.quantile(best[both][inked[: len(inked) // 2]], QUANTILE))


def _ways_up(first: Image.Image, second: Image.Image) -> Iterator[Image.Image]:
    """Yield the second as it is, and by quarter turns if its ink then lies more as on the first."""
    yield second
    one, two = _coarse(first), _coarse(second)
    ways = {way: _alike(one, _coarse_turned(two, way)) for way in (None, *QUARTER_TURNS)}
    way = max(ways, key=lambda each: ways[each])
    if way is not None and ways[way] >= ways[None] + CLEARER:
        yield second.transpose(way).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)


def _coarse(page: Image.Image) -> Image.Image:
    """How much ink lies where: mode F, a pixel for COARSE of them."""
    ink = np.abs(_ink(page, 6))
    return Image.fromarray(_tiles(ink, COARSE).mean((1, 2)).reshape(HEIGHT // COARSE, -1))


def _coarse_turned(ink: Image.Image, way: Image.Transpose | None) -> Image.Image:
    return ink if way is None else ink.transpose(way).resize(ink.size, Image.Resampling.BOX)


def _alike(first: Image.Image, second: Image.Image) -> float:
    """The best correlation, -1 to 1, of two maps of ink, one of them shifted a little."""
    one, two = (np.asarray(each) - np.asarray(each).mean() for each in (first, second))
    found = np.fft.irfft2(np.conj(np.fft.rfft2(one)) * np.fft.rfft2(two), s=one.shape)
    near = found[np.ix_(NEAR, NEAR)].max()
    return float(near / (np.linalg.norm(one) * np.linalg.norm(two) + 1e-3))


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
    for _ in range(6):
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
