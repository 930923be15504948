"""From maps of baselines, and of where they end, to one curve a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pagesort.reading.finder_network import ABOVE, BASELINE, BELOW, ENDS, STRIDE

Floats = npt.NDArray[np.float64]

LIKELY = 0.5  # probability from which a baseline runs somewhere
PARTED = 0.5  # probability of an end from which a baseline is cut
JOINED = 0.25  # of ends between two pieces, up to which they may be one line
WIDEST_GAP = 1.6  # of a line's height above the baseline, between pieces that may be one line
OFFSET = 0.4  # of that height, which such pieces may differ in level
SHORTEST = 0.6  # of that height, that a line is long
SMOOTHED = 9  # answers of the network over which the level of a baseline is averaged
CORNER = 12  # answers of the network between two corners of a baseline
REST = 1.0  # answers of the network that a baseline loses at either end


@dataclass(frozen=True)
class Trace:
    """A line: corners of its baseline, and how far its letters reach, in pixels of the page."""

    baseline: Floats
    above: float
    below: float


@dataclass(frozen=True)
class _Piece:
    """An unbroken part of a baseline: its level in each column from `left` on."""

    left: int
    levels: Floats
    above: float
    below: float

    @property
    def right(self) -> int:
        """The last column."""
        return self.left + len(self.levels) - 1


def trace_lines(maps: npt.NDArray[np.float32]) -> list[Trace]:
    """Follow the baselines of a page.

    Args:
        maps: float32 (4, h, w), as `LineFinder.maps` gives them.
    """
    pieces = _pieces(maps)
    traces = (_trace(piece) for piece in _joined(pieces, maps[ENDS]))
    return [trace for trace in traces if np.ptp(trace.baseline[:, 0]) > SHORTEST * trace.above]


def _pieces(maps: npt.NDArray[np.float32]) -> list[_Piece]:
    """Take apart what is likely a baseline, where it is cut by an end or not connected."""
    from scipy import ndimage

    likely = (maps[BASELINE] > LIKELY) & (maps[ENDS] < PARTED)
    labels, _ = ndimage.label(likely, np.ones((3, 3)))
    pieces = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        inside = labels[rows, columns] == number
        if inside.shape[1] < 3:
            continue
        weights = np.where(inside, maps[BASELINE, rows, columns], 0.0).astype(np.float64)
        places = np.arange(rows.start, rows.stop)[:, None]
        levels = (weights * places).sum(0) / weights.sum(0)
        above, below = (
            float(np.median(maps[map_, rows, columns][inside])) for map_ in (ABOVE, BELOW)
        )
        pieces.append(_Piece(columns.start, levels, above, below))
    return pieces


def _joined(pieces: Sequence[_Piece], ends: npt.NDArray[np.float32]) -> list[_Piece]:
    """Join pieces of one line, which a word's distance parts but no end, from left to right."""
    waiting = sorted(pieces, key=lambda piece: piece.left)
    done: list[_Piece] = []
    while waiting:
        piece = waiting.pop(0)
        while (place := _next(piece, waiting, ends)) is not None:
            piece = _join(piece, waiting.pop(place))
        done.append(piece)
    return done


def _next(piece: _Piece, others: Sequence[_Piece], ends: npt.NDArray[np.float32]) -> int | None:
    """Which of the pieces to the right goes on with a line: the nearest that may."""
    best, nearest = None, np.inf
    level = piece.levels[-min(len(piece.levels), SMOOTHED) :].mean()
    for place, other in enumerate(others):
        gap = other.left - piece.right
        height = (piece.above + other.above) / 2 / STRIDE
        offset = abs(other.levels[:SMOOTHED].mean() - level)
        if not 0 < gap <= WIDEST_GAP * height or offset > OFFSET * height or gap >= nearest:
            continue
        rows = sorted((round(level), round(float(other.levels[0]))))
        between = ends[max(0, rows[0] - 1) : rows[1] + 2, piece.right : other.left + 1]
        if between.max(initial=0.0) < JOINED:
            best, nearest = place, gap
    return best


def _join(first: _Piece, second: _Piece) -> _Piece:
    gap = second.left - first.right - 1
    between = np.linspace(first.levels[-1], second.levels[0], gap + 2)[1:-1]
    weights = (len(first.levels), len(second.levels))
    above, below = (
        float(np.average(each, weights=weights))
        for each in ((first.above, second.above), (first.below, second.below))
    )
    levels = np.concatenate([first.levels, between, second.levels])
    return _Piece(first.left, levels, above, below)


def _trace(piece: _Piece) -> Trace:
    """Smooth a line and keep a corner now and then."""
    width = len(piece.levels)
    reach = min(SMOOTHED // 2, (width - 1) // 2)
    padded = np.pad(piece.levels, reach, mode="reflect", reflect_type="odd")
    smooth = np.convolve(padded, np.full(2 * reach + 1, 1 / (2 * reach + 1)), "valid")
    corners = np.linspace(0, width - 1, max(2, round(width / CORNER) + 1)).round().astype(int)
    columns = (piece.left + corners).astype(np.float64)
    columns[0] -= REST
    columns[-1] += REST
    # An answer stands for the middle of the pixels that it is of.
    points = (np.stack([columns, smooth[corners]], axis=1) + 0.5) * STRIDE
    return Trace(points, piece.above, piece.below)
