"""Where the lines of a page run: ink without rules, smeared along the writing, and its ridges.

Nothing is learnt: paper and ink are told apart around each pixel (after Sauvola and Pietikäinen,
Adaptive document image binarization, 2000), and a ridge of the smeared ink is followed from column
to column, so that skewed and curved lines are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from pagesort.reading.line_images import Grey
from pagesort.reading.reading_order import in_reading_order
from pagesort.reading.text_line import Points, TextLine

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

LONGER_SIDE = 1500  # pixels of the page that is looked at
# Paper: its grey is this percentile around a pixel, in a page shrunk so many times; darker is none.
PAPER, PAPER_REDUCED, PAPER_WINDOW, DARKEST_PAPER = 80, 8, 9, 70
# Ink: darker than its surroundings by Sauvola's rule, and than this share of the paper.
INK_WINDOW, INK_STRENGTH, INK_SPREAD, LIGHTEST_INK = 31, 0.2, 0.25, 0.88
RULE = 25  # a rule is at least this part of the page long
# Of components: the tallest and widest that are writing, in shares of the page; the fewest pixels.
TALLEST, WIDEST, SPECK = 0.12, 0.5, 6
USUAL = (7.0, 45.0)  # heights of letters between which sizes are believed
SIZE_SHARE = 0.4  # of the writing, by width, is lower than the size of letters
# In sizes of letters: how far ink is smeared, the closest lines, and gaps and steps within a line.
SMEARED, CLOSEST, GAP, STEP = (0.33, 1.8), 0.9, 2.5, 0.5
LEAST_INK = 0.06  # smeared, on a ridge
WORDS_APART, SHORTEST = 4.0, 1.2  # sizes between words of a line, and of the shortest line
FILLED = 0.15  # share of a line's columns that have ink
BELOW, UPPER, LOWER = 0.5, 1.1, 0.95  # sizes from a ridge to baseline, upper and lower edge


@dataclass(frozen=True)
class _Ridge:
    """A ridge: its row in each column from `left` on."""

    left: int
    rows: Floats

    @property
    def right(self) -> int:
        """The column after the last one."""
        return self.left + len(self.rows)


@dataclass(frozen=True)
class _Writing:
    """The writing of a page: `ink` without rules, upright `rules`, and the `size` of letters."""

    ink: Mask
    rules: Mask
    size: float


def find_lines(page: Grey) -> tuple[TextLine, ...]:
    """Find the lines of a page, in the order in which they are read.

    Lines that run up or down the page are not found.

    Args:
        page: uint8 (height, width), of any size.

    Returns:
        Lines without text, their places in pixels of the page.
    """
    high, wide = page.shape
    scale = LONGER_SIDE / max(high, wide)
    size = (max(8, round(wide * scale)), max(8, round(high * scale)))
    how = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    writing = _writing(np.asarray(Image.fromarray(page).resize(size, how)))
    back = np.array([wide / size[0], high / size[1]])
    lines = [
        _line(part, writing.size, back, np.array([wide, high]))
        for ridge in _joined(_ridges(writing), writing)
        for part in _parts(ridge, writing)
    ]
    ordered = in_reading_order([line for line in lines if line is not None])
    return tuple(
        TextLine(f"line_{number}", line.baseline, line.polygon)
        for number, line in enumerate(ordered, start=1)
    )


def _writing(grey: Grey) -> _Writing:
    """Take the writing out of a page."""
    from scipy import ndimage

    ink = _ink(grey)
    high, wide = ink.shape
    level = ndimage.binary_dilation(_runs(ink, max(40, wide // RULE), 1), np.ones((3, 1)))
    upright = ndimage.binary_dilation(_runs(ink, max(50, high // RULE), 0), np.ones((1, 3)))
    labels, count = ndimage.label(ink & ~level & ~upright, np.ones((3, 3)))
    if not count:
        return _Writing(np.zeros_like(ink), upright, USUAL[0])
    boxes = ndimage.find_objects(labels)
    heights, widths = (
        np.array([box[axis].stop - box[axis].start for box in boxes]) for axis in (0, 1)
    )
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    kept = (heights < TALLEST * high) & (widths < WIDEST * wide) & (areas >= SPECK)
    size = _size(heights[kept], widths[kept])
    return _Writing(np.concatenate([[False], kept])[labels], upright, size)


def _ink(grey: Grey) -> Mask:
    """Which pixels are ink: dark beside the paper and beside their surroundings."""
    from scipy import ndimage

    high, wide = grey.shape
    small = Image.fromarray(grey).reduce(PAPER_REDUCED)
    paper = ndimage.percentile_filter(np.asarray(small), PAPER, size=PAPER_WINDOW)
    paper = ndimage.gaussian_filter(paper.astype(np.float32), 2)
    whole = Image.fromarray(paper).resize((wide, high), Image.Resampling.BILINEAR)
    paper = np.asarray(whole)
    share = grey / np.maximum(paper, 1)
    mean = ndimage.uniform_filter(share, INK_WINDOW)
    spread = np.sqrt(np.maximum(ndimage.uniform_filter(share * share, INK_WINDOW) - mean**2, 0))
    least = mean * (1 + INK_STRENGTH * (spread / INK_SPREAD - 1))
    return (share < np.minimum(least, LIGHTEST_INK)) & (paper > DARKEST_PAPER)


def _runs(ink: Mask, length: int, axis: int) -> Mask:
    """Which ink lies in a straight run of a length."""
    from scipy import ndimage

    eroded = ndimage.minimum_filter1d(ink.view(np.uint8), length, axis=axis)
    return ndimage.maximum_filter1d(eroded, length, axis=axis).astype(bool)


def _size(heights: npt.NDArray[np.int_], widths: npt.NDArray[np.int_]) -> float:
    """How tall letters are, of components of writing."""
    is_letter = (heights >= 5) & (heights < 2 * USUAL[1])
    if not is_letter.any():
        return USUAL[0]
    order = np.argsort(heights[is_letter], kind="stable")
    total = np.cumsum(widths[is_letter][order])
    place = int(np.searchsorted(total, SIZE_SHARE * total[-1]))
    return float(np.clip(heights[is_letter][order][place], *USUAL))


def _ridges(writing: _Writing) -> list[_Ridge]:
    """Find the ridges of ink that is smeared along the lines, from left to right."""
    from scipy import ndimage

    size = writing.size
    smeared = ndimage.gaussian_filter(
        writing.ink.astype(np.float32), [reach * size for reach in SMEARED]
    )
    around = ndimage.maximum_filter1d(smeared, max(3, int(CLOSEST * size) | 1), axis=0)
    is_ridge = (smeared >= around - 1e-6) & (smeared > LEAST_INK)
    is_ridge &= ~ndimage.binary_dilation(writing.rules, np.ones((1, 3)))
    labels, _ = ndimage.label(ndimage.binary_dilation(is_ridge, np.ones((3, 1))), np.ones((3, 3)))
    ridges = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        rows, columns = box
        if columns.stop - columns.start < SHORTEST * size:
            continue
        weights = np.where(labels[box] == number, smeared[box], 0.0)
        places = np.arange(rows.start, rows.stop)[:, None]
        middle = (weights * places).sum(0) / np.maximum(weights.sum(0), 1e-9)
        ridges.append(_Ridge(columns.start, middle))
    return sorted(ridges, key=lambda ridge: ridge.left)


def _joined(ridges: list[_Ridge], writing: _Writing) -> list[_Ridge]:
    """Join ridges that go on in one another, with no upright rule between them."""
    waiting, done = list(ridges), []
    while waiting:
        ridge = waiting.pop(0)
        while (place := _next(ridge, waiting, writing)) is not None:
            ridge = _join(ridge, waiting.pop(place))
        done.append(ridge)
    return done


def _next(ridge: _Ridge, others: list[_Ridge], writing: _Writing) -> int | None:
    """Which ridge goes on with another one: the nearest to its right that may."""
    found: list[tuple[int, int]] = []
    for place, other in enumerate(others):
        gap = other.left - ridge.right
        if gap > GAP * writing.size:
            break
        if gap < -2 or abs(other.rows[0] - ridge.rows[-1]) > STEP * writing.size:
            continue
        row = int(ridge.rows[-1])
        if not writing.rules[max(0, row - 2) : row + 3, ridge.right : other.left + 1].any():
            found.append((gap, place))
    return min(found)[1] if found else None


def _join(first: _Ridge, second: _Ridge) -> _Ridge:
    gap = second.left - first.right
    between = np.linspace(first.rows[-1], second.rows[0], max(0, gap) + 2)[1:-1]
    return _Ridge(first.left, np.concatenate([first.rows, between, second.rows[max(0, -gap) :]]))


def _parts(ridge: _Ridge, writing: _Writing) -> list[_Ridge]:
    """Cut a ridge where there is no ink for long, and leave out what has hardly any."""
    width, size = len(ridge.rows), writing.size
    window = min(width, int(3 * size)) | 1
    padded = np.pad(ridge.rows, window // 2, mode="edge")
    smooth = np.convolve(padded, np.full(window, 1 / window), "valid")[:width]
    rows = np.asarray(smooth, dtype=np.float64)
    reach = int(0.8 * size)
    near = rows.round().astype(int) + np.arange(-reach, reach + 1)[:, None]
    near = np.clip(near, 0, writing.ink.shape[0] - 1)
    has_ink = writing.ink[near, np.arange(ridge.left, ridge.right)].any(axis=0)
    filled = np.flatnonzero(has_ink)
    if len(filled) < max(FILLED * width, 0.6 * size):
        return []
    cuts = np.flatnonzero(np.diff(filled) > WORDS_APART * size)
    starts, stops = filled[np.append(0, cuts + 1)], filled[np.append(cuts, len(filled) - 1)]
    return [
        _Ridge(ridge.left + int(start), rows[start : stop + 1])
        for start, stop in zip(starts, stops, strict=True)
        if stop - start >= SHORTEST * size
    ]


def _line(ridge: _Ridge, size: float, back: Floats, most: Floats) -> TextLine | None:
    """A line in pixels of the page, inside of it; None where nothing of it is left."""
    corners = max(2, round(len(ridge.rows) / (1.5 * size)) + 1)
    places = np.linspace(0, len(ridge.rows) - 1, corners).round().astype(int)
    middle = np.stack([ridge.left + places + 0.5, ridge.rows[places] + 0.5], axis=1)
    upper, lower, baseline = (
        np.clip((middle + (0.0, offset * size)) * back, 0, most)
        for offset in (-UPPER, LOWER, BELOW)
    )
    polygon = np.concatenate([upper, lower[::-1]])
    if np.ptp(polygon, axis=0).min() < 2:
        return None
    return TextLine("", _points(baseline), _points(polygon))


def _points(corners: Floats) -> Points:
    return tuple((round(float(x), 1), round(float(y), 1)) for x, y in corners)
