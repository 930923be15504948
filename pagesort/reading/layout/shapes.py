"""Where a line runs, made of what a layout file does not leave out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pagesort.reading.text_line import Points, TextLine

BELOW = 0.25  # of a line's height: how far below the baseline letters reach
ABOVE_LINE, BELOW_LINE = 0.75, 0.3  # of the distance of lines: what belongs to a bare baseline
USUAL_DISTANCE = 0.03  # of the page's height: between the baselines of a page with one line
BOUNDS = (0.01, 0.08)
SAMPLES = 16  # places at which a polygon is measured


def box(left: float, top: float, width: float, height: float) -> Points:
    """A rectangle's corners."""
    right, bottom = left + width, top + height
    return (left, top), (right, top), (right, bottom), (left, bottom)


def has_area(polygon: Points) -> bool:
    """Whether a polygon goes around anything."""
    return len(polygon) > 2 and bool(np.ptp(np.asarray(polygon), axis=0).min() > 0)


def baseline_in(polygon: Points) -> Points:
    """A straight baseline for a line of which only the polygon is known."""
    corners = np.asarray(polygon, dtype=np.float64)
    left, right = corners[:, 0].min(), corners[:, 0].max()
    places = left + (right - left) * (np.arange(SAMPLES) + 0.5) / SAMPLES
    starts, ends = corners, np.roll(corners, -1, axis=0)
    middles, heights = [], []
    for x in places:
        crosses = (starts[:, 0] <= x) != (ends[:, 0] <= x)
        a, b = starts[crosses], ends[crosses]
        y = a[:, 1] + (x - a[:, 0]) / (b[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])
        middles.append((y.min() + y.max()) / 2)
        heights.append(y.max() - y.min())
    slope, shift = np.polyfit(places - left, middles, 1)
    shift += (0.5 - BELOW) * float(np.median(heights))
    return (float(left), float(shift)), (float(right), float(shift + slope * (right - left)))


def with_polygons(lines: Sequence[TextLine], page_height: float) -> list[TextLine]:
    """Give lines that have a baseline only a band along it, as wide as their lines are apart."""
    if all(line.polygon for line in lines):
        return list(lines)
    heights = sorted(float(np.mean([y for _, y in line.baseline])) for line in lines)
    gaps = np.diff(heights)
    distance = float(np.median(gaps)) if len(gaps) else USUAL_DISTANCE * page_height
    distance = min(max(distance, BOUNDS[0] * page_height, 1.0), max(BOUNDS[1] * page_height, 2.0))
    return [
        line if line.polygon else replace(line, polygon=_band(line.baseline, distance))
        for line in lines
    ]


def _band(baseline: Points, distance: float) -> Points:
    upper = tuple((x, y - ABOVE_LINE * distance) for x, y in baseline)
    lower = tuple((x, y + BELOW_LINE * distance) for x, y in reversed(baseline))
    return upper + lower
