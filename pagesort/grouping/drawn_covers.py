"""Drawn covers of volumes and folders: labelled piles hold too few real ones to learn from.

A cover is a board or a sheet of one colour, often with spots or figures, a spine, a frame, and a
title on it or on a slip. What its words say means nothing.
"""

from __future__ import annotations

import string
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pagesort.common.files import translate_unwritable
from pagesort.common.progress import Progress
from pagesort.embeddings.embed import embed_pages
from pagesort.embeddings.store import EmbeddingStore
from pagesort.grouping.group_run import DESCRIBER
from pagesort.grouping.pile import Pile, pile_of
from pagesort.models.protocols import Embedder
from pagesort.pages.loader import PageRef

COVERS = 48
SEED = 1
HEIGHT, WIDTHS = 640, (400, 560)  # pixels
LYING = 0.12  # share of covers that are wider than high

Colour = tuple[int, ...]  # red, green, blue
Box = tuple[float, float, float, float]  # left, top, right, bottom

BOARDS: tuple[Colour, ...] = (
    (92, 60, 38), (128, 86, 50), (38, 28, 24), (24, 24, 28), (110, 32, 30), (140, 60, 40),
    (36, 54, 40), (70, 96, 70), (34, 44, 76), (80, 110, 140), (120, 140, 160), (160, 136, 100),
)  # fmt: skip
PAPERS: tuple[Colour, ...] = (
    (186, 166, 132), (130, 126, 118), (206, 176, 120), (214, 150, 140), (200, 110, 120),
    (214, 198, 130), (160, 180, 150), (222, 208, 176), (236, 228, 208), (246, 244, 240),
)  # fmt: skip
DARK_INKS: tuple[Colour, ...] = ((24, 22, 22), (40, 40, 80), (90, 30, 30))
LIGHT_INKS: tuple[Colour, ...] = ((206, 172, 96), (226, 222, 210), (190, 160, 100))
SLIPS: tuple[Colour, ...] = ((238, 232, 214), (246, 244, 238), (222, 206, 170))
DARK = 330  # sum of a colour on which titles are light


def seen_covers(model: Embedder, covers: int = COVERS, seed: int = SEED) -> Pile:
    """Draw covers, and return what the model sees of them; the same for the same seed.

    They are not kept with the embeddings of real pages, so that no search finds them.

    Raises:
        PageSortError: there is too little memory, or no room for temporary files.
    """
    with (
        translate_unwritable(Path(tempfile.gettempdir()), "covers cannot be drawn"),
        tempfile.TemporaryDirectory(prefix="pagesort-") as name,
        Progress(covers, 0) as progress,
    ):
        folder = Path(name)
        refs = []
        for number in range(covers):
            path = folder / f"{number}.png"
            draw_cover(np.random.default_rng([seed, number])).save(path, compress_level=1)
            refs.append(PageRef(number, path))
        pages = []
        with EmbeddingStore.open(folder, model) as store:
            for page in embed_pages(model, refs, store, describer=DESCRIBER):
                pages.append(page)
                progress.advance(1, "drawn cover")
        return pile_of(pages, model.scores)


def draw_cover(rng: np.random.Generator) -> Image.Image:
    """Draw a cover, mode RGB, HEIGHT pixels on its longer side."""
    size = int(rng.integers(*WIDTHS)), HEIGHT
    width, height = size if rng.random() >= LYING else size[::-1]
    colour = _coloured(rng, BOARDS + PAPERS)
    page = _board(rng, (width, height), colour)
    pen = ImageDraw.Draw(page)
    if rng.random() < 0.35:
        spine = width * rng.uniform(0.03, 0.22)
        pen.rectangle((0, 0, spine, height), fill=_coloured(rng, BOARDS))
    is_light = sum(colour) < DARK and rng.random() < 0.8
    ink = _coloured(rng, LIGHT_INKS if is_light else DARK_INKS)
    if rng.random() < 0.25:
        _frame(pen, rng, (width, height), ink)
    way = rng.random()
    if way < 0.4:
        _labelled(pen, rng, (width, height))
    elif way < 0.92:
        top = height * rng.uniform(0.06, 0.45)
        most = int(rng.integers(2, 11))
        _title(pen, rng, (20, top, width - 20, height - 20), ink, most)
    if rng.random() < 0.3:  # a shelf mark
        left, top = rng.uniform(4, width - 90), rng.choice([8, height - 60])
        mark = left, top, left + rng.uniform(40, 80), top + rng.uniform(24, 46)
        pen.rectangle(mark, fill=_coloured(rng, SLIPS))
    return page


def _coloured(rng: np.random.Generator, some: tuple[Colour, ...], by: float = 10.0) -> Colour:
    """One of some colours, a little changed."""
    changed = np.array(some[int(rng.integers(len(some)))]) + rng.normal(0, by, 3)
    return tuple(int(value) for value in np.clip(changed, 4, 250))


def _clouds(rng: np.random.Generator, size: tuple[int, int], cell: tuple[int, int]) -> np.ndarray:
    """Soft noise, float32 (H, W), from -1 to 1, in spots of so many pixels."""
    cells = max(2, size[1] // cell[1]), max(2, size[0] // cell[0])
    small = Image.fromarray(rng.integers(0, 256, cells, np.uint8))
    return np.asarray(small.resize(size, Image.Resampling.BICUBIC), np.float32) / 127.5 - 1


def _board(rng: np.random.Generator, size: tuple[int, int], colour: Colour) -> Image.Image:
    """A board with large and small spots, and sometimes with figures of a second colour."""
    light = 1 + rng.uniform(0, 0.16) * _clouds(rng, size, (size[0] // 3, size[1] // 4))
    grain = int(rng.integers(2, 9)), int(rng.integers(2, 9))
    light += rng.uniform(0, 0.14) * _clouds(rng, size, grain)
    pixels = np.array(colour, np.float32) * light[..., None]
    if rng.random() < 0.2:
        cell = int(rng.integers(8, 60))
        figures = _clouds(rng, size, (cell, cell)) - rng.uniform(-0.2, 0.4)
        other = np.array(_coloured(rng, BOARDS + PAPERS), np.float32) * light[..., None]
        share = np.clip(6 * figures, 0, 1)[..., None] * rng.uniform(0.4, 1)
        pixels = pixels * (1 - share) + other * share
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _frame(
    pen: ImageDraw.ImageDraw, rng: np.random.Generator, size: tuple[int, int], ink: Colour
) -> None:
    """One line or several round the board."""
    for number in range(int(rng.integers(1, 4))):
        edge = 14 + 7 * number
        box = edge, edge, size[0] - edge, size[1] - edge
        pen.rectangle(box, outline=ink, width=int(rng.integers(1, 4)))


def _labelled(pen: ImageDraw.ImageDraw, rng: np.random.Generator, size: tuple[int, int]) -> None:
    """A slip with a title on it."""
    width, height = size[0] * rng.uniform(0.25, 0.65), size[1] * rng.uniform(0.1, 0.32)
    left = (size[0] - width) * rng.uniform(0.3, 0.7)
    top = (size[1] - height) * rng.uniform(0.1, 0.6)
    box = left, top, left + width, top + height
    ink = _coloured(rng, DARK_INKS)
    pen.rectangle(box, _coloured(rng, SLIPS), ink if rng.random() < 0.5 else None, 2)
    _title(pen, rng, box, ink, 4)


def _title(
    pen: ImageDraw.ImageDraw, rng: np.random.Generator, box: Box, ink: Colour, most: int
) -> None:
    """Lines of several sizes in the middle of a box, so many at the most."""
    left, y, right, bottom = box
    for _ in range(int(rng.integers(1, most + 1))):
        size = int(rng.integers(9, 40))
        y += size * rng.uniform(0.7, 2.0)
        if y > bottom - size / 2:
            return
        font = ImageFont.load_default(size)
        text = _words(rng)
        while len(text) > 2 and pen.textlength(text, font=font) > right - left - 12:
            text = text[:-1]
        pen.text(((left + right) / 2, y), text, ink, font, anchor="mm")
        y += size / 2


def _words(rng: np.random.Generator) -> str:
    letters = list(string.ascii_uppercase if rng.random() < 0.5 else string.ascii_lowercase)
    lengths = rng.integers(2, 10, int(rng.integers(1, 5)))
    return " ".join("".join(rng.choice(letters, length)) for length in lengths)
