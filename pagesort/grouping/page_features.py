"""What a page looks like, as some numbers: paper, ink, light, and where on the page ink lies."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from PIL import Image

VERSION = "look1"  # other numbers, another name: pages kept with these are seen again

WIDTH, HEIGHT = 272, 384  # a page is looked at in this size, whatever its own
BLOCK = 8  # pixels that share one colour of paper
EDGE = 7  # pixels at each side, where scanners show what lies below a page
INK_SHARE, LEAST_INK = 0.16, 12.0  # how much darker than its paper ink is, and in grey values
DARK, DARK_PAPER = 50, 70  # grey values of what is no page, and of paper that no ink is told on
FEW = 60  # pixels of ink that tell no colour
MARGIN_INK = 0.012  # share of ink in a row or column that ends a margin
BINS = 17, 32  # of profiles over columns and over rows

# How many numbers each kind has, in their order.
SIZES = MappingProxyType(
    {
        "paper": 5,  # median and third quartile of light, red over blue, green over both, 90 %
        "ink": 5,  # light, red over blue, green over both, 5 % and 25 % of light
        "contrast": 1,
        "edge": 4,  # light at top, bottom, left, right
        "edge_spread": 4,
        "light": 3,  # unevenness, top over bottom, left over right
        "density": 3,  # share of ink, of squares with ink, of what is no page
        "lines": 2,  # the distance of lines, and how regular it is
        "strokes": 2,  # how often ink begins along rows, and along columns
        "margin": 4,  # top, bottom, left, right
        "rows": BINS[1],
        "columns": BINS[0],
        "head": BINS[0],  # of the top fifth, over columns
        "foot": BINS[0],
    }
)
LENGTH = sum(SIZES.values())
PLACES = {
    name: slice(end - size, end)
    for (name, size), end in zip(SIZES.items(), np.cumsum(list(SIZES.values())), strict=True)
}


def describe(page: Image.Image) -> np.ndarray:
    """Describe a page of any size, mode L or RGB: float32 (LENGTH,), all finite."""
    small = page.convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    colours = np.asarray(small, np.float32)
    grey = colours.mean(axis=2)
    paper = _paper(grey)
    below = np.kron(paper, np.ones((BLOCK, BLOCK), np.float32))
    ink = (below - grey > np.maximum(INK_SHARE * below, LEAST_INK)) & (below > DARK_PAPER)
    found = {
        **_colours(colours, grey, below, ink),
        **_light(grey, paper),
        **_layout(ink, float((grey < DARK).mean())),
    }
    return np.concatenate([np.ravel(found[name]) for name in SIZES]).astype(np.float32)


def _paper(grey: np.ndarray) -> np.ndarray:
    """Light of the paper in each square, (H / BLOCK, W / BLOCK): what most of it is lighter than.

    Squares full of ink take the light of those around them.
    """
    squares = grey.reshape(HEIGHT // BLOCK, BLOCK, WIDTH // BLOCK, BLOCK).swapaxes(1, 2)
    flat = np.sort(squares.reshape(HEIGHT // BLOCK, WIDTH // BLOCK, -1), axis=2)
    return np.asarray(flat[:, :, int(0.85 * BLOCK**2)])


def _colours(
    colours: np.ndarray, grey: np.ndarray, below: np.ndarray, ink: np.ndarray
) -> dict[str, np.ndarray]:
    inner = colours[HEIGHT // 8 : -HEIGHT // 8, WIDTH // 8 : -WIDTH // 8].reshape(-1, 3)
    middle, upper, light = np.percentile(inner, (50, 75, 90), axis=0)
    found = {
        "paper": np.array([middle.mean(), upper.mean(), *_tint(upper), light.mean()]),
        "ink": np.array([0.0, 0.0, 0.0, 255.0, 255.0]),
        "contrast": np.zeros(1),
    }
    if np.count_nonzero(ink) >= FEW:
        mean = colours[ink].mean(axis=0)
        found["ink"] = np.array([mean.mean(), *_tint(mean), *np.percentile(grey[ink], (5, 25))])
        found["contrast"] = np.array([(below[ink] - grey[ink]).mean()])
    return {name: values / 255 for name, values in found.items()}


def _tint(colour: np.ndarray) -> tuple[float, float]:
    red, green, blue = map(float, colour)
    return red - blue, green - (red + blue) / 2


def _light(grey: np.ndarray, paper: np.ndarray) -> dict[str, np.ndarray]:
    sides = [grey[:EDGE], grey[-EDGE:], grey[:, :EDGE], grey[:, -EDGE:]]
    rows, columns = paper.shape[0] // 2, paper.shape[1] // 2
    over = [
        paper.std(),
        paper[:rows].mean() - paper[rows:].mean(),
        paper[:, :columns].mean() - paper[:, columns:].mean(),
    ]
    return {
        "edge": np.array([side.mean() for side in sides]) / 255,
        "edge_spread": np.array([side.std() for side in sides]) / 255,
        "light": np.array(over) / 255,
    }


def _layout(ink: np.ndarray, dark: float) -> dict[str, np.ndarray]:
    grid = ink.reshape(HEIGHT // 4, 4, WIDTH // 4, 4).mean(axis=(1, 3))
    grid[[0, 1, -2, -1]] = 0.0
    grid[:, [0, 1, -2, -1]] = 0.0
    rows, columns = grid.mean(axis=1), grid.mean(axis=0)
    fifth = len(grid) // 5
    return {
        "density": np.array([grid.mean(), (grid > 0.02).mean(), dark]),
        "lines": _lines(ink[16:-16, 16:-16].mean(axis=1)),
        "strokes": _strokes(ink[16:-16, 16:-16]),
        "margin": np.array([*_margins(rows), *_margins(columns)]),
        "rows": rows.reshape(BINS[1], -1).mean(axis=1),
        "columns": columns.reshape(BINS[0], -1).mean(axis=1),
        "head": grid[:fifth].mean(axis=0).reshape(BINS[0], -1).mean(axis=1),
        "foot": grid[-fifth:].mean(axis=0).reshape(BINS[0], -1).mean(axis=1),
    }


def _lines(rows: np.ndarray) -> np.ndarray:
    """The distance at which the profile of ink over rows is most like itself, and how much so."""
    flat = rows - np.convolve(rows, np.ones(21) / 21, "same")
    alike = np.correlate(flat, flat, "full")[len(flat) - 1 :]
    best = 4 + int(np.argmax(alike[4:30]))
    return np.array([best / 30, alike[best] / (alike[0] + 1e-9)])


def _strokes(ink: np.ndarray) -> np.ndarray:
    area = np.count_nonzero(ink) + 12
    return (
        np.array(
            [np.count_nonzero(ink[:, 1:] != ink[:, :-1]), np.count_nonzero(ink[1:] != ink[:-1])]
        )
        / area
    )


def _margins(profile: np.ndarray) -> tuple[float, float]:
    """How far a page is empty from either end, as shares; a half each where it is empty."""
    filled = np.flatnonzero(profile > MARGIN_INK)
    if not len(filled):
        return 0.5, 0.5
    return float(filled[0] / len(profile)), float(1 - filled[-1] / len(profile))
